//! The door for studies. A node believes none of this and checks everything itself; the door spares everybody the study that would fail.

use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::trust::SignedStudy;

use super::answer::Made;
use super::call::Call;
use super::studies::describe;
use super::types::StudyStatus;
use super::{App, Command, Problem};
use crate::dispatch::{Asked, Context, Course, answer_by};
use crate::permits::{self, Touches};
use crate::server::Moment;
use crate::store::{Recorded, StoreError};

/// Accepts a signed study. The same study again gets its present status.
pub(super) async fn submit(app: App, call: Call<(), (), SignedStudy>) -> Result<Made<StudyStatus>, Problem> {
    let signed = call.body.clone();
    let (id, user) = (signed.id(), call.caller.user.clone());
    if let Some(record) = app.context.store.with(move |store| store.study(id)).await? {
        // Who has the study as it was signed may see it: the text alone is not enough.
        if record.signed.signature != signed.signature {
            let message = "the study was handed in before, with another signature";
            return Err(PublicError::new(ErrorCode::SignatureInvalid, message).into());
        }
        app.gate.people.with(move |people| people.own(&user, id)).await?;
        return Ok(Made { new: false, value: describe(&app, &record)? });
    }
    if app.context.drain.is_draining() {
        return Err(PublicError::new(ErrorCode::Busy, "the coordinator is stopping")
            .hint("hand the study in again in a minute: nothing of it was kept")
            .into());
    }
    // Before anything is checked, so that a full coordinator is not kept busy by studies that it cannot take.
    let open = app.context.store.with(|store| store.unfinished()).await?.len();
    room(open, None)?;
    let now = app.context.clock.now();
    let asked = admit(&app, signed, now).await?;
    let answer_by = answer_by(&asked.study, now);
    let (signed, researcher) = (asked.signed.clone(), asked.study.researcher);
    // Before the study is there: nobody's study could be seen by nobody.
    app.gate.people.with(move |people| people.own(&user, id)).await?;
    // Counted and written at once: of studies that come together none slips past the bound.
    let recorded =
        app.context.store.with(move |store| match room(store.unfinished()?.len(), Some(store.open_of(&researcher)?)) {
            Ok(()) => store.accept(&signed, now, answer_by).map(Ok),
            Err(full) => Ok(Err(full)),
        });
    let recorded = recorded.await??;
    if recorded == Recorded::Yes {
        tracing::info!(study = %id, sites = asked.sites.len(), %answer_by, "study accepted");
        app.context.pass(Moment::Accepted);
        let _ = app.commands.send(Command::Start(id)).await;
        app.context.notices.changed(id);
    }
    let record = app.context.store.with(move |store| store.study(id)).await?;
    let record = record.ok_or(StoreError::Damaged("a study that was just accepted"))?;
    Ok(Made { new: true, value: describe(&app, &record)? })
}

/// Whether one more study may be open, of a researcher who has `own` of them.
fn room(open: usize, own: Option<usize>) -> Result<(), PublicError> {
    if own.is_some_and(|own| own >= limits::OPEN_STUDIES_OF_ONE) {
        let most = limits::OPEN_STUDIES_OF_ONE;
        let error = PublicError::new(
            ErrorCode::Busy,
            format!("{most} studies that you signed are open, and no researcher may have more"),
        );
        return Err(error.hint("wait until some of yours are published, or cancel some"));
    }
    if open >= limits::OPEN_STUDIES {
        let error = PublicError::new(ErrorCode::Busy, format!("{open} studies are open"));
        return Err(error.hint("wait until some are published, or cancel some"));
    }
    Ok(())
}

/// Checks everything that does not need a site. The analyses are checked off the async threads: their tables may be large.
async fn admit(app: &App, signed: SignedStudy, now: Timestamp) -> Result<Asked, Problem> {
    let context = app.context.clone();
    let admitted = tokio::task::spawn_blocking(move || {
        let asked = Asked::bind(signed, &context.contracts)?;
        check(&context, &asked, now)?;
        let course = Course::begin(&asked, asked.study.min_sites.max(context.min_sites))?;
        check_permit(&context, &asked, &course, now)?;
        Ok::<_, PublicError>(asked)
    });
    let failed = |_| PublicError::new(ErrorCode::Internal, "the study's check failed");
    Ok(admitted.await.map_err(failed)??)
}

fn check(context: &Context, asked: &Asked, now: Timestamp) -> Result<(), PublicError> {
    let study = &asked.study;
    if study.network != context.network {
        let message = format!("the study is for network {}, this is {}", study.network, context.network);
        return Err(PublicError::new(ErrorCode::NetworkMismatch, message));
    }
    let researchers: Vec<_> = context.researchers.all().iter().map(|researcher| researcher.key).collect();
    permits::admitted(study, asked.permit.as_ref(), &researchers, &context.access_bodies.keys())?;
    if let Some(site) = asked.sites.iter().find(|site| !context.roster.contains(site)) {
        let message = format!("site {site} is not a member of network {}", context.network);
        return Err(PublicError::new(ErrorCode::SiteUnknown, message).hint("`bocage sites` lists the members"));
    }
    if let Some(site) = asked.sites.iter().find(|site| context.roster.release_key(site).is_none()) {
        let message = format!("site {site} has yet to enrol");
        return Err(PublicError::new(ErrorCode::SiteUnknown, message).hint("leave it out until it has"));
    }
    if study.answer_within_secs == 0 {
        return Err(PublicError::new(ErrorCode::StudyInvalid, "answer_within_secs is 0"));
    }
    study.check_time(now)
}

/// The permit must cover the study, as every site will find again.
fn check_permit(context: &Context, asked: &Asked, course: &Course, now: Timestamp) -> Result<(), PublicError> {
    let study = &asked.study;
    let (Some(permit), Some(signed)) = (&asked.permit, &asked.signed.permit) else {
        return match &study.permit {
            None => Ok(()),
            Some(named) => {
                let message = format!("the study relies on permit {}, and came without it", named.id);
                Err(PublicError::new(ErrorCode::PermitMismatch, message).hint("`bocage study run` sends it along"))
            }
        };
    };
    let (digest, round) = (signed.digest(), course.round());
    let reads = permits::reads(round.iter().flat_map(|round| round.parts.iter().map(|part| &part.plan)));
    let touches = Touches { study, sites: &asked.sites, reads: &reads };
    if let Some(error) = permits::uncovered(permit, &digest, touches, now).into_iter().next() {
        return Err(error);
    }
    let newest = context.access_bodies.newest(&permit.issuer);
    match newest.and_then(|newest| permits::taken_back(permit, &digest, &newest.list)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

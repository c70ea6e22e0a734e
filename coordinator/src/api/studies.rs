//! Studies: list, status with long poll, result, cancel.

use std::time::Duration;

use axum::Json;
use axum::http::Uri;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::{SignedPublication, SignedStudy, Study};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use tokio::time::Instant;

use super::answer::Kept;
use super::call::{Call, QueryPart, query};
use super::types::{StudyList, StudyResult, StudyStatus};
use super::{App, Command, Problem};
use crate::dispatch::{permit_info, study_status};
use crate::people::{Caller, Right};
use crate::store::{Recorded, StoreError, StudyRecord};

/// Studies in one list.
const LISTED: usize = 500;
/// The longest that a request may wait.
const LONGEST_WAIT_SECS: u64 = 60;

/// How long a status may wait for a change.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Wait {
    /// Seconds, 60 at most.
    #[serde(default)]
    wait_secs: u64,
    /// The version that is known.
    seen: Option<u64>,
}

impl QueryPart for Wait {
    const HINT: &'static str = "?wait_secs=30&seen=VERSION";
    fn read(uri: &Uri) -> Result<Self, PublicError> {
        query(uri, Self::HINT)
    }
    fn schema(schemas: &mut SchemaGenerator) -> Option<Schema> {
        Some(Self::json_schema(schemas))
    }
}

/// The caller's own studies, or everybody's for whoever may see those.
pub(super) async fn list(app: App, call: Call) -> Result<Json<StudyList>, Problem> {
    let records = if call.caller.may(Right::EveryStudy, false) {
        app.context.store.with(|store| store.studies(LISTED)).await?
    } else {
        let user = call.caller.user.clone();
        let owned = app.gate.people.with(move |people| people.owned(&user, LISTED)).await?;
        let found = |store: &mut crate::store::StoreFile| {
            owned.into_iter().map(|id| store.study(id)).filter_map(Result::transpose).collect()
        };
        app.context.store.with(found).await?
    };
    let studies = records.iter().map(|record| describe(&app, record)).collect::<Result<_, _>>()?;
    Ok(Json(StudyList { studies }))
}

/// The status; with `seen=V`, only once it is not V any more or `wait_secs` have passed.
pub(super) async fn status(app: App, call: Call<StudyId, Wait>) -> Result<Json<StudyStatus>, Problem> {
    let (id, wait) = (call.path, call.query);
    let deadline = Instant::now() + Duration::from_secs(wait.wait_secs.min(LONGEST_WAIT_SECS));
    let mut stopping = app.stopping.clone();
    let mut record = visible(&app, &call.caller, id).await?;
    while wait.seen == Some(record.version()) && wait.wait_secs > 0 {
        // Subscribed first, read afterwards: a change in between is seen.
        let mut changes = app.context.notices.subscribe(id);
        record = find(&app, id).await?;
        if wait.seen != Some(record.version()) {
            break;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = tokio::time::sleep_until(deadline) => break,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
        record = find(&app, id).await?;
    }
    Ok(Json(describe(&app, &record)?))
}

/// The result exactly as it was published.
pub(super) async fn result(app: App, call: Call<StudyId>) -> Result<Kept<StudyResult>, Problem> {
    Ok(Kept::of(published(&app, &call).await?))
}

/// That the coordinator published these bytes.
pub(super) async fn publication(app: App, call: Call<StudyId>) -> Result<Json<SignedPublication>, Problem> {
    let result = published(&app, &call).await?;
    Ok(Json(app.context.publisher.sign(call.path, &result)?))
}

async fn published(app: &App, call: &Call<StudyId>) -> Result<String, Problem> {
    let id = call.path;
    let record = visible(app, &call.caller, id).await?;
    if let Some(result) = app.context.store.with(move |store| store.result(id)).await? {
        return Ok(result);
    }
    let error = match record.cancelled_at {
        Some(_) => PublicError::new(ErrorCode::Cancelled, "the study was cancelled: it has no result"),
        None => PublicError::new(ErrorCode::NotFound, "the study has no result yet")
            .hint("it is published when every site has answered, or at its deadline"),
    };
    Err(Problem(error))
}

/// The study exactly as its researcher signed it, with the names of its sites and its permit.
pub(super) async fn signed(app: App, call: Call<StudyId>) -> Result<Json<SignedStudy>, Problem> {
    Ok(Json(visible(&app, &call.caller, call.path).await?.signed))
}

pub(super) async fn cancel(app: App, call: Call<StudyId>) -> Result<Json<StudyStatus>, Problem> {
    let id = call.path;
    visible(&app, &call.caller, id).await?;
    let now = app.context.clock.now();
    let recorded = app.context.store.with(move |store| store.cancel(id, now)).await?;
    let record = find(&app, id).await?;
    match recorded {
        Recorded::Yes => {
            tracing::info!(study = %id, "cancelled");
            let _ = app.commands.send(Command::Stop(id)).await;
            app.context.notices.changed(id);
        }
        Recorded::TooLate if record.cancelled_at.is_some() => {}
        Recorded::TooLate => {
            let error = PublicError::new(ErrorCode::Conflict, "the study is published already");
            return Err(Problem(error.hint("a published result stays")));
        }
    }
    Ok(Json(describe(&app, &record)?))
}

/// A study that the caller may see. That there is another one is not said.
async fn visible(app: &App, caller: &Caller, id: StudyId) -> Result<StudyRecord, Problem> {
    let user = caller.user.clone();
    let sees =
        caller.may(Right::EveryStudy, false) || app.gate.people.with(move |people| people.owns(&user, id)).await?;
    if !sees {
        return Err(no_such_study());
    }
    find(app, id).await
}

async fn find(app: &App, id: StudyId) -> Result<StudyRecord, Problem> {
    app.context.store.with(move |store| store.study(id)).await?.ok_or_else(no_such_study)
}

fn no_such_study() -> Problem {
    let error = PublicError::new(ErrorCode::NotFound, "there is no such study");
    Problem(error.hint("`bocage study list` shows yours; those of others are not shown"))
}

/// A record as those see it who may.
pub(super) fn describe(app: &App, record: &StudyRecord) -> Result<StudyStatus, Problem> {
    let study: Study =
        serde_json::from_str(&record.signed.study).map_err(|_| StoreError::Damaged("a study's canonical JSON"))?;
    let permit = match &record.signed.permit {
        Some(signed) => {
            let permit = serde_json::from_str(&signed.document).map_err(|_| StoreError::Damaged("a permit"))?;
            Some(permit_info(&app.context, &permit, signed.digest()))
        }
        None => None,
    };
    let known = app.context.researchers.all().iter().find(|r| r.key == study.researcher).map(|r| r.name.clone());
    let holder = || permit.as_ref().map(|permit| permit.holder.clone());
    let researcher = known.or_else(holder).unwrap_or_else(|| study.researcher.to_string());
    Ok(study_status(&study, (researcher, permit), record, &|site| app.context.members.online(site)))
}

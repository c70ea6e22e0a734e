//! Studies: list, status with long poll, result, cancel.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::{SignedStudy, Study};
use serde::Deserialize;
use tokio::time::Instant;

use super::types::{StudyList, StudyStatus};
use super::{App, Command, Problem};
use crate::dispatch::{permit_info, study_status};
use crate::store::{Recorded, StoreError, StudyRecord};

/// Studies in one list.
const LISTED: usize = 500;
/// The longest that a request may wait.
const LONGEST_WAIT_SECS: u64 = 60;

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    wait_secs: u64,
    seen: Option<u64>,
}

pub(super) async fn list(State(app): State<App>) -> Result<Json<StudyList>, Problem> {
    let records = app.context.store.with(|store| store.studies(LISTED)).await?;
    let studies = records.iter().map(|record| describe(&app, record)).collect::<Result<_, _>>()?;
    Ok(Json(StudyList { studies }))
}

/// The status; with `seen=V`, only once it is not V any more or `wait_secs` have passed.
pub(super) async fn status(
    State(app): State<App>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<StudyStatus>, Problem> {
    let id = parse(&id)?;
    let Query(wait) = wait.map_err(|_| {
        PublicError::new(ErrorCode::Malformed, "the query is not understood").hint("?wait_secs=30&seen=VERSION")
    })?;
    let deadline = Instant::now() + Duration::from_secs(wait.wait_secs.min(LONGEST_WAIT_SECS));
    let mut stopping = app.stopping.clone();
    let mut record = find(&app, id).await?;
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
pub(super) async fn result(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = parse(&id)?;
    if let Some(result) = app.context.store.with(move |store| store.result(id)).await? {
        return Ok(([(CONTENT_TYPE, "application/json")], result).into_response());
    }
    let error = match find(&app, id).await?.cancelled_at {
        Some(_) => PublicError::new(ErrorCode::Cancelled, "the study was cancelled: it has no result"),
        None => PublicError::new(ErrorCode::NotFound, "the study has no result yet")
            .hint("it is published when every site has answered, or at its deadline"),
    };
    Err(Problem(error))
}

/// The study exactly as its researcher signed it, with the names of its sites and its permit.
pub(super) async fn signed(State(app): State<App>, Path(id): Path<String>) -> Result<Json<SignedStudy>, Problem> {
    Ok(Json(find(&app, parse(&id)?).await?.signed))
}

pub(super) async fn cancel(State(app): State<App>, Path(id): Path<String>) -> Result<Json<StudyStatus>, Problem> {
    let id = parse(&id)?;
    find(&app, id).await?;
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

fn parse(id: &str) -> Result<StudyId, Problem> {
    let hint = "a study's id has 64 hexadecimal digits; `bocage study list` shows them";
    id.parse().map_err(|_| Problem(PublicError::new(ErrorCode::Malformed, "not a study id").hint(hint)))
}

async fn find(app: &App, id: StudyId) -> Result<StudyRecord, Problem> {
    let found = app.context.store.with(move |store| store.study(id)).await?;
    found.ok_or_else(|| Problem(PublicError::new(ErrorCode::NotFound, "there is no such study")))
}

/// A record as anyone may see it.
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

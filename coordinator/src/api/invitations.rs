//! Invitations of sites: made, listed, taken back. Only the answer to its making holds an invitation's token.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::Invitation;

use super::types::{InvitationInfo, InvitationList, InvitationState, InvitationWanted, Withdrawn};
use super::{App, Problem, body};
use crate::members::invitations::{Wanted, invite};
use crate::store::KeptInvitation;

/// The routes, for the network's steward and operator.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/invitations", get(list).post(make)).route("/v1/invitations/{site}", delete(take_back))
}

async fn make(State(app): State<App>, request: Request) -> Result<(StatusCode, Json<Invitation>), Problem> {
    let bytes = body::whole(&app, request).await?;
    let wanted: InvitationWanted = serde_json::from_slice(&bytes).map_err(|_| {
        let error = PublicError::new(ErrorCode::Malformed, "the body does not say whom to invite");
        error.hint("send {\"site\": ID}, with \"days\" and \"replace\" if wanted")
    })?;
    let (site, days, replace) = (wanted.site, wanted.days, wanted.replace);
    let invitation = invite(&app.context, Wanted { site, days, replace }).await?;
    Ok((StatusCode::CREATED, Json(invitation)))
}

async fn list(State(app): State<App>) -> Result<Json<InvitationList>, Problem> {
    let now = app.context.clock.now();
    let kept = app.context.store.with(|store| store.invitations()).await?;
    Ok(Json(InvitationList { invitations: kept.into_iter().map(|kept| info(kept, now)).collect() }))
}

async fn take_back(State(app): State<App>, Path(site): Path<String>) -> Result<Json<Withdrawn>, Problem> {
    let none = || {
        let error = PublicError::new(ErrorCode::NotFound, "the site has no open invitation");
        error.hint("`bocage network invitations` lists them")
    };
    let site: SiteId = site.parse().map_err(|_| none())?;
    let (now, of) = (app.context.clock.now(), site.clone());
    if !app.context.store.with(move |store| store.uninvite(&of, now)).await? {
        return Err(none().into());
    }
    tracing::info!(%site, "an invitation was taken back");
    Ok(Json(Withdrawn { site }))
}

fn info(kept: KeptInvitation, now: Timestamp) -> InvitationInfo {
    let used_at = kept.used.as_ref().map(|used| used.at);
    let state = match (used_at, kept.withdrawn_at) {
        (Some(_), _) => InvitationState::Used,
        (None, Some(_)) => InvitationState::Withdrawn,
        (None, None) if now > kept.expires_at => InvitationState::Expired,
        (None, None) => InvitationState::Open,
    };
    InvitationInfo {
        id: kept.token.short(),
        site: kept.site,
        made_at: kept.made_at,
        expires_at: kept.expires_at,
        replace: kept.replace,
        state,
        ended_at: used_at.or(kept.withdrawn_at),
        release_key: kept.used.map(|used| used.release_key),
    }
}

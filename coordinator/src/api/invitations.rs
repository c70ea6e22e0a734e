//! Invitations of sites: made, listed, taken back. Only the answer to its making holds an invitation's token.

use axum::Json;
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::Invitation;

use super::answer::Made;
use super::call::Call;
use super::types::{InvitationInfo, InvitationList, InvitationState, InvitationWanted, Withdrawn};
use super::{App, Problem};
use crate::members::invitations::{Wanted, invite};
use crate::store::KeptInvitation;

pub(super) async fn make(app: App, call: Call<(), (), InvitationWanted>) -> Result<Made<Invitation>, Problem> {
    let InvitationWanted { site, days, replace } = call.body;
    Ok(Made { new: true, value: invite(&app.context, Wanted { site, days, replace }).await? })
}

pub(super) async fn list(app: App, _: Call) -> Result<Json<InvitationList>, Problem> {
    let now = app.context.clock.now();
    let kept = app.context.store.with(|store| store.invitations()).await?;
    Ok(Json(InvitationList { invitations: kept.into_iter().map(|kept| info(kept, now)).collect() }))
}

pub(super) async fn take_back(app: App, call: Call<SiteId>) -> Result<Json<Withdrawn>, Problem> {
    let none = || {
        let error = PublicError::new(ErrorCode::NotFound, "the site has no open invitation");
        error.hint("`bocage network invitations` lists them")
    };
    let site = call.path;
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

//! Sites whose certificates are taken back: for the network's steward and operator.

use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::marks::one_line;

use super::types::{Revocation, RevokedInfo, RevokedList};
use super::{App, Problem, body};
use crate::members::revocation;
use crate::store::Revoked;

/// A serial number of ours has 32 hexadecimal digits, and one of X.509 at most 40.
const SERIAL_DIGITS: usize = 40;
/// A reason as it is kept.
const REASON_CHARS: usize = 500;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/revoked", get(list)).route("/v1/sites/{site}/revocation", post(revoke).delete(lift))
}

async fn list(State(app): State<App>) -> Result<Json<RevokedList>, Problem> {
    let revoked = app.context.store.with(|store| store.revoked()).await?;
    Ok(Json(RevokedList { revoked: revoked.into_iter().map(info).collect() }))
}

async fn revoke(
    State(app): State<App>,
    Path(site): Path<String>,
    request: Request,
) -> Result<Json<RevokedInfo>, Problem> {
    let wanted = wanted(&app, request).await?;
    let reason = one_line(wanted.reason.as_deref().unwrap_or_default()).chars().take(REASON_CHARS).collect();
    let at = app.context.clock.now();
    let revoked = Revoked { site: named(&site)?, serial: wanted.serial, at, reason, before: None };
    revocation::revoke(&app.context, revoked.clone()).await?;
    Ok(Json(info(revoked)))
}

async fn lift(State(app): State<App>, Path(site): Path<String>, request: Request) -> Result<Json<Revocation>, Problem> {
    let wanted = wanted(&app, request).await?;
    revocation::lift(&app.context, &named(&site)?, wanted.serial.clone()).await?;
    Ok(Json(wanted))
}

fn named(site: &str) -> Result<SiteId, PublicError> {
    site.parse().map_err(|_| {
        PublicError::new(ErrorCode::SiteUnknown, "that is no site's id").hint("`bocage sites` lists the members")
    })
}

async fn wanted(app: &App, request: Request) -> Result<Revocation, PublicError> {
    let malformed = |what: &str| PublicError::new(ErrorCode::Malformed, what.to_owned());
    let bytes = body::whole(app, request).await?;
    let mut wanted: Revocation = match bytes.len() {
        0 => Revocation::default(),
        _ => serde_json::from_slice(&bytes).map_err(|_| malformed("the body does not say what to revoke"))?,
    };
    if let Some(serial) = &mut wanted.serial {
        serial.make_ascii_lowercase();
        if serial.is_empty() || serial.len() > SERIAL_DIGITS || !serial.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed("a serial number is up to 40 hexadecimal digits")
                .hint("`bocage sites --format json` has those of the certificates in use"));
        }
    }
    Ok(wanted)
}

fn info(of: Revoked) -> RevokedInfo {
    RevokedInfo { site: of.site, serial: of.serial, at: of.at, reason: of.reason, enrolled_anew: of.before.is_some() }
}

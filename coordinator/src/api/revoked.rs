//! Sites whose certificates are taken back: for the network's steward and operator.

use axum::Json;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::marks::one_line;

use super::call::Call;
use super::types::{Revocation, RevokedInfo, RevokedList};
use super::{App, Problem};
use crate::members::revocation;
use crate::store::Revoked;

/// A serial number of ours has 32 hexadecimal digits, and one of X.509 at most 40.
const SERIAL_DIGITS: usize = 40;
/// A reason as it is kept.
const REASON_CHARS: usize = 500;

pub(super) async fn list(app: App, _: Call) -> Result<Json<RevokedList>, Problem> {
    let revoked = app.context.store.with(|store| store.revoked()).await?;
    Ok(Json(RevokedList { revoked: revoked.into_iter().map(info).collect() }))
}

pub(super) async fn revoke(app: App, call: Call<SiteId, (), Revocation>) -> Result<Json<RevokedInfo>, Problem> {
    let wanted = sound(call.body)?;
    let reason = one_line(wanted.reason.as_deref().unwrap_or_default()).chars().take(REASON_CHARS).collect();
    let at = app.context.clock.now();
    let revoked = Revoked { site: call.path, serial: wanted.serial, at, reason, before: None };
    revocation::revoke(&app.context, revoked.clone()).await?;
    Ok(Json(info(revoked)))
}

pub(super) async fn lift(app: App, call: Call<SiteId, (), Revocation>) -> Result<Json<Revocation>, Problem> {
    let wanted = sound(call.body)?;
    revocation::lift(&app.context, &call.path, wanted.serial.clone()).await?;
    Ok(Json(wanted))
}

/// With its serial number as we spell it, if that is one.
fn sound(mut wanted: Revocation) -> Result<Revocation, PublicError> {
    if let Some(serial) = &mut wanted.serial {
        serial.make_ascii_lowercase();
        if serial.is_empty() || serial.len() > SERIAL_DIGITS || !serial.bytes().all(|b| b.is_ascii_hexdigit()) {
            let error = PublicError::new(ErrorCode::Malformed, "a serial number is up to 40 hexadecimal digits");
            return Err(error.hint("`bocage sites --format json` has those of the certificates in use"));
        }
    }
    Ok(wanted)
}

fn info(of: Revoked) -> RevokedInfo {
    RevokedInfo { site: of.site, serial: of.serial, at: of.at, reason: of.reason, enrolled_anew: of.before.is_some() }
}

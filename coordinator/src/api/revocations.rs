//! Lists of revoked permits: what access bodies publish, and anyone may read. Each proves itself by its signature.

use axum::Json;
use bocage_protocol::trust::SignedRevocations;

use super::call::Call;
use super::types::{RevocationsInfo, RevocationsList};
use super::{App, Problem};
use crate::config::AccessBody;
use crate::permits::Taken;

/// The newest list of every access body that has published one.
pub(super) async fn list(app: App, _: Call) -> Result<Json<RevocationsList>, Problem> {
    let known = app.context.access_bodies.all().into_iter();
    let lists = known.filter_map(|(body, taken)| Some(info(&body, taken?))).collect();
    Ok(Json(RevocationsList { lists }))
}

/// Takes a newer list. Rounds that are put from now on carry it.
pub(super) async fn publish(app: App, call: Call<(), (), SignedRevocations>) -> Result<Json<RevocationsInfo>, Problem> {
    let context = &app.context;
    let taken = context.access_bodies.take(&context.store, call.body.clone(), context.clock.now()).await?;
    call.concerns(&format!("{} {}", taken.list.issuer, taken.list.number));
    tracing::info!(issuer = %taken.list.issuer, number = taken.list.number, "a list of revoked permits is in force");
    let unnamed = || AccessBody { name: taken.list.issuer.to_string(), key: taken.list.issuer, revocations_file: None };
    let body = context.access_bodies.find(&taken.list.issuer).cloned().unwrap_or_else(unnamed);
    Ok(Json(info(&body, taken)))
}

fn info(body: &AccessBody, taken: Taken) -> RevocationsInfo {
    RevocationsInfo {
        access_body: body.name.clone(),
        issuer: body.key,
        number: taken.list.number,
        issued_at: taken.list.issued_at,
        revoked: taken.list.revoked.len(),
        list: taken.signed,
    }
}

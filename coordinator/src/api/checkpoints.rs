//! What a site's ledger said of itself, handed back: whoever keeps that ledger can see whether it still is what it was.
//!
//! It shows numbers of records and hashes, nothing that the site released.

use axum::Json;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::settings::nearest;
use bocage_protocol::trust::KeptCheckpoints;

use super::call::Call;
use super::{App, Problem};

pub(super) async fn of_site(app: App, call: Call<SiteId>) -> Result<Json<KeptCheckpoints>, Problem> {
    let site = call.path;
    if !app.context.roster.contains(&site) {
        let error = PublicError::new(ErrorCode::NotFound, "the coordinator does not know this site");
        let roster: Vec<SiteId> = app.context.members.sites().into_iter().map(|info| info.id).collect();
        return Err(Problem(match nearest(site.as_str(), roster.iter().map(SiteId::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`bocage sites` lists those that it knows"),
        }));
    }
    match app.context.store.with(move |store| store.checkpoints(&site)).await? {
        Some(kept) => Ok(Json(kept)),
        None => {
            let error = PublicError::new(ErrorCode::NotFound, "no checkpoint of this site's ledger is known yet");
            Err(error.hint("one comes with everything that the site releases").into())
        }
    }
}

//! What the network is: its name, its sites, its datasets, its contracts.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::ContractId;

use super::types::{DatasetInfo, DatasetList, NetworkInfo, SiteList};
use super::{App, Problem};

pub(super) async fn network(State(app): State<App>) -> Json<NetworkInfo> {
    Json(NetworkInfo {
        network: app.context.network.clone(),
        min_sites: app.context.min_sites,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        researchers: Some(app.context.researchers.all().iter().map(|researcher| researcher.key).collect()),
        access_bodies: Some(app.context.access_bodies.keys()),
    })
}

pub(super) async fn sites(State(app): State<App>) -> Result<Json<SiteList>, Problem> {
    let mut sites = app.context.members.sites();
    for (site, warning) in app.context.store.with(|store| store.ledger_warnings()).await? {
        sites.iter_mut().filter(|info| info.id == site).for_each(|info| info.ledger_warning = Some(warning.clone()));
    }
    Ok(Json(SiteList { sites }))
}

pub(super) async fn datasets(State(app): State<App>) -> Json<DatasetList> {
    let info = |(id, known): (&ContractId, &crate::config::KnownContract)| DatasetInfo {
        contract: id.clone(),
        hash: known.hash,
        title: known.contract.title().to_owned(),
        sites: app.context.members.offering(id, &known.hash),
    };
    Json(DatasetList { datasets: app.context.contracts.iter().map(info).collect() })
}

pub(super) async fn contract(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let known = id.parse::<ContractId>().ok().and_then(|id| app.context.contracts.get(&id));
    match known {
        Some(known) => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], known.text.clone()).into_response()),
        None => Err(Problem(
            PublicError::new(ErrorCode::NotFound, "the coordinator does not know this contract")
                .hint("`bocage datasets` lists those that it knows"),
        )),
    }
}

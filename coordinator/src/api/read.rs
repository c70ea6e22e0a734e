//! What the network is: its name, its sites, its datasets, its contracts.

use axum::Json;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::ContractId;
use bocage_protocol::settings::nearest;

use super::answer::Text;
use super::call::Call;
use super::types::{DatasetInfo, DatasetList, NetworkInfo, SiteList};
use super::{App, Problem};

pub(super) async fn network(app: App, _: Call) -> Result<Json<NetworkInfo>, Problem> {
    let ends = app.context.members.ends();
    Ok(Json(NetworkInfo {
        network: app.context.network.clone(),
        min_sites: app.context.min_sites,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        researchers: Some(app.context.researchers.all().iter().map(|researcher| researcher.key).collect()),
        access_bodies: Some(app.context.access_bodies.keys()),
        certificate_until: ends.as_ref().map(|ends| ends.certificate),
        authority_until: ends.and_then(|ends| ends.authority),
        publisher: Some(app.context.publisher.key()),
    }))
}

pub(super) async fn sites(app: App, _: Call) -> Result<Json<SiteList>, Problem> {
    let mut sites = app.context.members.sites();
    for (site, warning) in app.context.store.with(|store| store.ledger_warnings()).await? {
        sites.iter_mut().filter(|info| info.id == site).for_each(|info| info.ledger_warning = Some(warning.clone()));
    }
    Ok(Json(SiteList { sites }))
}

pub(super) async fn datasets(app: App, _: Call) -> Result<Json<DatasetList>, Problem> {
    let info = |(id, known): (&ContractId, &crate::config::KnownContract)| DatasetInfo {
        contract: id.clone(),
        hash: known.hash,
        title: known.contract.title().to_owned(),
        sites: app.context.members.offering(id, &known.hash),
    };
    Ok(Json(DatasetList { datasets: app.context.contracts.iter().map(info).collect() }))
}

pub(super) async fn contract(app: App, call: Call<ContractId>) -> Result<Text, Problem> {
    match app.context.contracts.get(&call.path) {
        Some(known) => Ok(Text(known.text.clone())),
        None => {
            let known: Vec<String> = app.context.contracts.keys().map(ToString::to_string).collect();
            let error = PublicError::new(ErrorCode::NotFound, "the coordinator does not know this contract");
            Err(Problem(match nearest(&call.path.to_string(), known.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`bocage datasets` lists those that it knows"),
            }))
        }
    }
}

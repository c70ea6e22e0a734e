//! The HTTP interface `/v1`: JSON in and out, a token of a user whose role may, errors as problem+json with our codes. Unknown paths answer the same way.
//!
//! It shows of a site its presence and its status in a study, and nothing that the site released: only published results leave here.

mod answer;
mod body;
mod call;
mod checkpoints;
mod gate;
mod invitations;
mod openapi;
mod people;
mod problem;
mod read;
mod rest;
mod revocations;
mod revoked;
mod route;
mod studies;
mod submit;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::StudyId;
use bocage_protocol::limits;
use tokio::sync::{mpsc, watch};

use self::answer::Kept;
use self::call::Call;
use self::route::Route;
use crate::dispatch::Context;
use crate::people::Right;
use crate::server::Patience;

pub(crate) use call::Peer;
pub(crate) use gate::Gate;
pub(crate) use problem::Problem;

/// What the interface asks of the server's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Work on an accepted study.
    Start(StudyId),
    /// Stop working on a cancelled one.
    Stop(StudyId),
}

/// What the handlers work with.
#[derive(Clone)]
pub struct App {
    /// The coordinator.
    pub context: Arc<Context>,
    /// Who may come in.
    pub(crate) gate: Arc<Gate>,
    /// To the server's owner.
    pub commands: mpsc::Sender<Command>,
    /// True when the server is stopping: those who wait are answered at once.
    pub stopping: watch::Receiver<bool>,
    /// With clients.
    pub patience: Patience,
}

/// The interface: every route with the right that it wants. There is nothing else.
#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    use Right::{HandIn, Look, ManagePeople, Members, PublishLists, SeePeople, SeeStudies};
    vec![
        Route::get("/v1/network", Look, "The network and what it takes", read::network),
        Route::get("/v1/sites", Look, "The roster, and who is there", read::sites),
        Route::get("/v1/datasets", Look, "What is offered by whom", read::datasets),
        Route::get("/v1/contracts/{id}", Look, "A contract's text", read::contract),
        Route::get("/v1/checkpoints/{site}", Look, "What a site's ledger said of itself", checkpoints::of_site),
        Route::get("/v1/revocations", Look, "The newest lists of revoked permits", revocations::list),
        Route::put("/v1/revocations", PublishLists, "Publish a list of revoked permits", revocations::publish),
        Route::get("/v1/studies", SeeStudies, "The studies that one may see, latest first", studies::list),
        Route::post("/v1/studies", HandIn, "Hand a signed study in", submit::submit),
        Route::get("/v1/studies/{id}", SeeStudies, "Where a study stands", studies::status),
        Route::get("/v1/studies/{id}/result", SeeStudies, "What a study published", studies::result),
        Route::get("/v1/studies/{id}/publication", SeeStudies, "The signature over a result", studies::publication),
        Route::get("/v1/studies/{id}/signed", SeeStudies, "A study as it was signed", studies::signed),
        Route::post("/v1/studies/{id}/cancel", HandIn, "End an open study without a result", studies::cancel),
        Route::get("/v1/invitations", Members, "Invitations of sites, latest first", invitations::list),
        Route::post("/v1/invitations", Members, "Invite a site", invitations::make),
        Route::delete("/v1/invitations/{site}", Members, "Take a site's open invitation back", invitations::take_back),
        Route::get("/v1/revoked", Look, "Sites whose certificates are taken back", revoked::list),
        Route::post("/v1/sites/{site}/revocation", Members, "Take a site's certificates back", revoked::revoke),
        Route::post("/v1/sites/{site}/revocation/lift", Members, "Accept a site's certificates again", revoked::lift),
        Route::get("/v1/users", SeePeople, "All users", people::users),
        Route::post("/v1/users", ManagePeople, "Make a user", people::add_user),
        Route::post("/v1/users/{name}/disable", ManagePeople, "Take none of a user's tokens any more", people::disable),
        Route::post("/v1/users/{name}/enable", ManagePeople, "Take a user's tokens again", people::enable),
        Route::get("/v1/tokens", SeePeople, "All tokens, without their texts", people::tokens),
        Route::post("/v1/tokens", ManagePeople, "Make a token, which is shown once", people::make_token),
        Route::delete("/v1/tokens/{id}", ManagePeople, "Revoke a token for ever", people::revoke_token),
        Route::get("/v1/audit", SeePeople, "What was changed by whom", people::audit),
        Route::get("/v1/openapi.json", Look, "This description", description),
    ]
}

/// The interface for axum.
pub(crate) fn router(app: App) -> Router {
    let routes = routes().into_iter().map(Route::parts);
    routes
        .fold(Router::new(), |router, (path, handler)| router.route(path, handler))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), gate::authorise))
        .layer(from_fn(rest::read))
        .with_state(app)
}

/// The interface's OpenAPI document.
pub fn description_text() -> String {
    format!("{:#}\n", openapi::document(&routes()))
}

async fn description(_: App, _: Call) -> Result<Kept<serde_json::Value>, Problem> {
    Ok(Kept::of(description_text()))
}

async fn no_such_path() -> Problem {
    Problem(PublicError::new(ErrorCode::NotFound, "there is no such path").hint("the interface begins at /v1/network"))
}

async fn no_such_method(method: Method) -> Response {
    problem::no_such_method(&method)
}

#[cfg(test)]
mod tests;

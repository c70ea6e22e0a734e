//! The HTTP interface `/v1`: JSON in and out, a bearer token, errors as problem+json with our codes. Unknown paths answer the same way.
//!
//! It shows of a site its presence and its status in a study, and nothing that the site released: only published results leave here.

mod body;
mod checkpoints;
mod invitations;
mod problem;
mod read;
mod revocations;
mod revoked;
mod studies;
mod submit;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::StudyId;
use bocage_protocol::limits;
use tokio::sync::{mpsc, watch};

use crate::config::Token;
use crate::dispatch::Context;
use crate::server::Patience;

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
    /// What a request must show.
    pub token: Token,
    /// To the server's owner.
    pub commands: mpsc::Sender<Command>,
    /// True when the server is stopping: those who wait are answered at once.
    pub stopping: watch::Receiver<bool>,
    /// With clients.
    pub patience: Patience,
}

/// The interface's routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/network", get(read::network))
        .route("/v1/sites", get(read::sites))
        .route("/v1/datasets", get(read::datasets))
        .route("/v1/contracts/{id}", get(read::contract))
        .route("/v1/checkpoints/{site}", get(checkpoints::of_site))
        .route("/v1/revocations", get(revocations::list).put(revocations::publish))
        .route("/v1/studies", get(studies::list).post(submit::submit))
        .route("/v1/studies/{id}", get(studies::status))
        .route("/v1/studies/{id}/result", get(studies::result))
        .route("/v1/studies/{id}/signed", get(studies::signed))
        .route("/v1/studies/{id}/cancel", post(studies::cancel))
        .merge(invitations::routes())
        .merge(revoked::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), authorise))
        .with_state(app)
}

async fn authorise(State(app): State<App>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        shown.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token {
        Some((_, token)) if app.token.is(token.trim()) => next.run(request).await,
        _ => Problem(
            PublicError::new(ErrorCode::Unauthorised, "the request lacks a valid token")
                .hint("send `Authorization: Bearer TOKEN` with the token in the coordinator's api.token_file"),
        )
        .into_response(),
    }
}

async fn no_such_path() -> Problem {
    Problem(PublicError::new(ErrorCode::NotFound, "there is no such path").hint("the interface begins at /v1/network"))
}

async fn no_such_method(method: Method) -> Response {
    problem::no_such_method(&method)
}

#[cfg(test)]
mod tests;

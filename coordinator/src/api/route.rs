//! A route of the interface: its path, the one right that it wants, and a handler from types to types.
//!
//! There is no other way into the interface, and none of these can be left out: what has no right is no route. The right is looked at before
//! anything of the request is read, every change is written into the audit, and the description is derived from the handler's own types.

use std::future::Future;
use std::sync::Arc;

use axum::RequestExt as _;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;

use super::answer::Answer;
use super::call::{BodyPart, Call, PathPart, QueryPart, Subject, address};
use super::openapi::{Shape, Shapes};
use super::{App, Problem, body};
use crate::people::{Act, Caller, RefusedReason, Right};
use crate::server::Moment;

/// One method of one path.
pub(crate) struct Route {
    /// The method.
    pub method: Method,
    /// The path, as axum spells it.
    pub path: &'static str,
    /// What its caller must have.
    pub right: Right,
    /// What it is for, in a line.
    pub title: &'static str,
    /// The forms of what it takes and gives.
    pub shape: fn(&mut Shapes) -> Shape,
    handler: MethodRouter<App>,
}

/// A handler's future.
pub(crate) trait Answering<A>: Future<Output = Result<A, Problem>> + Send {}
impl<A, F: Future<Output = Result<A, Problem>> + Send> Answering<A> for F {}

impl Route {
    /// Something to read.
    pub fn get<P, Q, A, F, Fut>(path: &'static str, right: Right, title: &'static str, handler: F) -> Self
    where
        P: PathPart + 'static,
        Q: QueryPart + 'static,
        A: Answer + 'static,
        F: Fn(App, Call<P, Q, ()>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Answering<A> + 'static,
    {
        Self::new(Method::GET, MethodFilter::GET, path, right, title, handler)
    }

    /// Something to do.
    pub fn post<P, B, A, F, Fut>(path: &'static str, right: Right, title: &'static str, handler: F) -> Self
    where
        P: PathPart + 'static,
        B: BodyPart + 'static,
        A: Answer + 'static,
        F: Fn(App, Call<P, (), B>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Answering<A> + 'static,
    {
        Self::new(Method::POST, MethodFilter::POST, path, right, title, handler)
    }

    /// Something to put in the place of what is there.
    pub fn put<P, B, A, F, Fut>(path: &'static str, right: Right, title: &'static str, handler: F) -> Self
    where
        P: PathPart + 'static,
        B: BodyPart + 'static,
        A: Answer + 'static,
        F: Fn(App, Call<P, (), B>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Answering<A> + 'static,
    {
        Self::new(Method::PUT, MethodFilter::PUT, path, right, title, handler)
    }

    /// Something to take away.
    pub fn delete<P, A, F, Fut>(path: &'static str, right: Right, title: &'static str, handler: F) -> Self
    where
        P: PathPart + 'static,
        A: Answer + 'static,
        F: Fn(App, Call<P, (), ()>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Answering<A> + 'static,
    {
        Self::new(Method::DELETE, MethodFilter::DELETE, path, right, title, handler)
    }

    fn new<P, Q, B, A, F, Fut>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        right: Right,
        title: &'static str,
        handler: F,
    ) -> Self
    where
        P: PathPart + 'static,
        Q: QueryPart + 'static,
        B: BodyPart + 'static,
        A: Answer + 'static,
        F: Fn(App, Call<P, Q, B>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Answering<A> + 'static,
    {
        let door = Door { name: path, method: method.clone(), right };
        let handler = on(filter, move |State(app): State<App>, request: Request| {
            let (door, handler) = (door.clone(), handler.clone());
            async move { door.serve(app, request, handler).await }
        });
        Self { method, path, right, title, shape: Shapes::of::<P, Q, B, A>, handler }
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        self.method != Method::GET
    }

    /// What axum needs of it.
    pub fn parts(self) -> (&'static str, MethodRouter<App>) {
        (self.path, self.handler)
    }
}

/// What a request must get past.
#[derive(Clone)]
struct Door {
    name: &'static str,
    method: Method,
    right: Right,
}

impl Door {
    async fn serve<P, Q, B, A, F, Fut>(self, app: App, request: Request, handler: F) -> Response
    where
        P: PathPart + 'static,
        Q: QueryPart + 'static,
        B: BodyPart + 'static,
        A: Answer + 'static,
        F: Fn(App, Call<P, Q, B>) -> Fut + Send + Sync + 'static,
        Fut: Answering<A> + 'static,
    {
        let Some(caller) = request.extensions().get::<Arc<Caller>>().cloned() else {
            return Problem(PublicError::new(ErrorCode::Unauthorised, "the request lacks a valid token"))
                .into_response();
        };
        let writes = self.method != Method::GET;
        if !caller.may(self.right, writes) {
            app.gate.refuse(RefusedReason::Forbidden, app.context.clock.now()).await;
            return Problem(forbidden(self.right, &caller)).into_response();
        }
        if !writes {
            let answered = async {
                let call = read(&app, request, caller, Subject::default()).await?;
                Ok(handler(app.clone(), call).await?.respond())
            };
            return answered.await.unwrap_or_else(Problem::into_response);
        }
        // A task of its own: a client that hangs up keeps no change out of the audit.
        let changed = tokio::spawn(async move { self.change(app, request, caller, handler).await });
        changed.await.unwrap_or_else(|_| {
            tracing::error!("a handler of the HTTP interface panicked");
            Problem(PublicError::new(ErrorCode::Internal, "the request failed")).into_response()
        })
    }

    /// A good answer whose change is in the audit, or a refusal that is counted. What is about to be changed is written down before.
    async fn change<P, Q, B, A, F, Fut>(self, app: App, request: Request, caller: Arc<Caller>, handler: F) -> Response
    where
        P: PathPart,
        Q: QueryPart,
        B: BodyPart,
        A: Answer,
        F: Fn(App, Call<P, Q, B>) -> Fut,
        Fut: Answering<A>,
    {
        let (from, subject, clock) = (address(&request), Subject::default(), Arc::clone(&app.context.clock));
        let act = |status: Option<StatusCode>| Act {
            who: caller.user.to_string(),
            token: Some(caller.token.clone()),
            roles: caller.roles.clone(),
            action: format!("{} {}", self.method, self.name),
            subject: subject.text(),
            status: status.map(|status| status.as_u16()),
            address: from.map(|address| address.to_string()),
        };
        let call = match read(&app, request, Arc::clone(&caller), subject.clone()).await {
            Ok(call) => call,
            Err(problem) => {
                app.gate.refuse(RefusedReason::Failed, clock.now()).await;
                return problem.into_response();
            }
        };
        let (intended, at) = (act(None), clock.now());
        let intent = match app.gate.people.with(move |people| people.intend(&intended, at)).await {
            Ok(intent) => intent,
            Err(error) => return Problem(error.into()).into_response(),
        };
        app.context.pass(Moment::Intended);
        let answered = handler(app.clone(), call).await.map(Answer::respond);
        app.context.pass(Moment::Changed);
        let (refused, at) = (answered.is_err(), clock.now());
        let response = answered.unwrap_or_else(Problem::into_response);
        // What failed half-way may have changed something.
        let changed = !refused || response.status() == StatusCode::INTERNAL_SERVER_ERROR;
        let made = changed.then(|| act(Some(response.status())));
        let written = app.gate.people.with(move |people| people.done(intent, made.as_ref(), at)).await;
        if refused {
            app.gate.refuse(RefusedReason::Failed, at).await;
        }
        match written {
            Ok(()) => response,
            Err(error) => Problem(error.into()).into_response(),
        }
    }
}

/// Everything that the handler wants of the request.
async fn read<P: PathPart, Q: QueryPart, B: BodyPart>(
    app: &App,
    mut request: Request,
    caller: Arc<Caller>,
    subject: Subject,
) -> Result<Call<P, Q, B>, Problem> {
    let named = request.extract_parts::<RawPathParams>().await;
    let named = named.map_err(|_| PublicError::new(ErrorCode::Malformed, "the path is not UTF-8"))?;
    let path = P::read(named.iter().next().map(|(_, value)| value))?;
    let query = Q::read(request.uri())?;
    let body = if B::EXPECTED { B::read(&body::whole(app, request).await?)? } else { B::read(&[])? };
    if let Some(text) = path.subject().or_else(|| body.subject()) {
        subject.is(text);
    }
    Ok(Call { caller, path, query, body, subject })
}

fn forbidden(right: Right, caller: &Caller) -> PublicError {
    let roles: Vec<_> = right.roles().map(|role| role.as_str()).collect();
    let error = PublicError::new(ErrorCode::Forbidden, format!("this token of {} may not do this", caller.user));
    error.hint(format!(
        "it takes a user with the role {} and a token whose scope has `{right}`; the coordinator's operator makes both",
        roles.join(" or ")
    ))
}

/// The statuses of refusals that a route may give besides its good answers.
pub(super) fn refusals(writes: bool, path: bool, query: bool, body: bool) -> Vec<StatusCode> {
    let mut statuses = vec![
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
    ];
    if path || query || body {
        statuses.push(StatusCode::BAD_REQUEST);
    }
    if path || body {
        statuses.push(StatusCode::NOT_FOUND);
        statuses.push(StatusCode::CONFLICT);
    }
    if body {
        statuses.push(StatusCode::PAYLOAD_TOO_LARGE);
        statuses.push(StatusCode::UNPROCESSABLE_ENTITY);
    }
    if writes {
        statuses.push(StatusCode::SERVICE_UNAVAILABLE);
    }
    statuses.sort();
    statuses
}

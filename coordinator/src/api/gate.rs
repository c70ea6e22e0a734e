//! Who may come in: a sound token in the `Authorization` header and nothing else. Not the URL, no cookie, and no certificate of the connection.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use tokio::time::Instant;

use super::call::{address, known};
use super::problem::too_many;
use super::{App, Problem};
use crate::bucket::Wait;
use crate::people::{Caller, People, RefusedReason, Tally, Throttle, Token, Unknown};

/// What the interface knows of those who come.
pub(crate) struct Gate {
    /// Users, tokens, audit.
    pub people: People,
    throttle: Mutex<Throttle>,
    tally: Mutex<Tally>,
}

impl Gate {
    /// A gate for these people.
    pub fn new(people: People) -> Self {
        Self { people, throttle: Mutex::default(), tally: Mutex::default() }
    }

    /// Counts a refusal. A count that cannot be written down is lost, and said.
    pub async fn refuse(&self, reason: RefusedReason, now: Timestamp) {
        let due = self.tally.lock().unwrap_or_else(PoisonError::into_inner).count(reason, now);
        if let Some(counts) = due {
            let written = self.people.with(move |people| people.add_refused(&counts, now)).await;
            if let Err(error) = written {
                tracing::error!(%error, "refused attempts cannot be counted");
            }
        }
    }

    /// Writes down what is counted only in memory.
    pub async fn settle(&self, now: Timestamp) {
        let counts = self.tally.lock().unwrap_or_else(PoisonError::into_inner).take();
        if counts.is_empty() {
            return;
        }
        if let Err(error) = self.people.with(move |people| people.add_refused(&counts, now)).await {
            tracing::error!(%error, "refused attempts cannot be counted");
        }
    }

    async fn admit(&self, headers: &HeaderMap, now: Timestamp) -> Result<Arc<Caller>, Refusal> {
        let token = shown(headers).ok_or_else(|| Refusal::unknown(RefusedReason::NoToken, None))?;
        let known = self.people.with(move |people| people.recognise(&token, now)).await;
        let caller = known.map_err(|error| Refusal::Failed(error.into()))?.map_err(|unknown| {
            let reason = match unknown {
                Unknown::Token => RefusedReason::UnknownToken,
                Unknown::Expired(_) => RefusedReason::Expired,
                Unknown::Revoked(_) => RefusedReason::Revoked,
                Unknown::Disabled(_) => RefusedReason::Disabled,
            };
            Refusal::unknown(reason, Some(unknown))
        })?;
        let taken = self.throttle.lock().unwrap_or_else(PoisonError::into_inner).request(&caller.token, Instant::now());
        taken.map_err(Refusal::TooMany)?;
        Ok(Arc::new(caller))
    }

    /// The answer to whoever is refused, unless they were too often.
    async fn turn_away(&self, refusal: Refusal, address: Option<IpAddr>, now: Timestamp) -> Response {
        match refusal {
            Refusal::Failed(error) => Problem(error).into_response(),
            Refusal::TooMany(wait) => {
                self.refuse(RefusedReason::TooMany, now).await;
                too_many(wait)
            }
            Refusal::Unknown { reason, error } => {
                self.refuse(reason, now).await;
                let taken = address.map_or(Ok(()), |address| {
                    self.throttle.lock().unwrap_or_else(PoisonError::into_inner).failure(address, Instant::now())
                });
                match taken {
                    Ok(()) => Problem(error).into_response(),
                    Err(wait) => too_many(wait),
                }
            }
        }
    }
}

enum Refusal {
    Unknown { reason: RefusedReason, error: PublicError },
    TooMany(Wait),
    Failed(PublicError),
}

impl Refusal {
    fn unknown(reason: RefusedReason, unknown: Option<Unknown>) -> Self {
        let error = match unknown {
            Some(unknown) => PublicError::new(ErrorCode::Unauthorised, unknown.to_string())
                .hint("ask the coordinator's operator for another token"),
            None => PublicError::new(ErrorCode::Unauthorised, "the request lacks a valid token")
                .hint("send `Authorization: Bearer TOKEN`; the coordinator's operator makes tokens"),
        };
        Self::Unknown { reason, error }
    }
}

/// The token that a request shows: one header, one token, and of its form.
fn shown(headers: &HeaderMap) -> Option<Token> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Token::parse(token.trim())
}

/// Lets in whoever shows a sound token, and puts beside the request who they are.
pub(super) async fn authorise(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let now = app.context.clock.now();
    match app.gate.admit(request.headers(), now).await {
        Ok(caller) => {
            known(&request, &caller);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => {
            let mut response = app.gate.turn_away(refusal, address(&request), now).await;
            // A connection on which a token was good once keeps no place when it is not any more.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

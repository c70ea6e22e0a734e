//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;

use super::types::ProblemJson;
use crate::bucket::Wait;
use crate::store::StoreError;

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Problem(pub PublicError);

impl From<PublicError> for Problem {
    fn from(error: PublicError) -> Self {
        Problem(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Problem(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        respond(status(self.0.code), self.0)
    }
}

/// The answer to a method that the path does not have.
pub(super) fn no_such_method(method: &Method) -> Response {
    let message = format!("this path does not take {}", method.as_str());
    respond(StatusCode::METHOD_NOT_ALLOWED, PublicError::new(ErrorCode::NotFound, message))
}

/// The answer to whoever asks too often.
pub(super) fn too_many(wait: Wait) -> Response {
    let error = PublicError::new(ErrorCode::TooManyRequests, "more requests than one may make");
    let error = error.hint(format!("wait {} s", wait.secs));
    let mut response = respond(StatusCode::TOO_MANY_REQUESTS, error);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.secs));
    response
}

fn respond(status: StatusCode, error: PublicError) -> Response {
    let body = ProblemJson {
        kind: format!("urn:bocage:problem:{}", error.code),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: error.message,
        code: error.code,
        hint: error.hint,
    };
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    match status {
        StatusCode::UNAUTHORIZED => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE => headers.insert(RETRY_AFTER, HeaderValue::from_static("10")),
        _ => None,
    };
    response
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Malformed | ErrorCode::NotCanonical => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorised => StatusCode::UNAUTHORIZED,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Forbidden
        | ErrorCode::SignatureInvalid
        | ErrorCode::SignerUnknown
        | ErrorCode::PermitRequired
        | ErrorCode::PermitInvalid
        | ErrorCode::PermitIssuerUnknown
        | ErrorCode::PermitMismatch
        | ErrorCode::PermitNotYetValid
        | ErrorCode::PermitExpired
        | ErrorCode::PermitRevoked
        | ErrorCode::PermitHolder
        | ErrorCode::PermitPurpose
        | ErrorCode::PermitScope
        | ErrorCode::PermitSites => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict | ErrorCode::Cancelled => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Busy => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

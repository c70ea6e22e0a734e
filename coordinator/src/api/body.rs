//! The body of a request, whole and within its bounds of time and size.

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request};
use axum::http::StatusCode;
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;

use super::App;

/// Waits for the body as long as clients are waited for.
pub(super) async fn whole(app: &App, request: Request) -> Result<Bytes, PublicError> {
    let body = tokio::time::timeout(app.patience.body, Bytes::from_request(request, &())).await;
    let body = body.map_err(|_| PublicError::new(ErrorCode::Malformed, "the body did not arrive in time"))?;
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            PublicError::new(ErrorCode::TooLarge, format!("more than {} bytes", limits::HTTP_BODY_BYTES))
        }
        _ => PublicError::new(ErrorCode::Malformed, "the body did not arrive whole"),
    })
}

//! Canonical JSON (RFC 8785): the one byte form of a value that is hashed and signed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ErrorCode, PublicError};

/// The canonical JSON of `value`.
///
/// # Errors
/// `malformed` where the value has a number that JSON cannot hold.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, PublicError> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|_| PublicError::new(ErrorCode::Malformed, "the value cannot be written as canonical JSON"))
}

/// Reads a value from canonical JSON and refuses every other spelling of it.
///
/// # Errors
/// `too_large`, `malformed`, or `not_canonical` where the bytes are not the canonical form of the value that they hold.
pub fn from_canonical<T: Serialize + DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, PublicError> {
    if bytes.len() > limit_bytes {
        return Err(PublicError::new(ErrorCode::TooLarge, format!("more than {limit_bytes} bytes")));
    }
    let value: T = serde_json::from_slice(bytes).map_err(|e| {
        PublicError::new(ErrorCode::Malformed, format!("not the expected JSON, at byte {}", e.column()))
    })?;
    if canonical(&value)? != bytes {
        return Err(PublicError::new(ErrorCode::NotCanonical, "the JSON is not in canonical form (RFC 8785)"));
    }
    Ok(value)
}

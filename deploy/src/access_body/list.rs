//! The file of an access body's list of revoked permits: always the newest list, each one number higher than the one before.

use std::path::Path;

use bocage_coordinator::client::{ClientError, read_file};
use bocage_net::secret::write_atomically;
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{Permit, Revocations, SecretKey, SignedPermit, SignedRevocations};

const READABLE: u32 = 0o644;

/// Signs the next list and puts it into the file's place; the first one where there is no file. With a permit, that is in it.
pub(super) fn sign_next(
    file: &Path,
    key: &SecretKey,
    revoked: Option<(&Permit, &SignedPermit)>,
    now: Timestamp,
) -> Result<Revocations, ClientError> {
    let mut list = match read_if_there(file)? {
        Some((_, list)) if list.issuer != key.public() => {
            return Err(others(file));
        }
        Some((_, list)) => list.next(now),
        None => Revocations::first(key.public(), now),
    };
    if let Some((permit, signed)) = revoked {
        list = list.with(permit, signed.digest(), now);
    }
    let signed = SignedRevocations::sign(&list, key)?;
    if signed.document.len() > limits::REVOCATIONS_BYTES {
        let rule = format!("the list would be larger than {} bytes", limits::REVOCATIONS_BYTES);
        return Err(wrong(file, &rule, "let new permits end sooner: what has ended by itself leaves the list"));
    }
    write_atomically(file, signed.to_text().as_bytes(), READABLE).map_err(|e| ClientError::Secret(e.to_string()))?;
    Ok(list)
}

/// A list that its access body signed.
pub(super) fn read(file: &Path) -> Result<(SignedRevocations, Revocations), ClientError> {
    let text = read_file(file, 2 * limits::REVOCATIONS_BYTES + 1024)?;
    let read = SignedRevocations::from_text(&text).and_then(|signed| Ok((signed.verify()?, signed)));
    let invalid = |error: PublicError| wrong(file, &error.message, "`bocage permit list` signs one");
    read.map(|(list, signed)| (signed, list)).map_err(invalid)
}

/// Whether a file is meant to be such a list, sound or not: permits and lists look alike from outside.
pub(super) fn is_one(file: &Path) -> bool {
    let text = read_file(file, 2 * limits::REVOCATIONS_BYTES + 1024).ok();
    let document = text.and_then(|text| SignedRevocations::from_text(&text).ok()).map(|signed| signed.document);
    // Whose brackets were altered is still known by its words.
    document.is_some_and(|document| document.contains("\"revoked\":") && !document.contains("\"holder\":"))
}

/// The error of a list that another key signed.
pub(super) fn others(file: &Path) -> ClientError {
    wrong(file, "this list is another access body's", "name the key that signed it, or another file")
}

fn read_if_there(file: &Path) -> Result<Option<(SignedRevocations, Revocations)>, ClientError> {
    match read(file) {
        Err(ClientError::Read { reason: std::io::ErrorKind::NotFound, .. }) => Ok(None),
        other => other.map(Some),
    }
}

fn wrong(file: &Path, message: &str, hint: &str) -> ClientError {
    Problems::from(Problem::new(&file.display().to_string(), "", message).hint(hint)).into()
}

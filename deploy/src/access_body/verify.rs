//! Whether a permit holds: its form and signature, who signed it, its time, and whether it was taken back.

use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{Permit, PublicKey, Revocations, SignedPermit};

/// What a permit is held against.
pub(super) struct Against<'a> {
    /// Who must have signed it.
    pub issuer: Option<PublicKey>,
    /// The access body's list, with its file.
    pub list: Option<(&'a str, &'a Revocations)>,
    /// The time now.
    pub now: Timestamp,
}

/// Everything that is wrong with a permit whose own signature holds.
pub(super) fn problems(permit: &Permit, signed: &SignedPermit, file: &str, against: &Against<'_>) -> Problems {
    let mut problems = Problems::default();
    if let Some(issuer) = against.issuer.filter(|issuer| *issuer != permit.issuer) {
        let message = format!("it was signed by {}, not by {issuer}", permit.issuer);
        problems.push(
            Problem::new(file, "issuer", message).hint("believe no permit of an access body that you do not know"),
        );
    }
    if let Err(error) = permit.check_time(against.now) {
        let key = if against.now < permit.valid_from { "valid_from" } else { "valid_to" };
        problems.push(Problem::new(file, key, error.message));
    }
    if let Some((list_file, list)) = against.list {
        if list.issuer != permit.issuer {
            let message = "the list is another access body's, and says nothing about this permit";
            problems.push(Problem::new(list_file, "issuer", message));
        } else if let Some(revoked) = list.revokes(&signed.digest()) {
            let message = format!("permit {} was taken back at {}", permit.id, revoked.at);
            problems.push(Problem::new(list_file, "revoked", message).hint("ask the access body"));
        }
    }
    problems
}

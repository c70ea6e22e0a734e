//! Whether a release is what was asked for: signed by the site, for this study, round and plan, of the shape that the plan gives it.
//!
//! What passes here is recorded and can be merged with any other; what does not is the site's final answer to the study.

use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::marks::steers;
use bocage_protocol::release::{Outcome, Part, Release, length};
use bocage_protocol::trust::{PublicKey, SignedRelease};

use super::{Asked, Round, RoundPart};

/// The release, if it is `site`'s honest answer to `round`.
///
/// # Errors
/// `release_invalid` with the rule that it breaks.
pub(super) fn release(
    signed: &SignedRelease,
    key: &PublicKey,
    asked: &Asked,
    site: &SiteId,
    round: &Round,
) -> Result<Release, PublicError> {
    if signed.body.len() > most_bytes(round) {
        return Err(invalid("it is larger than any answer to these questions"));
    }
    let release = signed.verify(key)?;
    let rules = [
        (release.study == asked.id, "it is for another study"),
        (release.site == *site, "it is from another site"),
        (signed.ledger.checkpoint.site == *site, "its checkpoint is of another site's ledger"),
        (release.round == round.number, "it is for another round"),
        (release.parts.len() == round.parts.len(), "it answers another number of analyses"),
    ];
    if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) {
        return Err(invalid(rule));
    }
    for (part, wanted) in release.parts.iter().zip(round.parts.iter().map(|part| part.at(site))) {
        check(part, wanted, asked).map_err(|rule| {
            let name = &asked.study.analyses[usize::from(wanted.analysis)].name;
            invalid(&format!("analysis `{name}`: {rule}"))
        })?;
    }
    Ok(release)
}

/// No honest answer to a round is larger. Unfolded, a cell takes ten times its bytes and more, so this is checked before anything is decoded.
///
/// What an answer is not takes the rest: its heading, and room for a refusal in any words.
fn most_bytes(round: &Round) -> usize {
    let part = |part: &RoundPart| length::most_bytes(&part.plan).saturating_add(2 * limits::ERROR_TEXT_BYTES + 1024);
    round.parts.iter().map(part).fold(1024, usize::saturating_add)
}

fn check(part: &Part, wanted: &RoundPart, asked: &Asked) -> Result<(), &'static str> {
    if part.analysis != wanted.analysis {
        return Err("another analysis was expected");
    }
    match &part.outcome {
        Outcome::Refused(error) if !is_tame(error) => Err("its refusal is not a line of text"),
        Outcome::Refused(_) => Ok(()),
        _ if part.plan != wanted.digest => Err("the site derived another plan"),
        outcome if !outcome.fits(&wanted.plan) => Err("its cells do not fit the plan"),
        Outcome::Table(table) if table.step > 0 && !asked.contract.one_row_per_subject() => {
            Err("it is rolled up although a patient can have several rows")
        }
        Outcome::Table(_) | Outcome::Bins(_) | Outcome::Discovered(_) | Outcome::Lines(_) | Outcome::Model(_) => Ok(()),
    }
}

/// Whether a site's words can be stored and shown as they are; they are signed, so nobody may cut them.
fn is_tame(error: &PublicError) -> bool {
    let line = |text: &str| text.len() <= limits::ERROR_TEXT_BYTES && !text.contains(steers);
    line(&error.message) && error.hint.as_deref().is_none_or(line)
}

fn invalid(rule: &str) -> PublicError {
    PublicError::new(ErrorCode::ReleaseInvalid, format!("the release is not what was asked for: {rule}"))
        .hint("site and coordinator may run versions that do not fit each other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_could_disturb_a_terminal_or_fill_a_disk_is_not_tame() {
        let error = |message: String| PublicError { code: ErrorCode::Internal, message, hint: None };
        assert!(is_tame(&error("no".into())));
        assert!(!is_tame(&error("\u{1b}[2J".into())));
        assert!(!is_tame(&error("x".repeat(limits::ERROR_TEXT_BYTES + 1))));
        assert!(!is_tame(&error("a\u{202e}b".into())) && !is_tame(&error("a\u{61c}b".into())));
        let hinted = PublicError { hint: Some("a\nb".into()), ..error("no".into()) };
        assert!(!is_tame(&hinted));
    }
}

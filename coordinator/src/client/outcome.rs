//! What a study came to where sites did not answer: which, why, and whether running it again would help.

use bocage_protocol::error::ErrorCode;

use super::ClientError;
use crate::api::types::{SiteReport, SiteStatus, StudyResult};
use crate::report::plain;

/// The sites that did not answer: how they stand, why, and what to do about it. Sites with the same reason share a line.
pub fn absent(sites: &[SiteReport]) -> Vec<String> {
    let mut groups: Vec<(&SiteReport, Vec<&str>)> = Vec::new();
    for site in sites.iter().filter(|s| s.status != SiteStatus::Answered) {
        match groups.iter_mut().find(|(first, _)| (first.status, &first.reason) == (site.status, &site.reason)) {
            Some((_, names)) => names.push(site.id.as_str()),
            None => groups.push((site, vec![site.id.as_str()])),
        }
    }
    let line = |(site, names): (&SiteReport, Vec<&str>)| {
        let reason = site.reason.as_ref();
        let why = reason.map_or_else(String::new, |r| format!(": {}", plain(&r.to_string())));
        let hint = reason.and_then(|r| r.hint.as_ref()).map_or_else(String::new, |h| format!("\n  hint: {}", plain(h)));
        let verb = if names.len() == 1 { "is" } else { "are" };
        format!("{} {verb} not in this result ({}){why}{hint}", names.join(", "), site.status)
    };
    groups.into_iter().map(line).collect()
}

/// A published result that can hold nothing, since every cell needs more sites than answered.
pub fn too_few(result: &StudyResult) -> Option<ClientError> {
    let answered = result.sites.iter().filter(|s| s.status == SiteStatus::Answered).count();
    let needed = result.study.min_sites as usize;
    (answered < needed).then(|| ClientError::TooFewAnswered {
        answered,
        asked: result.sites.len(),
        needed,
        absent: absent(&result.sites),
        hint: hint(&result.sites, needed),
    })
}

fn hint(sites: &[SiteReport], needed: usize) -> &'static str {
    let refused =
        |site: &SiteReport| site.reason.as_ref().filter(|_| site.status == SiteStatus::Refused).map(|r| r.code);
    let may_answer = sites.iter().filter(|site| refused(site).is_none_or(passes)).count();
    if may_answer >= needed {
        "run the study again when the sites can answer; min_sites and answer_within say how many must, and how long they may take"
    } else if sites.iter().any(|site| refused(site) == Some(ErrorCode::ApprovalRefused)) {
        "a steward's no stands, whoever asks again: talk to the stewards, or ask other sites"
    } else {
        "what these sites refused they will refuse again: do first what is said at each, or ask other sites"
    }
}

/// Whether a site that refused so may answer the same question another time, though nobody changes study, permit or policy.
fn passes(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Paused
            | ErrorCode::LedgerRestored
            | ErrorCode::PolicyLater
            | ErrorCode::ApprovalPending
            | ErrorCode::StudyNotYetValid
            | ErrorCode::StudyExpired
            | ErrorCode::PermitNotYetValid
            | ErrorCode::RevocationsStale
            | ErrorCode::SnapshotUnavailable
            | ErrorCode::Busy
            | ErrorCode::LedgerUnavailable
            | ErrorCode::DeadlinePassed
            | ErrorCode::Internal
            | ErrorCode::ReleaseDropped
            | ErrorCode::OptoutsUnavailable
            | ErrorCode::OptoutsChanged
            | ErrorCode::OptoutsSettling
    )
}

#[cfg(test)]
mod tests {
    use bocage_protocol::error::PublicError;

    use super::*;

    fn site(id: &str, status: SiteStatus, code: Option<ErrorCode>) -> SiteReport {
        SiteReport {
            id: id.parse().unwrap(),
            status,
            reason: code.map(|code| PublicError::new(code, "no").hint("ask")),
            bytes: None,
            round_trip_ms: None,
            snapshot: None,
            snapshot_at: None,
            receipts: vec![],
            pending_since: None,
        }
    }

    #[test]
    fn a_reason_of_several_sites_is_said_once() {
        let refused = |id| site(id, SiteStatus::Refused, Some(ErrorCode::PermitRequired));
        let sites = [refused("aa"), site("bb", SiteStatus::Answered, None), refused("cc")];
        assert_eq!(absent(&sites), ["aa, cc are not in this result (refused): no (permit_required)\n  hint: ask"]);
    }

    #[test]
    fn running_it_again_is_advised_only_where_that_can_help() {
        let of = |code| [site("aa", SiteStatus::Answered, None), site("bb", SiteStatus::Refused, Some(code))];
        assert!(hint(&of(ErrorCode::Paused), 2).starts_with("run the study again"));
        assert!(hint(&[site("aa", SiteStatus::Missing, Some(ErrorCode::DeadlinePassed))], 1).starts_with("run the"));
        assert!(hint(&of(ErrorCode::ApprovalRefused), 2).contains("steward"));
        assert!(hint(&of(ErrorCode::PolicyRefused), 2).contains("refuse again"));
    }
}

//! What a study came to where sites did not answer: which, why, and whether running it again would help.

use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{AnalysisName, SiteId};

use super::ClientError;
use crate::api::types::{AnalysisResult, HiddenReason, SiteReport, SiteStatus, StudyResult, Value};
use crate::report::plain;

/// The sites that did not answer, or not to the end: how they stand, why, and what to do about it. Sites of which the same is to be said share a line.
pub fn absent(result: &StudyResult) -> Vec<String> {
    let mut groups: Vec<(&SiteReport, Vec<&AnalysisName>, Vec<&str>)> = Vec::new();
    for site in result.sites.iter().filter(|site| site.status != SiteStatus::Answered) {
        let counted = counted(result, site);
        let said = |of: &SiteReport| (of.status, of.left_in, of.reason.clone());
        match groups.iter_mut().find(|(first, same, _)| said(first) == said(site) && *same == counted) {
            Some((_, _, names)) => names.push(site.id.as_str()),
            None => groups.push((site, counted, vec![site.id.as_str()])),
        }
    }
    let line = |(site, counted, names): (&SiteReport, Vec<&AnalysisName>, Vec<&str>)| {
        let reason = site.reason.as_ref();
        let why = reason.map_or_else(String::new, |r| format!(": {}", plain(&r.to_string())));
        let hint = reason.and_then(|r| r.hint.as_ref()).map_or_else(String::new, |h| format!("\n  hint: {}", plain(h)));
        let verb = if names.len() == 1 { "is" } else { "are" };
        let (names, status) = (names.join(", "), site.status);
        let counted: Vec<String> = counted.into_iter().map(|name| format!("`{name}`")).collect();
        match (site.left_in, counted.is_empty()) {
            (None, _) => format!("{names} {verb} not in this result ({status}){why}{hint}"),
            (Some(round), true) => format!("{names} left in round {round} ({status}), in no answer{why}{hint}"),
            (Some(round), false) => {
                format!("{names} left in round {round} ({status}), counted in {} only{why}{hint}", counted.join(", "))
            }
        }
    };
    groups.into_iter().map(line).collect()
}

/// The analyses that a site which left stands behind.
fn counted<'a>(result: &'a StudyResult, site: &SiteReport) -> Vec<&'a AnalysisName> {
    let of = |analysis: &&AnalysisResult| site.left_in.is_some() && !analysis.absent.contains(&site.id);
    result.analyses.iter().filter(of).map(|analysis| &analysis.name).collect()
}

/// What a published result lacks.
pub struct TooFew {
    /// What to tell.
    pub error: ClientError,
    /// Whether there is nothing else in it.
    pub nothing_else: bool,
}

/// Analyses behind which fewer sites stand to the end than a cell needs: some did not answer it, or said no to it alone.
pub fn too_few(result: &StudyResult) -> Option<TooFew> {
    let needed = result.study.min_sites as usize;
    let stands = |analysis: &AnalysisResult, site: &SiteReport| site.was_heard() && !analysis.absent.contains(&site.id);
    let answered = |analysis: &AnalysisResult| result.sites.iter().filter(|site| stands(analysis, site)).count();
    let without = result.analyses.iter().filter(|analysis| lacks(analysis)).map(|of| (&of.name, answered(of)));
    let few: Vec<(&AnalysisName, usize)> = without.filter(|(_, answered)| *answered < needed).collect();
    let most = few.iter().map(|(_, answered)| *answered).max()?;
    // Why a site said no to one analysis is in its notes.
    let in_notes = result.analyses.iter().flat_map(|of| &of.absent).any(|id| answers(result, id));
    let nothing_else = few.len() == result.analyses.len() && !in_notes;
    let lacking = if nothing_else { vec![] } else { few.into_iter().map(|(name, _)| name.clone()).collect() };
    let error = ClientError::TooFewAnswered {
        lacking,
        answered: most,
        asked: result.sites.len(),
        needed,
        absent: absent(result),
        hint: if in_notes { NOTES } else { hint(&result.sites, needed) },
    };
    Some(TooFew { error, nothing_else })
}

/// Whether there is nothing in an answer, or not everything: each part of one may be without other sites, and still have enough.
fn lacks(analysis: &AnalysisResult) -> bool {
    let block = &analysis.block;
    let is_number = |value: &Value| matches!(value, Value::Count(_) | Value::Number(_));
    !block.rows.iter().flatten().any(is_number)
        || block.hidden.iter().any(|hidden| hidden.reason == HiddenReason::TooFewSites)
}

/// What to do where sites said no to single analyses.
const NOTES: &str = "the notes of each analysis say which sites it is without, why, and what may help";

/// Whether a site answered the study.
fn answers(result: &StudyResult, id: &SiteId) -> bool {
    result.sites.iter().any(|site| site.id == *id && site.status == SiteStatus::Answered)
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

    use super::super::fake;
    use super::*;
    use crate::api::types::Hidden;

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
            left_in: None,
            moved_in: vec![],
        }
    }

    /// A study of `aa`, `bb` and `cc`, of whom two are needed.
    fn result(sites: Vec<SiteReport>, analyses: &[(&str, &[&str])]) -> StudyResult {
        let analysis = |(name, absent): &(&str, &[&str])| AnalysisResult {
            name: name.parse().unwrap(),
            kind: "table".into(),
            block: Default::default(),
            notes: vec![],
            rolled_up: None,
            also: vec![],
            absent: absent.iter().map(|site| site.parse().unwrap()).collect(),
        };
        StudyResult { study: fake::head(2), sites, analyses: analyses.iter().map(analysis).collect() }
    }

    fn left(id: &str, round: u16) -> SiteReport {
        SiteReport { left_in: Some(round), ..site(id, SiteStatus::Refused, Some(ErrorCode::CapReached)) }
    }

    #[test]
    fn a_reason_of_several_sites_is_said_once() {
        let refused = |id| site(id, SiteStatus::Refused, Some(ErrorCode::PermitRequired));
        let sites = vec![refused("aa"), site("bb", SiteStatus::Answered, None), refused("cc")];
        assert_eq!(
            absent(&result(sites, &[("t", &["aa", "cc"])])),
            ["aa, cc are not in this result (refused): no (permit_required)\n  hint: ask"]
        );
    }

    #[test]
    fn a_site_that_left_is_in_what_had_ended_by_then() {
        let sites = || vec![left("aa", 2), site("bb", SiteStatus::Answered, None), left("cc", 2)];
        let of = |analyses: &[(&str, &[&str])]| absent(&result(sites(), analyses));
        let why = "no (cap_reached)\n  hint: ask";
        assert_eq!(
            of(&[("t", &[]), ("km", &["aa", "cc"])]),
            [format!("aa, cc left in round 2 (refused), counted in `t` only: {why}")]
        );
        assert_eq!(of(&[("km", &["aa", "cc"])]), [format!("aa, cc left in round 2 (refused), in no answer: {why}")]);
    }

    #[test]
    fn a_result_lacks_the_analyses_that_too_few_answered_to_the_end() {
        let sites = || vec![left("aa", 2), site("bb", SiteStatus::Answered, None), left("cc", 2)];
        let lacks = |sites, analyses: &[(&str, &[&str])]| {
            too_few(&result(sites, analyses)).map(|few| (few.nothing_else, few.error.to_string()))
        };
        assert_eq!(lacks(sites(), &[("t", &[])]), None);
        let (nothing_else, said) = lacks(sites(), &[("t", &[]), ("km", &["aa", "cc"])]).unwrap();
        assert!(!nothing_else, "the table is there");
        assert!(said.starts_with("`km`: only 1 of 3 sites answered until it ended, and a cell needs 2\n"), "{said}");
        let (nothing_else, said) = lacks(sites(), &[("km", &["aa", "cc"])]).unwrap();
        assert!(nothing_else && said.starts_with("only 1 of 3 sites answered, and"), "{said}");
        let all = |id| site(id, SiteStatus::Answered, None);
        assert_eq!(lacks(vec![all("aa"), all("bb"), all("cc")], &[("m", &["aa"])]), None);
    }

    #[test]
    fn a_result_lacks_an_analysis_that_too_many_said_no_to_though_they_answered_the_study() {
        let all = || Vec::from(["aa", "bb", "cc"].map(|id| site(id, SiteStatus::Answered, None)));
        let few = too_few(&result(all(), &[("m", &["aa", "bb"])])).unwrap();
        assert!(!few.nothing_else, "the notes say why, and so are shown");
        let said = few.error.to_string();
        assert!(said.starts_with("`m`: only 1 of 3 sites answered until it ended, and a cell needs 2"), "{said}");
        assert_eq!(few.error.hint().as_deref(), Some(NOTES));
        let few = too_few(&result(all(), &[("t", &[]), ("m", &["aa", "bb", "cc"])])).unwrap();
        assert!(few.error.to_string().starts_with("`m`: only 0 of 3"), "{}", few.error);
        // Pairs of a correlation, each without another site.
        let mut pairs = result(all(), &[("m", &["aa", "bb"])]);
        pairs.analyses[0].block.rows = vec![vec![Value::Number(0.5)], vec![Value::Number(0.4)]];
        assert!(too_few(&pairs).is_none());
        let reason = HiddenReason::TooFewSites;
        pairs.analyses[0].block.hidden.push(Hidden { row: 0, column: 0, interval: None, reason });
        assert!(too_few(&pairs).is_some());
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

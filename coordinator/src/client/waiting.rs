//! What a person hears while a study is open and nothing changes: which sites it waits for, and how long still. Pure; the clock is the caller's.

use bocage_protocol::env::Timestamp;

use crate::api::types::{SiteReport, SiteStatus, StudyStatus};

/// When it is said first.
const FIRST_SECS: i64 = 10;
/// And how often at most from then on.
const EVERY_SECS: i64 = 60;
/// Sites that are named; of more the number is.
const NAMED: usize = 8;

/// When something was said last.
#[derive(Debug)]
pub(super) struct Waiting {
    due: Timestamp,
}

impl Waiting {
    /// From `now` on.
    pub(super) fn since(now: Timestamp) -> Self {
        Self { due: now.plus_secs(FIRST_SECS) }
    }

    /// What is to be said at `now`, if it is time.
    pub(super) fn line(&mut self, status: &StudyStatus, now: Timestamp) -> Option<String> {
        let open: Vec<&SiteReport> = status.sites.iter().filter(|site| site.status == SiteStatus::Pending).collect();
        if now < self.due || open.is_empty() {
            return None;
        }
        self.due = now.plus_secs(EVERY_SECS);
        let names: Vec<String> = open.iter().take(NAMED).map(|site| name(site)).collect();
        let more = open.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "waiting for {} of {} sites: {}{more}; published {} with whatever has come",
            open.len(),
            status.sites.len(),
            names.join(", "),
            within(until(status).since_ms(now))
        ))
    }
}

fn name(site: &SiteReport) -> String {
    match (site.pending_since, &site.reason) {
        (Some(_), _) => format!("{} (its steward decides)", site.id),
        (None, Some(_)) => format!("{} (not connected)", site.id),
        (None, None) => site.id.to_string(),
    }
}

/// The end of the wait: people may take until the study's own end.
fn until(status: &StudyStatus) -> Timestamp {
    let person = status.sites.iter().any(|site| site.pending_since.is_some());
    let open_until = status.open_until.filter(|_| person);
    open_until.map_or(status.answer_by, |open_until| open_until.max(status.answer_by))
}

fn within(left_ms: i64) -> String {
    let secs = left_ms / 1000;
    match secs {
        ..=0 => "now".to_owned(),
        1..120 => format!("in {secs} s at the latest"),
        120..7_200 => format!("in {} min at the latest", secs / 60),
        7_200..172_800 => format!("in {} h at the latest", secs / 3_600),
        _ => format!("in {} days at the latest", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::error::{ErrorCode, PublicError};

    use super::super::fake::study;
    use super::*;
    use crate::api::types::StudyState;

    fn site(id: &str, status: SiteStatus, offline: bool, pending_since: Option<Timestamp>) -> SiteReport {
        let reason = offline.then(|| PublicError::new(ErrorCode::SiteOffline, "the site is not connected"));
        SiteReport {
            id: id.parse().unwrap(),
            status,
            reason,
            bytes: None,
            round_trip_ms: None,
            snapshot: None,
            snapshot_at: None,
            pending_since,
            receipts: vec![],
            left_in: None,
            moved_in: vec![],
        }
    }

    fn open(sites: Vec<SiteReport>) -> StudyStatus {
        let (answer_by, open_until) = (Timestamp(600_000), Some(Timestamp(14 * 86_400_000)));
        StudyStatus { answer_by, open_until, sites, ..study("a", StudyState::Open, 1) }
    }

    #[test]
    fn a_line_a_minute_names_the_sites_that_are_waited_for_and_the_time_that_is_left() {
        let status = open(vec![
            site("north", SiteStatus::Answered, false, None),
            site("south", SiteStatus::Pending, false, None),
            site("west", SiteStatus::Pending, true, None),
        ]);
        let mut waiting = Waiting::since(Timestamp(0));
        let wanted = "waiting for 2 of 3 sites: south, west (not connected); published in 9 min at the latest with whatever has come";
        assert_eq!(waiting.line(&status, Timestamp(9_999)), None);
        assert_eq!(waiting.line(&status, Timestamp(10_000)).as_deref(), Some(wanted));
        assert_eq!(waiting.line(&status, Timestamp(69_999)), None);
        assert!(waiting.line(&status, Timestamp(500_000)).unwrap().contains("in 100 s at the latest"));
        assert!(waiting.line(&status, Timestamp(700_000)).unwrap().contains("published now"));
    }

    #[test]
    fn who_waits_for_a_person_waits_until_the_study_ends() {
        let waits = site("north", SiteStatus::Pending, false, Some(Timestamp(0)));
        let line = Waiting::since(Timestamp(0)).line(&open(vec![waits]), Timestamp(60_000)).unwrap();
        assert!(line.contains("1 of 1 sites: north (its steward decides); published in 13 days"), "{line}");
    }

    #[test]
    fn nothing_is_said_when_all_have_answered_and_of_many_sites_some_are_counted() {
        let said = |sites| Waiting::since(Timestamp(0)).line(&open(sites), Timestamp(60_000));
        assert_eq!(said(vec![site("north", SiteStatus::Answered, false, None)]), None);
        let many = (0..20).map(|i| site(&format!("s{i:02}"), SiteStatus::Pending, false, None)).collect();
        assert!(said(many).unwrap().contains("s07 and 12 more;"));
    }
}

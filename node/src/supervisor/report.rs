//! What the custodian tells the supervisor: a line each, through the pipe that is its standard output. It carries a study's id and title at most.

use std::time::Duration;

use bocage_protocol::ids::StudyId;
use bocage_protocol::limits;
use bocage_protocol::marks::steers;

use super::Event;
use super::ingests::Due;
use crate::custodian::source::is_dataset_name;
use crate::ingest::Why;

/// The longest line: an id and a title.
pub const REPORT_BYTES: usize = limits::LABEL_BYTES + 100;

/// The report that a query ended.
pub const IDLE_REPORT: &str = "idle\n";

/// The report that a loop turns.
pub fn beat_report(session: bool) -> &'static str {
    if session { "beat session\n" } else { "beat\n" }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// For the [`super::Supervisor`].
    Event(Event),
    /// A study waits for the steward, since now.
    Pending(Pending),
    /// A snapshot is due to be taken.
    Due(Due),
    /// The child's loop turns; of an agent, whether it has a session.
    Beat {
        /// Whether it has.
        session: bool,
    },
}

/// A study that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub study: StudyId,
    /// Its title, on one line.
    pub title: String,
}

/// The report that a query begins as `attempt`, which may take `limit_ms`.
pub fn working_report(attempt: u64, limit_ms: u64) -> String {
    format!("working {attempt} {limit_ms}\n")
}

/// The report that a study waits. A sound study's title is one line.
pub fn pending_report(study: &StudyId, title: &str) -> String {
    format!("pending {study} {title}\n")
}

/// The report that a dataset's snapshot is due to be taken.
pub fn due_report(dataset: &str, why: Why) -> String {
    format!("due {dataset} {}\n", why.as_str())
}

/// Reads a line; none where it is no report.
pub fn parse_report(line: &str) -> Option<Report> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    if let Some(pending) = line.strip_prefix("pending ") {
        let (study, title) = pending.split_once(' ')?;
        let sound = title.len() <= limits::LABEL_BYTES && !title.contains(steers);
        return sound.then_some(Report::Pending(Pending { study: study.parse().ok()?, title: title.to_owned() }));
    }
    let mut words = line.split_whitespace();
    match (words.next()?, words.next(), words.next()) {
        ("due", Some(dataset), Some(why)) if is_dataset_name(dataset) && words.next().is_none() => {
            Some(Report::Due(Due { dataset: dataset.to_owned(), why: Why::parse(why)? }))
        }
        ("beat", None, None) => Some(Report::Beat { session: false }),
        ("beat", Some("session"), None) => Some(Report::Beat { session: true }),
        ("idle", None, None) => Some(Report::Event(Event::Idle)),
        ("working", Some(attempt), Some(limit_ms)) => {
            let limit = Duration::from_millis(limit_ms.parse().ok()?);
            Some(Report::Event(Event::Working { attempt: attempt.parse().ok()?, limit }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::ids::Digest;

    #[test]
    fn a_report_reads_back_as_it_was_written_and_anything_else_is_no_report() {
        let expected = Event::Working { attempt: 12, limit: Duration::from_millis(60_000) };
        assert_eq!(parse_report(&working_report(12, 60_000)), Some(Report::Event(expected)));
        assert_eq!(parse_report(IDLE_REPORT), Some(Report::Event(Event::Idle)));
        let pending = Pending { study: Digest::of("study", &[]), title: "Hearts, by sex".to_owned() };
        let line = pending_report(&pending.study, &pending.title);
        assert!(line.len() <= REPORT_BYTES);
        assert_eq!(parse_report(&line), Some(Report::Pending(pending)));
        let due = Due { dataset: "heart".to_owned(), why: Why::Schedule };
        assert_eq!(parse_report(&due_report("heart", Why::Schedule)), Some(Report::Due(due)));
        for session in [true, false] {
            assert_eq!(parse_report(beat_report(session)), Some(Report::Beat { session }));
        }
        for other in ["beat heart", "due", "due heart", "due heart never", "due ../heart start", "due heart start now"]
        {
            assert_eq!(parse_report(other), None, "{other}");
        }
        for other in ["", "working", "working 1", "working x 2", "idle now", "working 1 -2", "pending 12 x", "pending"]
        {
            assert_eq!(parse_report(other), None, "{other}");
        }
    }
}

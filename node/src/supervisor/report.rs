//! What the children tell the supervisor: a line each, through the pipe that is their standard output. Of a study it carries id and title at most.

use std::time::Duration;

use bocage_protocol::ids::StudyId;
use bocage_protocol::limits;
use bocage_protocol::marks::{one_line, steers};
use serde::{Deserialize, Serialize};

use super::Event;
use super::ingests::Due;
use crate::custodian::source::is_dataset_name;
use crate::ingest::Why;

/// The longest line: a cause, each of whose characters may be escaped.
pub const REPORT_BYTES: usize = 8 << 10;
/// Of a cause, as much as is said.
const MESSAGE_BYTES: usize = 2400;
const HINT_BYTES: usize = 800;

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
    /// The child cannot go on, and ends.
    Failed(Cause),
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

/// Why a child cannot go on, for whoever reads the log. Each is one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The report that a child cannot go on.
pub fn failed_report(message: &str, hint: Option<&str>) -> String {
    let line = |text: &str, bytes| {
        let text = one_line(text);
        text[..text.floor_char_boundary(bytes)].to_owned()
    };
    let cause = Cause { message: line(message, MESSAGE_BYTES), hint: hint.map(|hint| line(hint, HINT_BYTES)) };
    let json = serde_json::to_string(&cause).unwrap_or_default();
    format!("failed {json}\n")
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
    if let Some(cause) = line.strip_prefix("failed ") {
        let cause: Cause = serde_json::from_str(cause).ok()?;
        let sound = !cause.message.contains(steers) && !cause.hint.iter().any(|hint| hint.contains(steers));
        return sound.then_some(Report::Failed(cause));
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
        let cause = |message: &str, hint: &str| {
            Report::Failed(Cause { message: message.to_owned(), hint: Some(hint.to_owned()) })
        };
        let line = failed_report("a \"ledger\"\nis empty", Some("mend it"));
        assert_eq!((parse_report(&line), line.lines().count()), (Some(cause("a \"ledger\" is empty", "mend it")), 1));
        assert!(failed_report(&"\"é".repeat(5000), Some(&"\\".repeat(5000))).len() <= REPORT_BYTES);
        assert_eq!(parse_report("failed {\"message\":\"a\\u001b[2J\"}"), None, "no report steers a terminal");
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

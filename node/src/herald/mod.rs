//! The herald: a process that tells people that a study waits for them, by the site's own command and by a message to the site's own server.
//!
//! It is the one process of a node that may do both, so it is told nothing but a study's id and title, a line each, by the supervisor. It must never be
//! given data, ledger or a key. Whatever comes of a notice changes nothing: the study waits all the same, and the log says what went wrong.
//!
//! ```text
//! custodian ──a line──▶ supervisor ──the same line──▶ herald ──▶ steward.notify_command, steward.notify_url
//! ```

mod command;
mod post;

pub use post::Url;

use std::io::BufRead;
use std::time::Duration;

use bocage_protocol::ids::SiteId;

use crate::config::Steward;
use crate::supervisor::report::{Pending, REPORT_BYTES, Report, parse_report};

/// How long a command may take, and a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which study waits.
    pub pending: Pending,
    /// At which site.
    pub site: SiteId,
}

/// Tells of every study that `lines` name, one after another, until they end.
///
/// # Errors
/// Where the lines cannot be read.
pub fn run(lines: &mut impl BufRead, steward: &Steward, site: &SiteId) -> std::io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        // Our own supervisor writes them; a longer one is none of its.
        if std::io::Read::take(&mut *lines, REPORT_BYTES as u64).read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(Report::Pending(pending)) = parse_report(&line) {
            tell(steward, &Notice { pending, site: site.clone() });
        }
    }
}

fn tell(steward: &Steward, notice: &Notice) {
    let told = |how: &str, done: Result<(), String>| match done {
        Ok(()) => tracing::info!(study = %notice.pending.study, how, "the steward was told"),
        Err(why) => tracing::warn!(study = %notice.pending.study, how, why, "the steward could not be told"),
    };
    if !steward.notify_command.is_empty() {
        told("notify_command", command::run(&steward.notify_command, notice, PATIENCE));
    }
    if let Some(url) = &steward.notify_url {
        told("notify_url", post::send(url, steward.notify_ca_file.as_deref(), notice, PATIENCE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::report::pending_report;
    use bocage_protocol::ids::Digest;

    pub(super) fn notice() -> Notice {
        let pending = Pending { study: Digest::of("study", &[]), title: "Hearts; $(rm x) `y`".to_owned() };
        Notice { pending, site: "cleveland".parse().unwrap() }
    }

    pub(super) fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn each_line_is_told_once_and_what_is_no_line_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told");
        let command = shell(&format!("echo \"$BOCAGE_TITLE\" >> {}", file.display()));
        let steward = Steward { notify_command: command, ..Steward::default() };
        let study = Digest::of("study", &[]);
        let lines = format!("{}nonsense\n{}", pending_report(&study, "one"), pending_report(&study, "two"));
        run(&mut lines.as_bytes(), &steward, &notice().site).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "one\ntwo\n");
    }
}

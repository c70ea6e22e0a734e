//! Running probes: all at the same time, each on a thread of its own that nobody waits for longer than it may take.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Check, Finding, Level};

/// One look at something. It must bound itself; a probe that does not is left alone when its time is over.
pub struct Probe {
    check: Check,
    within: Duration,
    look: Box<dyn FnOnce() -> Vec<Finding> + Send>,
}

impl Probe {
    /// A look that may take so long.
    pub fn new(check: Check, within: Duration, look: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Self {
        Self { check, within, look: Box::new(look) }
    }
}

/// What all probes found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// In the order of [`Check::ALL`].
    pub findings: Vec<Finding>,
    /// Whether a probe itself broke, which is our fault.
    pub broke: bool,
}

impl Examined {
    /// 0 where nothing failed, 1 where something did, 2 where a probe broke.
    pub fn exit_code(&self) -> u8 {
        match self.broke {
            true => 2,
            false => u8::from(self.findings.iter().any(|finding| finding.level == Level::Fail)),
        }
    }
}

/// Runs all probes.
pub fn run(probes: Vec<Probe>) -> Examined {
    let started: Vec<_> = probes
        .into_iter()
        .map(|Probe { check, within, look }| {
            let (sender, found) = mpsc::channel();
            // Whoever is late is not waited for: the process ends over it.
            thread::spawn(move || {
                let _ = sender.send(look());
            });
            (check, within, Instant::now() + within, found)
        })
        .collect();
    let mut examined = Examined { findings: Vec::new(), broke: false };
    for (check, within, until, found) in started {
        match found.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(findings) => examined.findings.extend(findings),
            Err(RecvTimeoutError::Timeout) => {
                let what = format!("no answer within {} s", within.as_secs());
                examined.findings.push(Finding::fail(
                    check,
                    what,
                    "look whether a disk, a network share or a server hangs",
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                examined.broke = true;
                let fix = "this is our fault: report it with what standard error says";
                examined.findings.push(Finding::fail(check, "the look itself broke", fix));
            }
        }
    }
    let place = |check| Check::ALL.iter().position(|known| *known == check);
    examined.findings.sort_by_key(|finding| place(finding.check));
    examined
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn probes_run_at_the_same_time_and_their_findings_stand_in_one_order() {
        // Each waits for the other: one after the other they would never end.
        let (to_second, from_first) = mpsc::channel();
        let (to_first, from_second) = mpsc::channel();
        let first = Probe::new(Check::Ledger, LONG, move || {
            to_second.send(()).unwrap();
            from_second.recv().unwrap();
            vec![Finding::ok(Check::Ledger, "there")]
        });
        let second = Probe::new(Check::Dns, LONG, move || {
            from_first.recv().unwrap();
            to_first.send(()).unwrap();
            vec![Finding::warn(Check::Dns, "slow", "wait")]
        });
        let examined = run(vec![first, second]);
        assert_eq!(examined.findings.iter().map(|f| f.check).collect::<Vec<_>>(), [Check::Dns, Check::Ledger]);
        assert_eq!(examined.exit_code(), 0, "a warning is no failure");
    }

    #[test]
    fn a_probe_that_hangs_or_breaks_fails_alone() {
        let (_hold, never) = mpsc::channel::<()>();
        let hangs = Probe::new(Check::Sources, Duration::ZERO, move || {
            let _ = never.recv();
            Vec::new()
        });
        let fine = || Probe::new(Check::Disk, LONG, || vec![Finding::ok(Check::Disk, "room")]);
        let examined = run(vec![hangs, fine()]);
        assert_eq!((examined.exit_code(), examined.findings.len()), (1, 2));
        assert!(examined.findings[1].what.contains("no answer"));
        let breaks = Probe::new(Check::Sandbox, LONG, || std::panic::resume_unwind(Box::new("broken")));
        let examined = run(vec![breaks, fine()]);
        assert_eq!((examined.exit_code(), examined.findings.len()), (2, 2));
    }
}

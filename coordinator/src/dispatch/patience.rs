//! How long a round is worked on: until `answer_by`, and while some site waits for its steward until the study's own end.
//!
//! ```text
//! answer_by passed?  ── no ──▶ the round goes on
//!        │ yes
//! some site's last word was "wait"?  ── no ──▶ decided: who has not answered is missing
//!        │ yes
//! open_until passed?  ── no ──▶ the round goes on, for all that have not answered
//!        │ yes
//!     decided
//! ```
//! A site waits from its first such word until it answers, refuses, or is connected, asked and silent for `answer_within`. After an approval it thus
//! has `answer_within` again. One that is away goes on waiting: its steward may have decided by the time it is back.

use std::collections::BTreeSet;
use std::time::Duration;

use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::SiteId;
use tokio::sync::watch;

use crate::store::StudyRecord;

/// The longest single sleep towards a deadline: the clock is read again, in case it was set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The sites that let a round wait, as all who ask them know.
#[derive(Debug)]
pub(super) struct Waiting(watch::Sender<BTreeSet<SiteId>>);

impl Waiting {
    /// Those that did when the round was last worked on.
    pub(super) fn of(record: &StudyRecord, round: u16) -> Self {
        Self(watch::channel(record.waiting(round).into_keys().cloned().collect()).0)
    }

    /// Whether this site does.
    pub(super) fn has(&self, site: &SiteId) -> bool {
        self.0.borrow().contains(site)
    }

    pub(super) fn begins(&self, site: &SiteId) {
        self.0.send_if_modified(|sites| sites.insert(site.clone()));
    }

    pub(super) fn ends(&self, site: &SiteId) {
        self.0.send_if_modified(|sites| sites.remove(site));
    }

    /// Ends when the round is not worked on any more.
    pub(super) async fn over(&self, clock: &dyn Clock, answer_by: Timestamp, open_until: Timestamp) {
        let mut sites = self.0.subscribe();
        loop {
            let waits = !sites.borrow_and_update().is_empty();
            let until = if waits { answer_by.max(open_until) } else { answer_by };
            tokio::select! {
                () = passed(clock, until) => return,
                // The sender lives as long as this call.
                _ = sites.changed() => {}
            }
        }
    }
}

/// Ends when the clock has passed `time`.
async fn passed(clock: &dyn Clock, time: Timestamp) {
    loop {
        match u64::try_from(time.since_ms(clock.now())) {
            Ok(left @ 1..) => tokio::time::sleep(Duration::from_millis(left).min(LONGEST_SLEEP)).await,
            _ => return,
        }
    }
}

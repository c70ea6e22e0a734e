//! When a dataset's snapshot is due to be taken. Pure: what stands on the disk and the time in, a reason out.

use bocage_protocol::env::Timestamp;

use super::snapshot::Manifest;
use crate::config::{Dataset, Refresh};
use crate::ingest::Why;
use crate::ingest::attempt::Attempt;

/// How long it is waited after an attempt that failed.
pub const RETRY_SECS: i64 = 3600;
/// How long after the first that failed over what may pass by itself; twice as long after each further one, up to [`RETRY_SECS`].
pub const FIRST_RETRY_SECS: i64 = 60;

/// How long it is waited after an attempt that failed, where a running node tries again after `longest_secs`.
pub fn wait_secs(failed: &Attempt, longest_secs: i64) -> i64 {
    match failed.failures.checked_sub(1) {
        None => longest_secs,
        Some(before) => (FIRST_RETRY_SECS << before.min(20)).min(longest_secs),
    }
}

/// No wait for the next attempt is longer than that.
pub fn longest_wait_secs(dataset: &Dataset) -> i64 {
    dataset.refresh.secs().map_or(RETRY_SECS, |secs| secs.min(RETRY_SECS))
}

/// What is known of a dataset's snapshots.
pub struct Known<'a> {
    /// The one in use, if it is what the configuration asks for.
    pub usable: Option<&'a Manifest>,
    /// The last attempt, if it has not succeeded.
    pub failed: Option<&'a Attempt>,
    /// Whether the custodian has just started: then a dataset without a snapshot waits for nothing.
    pub starting: bool,
}

/// Why a snapshot of the dataset is due, if it is.
pub fn due(dataset: &Dataset, known: &Known<'_>, now: Timestamp) -> Option<Why> {
    // One that seems to come from the future is as good as new.
    let older = |manifest: &Manifest, secs: i64| now.since_ms(manifest.created_at) >= secs * 1000;
    let why = match (known.usable, dataset.refresh.secs()) {
        (None, _) => Why::Start,
        (Some(manifest), Some(secs)) if older(manifest, secs) => match dataset.refresh {
            Refresh::Epoch(_) => Why::Epoch,
            _ => Why::Schedule,
        },
        _ => return None,
    };
    let longest = longest_wait_secs(dataset);
    let lately = |attempt: &Attempt| (0..wait_secs(attempt, longest) * 1000).contains(&now.since_ms(attempt.began_at));
    let failed_lately = known.failed.is_some_and(lately);
    (!failed_lately || (known.starting && why == Why::Start)).then_some(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_away_is_asked_again_soon_and_then_ever_less_often() {
        let wait = |failures, longest| wait_secs(&Attempt { began_at: Timestamp(0), error: None, failures }, longest);
        assert_eq!([1, 2, 3, 6, 7, 90].map(|failures| wait(failures, RETRY_SECS)), [60, 120, 240, 1920, 3600, 3600]);
        assert_eq!(wait(0, RETRY_SECS), 3600, "what a person must mend is looked at again after an hour");
        assert_eq!([wait(0, 30), wait(1, 30)], [30, 30], "never later than the dataset's own refresh");
    }
}

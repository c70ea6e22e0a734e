//! When a dataset's snapshot is due to be taken. Pure: what stands on the disk and the time in, a reason out.

use bocage_protocol::env::Timestamp;

use super::snapshot::Manifest;
use crate::config::{Dataset, SnapshotRules};
use crate::ingest::Why;
use crate::ingest::attempt::Attempt;

/// How long it is waited after an attempt that failed.
pub const RETRY_SECS: i64 = 3600;

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
pub fn due(dataset: &Dataset, rules: SnapshotRules, known: &Known<'_>, now: Timestamp) -> Option<Why> {
    // One that seems to come from the future is as good as new.
    let older = |manifest: &Manifest, secs: i64| secs > 0 && now.since_ms(manifest.created_at) >= secs * 1000;
    let why = match (known.usable, dataset.refresh_secs) {
        (None, _) => Why::Start,
        (Some(manifest), Some(secs)) if older(manifest, secs) => Why::Schedule,
        (Some(manifest), None) if older(manifest, i64::from(rules.epoch_days) * 86_400) => Why::Epoch,
        _ => return None,
    };
    let wait = dataset.refresh_secs.map_or(RETRY_SECS, |secs| secs.min(RETRY_SECS));
    let failed_lately = known.failed.is_some_and(|attempt| (0..wait * 1000).contains(&now.since_ms(attempt.began_at)));
    (!failed_lately || (known.starting && why == Why::Start)).then_some(why)
}

//! How many refusals of one signer are written down: whoever is believed and always refused (a permit that was taken back, a purpose that the
//! site refuses) would fill the ledger with studies otherwise. Of the others their number is written down when the day is over.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::limits;
use bocage_protocol::trust::PublicKey;

use super::ledger::bodies::Refusal;
use super::ledger::{Entry, Kind};

const DAY_MS: i64 = 86_400_000;

/// The refusals of a day (UTC), by signer.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Day>);

#[derive(Default)]
struct Day {
    number: i64,
    of: BTreeMap<String, u32>,
}

impl Refusals {
    /// Counts one more; answers whether it is written down, and what of an earlier day must be written before it.
    pub(super) fn count(&self, signer: &PublicKey, now: Timestamp) -> (bool, Vec<Entry>) {
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.0.div_euclid(DAY_MS);
        let over = if day.number == number { Vec::new() } else { day.end() };
        day.number = number;
        let count = day.of.entry(signer.to_string()).or_default();
        *count = count.saturating_add(1);
        (*count <= limits::WRITTEN_REFUSALS, over)
    }

    /// What must be written before the process ends.
    pub(super) fn end(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).end()
    }
}

impl Day {
    fn end(&mut self) -> Vec<Entry> {
        let started = Timestamp(self.number.saturating_mul(DAY_MS));
        let unwritten = |(signer, count): (String, u32)| {
            let more = count.checked_sub(limits::WRITTEN_REFUSALS).filter(|more| *more > 0)?;
            let message =
                format!("{more} more requests of {signer} were refused within the day that began at {started}");
            let error = PublicError::new(ErrorCode::Busy, message).hint("the node's log has each of them");
            Some(Entry::of_site(Kind::Refusal, &Refusal { error, r#final: false }))
        };
        std::mem::take(&mut self.of).into_iter().filter_map(unwritten).collect()
    }
}

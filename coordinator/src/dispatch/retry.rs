//! When a site is asked again. A state machine without a clock: the caller says what time it is.

use bocage_protocol::env::Timestamp;

const FIRST_MS: i64 = 250;
const LONGEST_MS: i64 = 15_000;

/// Waits that double from 250 ms to 15 s.
#[derive(Debug, Clone, Default)]
pub(super) struct Retry {
    failures: u32,
}

impl Retry {
    /// When to ask again after a failure at `now`.
    pub(super) fn after_failure(&mut self, now: Timestamp) -> Timestamp {
        let wait_ms = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        Timestamp(now.0.saturating_add(wait_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_ceiling() {
        let mut retry = Retry::default();
        let waits: Vec<i64> = (0..8).map(|_| retry.after_failure(Timestamp(100)).0 - 100).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        let mut long = Retry { failures: u32::MAX };
        assert_eq!(long.after_failure(Timestamp(0)), Timestamp(15_000));
    }
}

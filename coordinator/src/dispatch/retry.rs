//! When a site is asked again. A state machine without a clock: it says how long to wait, which a clock that is set back cannot lengthen.

use std::time::Duration;

/// Waits that double, up to a ceiling.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    first_ms: u64,
    longest_ms: u64,
    failures: u32,
}

impl Retry {
    /// From 250 ms to 15 s: of a site that is busy or was lost.
    pub(super) fn after_failures() -> Self {
        Self { first_ms: 250, longest_ms: 15_000, failures: 0 }
    }

    /// From 2 s to a minute: of a site whose steward has not decided.
    pub(super) fn for_a_person() -> Self {
        Self { first_ms: 2000, longest_ms: 60_000, failures: 0 }
    }

    /// How long to wait, one more time.
    pub(super) fn next(&mut self) -> Duration {
        let wait_ms = self.first_ms.saturating_mul(1 << self.failures.min(16)).min(self.longest_ms);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_ceiling() {
        let mut retry = Retry::after_failures();
        let waits: Vec<u128> = (0..8).map(|_| retry.next().as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        assert_eq!(Retry { failures: u32::MAX, ..retry }.next().as_millis(), 15_000);
        let mut retry = Retry::for_a_person();
        let waits: Vec<u64> = (0..7).map(|_| retry.next().as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
    }
}

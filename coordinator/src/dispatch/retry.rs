//! When a site is asked again. A state machine without a clock: it says how long to wait, which a clock that is set back cannot lengthen.

use std::time::Duration;

const FIRST_MS: u64 = 250;
const LONGEST_MS: u64 = 15_000;

/// Waits that double from 250 ms to 15 s.
#[derive(Debug, Clone, Default)]
pub(super) struct Retry {
    failures: u32,
}

impl Retry {
    /// How long to wait after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let wait_ms = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_ceiling() {
        let mut retry = Retry::default();
        let waits: Vec<u128> = (0..8).map(|_| retry.after_failure().as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        assert_eq!(Retry { failures: u32::MAX }.after_failure().as_millis(), 15_000);
    }
}

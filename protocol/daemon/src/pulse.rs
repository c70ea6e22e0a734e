//! The heartbeat of a daemon's own loop: it beats where the loop turns, so that a loop that hangs is seen from outside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a loop beats.
pub const BEAT: Duration = Duration::from_secs(5);
/// A loop that has not beaten for so long hangs.
pub const HUNG_AFTER: Duration = Duration::from_secs(30);

/// When a loop turned last.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    last_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { began: Instant::now(), last_ms: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// The loop turns.
    pub fn beat(&self) {
        self.last_ms.store(millis(self.uptime()), Ordering::Relaxed);
    }

    /// Since the daemon began.
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the loop turns.
    ///
    /// # Errors
    /// For how long it has not.
    pub fn alive(&self) -> Result<(), String> {
        judged(self.uptime().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed))))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn judged(silent: Duration) -> Result<(), String> {
    if silent < HUNG_AFTER { Ok(()) } else { Err(format!("the loop has not turned for {} s", silent.as_secs())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_is_silent_for_half_a_minute_hangs() {
        assert_eq!(judged(Duration::from_secs(29)), Ok(()));
        assert_eq!(judged(Duration::from_secs(31)), Err("the loop has not turned for 31 s".to_owned()));
        assert_eq!(Pulse::default().alive(), Ok(()));
    }
}

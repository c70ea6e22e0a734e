//! How fast somebody may do something: a bucket that empties with each time that they do, and fills with time, which is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// What a bucket holds when it is full, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    pub most: f64,
    pub a_second: f64,
}

/// How long to wait before asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Seconds, at least 1.
    pub secs: u64,
}

/// What is left of it, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(measure: Measure, now: Instant) -> Self {
        Self { left: measure.most, at: now }
    }

    pub fn is_full(self, measure: Measure, now: Instant) -> bool {
        self.left(measure, now) >= measure.most
    }

    /// Takes one out, or says when there will be one.
    pub fn take(&mut self, measure: Measure, now: Instant) -> Result<(), Wait> {
        let left = self.left(measure, now);
        if left < 1.0 {
            let missing = Duration::from_secs_f64((1.0 - left) / measure.a_second);
            return Err(Wait { secs: missing.as_secs() + 1 });
        }
        *self = Self { left: left - 1.0, at: now };
        Ok(())
    }

    fn left(self, measure: Measure, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at);
        (self.left + since.as_secs_f64() * measure.a_second).min(measure.most)
    }
}

//! How far a site's clock is from ours. A hello says what its clock showed when it was sent, and arrives later by what the network takes; of that we know only
//! that no exchange with the site was shorter. So what is said is the middle of what may be, and how far it may be off.

use std::time::Duration;

use bocage_protocol::env::Timestamp;

/// See the module. In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// The site's clock minus ours.
    pub ms: i64,
    /// How far that may be off, to either side; none where the site has answered nothing yet.
    pub within_ms: Option<u64>,
}

impl Skew {
    /// Of a site whose clock showed `said` when ours showed `heard` or less, by at most the `shortest` exchange.
    pub fn of(said: Timestamp, heard: Timestamp, shortest: Option<Duration>) -> Self {
        let half_ms = shortest.map(|exchange| exchange.as_micros().div_ceil(2000)).map(|ms| ms.min(3_600_000) as u64);
        let late_ms = half_ms.unwrap_or_default() as i64;
        Self { ms: said.since_ms(heard).saturating_add(late_ms), within_ms: half_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_network_takes_is_no_fault_of_a_site_s_clock() {
        let (now, rtt) = (Timestamp(1_790_000_000_000), Duration::from_millis(200));
        let heard =
            |clock_ms: i64, way_ms: i64| Skew::of(Timestamp(now.0 + clock_ms), Timestamp(now.0 + way_ms), Some(rtt));
        assert_eq!(heard(0, 100), Skew { ms: 0, within_ms: Some(100) });
        assert_eq!(heard(-5000, 100), Skew { ms: -5000, within_ms: Some(100) });
        for way_ms in [0, 30, 200] {
            let Skew { ms, within_ms } = heard(40, way_ms);
            assert!(
                (ms - 40).unsigned_abs() <= within_ms.unwrap(),
                "the truth lies within, however slow one way is: {way_ms}"
            );
        }
    }

    #[test]
    fn of_a_site_that_has_answered_nothing_no_bound_is_said() {
        assert_eq!(Skew::of(Timestamp(900), Timestamp(1000), None), Skew { ms: -100, within_ms: None });
        assert_eq!(Skew::of(Timestamp(900), Timestamp(1000), Some(Duration::from_micros(10))).within_ms, Some(1));
    }
}

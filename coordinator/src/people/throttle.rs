//! How fast anybody may ask. Each token has a bucket that fills with time; so has each address for what is refused to it.
//!
//! A sound token is never refused for what others did from its address: only attempts that are refused anyway are counted there. Time is an
//! argument, and both tables are bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use bocage_net::places::household;
use bocage_protocol::ids::TokenId;
use bocage_protocol::limits;
use tokio::time::Instant;

use crate::bucket::{Bucket, Measure, Wait};

const REQUESTS: Measure = Measure { most: limits::API_BURST, a_second: limits::API_PER_SEC };
const FAILURES: Measure = Measure { most: limits::API_FAILURES_BURST, a_second: limits::API_FAILURES_PER_SEC };

/// Buckets by key, of which so many are remembered.
#[derive(Debug)]
struct Buckets<K> {
    measure: Measure,
    most: usize,
    of: HashMap<K, Bucket>,
    /// All who find no room share it.
    others: Option<Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(measure: Measure, most: usize) -> Self {
        Self { measure, most, of: HashMap::new(), others: None }
    }

    /// Takes one out of `key`'s bucket, or says when there will be one.
    fn take(&mut self, key: K, now: Instant) -> Result<(), Wait> {
        let measure = self.measure;
        if self.of.len() >= self.most && !self.of.contains_key(&key) {
            // Whoever has a full bucket is as one who was never seen.
            self.of.retain(|_, bucket| !bucket.is_full(measure, now));
        }
        let full = Bucket::full(measure, now);
        let room = self.of.len() < self.most || self.of.contains_key(&key);
        let bucket = if room { self.of.entry(key).or_insert(full) } else { self.others.get_or_insert(full) };
        bucket.take(measure, now)
    }
}

/// The buckets of all who use the interface.
#[derive(Debug)]
pub(crate) struct Throttle {
    tokens: Buckets<TokenId>,
    addresses: Buckets<IpAddr>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            tokens: Buckets::new(REQUESTS, limits::API_REMEMBERED),
            addresses: Buckets::new(FAILURES, limits::API_REMEMBERED),
        }
    }
}

impl Throttle {
    /// A request with a sound token.
    pub fn request(&mut self, token: &TokenId, now: Instant) -> Result<(), Wait> {
        self.tokens.take(token.clone(), now)
    }

    /// Something that is refused to whoever is at `address`.
    pub fn failure(&mut self, address: IpAddr, now: Instant) -> Result<(), Wait> {
        self.addresses.take(household(address), now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SMALL: Measure = Measure { most: 3.0, a_second: 0.5 };

    fn taken(buckets: &mut Buckets<u32>, key: u32, now: Instant) -> usize {
        (0..100).take_while(|_| buckets.take(key, now).is_ok()).count()
    }

    #[test]
    fn a_bucket_empties_says_how_long_it_takes_and_fills_with_time() {
        let (mut buckets, start) = (Buckets::new(SMALL, 10), Instant::now());
        assert_eq!(taken(&mut buckets, 1, start), 3);
        assert_eq!(taken(&mut buckets, 2, start), 3, "another has its own");
        let wait = buckets.take(1, start).unwrap_err();
        assert_eq!(wait, Wait { secs: 3 });
        assert_eq!(taken(&mut buckets, 1, start + Duration::from_secs(wait.secs)), 1);
        assert_eq!(taken(&mut buckets, 1, start + Duration::from_secs(3600)), 3, "never more than it holds");
    }

    #[test]
    fn a_table_that_is_full_forgets_those_who_are_quiet_and_holds_newcomers_to_one_bucket() {
        let (mut buckets, start) = (Buckets::new(SMALL, 4), Instant::now());
        for key in 0..4 {
            buckets.take(key, start).unwrap();
        }
        let newcomers: usize = (10..40).filter(|key| buckets.take(*key, start).is_ok()).count();
        assert_eq!((newcomers, buckets.of.len()), (3, 4));
        assert_eq!(taken(&mut buckets, 0, start), 2, "who was there keeps their own");
        let later = start + Duration::from_secs(2);
        buckets.take(50, later).unwrap();
        assert!(buckets.of.contains_key(&50) && buckets.of.len() <= 4);
    }
}

//! How a coordinator that died and came back ends the links that it has forgotten: by QUIC's stateless reset. A node learns it from the answer
//! to its next packet (its keep-alive at the latest) instead of after the idle timeout.
//!
//! The reset is proven by a key that both lives must share. It follows from the coordinator's TLS key, so there is no further secret to keep;
//! after a renewal of that key, nodes find out by the idle timeout once.
//!
//! Who hears the reset of a link can end that link, and whoever sends a packet with its connection id is told it. So an id must be one that nobody
//! can make and that no two links ever share: random bytes, and their HMAC.

use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::env::Entropy;
use quinn::EndpointConfig;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use ring::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::env::SystemEntropy;
use crate::identity::Identity;

/// Between two resets. Two thousand nodes that each send a keep-alive every five seconds are all told within those; a reset is shorter than the
/// packet that it answers, so that a flood of forged ones gains nothing by it.
const RESET_INTERVAL: Duration = Duration::from_millis(2);

/// Bytes of an id that are random.
const RANDOM: usize = 8;
/// Bytes of an id that prove the random ones.
const PROOF: usize = 8;

/// An endpoint that knows the links of its earlier lives.
pub(super) fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, Zeroizing::new(identity.key()).secret_der());
    let reset_key = derived(&secret, "bocage/quic/reset/1");
    let ids = derived(&secret, "bocage/quic/connection-ids/2");
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config
        .cid_generator(move || Box::new(IssuedIds { key: ids.clone(), entropy: SystemEntropy }))
        .min_reset_interval(RESET_INTERVAL);
    config
}

fn derived(secret: &hmac::Key, purpose: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(secret, purpose.as_bytes()).as_ref())
}

/// Connection ids that only the holder of the key can issue.
struct IssuedIds<E> {
    key: hmac::Key,
    entropy: E,
}

impl<E> IssuedIds<E> {
    fn proof(&self, random: &[u8]) -> [u8; PROOF] {
        let mut proof = [0; PROOF];
        proof.iter_mut().zip(hmac::sign(&self.key, random).as_ref()).for_each(|(to, from)| *to = *from);
        proof
    }
}

impl<E: Entropy + Sync> ConnectionIdGenerator for IssuedIds<E> {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; RANDOM + PROOF];
        let (random, proof) = id.split_at_mut(RANDOM);
        self.entropy.fill(random);
        proof.copy_from_slice(&self.proof(random));
        ConnectionId::new(&id)
    }

    /// The bytes come from a stranger, in any number.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let (random, proof) = id.split_at_checked(RANDOM).ok_or(InvalidCid)?;
        if bool::from(self.proof(random).as_slice().ct_eq(proof)) { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        RANDOM + PROOF
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn life(secret: &[u8]) -> IssuedIds<SystemEntropy> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        IssuedIds { key: derived(&secret, "ids"), entropy: SystemEntropy }
    }

    #[test]
    fn an_id_that_was_not_issued_is_not_valid() {
        let mut ids = life(b"secret");
        let issued = ids.generate_cid();
        assert!(ids.validate(&issued).is_ok());
        for bit in 0..issued.len() * 8 {
            let mut other = issued.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(ids.validate(&ConnectionId::new(&other)).is_err(), "bit {bit}");
        }
        for length in 0..issued.len() {
            assert!(ids.validate(&ConnectionId::new(&issued[..length])).is_err(), "{length} bytes");
        }
        let longer = [&issued[..], &[0; 4]].concat();
        assert!(ids.validate(&ConnectionId::new(&longer)).is_err());
        assert!(ids.validate(&life(b"of another").generate_cid()).is_err());
    }

    #[test]
    fn an_id_of_one_life_is_valid_in_the_next() {
        let issued = life(b"secret").generate_cid();
        assert!(life(b"secret").validate(&issued).is_ok());
    }

    #[test]
    fn no_two_ids_share_their_random_half() {
        let mut ids = life(b"secret");
        let halves: BTreeSet<Vec<u8>> = (0..10_000).map(|_| ids.generate_cid()[..RANDOM].to_vec()).collect();
        assert_eq!(halves.len(), 10_000);
    }
}

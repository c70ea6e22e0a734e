//! How a coordinator that died and came back ends the links that it has forgotten: by QUIC's stateless reset. A node learns it from the answer
//! to its next packet (its keep-alive at the latest) instead of after the idle timeout.
//!
//! The reset is proven by a key that both lives must share. It follows from the coordinator's TLS key, so there is no further secret to keep;
//! after a renewal of that key, nodes find out by the idle timeout once.

use std::sync::Arc;
use std::time::Duration;

use quinn::EndpointConfig;
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;

use crate::identity::Identity;

/// Between two resets. Two thousand nodes that each send a keep-alive every five seconds are all told within those; a reset is shorter than the
/// packet that it answers, so that a flood of forged ones gains nothing by it.
const RESET_INTERVAL: Duration = Duration::from_millis(2);

/// An endpoint that knows the links of its earlier lives.
pub(super) fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, identity.key().secret_der());
    let derived = |purpose: &str| hmac::sign(&secret, purpose.as_bytes());
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, derived("bocage/quic/reset/1").as_ref());
    let ids = derived("bocage/quic/connection-ids/1");
    let ids = ids.as_ref().iter().take(8).fold(0, |key: u64, byte| key << 8 | u64::from(*byte));
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)))
        .min_reset_interval(RESET_INTERVAL);
    config
}

//! Fixtures for tests that cross crates: a network of real processes on loopback, made by the product's own commands.
//!
//! Nothing here sleeps: a test waits for a line of a log, a frame on a socket, or the end of a process, each with a bound.

pub mod clock;
pub mod crash;
pub mod crowd;
pub mod days;
pub mod deaths;
pub mod escapes;
pub mod example;
pub mod federation;
pub mod hedge;
pub mod hold;
pub mod lab;
pub mod lifted;
pub mod line;
pub mod numbers;
pub mod old_kernel;
pub mod omop_packs;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod sockets;
pub mod steady;
pub mod years;

/// How much of the heavy counts to run: `BOCAGE_TEST_SCALE`, 1 by default.
pub fn scale() -> u32 {
    std::env::var("BOCAGE_TEST_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

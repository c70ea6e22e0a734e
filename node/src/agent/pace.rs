//! How the agent waits until something is due: as long as the clock on the wall takes, or in the time of a simulation, in which ten minutes are none.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A wait.
pub(super) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See the module.
pub(super) trait Pace: Send + Sync {
    /// Waits for so long, by the same time as the agent's clock.
    fn wait(&self, ms: u64) -> Wait;
}

/// Real time.
pub(super) struct Real;

impl Pace for Real {
    fn wait(&self, ms: u64) -> Wait {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

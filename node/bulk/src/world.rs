//! What an export needs of the world around it, as arguments: time, waiting, randomness, bounds, and somebody who watches.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bocage_net::env::SystemClock;
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::limits;

/// A clock that can be waited for.
pub trait Timer: Clock {
    /// Ends when `span` has passed.
    fn wait(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clock, and the runtime's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTimer;

impl Clock for SystemTimer {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

impl Timer for SystemTimer {
    fn wait(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// What an export may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a connection and the head of an answer may take.
    pub patience: Duration,
    /// How long each 64 KiB of a body may take.
    pub block_patience: Duration,
    /// How long an export may take to be ready, and a server make us wait at once.
    pub ready_secs: i64,
    /// The list of files.
    pub manifest_bytes: usize,
    /// One file, as it comes and as it unfolds.
    pub file_bytes: u64,
    /// What must stay free on the disk.
    pub free_bytes: u64,
    /// Times that a request is repeated where nothing comes of it.
    pub tries: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            block_patience: Duration::from_secs(60),
            ready_secs: limits::BULK_PATIENCE_SECS,
            manifest_bytes: limits::BULK_MANIFEST_BYTES,
            file_bytes: limits::BULK_FILE_BYTES,
            free_bytes: 1 << 30,
            tries: limits::BULK_TRIES,
        }
    }
}

/// What happens, for a person who watches. It holds nothing that a server could have written freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A new export was asked for.
    Asked,
    /// An export that an earlier run began goes on.
    GoesOn,
    /// The server works on it, and is asked again after so long.
    Waiting {
        /// Of 100, where the server says so.
        percent: Option<u8>,
        /// In seconds.
        secs: u64,
    },
    /// The export is ready.
    Ready {
        /// How many files it has.
        files: usize,
    },
    /// A file is fetched.
    File {
        /// Its name here.
        name: &'a str,
        /// Its number, from 1.
        number: usize,
        /// What of it is here already.
        have: u64,
        /// Its size, where it is known.
        bytes: Option<u64>,
    },
    /// So many bytes more.
    Bytes(u64),
    /// A file is whole.
    Whole {
        /// Its name here.
        name: &'a str,
        /// Its resources.
        resources: u64,
    },
    /// Something is tried again.
    Again {
        /// What.
        place: &'a str,
        /// After how long, in seconds.
        secs: u64,
    },
}

/// The world around an export.
pub struct World<'a> {
    /// Time.
    pub timer: &'a dyn Timer,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
    /// What it may take.
    pub bounds: Bounds,
    /// Who watches.
    pub told: &'a mut dyn FnMut(Event<'_>),
}

//! Holding a custodian at the start of a query, or at its own, or an ingest before its end, until the test lets it go: no test guesses how long anything takes.
//!
//! The lab binary's processes call on their [`Line`] there.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use crate::line::{Call, Exchange, Line};
use crate::process::PATIENCE;

/// The environment variable of the lab binary (not of the product) that names the socket for queries.
pub const QUERY: &str = "BOCAGE_LAB_HOLD";
/// The same for custodians that are confined and have done nothing yet.
pub const START: &str = "BOCAGE_LAB_HOLD_START";
/// The same for ingests that have written a snapshot and not yet given it its name.
pub const INGEST: &str = "BOCAGE_LAB_HOLD_INGEST";

/// The one that lets ingests have very few rows in memory at a time.
pub const SMALL_INGESTS: &str = "BOCAGE_LAB_SMALL_INGESTS";

/// The test's side.
pub struct Hold {
    variable: &'static str,
    exchange: Exchange,
    calls: Receiver<Call>,
}

/// A process that stands still until this is dropped.
pub struct Held {
    call: Call,
}

impl Hold {
    /// Holds queries; listens below `folder`.
    pub fn new(folder: &Path) -> Self {
        Self::at(QUERY, folder.join("hold.sock"))
    }

    /// Holds custodians at their start; listens below `folder`.
    pub fn at_start(folder: &Path) -> Self {
        Self::at(START, folder.join("start.sock"))
    }

    /// Holds ingests shortly before their end; listens below `folder`.
    pub fn at_ingests(folder: &Path) -> Self {
        Self::at(INGEST, folder.join("ingest.sock"))
    }

    fn at(variable: &'static str, socket: PathBuf) -> Self {
        let (sender, calls) = channel();
        // A call that nobody takes any more is dropped, and answered so.
        let exchange = Exchange::new(socket, move |call| drop(sender.send(call)));
        Self { variable, exchange, calls }
    }

    /// The environment entry for the nodes to be held.
    pub fn env(&self) -> (String, String) {
        (self.variable.to_owned(), self.exchange.path().display().to_string())
    }

    /// Waits for the next one.
    pub fn next(&self) -> Held {
        Held { call: self.calls.recv_timeout(PATIENCE).expect("a process") }
    }

    /// Lets every later one pass.
    pub fn lift(self) {}
}

impl Held {
    /// The process.
    pub fn pid(&self) -> u32 {
        self.call.pid
    }

    /// Lets it go on.
    pub fn release(self) {}
}

/// The custodian's side: what it does where `variable` asks for it.
pub fn from_env(variable: &'static str) -> Option<impl Fn()> {
    let line = Line::open(&PathBuf::from(std::env::var_os(variable)?))?;
    Some(move || line.call(variable))
}

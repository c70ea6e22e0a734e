//! A clock that a test sets forward and back while processes read it: the machine's time plus what a file says.

use std::path::{Path, PathBuf};

use bocage_net::env::SystemClock;
use bocage_protocol::env::{Clock, Timestamp};

/// The environment variable of the lab binary (not of the product) that names the file.
pub const VARIABLE: &str = "BOCAGE_LAB_CLOCK";

/// The processes' side.
pub struct StepClock {
    file: PathBuf,
}

impl StepClock {
    /// A clock that follows `file`.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        let secs = std::fs::read_to_string(&self.file).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        SystemClock.now().plus_secs(secs)
    }
}

/// The test's side.
pub struct Steps {
    file: PathBuf,
}

impl Steps {
    /// A clock that is right, for processes with [`Steps::env`].
    pub fn new(folder: &Path) -> Self {
        let steps = Self { file: folder.join("clock") };
        steps.set(0);
        steps
    }

    /// The environment entry for processes that follow this clock.
    pub fn env(&self) -> (String, String) {
        (VARIABLE.to_owned(), self.file.display().to_string())
    }

    /// Sets the clock so far ahead (or back) of the machine's.
    pub fn set(&self, secs: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, secs.to_string()).expect("the clock");
        std::fs::rename(next, &self.file).expect("the clock is set");
    }
}

//! A clock that a test sets forward and back while processes read it: the machine's time plus what a file says. The file is opened once: a
//! confined process can open it no more.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bocage_net::env::SystemClock;
use bocage_protocol::env::{Clock, Timestamp};

/// The environment variable of the lab binary (not of the product) that names the file.
pub const VARIABLE: &str = "BOCAGE_LAB_CLOCK";

/// The one that lets a coordinator that comes back wait so many seconds for its sites, so that no test is a race against the usual ones.
pub const GRACE: &str = "BOCAGE_LAB_GRACE_SECS";

/// How long that is, where the environment says it.
pub fn grace() -> Option<Duration> {
    Some(Duration::from_secs(std::env::var(GRACE).ok()?.parse().expect("seconds")))
}

/// The seconds, and their complement: a reader tells a whole writing from half of one.
fn encoded(secs: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&secs.to_le_bytes());
    bytes[8..].copy_from_slice(&(!secs).to_le_bytes());
    bytes
}

fn decoded(bytes: [u8; 16]) -> Option<i64> {
    let (secs, rest) = bytes.split_at(8);
    let secs = i64::from_le_bytes(secs.try_into().ok()?);
    (rest == (!secs).to_le_bytes()).then_some(secs)
}

/// The processes' side.
pub struct StepClock {
    file: File,
}

impl StepClock {
    /// A clock that follows `file`.
    pub fn open(file: &Path) -> Self {
        Self { file: File::open(file).expect("the clock") }
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        loop {
            let mut bytes = [0; 16];
            self.file.read_exact_at(&mut bytes, 0).expect("the clock");
            if let Some(secs) = decoded(bytes) {
                return SystemClock.now().plus_secs(secs);
            }
        }
    }
}

/// The test's side.
pub struct Steps {
    path: PathBuf,
    file: File,
}

impl Steps {
    /// A clock that is right, for processes with [`Steps::env`].
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("clock");
        let steps = Self { file: File::create(&path).expect("the clock"), path };
        steps.set(0);
        steps
    }

    /// The environment entry for processes that follow this clock.
    pub fn env(&self) -> (String, String) {
        (VARIABLE.to_owned(), self.path.display().to_string())
    }

    /// Sets the clock so far ahead (or back) of the machine's.
    pub fn set(&self, secs: i64) {
        self.file.write_all_at(&encoded(secs), 0).expect("the clock is set");
    }
}

//! Sudden ends at named moments: a process of the lab binary kills itself there (SIGKILL, so that nothing is cleaned up), once.

use std::path::{Path, PathBuf};

/// The environment variable of the lab binary (not of the product): the moment's name, a colon, and a file that is removed first.
pub const VARIABLE: &str = "BOCAGE_LAB_CRASH";

/// The processes' side.
pub struct Crash {
    moment: String,
    fuse: PathBuf,
}

/// What the environment asks for.
pub fn from_env() -> Option<Crash> {
    let text = std::env::var(VARIABLE).ok()?;
    let (moment, fuse) = text.split_once(':')?;
    Some(Crash { moment: moment.to_owned(), fuse: fuse.into() })
}

impl Crash {
    /// Ends the process if this is the moment, and if no process ended at it before.
    pub fn at(&self, moment: &str) {
        if moment == self.moment && std::fs::remove_file(&self.fuse).is_ok() {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    }
}

/// The test's side: arms one sudden end.
pub struct Armed {
    moment: String,
    fuse: PathBuf,
}

impl Armed {
    /// Arms an end at `moment` for the processes with [`Armed::env`].
    pub fn new(folder: &Path, moment: &str) -> Self {
        let fuse = folder.join(format!("fuse-{moment}"));
        std::fs::write(&fuse, "").expect("the fuse");
        Self { moment: moment.to_owned(), fuse }
    }

    /// The environment entry.
    pub fn env(&self) -> (String, String) {
        (VARIABLE.to_owned(), format!("{}:{}", self.moment, self.fuse.display()))
    }

    /// Whether a process has ended at the moment.
    pub fn went_off(&self) -> bool {
        !self.fuse.exists()
    }
}

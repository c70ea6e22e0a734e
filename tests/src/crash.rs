//! Sudden ends at named moments: a process of the lab binary kills itself there, or one of its kin (SIGKILL, so that nothing is cleaned up), once.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid, getppid};

use crate::process::{child_of, kill_pid};

/// The environment variable of the lab binary (not of the product): the moment's name, who dies, and a file that is removed first, between colons.
pub const VARIABLE: &str = "BOCAGE_LAB_CRASH";

/// Who dies when a process comes to its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The process itself.
    Itself,
    /// Of a custodian, the agent beside it.
    Agent,
    /// The process's supervisor, and with it both children.
    Supervisor,
}

impl Whom {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Itself, Self::Agent, Self::Supervisor];

    fn name(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
        }
    }

    /// The process that this is, seen from the one at its moment.
    fn pid(self) -> Option<u32> {
        let number = |pid: Pid| pid.as_raw_nonzero().get().unsigned_abs();
        let parent = getppid().map(number);
        match self {
            Self::Itself => Some(number(getpid())),
            Self::Agent => child_of(parent?, "agent"),
            Self::Supervisor => parent,
        }
    }
}

/// The processes' side.
pub struct Crash {
    moment: String,
    whom: Whom,
    fuse: PathBuf,
}

/// What the environment asks for.
pub fn from_env() -> Option<Crash> {
    let text = std::env::var(VARIABLE).ok()?;
    let mut parts = text.splitn(3, ':');
    let (moment, whom, fuse) = (parts.next()?, parts.next()?, parts.next()?);
    let whom = Whom::ALL.into_iter().find(|known| known.name() == whom)?;
    Some(Crash { moment: moment.to_owned(), whom, fuse: fuse.into() })
}

impl Crash {
    /// Ends who is to die if this is the moment, and if nobody died at it before.
    pub fn at(&self, moment: &str) {
        if moment == self.moment && std::fs::remove_file(&self.fuse).is_ok() {
            let victim = self.whom.pid();
            victim.into_iter().for_each(kill_pid);
        }
    }
}

/// The test's side: arms one sudden end.
pub struct Armed {
    moment: String,
    whom: Whom,
    fuse: PathBuf,
}

impl Armed {
    /// Arms an end of `whom` at `moment` for the processes with [`Armed::env`].
    pub fn new(folder: &Path, moment: &str, whom: Whom) -> Self {
        let fuse = folder.join(format!("fuse-{moment}-{}", whom.name()));
        std::fs::write(&fuse, "").expect("the fuse");
        Self { moment: moment.to_owned(), whom, fuse }
    }

    /// The environment entry.
    pub fn env(&self) -> (String, String) {
        (VARIABLE.to_owned(), format!("{}:{}:{}", self.moment, self.whom.name(), self.fuse.display()))
    }

    /// Whether somebody has died at the moment.
    pub fn went_off(&self) -> bool {
        !self.fuse.exists()
    }
}

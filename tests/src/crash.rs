//! Sudden ends at named moments: a process of the lab binary says on its [`Line`] that it came to one, and the test kills it or one of its kin
//! (SIGKILL, so that nothing is cleaned up), once. A confined process could not do so itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::line::{Exchange, Line};
use crate::process::{child_of, kill_pid, parent_of};

/// The environment variable of the lab binary (not of the product): the moment's name and the socket, with a colon between.
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

    /// The process that this is, seen from `caller`.
    fn seen_from(self, caller: u32) -> Option<u32> {
        match self {
            Self::Itself => Some(caller),
            Self::Agent => child_of(parent_of(caller)?, "agent"),
            Self::Supervisor => parent_of(caller),
        }
    }
}

/// The process's side: what it does at each moment, where the environment asks for it.
pub fn from_env() -> Option<impl Fn(&str)> {
    let text = std::env::var(VARIABLE).ok()?;
    let (wanted, socket) = text.split_once(':')?;
    let (wanted, line) = (wanted.to_owned(), Line::open(&PathBuf::from(socket))?);
    Some(move |moment: &str| {
        if moment == wanted {
            line.call(moment);
        }
    })
}

/// The test's side: one armed end.
pub struct Armed {
    moment: String,
    exchange: Exchange,
    fired: Arc<AtomicBool>,
}

impl Armed {
    /// Arms an end of `whom` at `moment` for the processes with [`Armed::env`].
    pub fn new(folder: &Path, moment: &str, whom: Whom) -> Self {
        let fired = Arc::new(AtomicBool::new(false));
        let fires = Arc::clone(&fired);
        let exchange = Exchange::new(folder.join(format!("{moment}-{}.sock", whom.name())), move |call| {
            if !fires.swap(true, Ordering::SeqCst) {
                whom.seen_from(call.pid).into_iter().for_each(kill_pid);
            }
        });
        Self { moment: moment.to_owned(), exchange, fired }
    }

    /// The environment entry.
    pub fn env(&self) -> (String, String) {
        (VARIABLE.to_owned(), format!("{}:{}", self.moment, self.exchange.path().display()))
    }

    /// Whether somebody has died at the moment.
    pub fn went_off(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }
}

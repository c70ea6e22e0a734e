//! What each process of a node gives up before it does its work, so that a defect in it reaches no further than the process must.
//!
//! ```text
//! Sandbox::begin   first thing in `main`, before any thread: no core dumps, no tracing, and only the files of `reach`   (landlock)
//! Sandbox::seal    after all sockets are bound: only the calls of `calls`, in all threads                               (seccomp)
//! Sealed::hang_up  an ingest that dialled, before it reads a row: no further socket, and none that is dialled             (seccomp)
//! ```
//! Both last until the process ends and hold for whatever it starts, so the supervisor cannot be tighter than its children together.

mod calls;
mod files;
mod kernel;
mod reach;

use std::fmt;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};

use crate::config::{Config, Dataset};
use crate::custodian::Switches;

pub use kernel::{Support, WHOLE};
pub use reach::{Reach, guarded_list, renewed};

/// The processes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Starts the others.
    Supervisor,
    /// Talks to the coordinator.
    Agent,
    /// Answers for the data.
    Custodian,
    /// Reads a source of this machine.
    Ingest,
    /// Reads a source of another one.
    RemoteIngest,
    /// Posts to the site's own server that a study waits.
    Herald,
    /// Runs the site's own command then.
    CommandHerald,
}

impl Process {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Agent => "agent",
            Self::Custodian => "custodian",
            Self::Ingest | Self::RemoteIngest => "ingest",
            Self::Herald | Self::CommandHerald => "herald",
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Called in each process when its sandbox is complete.
pub type OnSealed = Arc<dyn Fn(Process) + Send + Sync>;

/// How a person runs a node without a sandbox.
pub const OVERRIDE: &str = "a Linux kernel from 5.13 on has both where they are switched on (`lsm=landlock,…` at boot, and no container in the way); \
                            require_sandbox = false in node.toml runs the node with whatever part of the sandbox there is";

/// Why a process cannot be confined: the kernel lacks a part, or something around the process keeps it from being used.
#[derive(Debug, thiserror::Error)]
#[error("the {process} cannot be confined: {reason}")]
pub struct SandboxError {
    /// The process.
    pub process: Process,
    /// What is missing.
    pub reason: String,
}

/// A sandbox of which the first half stands.
#[must_use = "a sandbox that is not sealed leaves every call open"]
pub struct Sandbox {
    process: Process,
    required: bool,
    skipped: bool,
    sealed: Option<OnSealed>,
}

impl Sandbox {
    /// Takes the process's core dumps and all files but its own away. Landlock binds the calling thread and what it starts: the caller
    /// must not have started any thread. `dataset` is what an ingest reads.
    ///
    /// # Errors
    /// Where that cannot be done and `require_sandbox` asks for it.
    pub fn begin(
        process: Process,
        config: &Config,
        dataset: Option<&Dataset>,
        switches: &Switches,
    ) -> Result<Self, SandboxError> {
        let required = config.require_sandbox || config.require_whole_sandbox;
        // A test's control needs both: neither a file nor a switch alone opens a node.
        let skipped = switches.unsandboxed && !required;
        let sandbox = Self { process, required, skipped, sealed: switches.sealed.clone() };
        if !skipped {
            sandbox.demand(is_alone(process))?;
            sandbox.demand(harden(process))?;
            if process == Process::Supervisor {
                sandbox.demand(leave_files_behind(process))?;
            }
            let reach = Reach::of(process, config, dataset);
            sandbox.demand(files::restrict(process, &reach, config.require_whole_sandbox))?;
        }
        Ok(sandbox)
    }

    /// Takes all calls away that the process does not need, in all its threads. Sockets that it listens on must be bound before.
    ///
    /// # Errors
    /// As [`Sandbox::begin`].
    pub fn seal(self) -> Result<Sealed, SandboxError> {
        if !self.skipped {
            self.demand(calls::restrict(self.process))?;
        }
        if let Some(sealed) = &self.sealed {
            sealed(self.process);
        }
        Ok(Sealed(self))
    }

    fn demand(&self, done: Result<(), SandboxError>) -> Result<(), SandboxError> {
        match done {
            Err(error) if !self.required => {
                tracing::warn!(%error, "it runs without this part of the sandbox, as require_sandbox = false allows");
                Ok(())
            }
            done => done,
        }
    }
}

/// A sandbox that stands.
pub struct Sealed(Sandbox);

impl Sealed {
    /// Takes sockets and dialling away from an ingest that is connected to its server: it holds rows next, and has no other way out then.
    ///
    /// # Errors
    /// As [`Sandbox::begin`].
    pub fn hang_up(&self) -> Result<(), SandboxError> {
        let Sealed(sandbox) = self;
        if sandbox.process == Process::RemoteIngest && !sandbox.skipped {
            sandbox.demand(calls::hang_up(sandbox.process))?;
        }
        Ok(())
    }
}

/// A thread that runs already would stay outside.
fn is_alone(process: Process) -> Result<(), SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads == 1 { Ok(()) } else { Err(SandboxError { process, reason: format!("{threads} threads run already") }) }
}

/// Children get none of the files that this process was started with.
fn leave_files_behind(process: Process) -> Result<(), SandboxError> {
    let failed = |error| SandboxError { process, reason: format!("close_range: {error}") };
    kernel::leave_to_no_child().map_err(failed)
}

/// Nobody else reads what this process writes, nor its memory: not from a core file, not by tracing it, not through `/proc`. (That no program gains rights which
/// its starter lacks, PR_SET_NO_NEW_PRIVS, comes with either half of the sandbox.)
fn harden(process: Process) -> Result<(), SandboxError> {
    umask(Mode::RWXG | Mode::RWXO);
    let failed = |what: &str, error| SandboxError { process, reason: format!("{what} cannot be set: {error}") };
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|e| failed("the size of core files", e))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| failed("PR_SET_DUMPABLE", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(required: bool) -> Sandbox {
        Sandbox { process: Process::Agent, required, skipped: false, sealed: None }
    }

    fn missing() -> Result<(), SandboxError> {
        Err(SandboxError { process: Process::Agent, reason: "no landlock".to_owned() })
    }

    #[test]
    fn a_process_with_threads_is_not_confined_in_part() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stopped.recv());
        let error = is_alone(Process::Custodian).unwrap_err().to_string();
        assert!(
            error.starts_with("the custodian cannot be confined: ") && error.ends_with("threads run already"),
            "{error}"
        );
        drop(stop);
        let _ = thread.join().unwrap();
    }

    #[test]
    fn a_missing_part_is_refused_unless_the_configuration_allows_it() {
        assert!(sandbox(true).demand(missing()).is_err());
        assert!(sandbox(false).demand(missing()).is_ok());
        assert!(sandbox(true).demand(Ok(())).is_ok());
    }
}

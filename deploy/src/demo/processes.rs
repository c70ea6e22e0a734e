//! The demo's processes: this executable again, once for the coordinator and once for every node. None outlives the demo.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal as Kind, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::DemoError;
use crate::cli::CHILD;

/// How long the processes may take to stop by themselves.
const STOP: Duration = Duration::from_secs(6);
/// The part of a log that is shown when its process failed.
const TAIL_LINES: usize = 20;

/// Processes that are stopped when this is dropped.
#[derive(Debug)]
pub struct Processes {
    runtime: Runtime,
    interrupt: Signal,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Processes {
    /// None yet. From now on Ctrl-C ends [`Processes::pause`] and not the demo.
    ///
    /// # Errors
    /// The operating system gives no event loop.
    pub fn new() -> Result<Self, DemoError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DemoError::Runtime)?;
        let interrupt = {
            let _inside = runtime.enter();
            signal(SignalKind::interrupt()).map_err(DemoError::Runtime)?
        };
        Ok(Self { runtime, interrupt, running: Vec::new() })
    }

    /// Starts this executable with `args`; what it writes goes to `log`.
    ///
    /// It is in a process group of its own, so that Ctrl-C reaches the demo alone, and is killed by the kernel if the demo is killed.
    /// Must be called on the main thread: the kernel counts the thread that started a process as its parent.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(&mut self, name: &str, args: &[OsString], log: &Path) -> Result<(), DemoError> {
        let wrong = |e: std::io::Error| DemoError::Start { name: name.to_owned(), reason: e.to_string() };
        let exe = std::env::current_exe().map_err(wrong)?;
        let out = File::create(log).map_err(|e| DemoError::write(log, &e))?;
        let errors = out.try_clone().map_err(|e| DemoError::write(log, &e))?;
        let mut command = Command::new(exe);
        command.arg(CHILD).arg(std::process::id().to_string()).args(args);
        command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0).kill_on_drop(true);
        let _inside = self.runtime.enter();
        let child = command.spawn().map_err(wrong)?;
        self.running.push(Running { name: name.to_owned(), log: log.to_owned(), child });
        Ok(())
    }

    /// How many were started.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Lets them work for a while.
    ///
    /// # Errors
    /// Ctrl-C, or one of them has ended; that error has the end of its log.
    pub fn pause(&mut self, how_long: Duration) -> Result<(), DemoError> {
        let interrupt = &mut self.interrupt;
        let interrupted = self.runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => true,
                () = sleep(how_long) => false,
            }
        });
        if interrupted {
            return Err(DemoError::Interrupted);
        }
        for running in &mut self.running {
            if let Ok(Some(status)) = running.child.try_wait() {
                let name = running.name.clone();
                return Err(DemoError::Ended { name, status: status.to_string(), log: tail(&running.log) });
            }
        }
        Ok(())
    }

    /// The ends of all logs, for a failure that no process owns up to.
    pub fn tails(&self) -> String {
        self.running.iter().map(|r| format!("{}:\n{}", r.name, tail(&r.log))).collect::<Vec<_>>().join("\n")
    }

    /// Asks all to stop, and kills those that do not.
    pub fn stop(&mut self) {
        for running in &self.running {
            // One that has ended by itself has no id any more.
            let pid = running.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Kind::TERM));
        }
        let running = std::mem::take(&mut self.running);
        self.runtime.block_on(async {
            let deadline = tokio::time::Instant::now() + STOP;
            for mut running in running {
                let left = deadline.saturating_duration_since(tokio::time::Instant::now());
                if timeout(left, running.child.wait()).await.is_err() {
                    let _ = running.child.kill().await;
                }
            }
        });
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_shown_and_a_missing_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("node.log");
        std::fs::write(&log, (0..30).map(|i| format!("line {i}\n")).collect::<String>()).unwrap();
        let text = tail(&log);
        assert!(text.starts_with("  line 10\n") && text.ends_with("  line 29\n"), "{text}");
        assert_eq!(tail(&dir.path().join("none")), "");
    }
}

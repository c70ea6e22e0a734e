//! The demo's processes: this executable again, once for the coordinator and once for every node. None outlives the demo.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::DemoError;
use crate::cli::CHILD;

/// How long a process may take to stop by itself.
const STOP: Duration = Duration::from_secs(6);
/// How often stopping processes are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// The part of a log that is shown when its process failed.
const TAIL_LINES: usize = 20;

/// Processes that are stopped when this is dropped.
#[derive(Debug, Default)]
pub struct Processes {
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Processes {
    /// Starts this executable with `args`; what it writes goes to `log`.
    ///
    /// It is in a process group of its own, so that Ctrl-C reaches the demo alone, and is killed by the kernel if the demo is killed.
    /// Must be called on the main thread: the kernel counts the thread that started a process as its parent.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(&mut self, name: &str, args: &[OsString], log: &Path) -> Result<(), DemoError> {
        use std::os::unix::process::CommandExt as _;
        let wrong = |e: &std::io::Error| DemoError::Start { name: name.to_owned(), reason: e.to_string() };
        let exe = std::env::current_exe().map_err(|e| wrong(&e))?;
        let out = File::create(log).map_err(|e| DemoError::write(log, &e))?;
        let errors = out.try_clone().map_err(|e| DemoError::write(log, &e))?;
        let child = Command::new(exe)
            .arg(CHILD)
            .arg(std::process::id().to_string())
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|e| wrong(&e))?;
        self.running.push(Running { name: name.to_owned(), log: log.to_owned(), child });
        Ok(())
    }

    /// How many were started.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// That all are still running.
    ///
    /// # Errors
    /// One has ended; the error has the end of its log.
    pub fn alive(&mut self) -> Result<(), DemoError> {
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

    /// Asks all to stop, and ends those that do not.
    pub fn stop(&mut self) {
        for running in &self.running {
            let pid = i32::try_from(running.child.id()).ok().and_then(Pid::from_raw);
            // It may have ended by itself; then there is nothing to stop.
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        let deadline = Instant::now() + STOP;
        for running in &mut self.running {
            while matches!(running.child.try_wait(), Ok(None)) {
                if Instant::now() >= deadline {
                    let _ = running.child.kill();
                    let _ = running.child.wait();
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        self.running.clear();
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

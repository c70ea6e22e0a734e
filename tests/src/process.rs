//! A child process whose log can be waited for, and that never outlives the test.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Lines {
    seen: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

/// A running process with its log (standard error).
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
}

impl Process {
    /// Starts `exe` with these arguments and environment.
    pub fn start(name: &str, exe: &Path, args: &[&OsStr], env: &[(String, String)]) -> Self {
        let mut command = Command::new(exe);
        command.args(args).envs(env.iter().map(|(k, v)| (k, v)));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let lines = Arc::new(Lines::default());
        let stderr = child.stderr.take().expect("a piped log");
        let writer = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writer.seen.lock().expect("no panic holds it").0.push(line);
                writer.changed.notify_all();
            }
            writer.seen.lock().expect("no panic holds it").1 = true;
            writer.changed.notify_all();
        });
        Self { name: name.to_owned(), child, lines }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line after line `from` that contains all of `words`; answers the number of lines up to it.
    pub fn wait_for_line_after(&self, from: usize, words: &[&str]) -> usize {
        let until = Instant::now() + PATIENCE;
        let mut guard = self.lines.seen.lock().expect("no panic holds it");
        let mut at = from;
        loop {
            while let Some(line) = guard.0.get(at) {
                at += 1;
                if words.iter().all(|word| line.contains(word)) {
                    return at;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || guard.1 {
                let log = guard.0.join("\n");
                drop(guard);
                panic!("{} did not say {words:?} after line {from}:\n{log}", self.name);
            }
            guard = self.lines.changed.wait_timeout(guard, left).expect("no panic holds it").0;
        }
    }

    /// Waits for a line that contains all of `words`.
    pub fn wait_for_line(&self, words: &[&str]) -> usize {
        self.wait_for_line_after(0, words)
    }

    /// What the process said so far.
    pub fn log(&self) -> String {
        self.lines.seen.lock().expect("no panic holds it").0.join("\n")
    }

    /// The most memory that the process held at any time, in KiB.
    pub fn peak_kib(&self) -> u64 {
        peak_kib(self.pid())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        signal_pid(self.pid(), signal);
    }

    /// Waits for the process to end by itself; answers its exit code.
    pub fn exit_code(mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }

    /// The number of lines said so far.
    pub fn lines(&self) -> usize {
        self.lines.seen.lock().expect("no panic holds it").0.len()
    }

    /// Ends the process at once (SIGKILL) and waits for its end.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks the process to stop (SIGTERM).
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the process is there");
    }

    /// The process id of the child process that runs `subcommand`.
    pub fn child_pid(&self, subcommand: &str) -> Option<u32> {
        child_of(self.pid(), subcommand)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The child of a process that runs `subcommand`.
pub fn child_of(parent: u32, subcommand: &str) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|b| *b == 0).any(|arg| arg == subcommand.as_bytes())
    })
}

/// The process that started this one.
pub fn parent_of(pid: u32) -> Option<u32> {
    status_of(pid, "PPid:")
}

/// The most memory that a process held at any time, in KiB.
pub fn peak_kib(pid: u32) -> u64 {
    status_of(pid, "VmHWM:").expect("the kernel counts memory")
}

/// The memory that is a process's own, not a mapped file's, in KiB, while it lives.
pub fn anonymous_kib(pid: u32) -> Option<u64> {
    status_of(pid, "RssAnon:")
}

/// How many files a process has open, where the kernel lets this one look.
pub fn open_files(pid: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// A number of a process that everybody may see, whether or not it lets itself be looked into.
fn status_of<T: std::str::FromStr>(pid: u32, name: &str) -> Option<T> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Sends a signal to a process that is there.
pub fn signal_pid(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// Kills any process at once.
pub fn kill_pid(pid: u32) {
    let pid = Pid::from_raw(pid as i32).expect("a process id");
    kill_process(pid, Signal::KILL).expect("the process is there");
}

//! What a process took: time, the processor's time, and the most memory.

use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::hospital::watched;

/// What the kernel counts a processor's time in.
const TICKS_PER_SEC: f64 = 100.0;

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// From start to end.
    pub wall_secs: f64,
    /// Of all its threads.
    pub cpu_secs: f64,
    /// The most that it had in memory at a time.
    pub peak_mib: f64,
}

/// Runs a command to its end.
pub fn by(command: &mut Command) -> Spent {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().expect("the command");
    let (status, stat) = (format!("/proc/{}/status", child.id()), format!("/proc/{}/stat", child.id()));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    // One that has ended has no memory any more, and its time is told until it is waited for.
    let ended = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("its end");
    let (peak_kib, _) = watched(|| peak(&std::fs::read_to_string(&status).ok()?), ended);
    let wall_secs = begun.elapsed().as_secs_f64();
    let cpu_secs = std::fs::read_to_string(stat).ok().as_deref().and_then(ticks).expect("Linux") / TICKS_PER_SEC;
    assert!(child.wait().expect("its end").success(), "{command:?}");
    Spent { wall_secs, cpu_secs, peak_mib: peak_kib as f64 / 1024.0 }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Of the user's and of the system's time.
fn ticks(stat: &str) -> Option<f64> {
    let mut behind_name = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || behind_name.next()?.parse::<f64>().ok();
    Some(ticks()? + ticks()?)
}

/// Runs a program of Python's, which says itself what it took; none where Python lacks a module.
pub struct Python {
    program: &'static str,
}

impl Python {
    /// A program that needs a module.
    pub fn with(module: &str, program: &'static str) -> Option<Self> {
        let mut test = Command::new("python3");
        test.args(["-c", &format!("import {module}")]).stderr(Stdio::null()).stdout(Stdio::null());
        let works = test.status().is_ok_and(|status| status.success());
        if !works {
            println!("`python3 -c \"import {module}\"` fails, so there is nothing to compare with");
        }
        works.then_some(Self { program })
    }

    /// What it took, its start and its modules left out, and the number that it found.
    pub fn run(&self, args: &[&str]) -> (Spent, u64) {
        let output = Command::new("python3").args(["-c", self.program]).args(args).stderr(Stdio::inherit()).output();
        let said = String::from_utf8(output.expect("Python").stdout).expect("numbers");
        let said: Vec<f64> = said.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        let [wall_secs, cpu_secs, peak_kib, found] = said[..] else { panic!("four numbers") };
        (Spent { wall_secs, cpu_secs, peak_mib: peak_kib / 1024.0 }, found as u64)
    }
}

/// The run with the median time.
pub fn median(runs: &mut [Spent]) -> Spent {
    runs.sort_unstable_by(|a, b| a.wall_secs.total_cmp(&b.wall_secs));
    runs[runs.len() / 2]
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wall_secs, cpu_secs, peak_mib } = self;
        write!(f, "{wall_secs:6.2} s  {cpu_secs:6.2} s of the processor  {peak_mib:6.0} MiB")
    }
}

//! A Python process with all rows in memory and the tools that people take: numpy, scikit-learn, lifelines, and statsmodels where it is.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const SCRIPT: &str = include_str!("pooled.py");

pub struct Pooled {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Pooled {
    /// With the sites' files below a folder; none where a tool is absent.
    pub fn start(folder: &Path) -> Option<Self> {
        let mut works = Command::new("python3");
        works.args(["-c", "import numpy, pandas, sklearn, lifelines"]).stderr(Stdio::null()).stdout(Stdio::null());
        if !works.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let mut process = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (orders, answers) = (process.stdin.take()?, BufReader::new(process.stdout.take()?));
        let mut pooled = Self { process, orders, answers };
        pooled.line()?;
        Some(pooled)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.answers.read_line(&mut line).ok()? > 0).then_some(line)
    }

    /// How long a tool takes, without loading, and what it answers; none where Python has not got it.
    pub fn run(&mut self, tool: &str) -> Option<(Duration, String)> {
        writeln!(self.orders, "{tool}").expect("Python listens");
        let line = self.line().expect("Python answers");
        let (seconds, answer) = line.trim().split_once('\t')?;
        Some((Duration::from_secs_f64(seconds.parse().expect("a number")), answer.to_owned()))
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

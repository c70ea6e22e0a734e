//! The log of a daemon: lines as text or JSON, on standard error, for the journal, or to syslog. No patient's value is ever in one: a panic's text,
//! which might hold one, is not printed either.
//!
//! Lines about a study carry its `study`, those about a round `round` too: fields of the span that the daemon works in. Whatever a target needs is
//! opened here, before a sandbox: a process that may open no socket still writes to the one that it has.

mod lines;

use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, reload};

use lines::Lines;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl Form {
    /// As it is written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Text => "text",
            Form::Json => "json",
        }
    }
}

impl FromStr for Form {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Form::Text, Form::Json].into_iter().find(|form| form.as_str() == text).ok_or("text or json")
    }
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Standard error, with the time.
    #[default]
    Stderr,
    /// Standard error with the priority before each line, as the journal reads it from a service (`sd-daemon(3)`).
    Journald,
    /// The machine's syslog, by `/dev/log`.
    Syslog,
}

/// What is logged, how, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A filter as `RUST_LOG` has it. Its caller has checked it.
    pub level: String,
    /// How.
    pub form: Form,
    /// Where.
    pub target: Target,
}

/// A handle to the level, for a daemon that reads its configuration again.
#[derive(Clone)]
pub struct Level(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Level {
    /// From now on this filter holds.
    ///
    /// # Errors
    /// The log has another subscriber, or the text is no filter.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
        (self.0)(filter).map_err(|error| error.to_string())
    }
}

/// Begins to log for the process `process`, which is also its name in syslog.
pub fn begin(settings: &Settings, process: &'static str) -> Level {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let (lines, problem) = Lines::to(settings.target, process);
    // Where standard error is closed there is nobody left to tell, and no reason to end.
    let layer = tracing_subscriber::fmt::layer().with_target(false).log_internal_errors(false).with_writer(lines);
    let ansi = settings.target == Target::Stderr && std::io::stderr().is_terminal();
    // Journal and syslog know the time themselves.
    let layer = match (settings.form, settings.target) {
        (Form::Json, _) => layer.json().with_span_list(false).boxed(),
        (Form::Text, Target::Stderr) => layer.with_ansi(ansi).boxed(),
        (Form::Text, _) => layer.with_ansi(false).without_time().boxed(),
    };
    // A second subscriber is refused, which happens only where one process runs two daemons: the first one's log serves both.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
    if let Some(problem) = problem {
        tracing::warn!(problem, "log.target: lines go to standard error instead");
    }
    tracing::debug!(process, "logging begins");
    quiet_panics(process);
    Level(Arc::new(move |filter| handle.reload(filter)))
}

/// A panic is logged with its place alone: its text can hold what the program was working on.
pub fn quiet_panics(process: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        tracing::error!(process, place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_reads_back_as_it_is_written_and_another_word_is_none() {
        for form in [Form::Text, Form::Json] {
            assert_eq!(form.as_str().parse(), Ok(form));
        }
        assert!("xml".parse::<Form>().is_err());
    }
}

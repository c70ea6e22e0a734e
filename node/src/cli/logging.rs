//! Log lines on standard error. No patient's value is ever in one: a panic's text, which might hold one, is not printed either.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
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

/// Begins to log for the process `process`. `level` was checked by the configuration.
pub fn begin(form: Form, level: &str, process: &'static str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Where standard error is closed there is nobody left to tell, and no reason to end.
    let lines = lines.log_internal_errors(false);
    // A second subscriber is refused, which happens only where one process runs two nodes: the first one's log serves both.
    let _ = match form {
        Form::Json => lines.json().try_init(),
        Form::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    tracing::debug!(process, "logging begins");
    quiet_panics(process);
}

/// A panic is logged with its place alone: its text can hold what the program was working on.
pub fn quiet_panics(process: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        tracing::error!(process, place, "panic");
    }));
}

//! What the commands print: data to standard output, everything else to standard error. A reader that has seen enough is no error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use bocage_protocol::counted::counted;
use bocage_protocol::settings::Problems;
use serde::Serialize;

use super::children;
use crate::custodian::ledger::LedgerError;
use crate::supervisor::report::failed_report;

/// The form of a command's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Why a command failed, and what its exit code is.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// The person's problem: exit code 1.
    pub fn theirs(message: impl Display) -> Self {
        Self { message: message.to_string(), hint: None, code: 1 }
    }

    /// Ours: exit code 2.
    pub fn ours(message: impl Display) -> Self {
        Self { message: message.to_string(), hint: None, code: 2 }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Several problems of the person, each with what to do about it; none where there are none.
    pub fn of_all(problems: Vec<(String, String)>) -> Option<Self> {
        let all = problems.into_iter().map(|(message, hint)| Self::theirs(message).hint(hint));
        all.reduce(|all, next| {
            let before = all.hint.map_or_else(String::new, |hint| format!("\n  hint: {hint}"));
            Self { message: format!("{}{before}\nerror: {}", all.message, next.message), ..next }
        })
    }

    /// Says it to the supervisor, by its pipe: that knows whether the same was said before.
    pub fn report_to_supervisor(&self) -> ExitCode {
        children::say(&failed_report(&self.message, self.hint.as_deref()));
        ExitCode::from(self.code)
    }

    /// Says it on standard error.
    pub fn report(&self) -> ExitCode {
        // Where even standard error is closed there is nobody left to tell.
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "error: {}", self.message);
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "  hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

/// Says on standard error what went well but not as a person may think.
pub fn warn(what: &str, hint: Option<&str>) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "warning: {what}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "  hint: {hint}");
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::theirs(&error).hint(error.hint())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let what = counted(problems.0.len(), "problem");
        Self::theirs(format!("the configuration has {what}\n\n{problems}"))
            .hint("`bocage node check` looks at everything without starting anything")
    }
}

/// Prints through `print`, buffered. A closed pipe ends the printing, successfully.
///
/// # Errors
/// Where standard output fails otherwise.
pub fn print(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match print(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::ours(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON, on several lines.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(|out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        writeln!(out)
    })
}

/// Prints a table as CSV.
///
/// # Errors
/// As [`print`].
pub fn print_csv(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Failure> {
    print(|out| csv_to(out, header, rows))
}

fn csv_to(out: &mut dyn Write, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(header).map_err(from_csv)?;
    for row in rows {
        writer.write_record(&row).map_err(from_csv)?;
    }
    writer.flush()
}

/// The writer's own error, with its kind: the library's conversion hides that a pipe is closed.
fn from_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_table_into_a_closed_pipe_is_told_as_a_closed_pipe() {
        let rows = (0..10_000).map(|n| vec![n.to_string(), "a value".to_owned()]);
        let error = csv_to(&mut Closed, &["n", "text"], rows).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

//! How commands write: results to stdout, everything else to stderr. A reader that went away is no error.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a result.
///
/// # Errors
/// Where stdout fails otherwise than by being closed.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a line to stderr. Where that fails there is nobody left to tell.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

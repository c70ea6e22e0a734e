//! Where log lines go, and what stands before each of them there.
//!
//! A line is written in one call, so that lines of processes that share a target do not mix. What cannot be handed to syslog goes to standard error: a log that is lost
//! helps nobody.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::Target;

/// Where syslog listens.
const SYSLOG: &str = "/dev/log";
/// The facility `daemon` of syslog, in its place before the severity.
const DAEMON: u8 = 3 << 3;

/// A target that is open.
pub(super) enum Lines {
    Stderr,
    Journal,
    Syslog { socket: UnixDatagram, tag: String },
}

impl Lines {
    /// Opens a target. Where it cannot be, standard error takes its place, and what the matter is comes along.
    pub(super) fn to(target: Target, process: &str) -> (Self, Option<String>) {
        match target {
            Target::Stderr => (Self::Stderr, None),
            Target::Journald => (Self::Journal, None),
            Target::Syslog => match syslog(Path::new(SYSLOG)) {
                Ok(socket) => (Self::Syslog { socket, tag: format!("bocage-{process}[{}]", std::process::id()) }, None),
                Err(error) => (Self::Stderr, Some(format!("{SYSLOG} cannot be reached: {error}"))),
            },
        }
    }
}

fn syslog(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    // A syslog that does not read must not stop a daemon.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How grave a line is, in the numbers of syslog.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// One event on its way.
pub(super) struct Line<'a> {
    lines: &'a Lines,
    severity: u8,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, severity: severity(Level::INFO) }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, severity: severity(*meta.level()) }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match self.lines {
            Lines::Stderr => io::stderr().write_all(event)?,
            Lines::Journal => io::stderr().write_all(&prefixed(event, &format!("<{}>", self.severity)))?,
            Lines::Syslog { socket, tag } => {
                let prefix = format!("<{}>{tag}: ", DAEMON | self.severity);
                for line in prefixed(event, &prefix).split_inclusive(|byte| *byte == b'\n') {
                    if socket.send(line.trim_ascii_end()).is_err() {
                        io::stderr().write_all(line)?;
                    }
                }
            }
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error that has a hint takes two lines: each says how grave it is.
fn prefixed(event: &[u8], prefix: &str) -> Vec<u8> {
    event.split_inclusive(|byte| *byte == b'\n').flat_map(|line| [prefix.as_bytes(), line].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_event_says_how_grave_it_is() {
        assert_eq!(prefixed(b"broken\n  hint: mend it\n", "<3>"), b"<3>broken\n<3>  hint: mend it\n");
        assert_eq!(prefixed(b"one", "<6>"), b"<6>one");
        let graver: Vec<u8> = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG].map(severity).to_vec();
        assert!(graver.is_sorted());
    }

    #[test]
    fn syslog_gets_a_datagram_a_line_with_facility_severity_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let lines = Lines::Syslog { socket: syslog(&path).unwrap(), tag: "bocage-agent[7]".to_owned() };
        let mut line = Line { lines: &lines, severity: severity(Level::WARN) };
        assert_eq!(line.write(b"WARN no session\n  hint: look\n").unwrap(), 29);
        let heard = || {
            let mut bytes = [0; 200];
            let length = daemon.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        assert_eq!(heard(), "<28>bocage-agent[7]: WARN no session");
        assert_eq!(heard(), "<28>bocage-agent[7]:   hint: look");
        // One that is gone costs no line and no process.
        drop(daemon);
        assert!(line.write(b"WARN again\n").is_ok());
    }
}

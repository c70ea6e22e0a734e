//! The other side of a status socket: what a command prints. One request, one answer, with a bound on time and bytes.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bocage_protocol::limits;

/// What a status socket shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Whether the loop turns.
    Health,
    /// Whether it does what it is for.
    Ready,
    /// Its metrics.
    Metrics,
}

impl Page {
    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
        }
    }

    /// The page at a path.
    pub fn at(path: &str) -> Option<Self> {
        [Self::Health, Self::Ready, Self::Metrics].into_iter().find(|page| page.path() == path)
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("nobody listens at {0}")]
    Nobody(PathBuf),
    /// It does not answer in time, or the socket is another user's.
    #[error("{path} does not answer: {}", source.kind())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What came is no answer of a status socket.
    #[error("what answers at {path} is no status socket")]
    Strange {
        /// The socket.
        path: PathBuf,
    },
}

/// Asks the status socket at `path`; answers the page and whether it is a good one.
///
/// # Errors
/// See [`AskError`].
pub fn ask(path: &Path, page: Page) -> Result<(bool, String), AskError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::Nobody(path.to_owned()),
        _ => AskError::Io { path: path.to_owned(), source },
    };
    let text = exchange(path, page).map_err(io)?;
    let parts = text.split_once("\r\n\r\n").and_then(|(head, body)| Some((head.strip_prefix("HTTP/1.1 ")?, body)));
    let (head, body) = parts.ok_or_else(|| AskError::Strange { path: path.to_owned() })?;
    Ok((head.starts_with("200 "), body.to_owned()))
}

fn exchange(path: &Path, page: Page) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    let patience = Some(Duration::from_secs(limits::STATUS_SECS));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    stream.write_all(format!("GET {} HTTP/1.1\r\nhost: local\r\nconnection: close\r\n\r\n", page.path()).as_bytes())?;
    let mut text = String::new();
    stream.take(limits::STATUS_PAGE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

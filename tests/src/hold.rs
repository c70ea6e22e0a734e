//! Holding a custodian's query at its start until the test lets it go: no test guesses how long a query takes.
//!
//! The test listens on a Unix socket. The lab binary's custodians connect to it before each query and wait for one byte, or for the end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The environment variable of the lab binary (not of the product) that names the socket.
pub const VARIABLE: &str = "BOCAGE_LAB_HOLD";

/// The test's side.
pub struct Hold {
    listener: UnixListener,
    path: PathBuf,
}

/// A query that stands still.
pub struct Held(UnixStream);

impl Hold {
    /// Listens below `folder`.
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("hold.sock");
        Self { listener: UnixListener::bind(&path).expect("a socket"), path }
    }

    /// The environment entry for the nodes to be held.
    pub fn env(&self) -> (String, String) {
        (VARIABLE.to_owned(), self.path.display().to_string())
    }

    /// Waits for the next query to begin.
    pub fn next(&self) -> Held {
        Held(self.listener.accept().expect("a custodian").0)
    }

    /// Lets every later query pass: a custodian that cannot connect goes on.
    pub fn lift(self) {
        drop(self.listener);
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Held {
    /// Lets the query go on.
    pub fn release(mut self) {
        let _ = self.0.write_all(&[1]);
    }
}

/// The custodian's side: called before each query.
pub fn wait(path: &Path) {
    if let Ok(mut stream) = UnixStream::connect(path) {
        let _ = stream.read(&mut [0]);
    }
}

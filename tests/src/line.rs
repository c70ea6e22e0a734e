//! A line between a process of the lab binary and its test. The process opens it before anything else: confined, it can open none. What
//! calls on it says a word and stands still until the test answers, or is gone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The process's side.
pub struct Line(Mutex<UnixStream>);

impl Line {
    /// Opens a line to whoever listens at `path`, if somebody does.
    pub fn open(path: &Path) -> Option<Self> {
        UnixStream::connect(path).ok().map(|stream| Self(Mutex::new(stream)))
    }

    /// Says who calls and the word, and waits.
    pub fn call(&self, word: &str) {
        let mut stream = self.0.lock().expect("no panic holds it");
        if writeln!(stream, "{} {word}", std::process::id()).is_ok() {
            let _ = stream.read(&mut [0]);
        }
    }
}

/// One call. The process goes on when it is dropped.
pub struct Call {
    /// Who called.
    pub pid: u32,
    /// The word.
    pub word: String,
    stream: UnixStream,
}

impl Drop for Call {
    fn drop(&mut self) {
        let _ = self.stream.write_all(&[1]);
    }
}

/// The test's side: where lines come in.
pub struct Exchange(PathBuf);

impl Exchange {
    /// Listens at `path`; `take` gets every call, on a thread of its line.
    pub fn new(path: PathBuf, take: impl Fn(Call) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(&path).expect("a socket");
        let take = Arc::new(take);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let take = Arc::clone(&take);
                std::thread::spawn(move || listen(&stream, take.as_ref()));
            }
        });
        Self(path)
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Processes that start from now on find nobody, and do not call.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listen(stream: &UnixStream, take: &(impl Fn(Call) + ?Sized)) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let (pid, word) = line.split_once(' ').expect("who calls, and a word");
        let stream = stream.try_clone().expect("the same line");
        take(Call { pid: pid.parse().expect("a process id"), word: word.to_owned(), stream });
    }
}

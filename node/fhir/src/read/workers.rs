//! Threads that make rows of pieces. Which of them had which piece shows nowhere: pieces are given out and taken back in order.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::pieces::{Made, Piece};
use crate::view::View;

/// More threads read no faster than what comes behind them.
const MOST_THREADS: usize = 4;

type Done = thread::Result<Made>;

struct Job {
    piece: Piece,
    file: Arc<str>,
    done: Sender<Done>,
}

/// Pieces under way, in order, and the threads that work on them. `M` is what somebody wants to know again of a piece.
pub struct Workers<M> {
    view: Arc<View>,
    /// None where no thread works but the asker's.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    under_way: VecDeque<UnderWay<M>>,
}

/// A piece that is made, or is awaited.
struct UnderWay<M> {
    made: Made,
    awaited: Option<Receiver<Done>>,
    file: Arc<str>,
    known: M,
}

impl<M> Workers<M> {
    /// As many threads; none where it is one.
    pub fn new(view: Arc<View>, threads: usize) -> Self {
        let mut workers = Self { view, jobs: None, threads: Vec::new(), under_way: VecDeque::new() };
        if threads > 1 {
            let (give, take) = channel();
            let take = Arc::new(Mutex::new(take));
            workers.jobs = Some(give);
            workers.threads.extend((0..threads.min(MOST_THREADS)).map(|_| {
                let (view, take) = (Arc::clone(&workers.view), Arc::clone(&take));
                thread::spawn(move || work(&view, &take))
            }));
        }
        workers
    }

    /// Whether it takes a further piece.
    pub fn has_room(&self) -> bool {
        self.under_way.len() < (2 * self.threads.len()).max(1)
    }

    /// Gives a piece out, behind all others.
    pub fn give(&mut self, piece: Piece, file: &Arc<str>, known: M) {
        let (made, awaited) = self.begun(piece, file);
        self.under_way.push_back(UnderWay { made, awaited, file: Arc::clone(file), known });
    }

    /// Puts what is made already behind all others.
    pub fn put(&mut self, made: Made, file: &Arc<str>, known: M) {
        self.under_way.push_back(UnderWay { made, awaited: None, file: Arc::clone(file), known });
    }

    fn begun(&self, piece: Piece, file: &Arc<str>) -> (Made, Option<Receiver<Done>>) {
        let (done, taken) = channel();
        let job = Job { piece, file: Arc::clone(file), done };
        match &self.jobs {
            None => (job.piece.rows(&self.view, file), None),
            Some(jobs) => match jobs.send(job) {
                Ok(()) => (Made::default(), Some(taken)),
                // Threads end when the sender is dropped, not before.
                Err(unsent) => (unsent.0.piece.rows(&self.view, file), None),
            },
        }
    }

    /// What became of the first piece under way, and what is known of it where it is over; its rest is under way then.
    pub fn take(&mut self) -> Option<(Made, Arc<str>, Option<M>)> {
        let UnderWay { mut made, awaited, file, known } = self.under_way.pop_front()?;
        if let Some(done) = awaited.and_then(|done| done.recv().ok()) {
            made = done.unwrap_or_else(|panic| resume_unwind(panic));
        }
        match made.rest.take() {
            None => Some((made, file, Some(known))),
            Some(rest) => {
                let (begun, awaited) = self.begun(rest, &file);
                self.under_way.push_front(UnderWay { made: begun, awaited, file: Arc::clone(&file), known });
                Some((made, file, None))
            }
        }
    }
}

fn work(view: &View, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { piece, file, done }) = job else { return };
        // Whoever asked may be gone.
        let _ = done.send(catch_unwind(AssertUnwindSafe(|| piece.rows(view, &file))));
    }
}

impl<M> Drop for Workers<M> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // It catches its panics.
            let _ = thread.join();
        }
    }
}

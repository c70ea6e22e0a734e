//! The fixed partition of a snapshot, and the threads that work it off.
//!
//! ```text
//! rows ──cut at subjects──▶ part 0, part 1, …  ──each: filter, select (Polars), count (a thread's own)──▶ absorb ─▶ all
//! ```
//!
//! Where parts begin follows from the snapshot alone. Which thread counts which part does not matter: sums are integers, and
//! no two parts share a subject. What a part selects is dropped before the thread takes the next one, so that memory is
//! bounded by threads, not by rows. It must never let the number of threads show in a bit of the result.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use bocage_protocol::limits;

use super::pass::PassError;
use crate::custodian::snapshot::{Part, Rows};

/// Rows of a part, up to the next subject: what it selects fits a core's share of the cache.
pub const PART_ROWS: usize = 1 << 17;
/// Values that the threads' tables may have in all: with large tables fewer threads work.
const VALUES: usize = 4 * limits::TALLY_VALUES;

/// What a thread counts, part by part.
pub trait PartCount: Send + Sized {
    /// Ends a part: what is added next may have any subjects but those of this part. Answers its first and last.
    fn end_part(&mut self) -> Option<(u32, u32)>;

    /// Adds what another thread has counted over other subjects.
    ///
    /// # Errors
    /// It counted something else.
    fn absorb(&mut self, other: Self) -> Result<(), PassError>;
}

/// How many cores this process may use. Asked once, early: a confined process cannot read the quota that it has.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// How a snapshot is cut, and by how many threads it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Partition {
    /// Rows of a part.
    pub rows: usize,
    /// Threads.
    pub threads: usize,
}

impl Partition {
    /// All cores, as far as so many values may be held once a core.
    pub fn of(values: usize) -> Self {
        let threads = cores().min(VALUES / values.max(1)).max(1);
        Self { rows: PART_ROWS, threads }
    }

    /// Counts all parts: `count` adds the rows of one to what a thread has counted, which is `empty` at first.
    ///
    /// # Errors
    /// The first part's that fails, whichever thread had it; `Unsorted` where parts share or exchange subjects.
    pub fn count<A, E, F>(self, rows: Rows<'_>, empty: impl Fn() -> A, count: F) -> Result<A, E>
    where
        A: PartCount,
        E: From<PassError> + Send,
        F: Fn(&Part, &mut A) -> Result<(), E> + Sync,
    {
        let parts = rows.parts(self.rows);
        let work =
            Work { parts: &parts, next: AtomicUsize::new(0), failed: AtomicBool::new(false), first: Mutex::default() };
        let threads = self.threads.min(parts.len()).max(1);
        let mut worked = if threads == 1 {
            vec![work.run(empty(), &count)]
        } else {
            std::thread::scope(|scope| {
                let (work, count) = (&work, &count);
                let start = |own: A| scope.spawn(move || work.run(own, count));
                let running: Vec<_> = (0..threads).map(|_| start(empty())).collect();
                // A panic goes on in this thread: the caller answers for it as for any other.
                running.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
            })
        };
        if let Some((_, error)) = work.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut spans: Vec<_> = worked.iter_mut().flat_map(|w| std::mem::take(&mut w.spans)).collect();
        spans.sort_unstable_by_key(|(part, _)| *part);
        if spans.windows(2).any(|pair| pair[1].1.0 <= pair[0].1.1) {
            return Err(PassError::Unsorted.into());
        }
        let mut counted = worked.into_iter().map(|w| w.counted);
        let mut whole = counted.next().unwrap_or_else(empty);
        counted.try_for_each(|other| whole.absorb(other))?;
        Ok(whole)
    }
}

/// What the threads share.
struct Work<'a, E> {
    parts: &'a [Part],
    next: AtomicUsize,
    failed: AtomicBool,
    first: Mutex<Option<(usize, E)>>,
}

/// What one thread has counted, and the first and last subject of each of its parts.
struct Worked<A> {
    counted: A,
    spans: Vec<(usize, (u32, u32))>,
}

impl<E> Work<'_, E> {
    fn run<A, F>(&self, empty: A, count: &F) -> Worked<A>
    where
        A: PartCount,
        F: Fn(&Part, &mut A) -> Result<(), E>,
    {
        let mut worked = Worked { counted: empty, spans: Vec::new() };
        // Parts are taken in order and every taken part is ended, so that the first that fails is always among those seen.
        while !self.failed.load(Ordering::Acquire) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = self.parts.get(at) else { break };
            match count(part, &mut worked.counted) {
                Ok(()) => worked.spans.extend(worked.counted.end_part().map(|span| (at, span))),
                Err(error) => {
                    self.failed.store(true, Ordering::Release);
                    let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                    if first.as_ref().is_none_or(|(part, _)| at < *part) {
                        *first = Some((at, error));
                    }
                    break;
                }
            }
        }
        worked
    }
}

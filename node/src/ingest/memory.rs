//! What an ingest does with memory that it gives back: batches of the same size follow each other, so what one had is kept for the next. By itself
//! the system's allocator returns every larger piece at once, and each is made anew, page by page.

/// Pieces up to here are kept: a column of a batch is smaller.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 4 << 20;
/// What may lie unused at the end of the heap.
#[cfg(target_env = "gnu")]
const IDLE_BYTES: libc::c_int = 128 << 20;

/// Keeps memory for the next batch, for as long as this process runs; other allocators than glibc's do as they do.
#[cfg_attr(target_env = "gnu", allow(unsafe_code))]
pub fn keep() {
    #[cfg(target_env = "gnu")]
    for (what, bytes) in [(libc::M_MMAP_THRESHOLD, KEPT_BYTES), (libc::M_TRIM_THRESHOLD, IDLE_BYTES)] {
        // SAFETY: two numbers are set under the allocator's own lock; no memory is passed, and what it handed out stays as it is. Where it does not
        // take one, it goes on as before.
        unsafe { libc::mallopt(what, bytes) };
    }
}

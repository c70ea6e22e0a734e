//! What every daemon of a network has, whatever it does: a log, a status socket with its metrics, and a word to systemd.
//!
//! It knows nothing of studies and sites. It must never listen beyond this machine, and nothing that it writes may come from a patient's row: it is
//! handed counts and names that its caller vouches for.

pub mod figures;
mod heap;
pub mod log;
pub mod notify;
pub mod process;
pub mod pulse;
pub mod status;
pub mod terminal;

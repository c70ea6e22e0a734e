//! The pure core of Bocage: what is said between hospitals, coordinator and researcher, and what it means.
//!
//! Nothing here performs I/O, reads a clock or draws randomness: time and entropy are arguments ([`mod@env`]).
//! Neither quinn nor tokio is in this crate's tree.

pub mod analysis;
pub mod contract;
pub mod counted;
pub mod env;
pub mod error;
pub mod front;
pub mod ids;
pub mod limits;
pub mod marks;
pub mod plan;
pub mod release;
pub mod renewal;
pub mod session;
pub mod settings;
pub mod tally;
pub mod trust;
pub mod wire;

pub use error::{ErrorCode, PublicError};

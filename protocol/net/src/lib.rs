//! How a Bocage coordinator and its nodes reach each other: links, frames, certificates, and the files and clock they
//! need.
//!
//! A session is one [`Link`] between a node, which dials, and the coordinator, which listens; each knows from the
//! other's certificate who it is. Streams of a link carry length-prefixed [`frame`]s. [`quic`] is the transport of
//! production, [`tcp`] that of hospitals whose firewall drops UDP, [`memory`] that of tests and simulations; all pass the same contract test, and the
//! first two refuse the same table of bad credentials.
//!
//! This crate knows nothing of studies, tallies or data. [`mod@env`] is the only place of the project that reads the clock
//! or the operating system's randomness.

#[cfg(test)]
mod bad_credentials;
pub mod certificates;
pub mod code_files;
pub mod denylist;
pub mod document;
pub mod either;
pub mod env;
pub mod frame;
pub mod https;
pub mod identities;
pub mod identity;
pub mod memory;
pub mod places;
pub mod quic;
pub mod rollover;
pub mod secret;
pub mod settings;
pub mod tcp;
pub mod tls;
pub mod transport;
pub mod watched;
pub mod ways;

pub use denylist::Denylist;
pub use identities::Identities;
pub use identity::Identity;
pub use transport::{CloseCode, Closed, ConnectError, Dialler, Link, LinkError, Listener, Peer};

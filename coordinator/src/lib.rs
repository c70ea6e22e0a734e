//! The Bocage coordinator and what the researcher's command line does.
//!
//! The coordinator accepts signed studies over HTTP, puts their rounds to the sites over QUIC, verifies and keeps what the sites release, and
//! combines it. It never sees a row, can invent no question (every node verifies the researcher's signature itself) and reads no data file.
//!
//! ```text
//! client ──HTTP/JSON──▶ api ──▶ server (one owner) ──▶ dispatch ──▶ members ──QUIC──▶ node
//!                                    │                    │
//!                                  store ◀── releases ────┘──▶ analysis (drivers) ──▶ result ──▶ report
//! ```

pub mod analysis;
pub mod api;
pub mod backup;
mod bucket;
pub mod cli;
pub mod client;
pub mod config;
mod counts;
pub mod dispatch;
pub mod members;
mod output;
pub mod people;
pub mod permits;
pub mod publisher;
pub mod report;
pub mod server;
pub mod store;

#[cfg(test)]
mod bench;

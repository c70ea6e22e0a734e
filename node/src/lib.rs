//! The node of a Bocage network: the daemon that runs beside one site's data, and its command line.
//!
//! Everything that can see a record lives under [`custodian`]; everything that can see the network lives under
//! [`agent`]. The two run as separate processes and share only the frames that pass between them.

pub mod agent;
pub mod backup;
pub mod cli;
pub mod config;
pub mod custodian;
pub mod doctor;
pub mod enrol;
pub mod herald;
pub mod ingest;
pub mod report;
pub mod sandbox;
pub mod supervisor;

#[cfg(test)]
mod fixture;

//! The client of FHIR Bulk Data `$export` (version 2): asks a server for an export, waits for it, fetches its files into a folder, and has the server
//! drop it.
//!
//! ```text
//! token ◀── SMART backend services ──▶ ask (`$export`) ─▶ wait (202) ─▶ manifest ─▶ file after file ─▶ publish (one rename) ─▶ DELETE
//!                                          └───────────── state file: a killed run goes on here ──────────────┘
//! ```
//! What it fetches is patients' records, so it goes into files of the owner alone, and nothing of it is ever in an error or an event: those name
//! places, files and numbers of lines. It never decides by what a record says. Time, entropy and waiting are arguments.

pub mod base;
mod body;
mod download;
mod draft;
pub mod error;
mod export;
pub mod key;
mod lines;
mod manifest;
mod publish;
pub mod server;
mod session;
mod token;
mod wait;
pub mod world;

pub use base::Base;
pub use error::BulkError;
pub use export::{Export, cancel, export};
pub use key::SigningKey;
pub use publish::About;
pub use server::{Client, Level, ResourceType, Server, Since};
pub use world::{Bounds, Event, SystemTimer, Timer, World};

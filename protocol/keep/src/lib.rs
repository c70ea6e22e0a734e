//! What keeps a daemon alive for years: backups that are sealed to a public key, and the findings of its doctor.
//!
//! Node and coordinator say what they have and what is to be looked at; how it is packed, sealed, put back and told stands here. This crate knows
//! nothing of ledgers, studies or data.

pub mod archive;
pub mod database;
pub mod doctor;
pub mod named;
pub mod seal;

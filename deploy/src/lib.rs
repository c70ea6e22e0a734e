//! The Bocage command line: networks, permits, studies and the demo.
//!
//! It is thin: it renders deployments, signs permits, runs the demo, and reaches the researcher's commands, the node and the coordinator. It never reads a
//! hospital's data, except in the demo, which carries its own.

pub mod access_body;
pub mod cli;
pub mod demo;
pub mod network;

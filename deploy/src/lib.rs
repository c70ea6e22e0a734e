//! The Bocage command line: networks, studies and the demo.
//!
//! It is thin: it renders deployments, runs the demo, and reaches the researcher's commands, the node and the coordinator. It never reads a
//! hospital's data, except in the demo, which carries its own.

pub mod cli;
pub mod demo;
pub mod network;

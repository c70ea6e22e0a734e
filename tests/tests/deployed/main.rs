//! A network as machines run it: the files that are rendered for them, held against the tools that read such files, and a node whose processes are units of
//! their own.
//!
//! A tool that is not installed is not run, and the test says so. No container engine is ever run: compose files are held against the published schema.

mod rendered;
mod tools;
mod units;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

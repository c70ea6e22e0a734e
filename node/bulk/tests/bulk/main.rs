//! Exports from a small server that misbehaves on request: each is healed, or ends in an error that names its place and a remedy.

// All of it is tests, which may unwrap: their server and their site, too.
#![allow(clippy::unwrap_used)]

mod days;
mod files;
mod hospital;
mod site;
mod tokens;
mod waiting;
mod whole;

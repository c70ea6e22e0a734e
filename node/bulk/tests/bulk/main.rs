//! Exports from a small server that misbehaves on request: each is healed, or ends in an error that names its place and a remedy.

mod days;
mod files;
mod hospital;
mod site;
mod tokens;
mod waiting;
mod whole;

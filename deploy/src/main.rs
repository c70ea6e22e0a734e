//! `bocage`. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bocage::cli::main(std::env::args_os())
}

//! The program `bocage-node`. Everything it does is in the library, which the umbrella program uses too.

use std::io::Write as _;
use std::process::ExitCode;

use bocage_node::cli::{self, Reexec, Switches};

fn main() -> ExitCode {
    match Reexec::current(Vec::new()) {
        Ok(reexec) => cli::main(std::env::args_os(), reexec, Switches::default()),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: cannot find this program's own file: {error}");
            ExitCode::from(2)
        }
    }
}

//! The product's command line with the tests' switches: what `Switches` the daemons get is a constructor argument here, and nowhere else.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bocage_node::cli::{Reexec, Switches};
use bocage_tests::hold;

fn main() -> ExitCode {
    let mut args: Vec<OsString> = env::args_os().collect();
    if args.get(1).is_none_or(|command| command != "node") {
        return bocage::cli::main(args);
    }
    args.remove(1);
    let reexec = Reexec { exe: env::current_exe().expect("our own path"), prefix: vec!["node".into()] };
    let switches = match env::var_os(hold::VARIABLE).map(PathBuf::from) {
        Some(socket) => Switches { before_query: Some(Arc::new(move |_| hold::wait(&socket))) },
        None => Switches::default(),
    };
    bocage_node::cli::main(args, reexec, switches)
}

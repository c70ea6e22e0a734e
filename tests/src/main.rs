//! The product's command line with the tests' switches: what `Switches` the daemons get is a constructor argument here, and nowhere else.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bocage_coordinator::cli as coordinator;
use bocage_net::env::SystemClock;
use bocage_node::cli::{Reexec, Switches};
use bocage_protocol::env::Clock;
use bocage_tests::clock::{self, StepClock};
use bocage_tests::{crash, hold};

fn main() -> ExitCode {
    let mut args: Vec<OsString> = env::args_os().collect();
    match args.get(1).and_then(|command| command.to_str()) {
        Some("node") => {
            args.remove(1);
            let reexec = Reexec { exe: env::current_exe().expect("our own path"), prefix: vec!["node".into()] };
            bocage_node::cli::main(args, reexec, node())
        }
        Some("coordinator") => {
            args.remove(1);
            let clock = step_clock().unwrap_or_else(|| Arc::new(SystemClock));
            let at = crash::from_env().map(|crash| -> coordinator::AtMoment { Arc::new(move |m| crash.at(m.name())) });
            coordinator::main(args, coordinator::Switches { clock, at, ..coordinator::Switches::default() })
        }
        _ => bocage::cli::main(args),
    }
}

fn node() -> Switches {
    let held = env::var_os(hold::VARIABLE).map(PathBuf::from);
    let crash = crash::from_env();
    Switches {
        before_query: held
            .map(|socket| -> bocage_node::custodian::BeforeQuery { Arc::new(move |_| hold::wait(&socket)) }),
        at: crash.map(|crash| -> bocage_node::custodian::AtMoment { Arc::new(move |m| crash.at(m.name())) }),
        clock: step_clock(),
        ..Switches::default()
    }
}

fn step_clock() -> Option<Arc<dyn Clock>> {
    env::var_os(clock::VARIABLE).map(|file| -> Arc<dyn Clock> { Arc::new(StepClock::new(file.into())) })
}

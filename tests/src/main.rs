//! The product's command line with the tests' switches: what `Switches` the daemons get is a constructor argument here, and nowhere else.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use bocage_coordinator::cli as coordinator;
use bocage_net::env::SystemClock;
use bocage_node::cli::{Reexec, Switches};
use bocage_node::custodian::OnIngest;
use bocage_node::custodian::snapshot::{Progress, Size};
use bocage_node::sandbox::{OnSealed, Process};
use bocage_protocol::env::Clock;
use bocage_tests::clock::{self, StepClock};
use bocage_tests::{crash, escapes, hold, lifted, old_kernel};

fn main() -> ExitCode {
    if env::var_os(old_kernel::VARIABLE).is_some() {
        old_kernel::pretend();
    }
    let mut args: Vec<OsString> = env::args_os().collect();
    match args.get(1).and_then(|command| command.to_str()) {
        Some("node") => {
            args.splice(..2, [bocage::cli::NODE.into()]);
            let reexec = Reexec { exe: env::current_exe().expect("our own path"), prefix: vec!["node".into()] };
            bocage_node::cli::main(args, reexec, node())
        }
        Some("coordinator") => {
            args.splice(..2, [bocage::cli::COORDINATOR.into()]);
            let clock = step_clock().unwrap_or_else(|| Arc::new(SystemClock));
            let at = crash::from_env().map(|crash| -> coordinator::AtMoment { Arc::new(move |m| crash(m.name())) });
            let usual = coordinator::Switches::default();
            let grace = clock::grace().unwrap_or(usual.grace);
            coordinator::main(args, coordinator::Switches { clock, at, grace, ..usual })
        }
        _ => bocage::cli::main(args),
    }
}

fn node() -> Switches {
    let hold = hold::from_env(hold::QUERY);
    let crash = crash::from_env();
    Switches {
        before_query: hold.map(|hold| -> bocage_node::custodian::BeforeQuery { Arc::new(move |_| hold()) }),
        at: crash.map(|crash| -> bocage_node::custodian::AtMoment { Arc::new(move |m| crash(m.name())) }),
        clock: step_clock(),
        sealed: escapes::from_env().or_else(held_at_start),
        ingesting: at_ingests(),
        size: size_of_ingests(),
        unsandboxed: env::var_os(escapes::UNSANDBOXED).is_some(),
        environment: vec!["BOCAGE_LAB_".to_owned()],
        controls: lifted::from_env(),
    }
}

fn at_ingests() -> Option<OnIngest> {
    let hold = hold::from_env(hold::INGEST);
    let dials = env::var_os(escapes::DIALS).is_some();
    let crash = crash::from_env();
    (hold.is_some() || dials || crash.is_some()).then(|| -> OnIngest {
        Arc::new(move |progress| {
            if let Some(crash) = &crash {
                crash(moment_of(progress));
            }
            match (progress, &hold) {
                (Progress::Reading { .. }, _) if dials => escapes::dial(),
                (Progress::Written, Some(hold)) => hold(),
                _ => {}
            }
        })
    })
}

/// The names under which an ingest's steps are moments.
fn moment_of(progress: Progress) -> &'static str {
    match progress {
        Progress::Begun => "ingest-begun",
        Progress::GoesOn { .. } => "ingest-goes-on",
        Progress::Reading { .. } => "ingest-reading",
        Progress::Sorting { .. } => "ingest-sorting",
        Progress::Writing => "ingest-writing",
        Progress::Written => "ingest-written",
    }
}

/// So little, where a test wants it, that an ingest puts the rows of a small source aside.
fn size_of_ingests() -> Size {
    let mut size = Size::default();
    if env::var_os(hold::SMALL_INGESTS).is_some() {
        size.batch.rows = 50;
        (size.held_bytes, size.group_bytes) = (1, 1);
    }
    size
}

fn held_at_start() -> Option<OnSealed> {
    let hold = hold::from_env(hold::START)?;
    Some(Arc::new(move |process| {
        if process == Process::Custodian {
            hold();
        }
    }))
}

fn step_clock() -> Option<Arc<dyn Clock>> {
    env::var_os(clock::VARIABLE).map(|file| -> Arc<dyn Clock> { Arc::new(StepClock::open(file.as_ref())) })
}

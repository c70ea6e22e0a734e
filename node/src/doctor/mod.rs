//! `bocage-node doctor`: looks at everything that a node needs, on this machine and on the way to the coordinator, and says what to do about what is
//! wrong. It starts nothing, changes nothing and takes no snapshot; a running node goes on beside it.
//!
//! It works where the configuration does not: then it says what is wrong with that, and looks at the machine.

pub(crate) mod known;
mod network;
mod site;
#[cfg(test)]
mod tests;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bocage_keep::doctor::{Check, Examined, Finding, Probe, machine, run};
use bocage_protocol::counted::counted;
use bocage_protocol::env::Clock;
use bocage_protocol::limits::CONFIG_TEXT_BYTES;
use bocage_protocol::settings::{Problem, Problems};

use crate::config::environment::read_release_key;
use crate::config::{Config, Depth, ENV_PREFIX, Origin, SnapshotRules, StateDir};
use crate::custodian::optout::nearly_used_up;
use crate::sandbox::{Support, WHOLE};

/// How long a look at the machine may take.
const MACHINE: Duration = Duration::from_secs(10);
/// How long a look at the sources may take: a database may be slow to connect.
const SOURCES: Duration = Duration::from_secs(45);

/// Looks at everything.
pub fn examine(origin: &Origin, clock: &Arc<dyn Clock>) -> Examined {
    let config = match Config::load(origin) {
        Ok(config) => Arc::new(config),
        Err(problems) => return unusable(origin, &problems),
    };
    let mut probes = network::probes(&config, clock);
    probes.extend(site::probes(&config, clock));
    let (of, with, now) = (origin.clone(), Arc::clone(&config), clock.now());
    probes.push(Probe::new(Check::Sources, SOURCES, move || {
        let looked = Config::check(&of, Depth::Everything, now).map(drop);
        environment(&with, &looked.err().unwrap_or_default())
    }));
    probes.extend(machine_probes(secrets(origin), config.state.clone(), config.snapshots));
    let (required, whole) = (config.require_sandbox, config.require_whole_sandbox);
    probes.push(Probe::new(Check::Sandbox, MACHINE, move || vec![sandbox(Support::ask(), required, whole)]));
    run(probes)
}

/// What can be said where the configuration cannot be used.
fn unusable(origin: &Origin, problems: &Problems) -> Examined {
    let findings: Vec<Finding> = problems.0.iter().map(|problem| of_problem(Check::Config, problem)).collect();
    let text = readable(origin);
    let state = bocage_keep::named::in_lines(&text, "state_dir").first().copied().unwrap_or("state").to_owned();
    let state = StateDir(origin.base().join(state), None);
    let mut probes = vec![Probe::new(Check::Config, MACHINE, move || findings)];
    probes.extend(machine_probes(secrets(origin), state, SnapshotRules::default()));
    probes.push(Probe::new(Check::Sandbox, MACHINE, || vec![sandbox(Support::ask(), true, false)]));
    run(probes)
}

fn machine_probes(secrets: Vec<PathBuf>, state: StateDir, rules: SnapshotRules) -> Vec<Probe> {
    let folder = state.0.clone();
    vec![
        Probe::new(Check::Disk, MACHINE, move || vec![machine::disk(&folder, rules.min_free_mib)]),
        Probe::new(Check::Memory, MACHINE, || vec![machine::memory()]),
        Probe::new(Check::Modes, MACHINE, move || machine::modes(&secrets, &state.0)),
    ]
}

/// The secret files that the configuration names, however much of it can be used.
fn secrets(origin: &Origin) -> Vec<PathBuf> {
    let base = if origin.base().as_os_str().is_empty() { Path::new(".") } else { origin.base() };
    match bocage_net::settings::load(&origin.file, ENV_PREFIX, &origin.overrides) {
        Ok(settings) => bocage_keep::named::named_secrets(&settings.tree, base),
        // Whoever may open a key can do so whether or not the file beside it is sound.
        Err(_) => bocage_keep::named::secrets_in_lines(&readable(origin), base),
    }
}

/// What can be read of a configuration, as far as one is taken.
fn readable(origin: &Origin) -> String {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&origin.file);
    let _ = file.and_then(|file| file.take(CONFIG_TEXT_BYTES as u64).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A problem of the configuration or of what it names, as a finding.
fn of_problem(check: Check, problem: &Problem) -> Finding {
    let fix = problem.hint.clone().unwrap_or_else(|| "the manual has a table of all keys of node.toml".to_owned());
    let place = Some(problem.place()).filter(|place| !place.is_empty()).unwrap_or_else(|| problem.file.clone());
    Finding::fail(check, format!("{place}: {}", problem.message), fix)
}

/// What `check` finds, by what it is about; what it finds nothing about is as it should be.
fn environment(config: &Config, problems: &Problems) -> Vec<Finding> {
    let about = |problem: &Problem| match problem.key.split(['.', '[']).next().unwrap_or_default() {
        "tls" => Check::Certificate,
        "state_dir" => Check::Disk,
        "release" => Check::Key,
        "dataset" | "fhir_server" => Check::Sources,
        "optouts" => Check::OptOuts,
        "contracts" => Check::Contracts,
        "policy" | "trust" | "steward" => Check::Policy,
        _ => Check::Config,
    };
    // These have a look of their own, which says more.
    let others = problems.0.iter().filter(|problem| !matches!(about(problem), Check::Certificate | Check::Disk));
    let mut found: Vec<Finding> = others.map(|problem| of_problem(about(problem), problem)).collect();
    let key = read_release_key(&config.release_key_file).ok();
    let settling = key.map_or_else(Vec::new, |key| nearly_used_up(&config.custodian(), &key));
    found.extend(settling.into_iter().map(|(what, fix)| Finding::warn(Check::OptOuts, what, &fix)));
    let list = if config.optouts.is_some() { "the list can be read" } else { "no list is named" };
    let fine = [
        (Check::Config, format!("{}: site {} in network {}", config.file, config.site, config.network)),
        (Check::Key, format!("{}: a release key", config.release_key_file.display())),
        (Check::Sources, format!("{}: each can be read", counted(config.datasets.len(), "dataset"))),
        (Check::OptOuts, list.to_owned()),
        (Check::Contracts, format!("{} known", counted(config.contracts.len(), "contract"))),
        (Check::Policy, format!("no count below {} leaves", config.policy.threshold)),
    ];
    for (check, what) in fine {
        if !found.iter().any(|finding| finding.check == check) {
            found.push(Finding::ok(check, what));
        }
    }
    if config.datasets.is_empty() {
        let what = "no dataset is offered: no study is answered";
        found.push(Finding::warn(Check::Sources, what, "add a [dataset.NAME] to node.toml"));
    }
    if config.trust.researchers.is_empty() && config.trust.access_bodies.is_empty() {
        let what = "nobody is trusted: every study is refused";
        found.push(Finding::warn(Check::Policy, what, "add a [[trust]] to node.toml"));
    }
    found
}

/// What the kernel offers, and what the node would do with it.
fn sandbox(support: Support, required: bool, whole: bool) -> Finding {
    let lacks = support.lacks();
    match (support.complete(), lacks.is_empty()) {
        (true, true) => Finding::ok(Check::Sandbox, format!("{support}: each process is confined")),
        (true, false) if whole => {
            let what = format!("{support}: a part only, and require_whole_sandbox = true asks for all");
            Finding::fail(Check::Sandbox, what, format!("run a kernel with landlock ABI {WHOLE} (Linux 6.12 or newer)"))
        }
        (true, false) => {
            let what = format!("{support}: this kernel does not confine {}", lacks.join("; "));
            Finding::warn(Check::Sandbox, what, "Linux 6.12 or newer confines all")
        }
        (false, _) if required || whole => {
            let fix = "boot a kernel with landlock (Linux 5.13 or newer; `lsm=` must name it) and seccomp, or run without by require_sandbox = false";
            Finding::fail(Check::Sandbox, format!("{support}: the node does not start"), fix)
        }
        (false, _) => {
            let what = format!("{support}: the node runs unconfined, as require_sandbox = false allows");
            Finding::warn(Check::Sandbox, what, "boot a kernel with landlock and seccomp, and take the line out again")
        }
    }
}

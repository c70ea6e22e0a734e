//! Attacks on a hospital: each fails while one control is on, and the same attack succeeds while it is off, or where it meets what lies below a control that
//! nobody can take away (a comparison). Written to `target/attacks.json`.
//!
//! A family is one file that lists its scenarios; a scenario is a name, a control and a function that says whether the attacker got it. What no control
//! stops yet is in `open`, and must succeed: whoever closes it moves it to a family.

mod approvals;
mod bins;
mod caps;
mod cells;
mod centroids;
mod differencing;
mod discovered;
mod equations;
mod folds;
mod hazards;
mod hospital;
mod intervals;
mod ledger;
mod lines;
mod models;
mod optout_designs;
mod optout_rounds;
mod optouts;
mod optouts_elsewhere;
mod oracles;
mod overlap;
mod permits;
mod permitted;
mod policy;
mod predictions;
mod relations;
mod repeats;
mod rollback;
mod rounding;
mod rounds;
mod rows;
mod sandbox;
mod scenario;
mod shares;
mod studies;
mod sums;
mod ward;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bocage_tests::lab::repository;
use scenario::{Guard, Scenario};
use serde_json::json;

fn scenarios() -> Vec<Scenario> {
    let families = [
        cells::family(),
        intervals::family(),
        overlap::family(),
        shares::family(),
        sums::family(),
        hazards::family(),
        bins::family(),
        lines::family(),
        models::family(),
        equations::family(),
        folds::family(),
        predictions::family(),
        centroids::family(),
        discovered::family(),
        studies::family(),
        rounds::family(),
        repeats::family(),
        oracles::family(),
        ledger::family(),
        permits::family(),
        policy::family(),
        approvals::family(),
        optouts::family(),
        caps::family(),
        rollback::family(),
        relations::family(),
        rows::family(),
        rounding::family(),
        sandbox::family(),
    ];
    families.into_iter().flat_map(|family| family.scenarios()).collect()
}

/// What came of a scenario: with its control on, and with it off. None where the attack itself broke.
struct Outcome {
    on: Option<bool>,
    off: Option<bool>,
    took: Duration,
}

impl Outcome {
    fn of(scenario: &Scenario) -> Self {
        let run = |guard| catch_unwind(AssertUnwindSafe(|| (scenario.attack)(guard))).ok();
        let begin = Instant::now();
        let (on, off) = (run(Guard::On), run(Guard::Off));
        Self { on, off, took: begin.elapsed() }
    }

    fn failure(&self) -> Option<&'static str> {
        match (self.on, self.off) {
            (Some(false), Some(true)) => None,
            (None, _) | (_, None) => Some("the attack broke: see the panic above"),
            (Some(true), Some(true)) => Some("succeeds although the control is on"),
            (Some(false), Some(false)) => Some("fails although the control is off: it shows nothing"),
            (Some(true), Some(false)) => Some("succeeds only with the control on"),
        }
    }
}

fn run(scenarios: &[Scenario]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, scenario)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, scenarios.get(at)?)))
        {
            done.push((at, Outcome::of(scenario)));
        }
        done
    };
    let mut all: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

/// `target/`, wherever it is.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's folder for tests lies in target")
}

#[test]
fn every_attack_fails_with_its_control_on_and_succeeds_with_it_off() {
    let scenarios = scenarios();
    let outcomes = run(&scenarios);
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for (scenario, outcome) in scenarios.iter().zip(&outcomes) {
        let Scenario { family, name, control, comparison, .. } = scenario;
        let told = |succeeds: Option<bool>| succeeds.map_or("broke", |s| if s { "succeeds" } else { "fails" });
        println!(
            "{family:22} {name:72} {control:26} on: {:8} off: {:8} {:4.1} s",
            told(outcome.on),
            told(outcome.off),
            outcome.took.as_secs_f32()
        );
        failures.extend(outcome.failure().map(|why| format!("{family}: {name} ({control}): {why}")));
        rows.push(json!({
            "family": family, "name": name, "control": control, "comparison": comparison,
            "succeeds_with_control_on": outcome.on, "succeeds_with_control_off": outcome.off,
        }));
    }
    let text = serde_json::to_string_pretty(&json!({ "scenarios": rows })).expect("JSON");
    std::fs::write(target().join("attacks.json"), text).expect("target/attacks.json");
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), scenarios.len(), failures.join("\n"));
}

#[test]
fn scenarios_have_names_of_their_own_and_are_as_many_as_the_manual_says() {
    let scenarios = scenarios();
    let names: std::collections::BTreeSet<_> = scenarios.iter().map(|s| (s.family, s.name.as_str())).collect();
    let families: std::collections::BTreeSet<_> = scenarios.iter().map(|s| s.family).collect();
    assert_eq!(names.len(), scenarios.len(), "two scenarios have one name");
    let compared = scenarios.iter().filter(|scenario| scenario.comparison).count();
    let said =
        format!("{} scenarios in {} families, of which {compared} are comparisons", scenarios.len(), families.len());
    let manual = std::fs::read_to_string(repository("docs/PRIVACY.md")).expect("it");
    assert!(manual.contains(&said), "docs/PRIVACY.md does not say: {said}");
}

#[test]
fn what_the_manual_says_is_open_is_open() {
    let open = differencing::open().into_iter().chain(equations::open()).chain(rounding::open());
    for open in open.chain(centroids::open()) {
        println!("{:72} {}", open.name, open.why);
        assert!(
            (open.attack)(),
            "{} does not succeed any more: make it a scenario, and mend docs/PRIVACY.md",
            open.name
        );
    }
}

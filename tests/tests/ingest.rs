//! Ingests as processes of their own: one that is killed or interrupted leaves the snapshot before in use and nothing half-made, and a running node takes
//! up what an ingest beside it took.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use bocage_tests::crash::{Armed, Whom};
use bocage_tests::hold::{Hold, SMALL_INGESTS};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::kill_pid;
use rustix::process::{Pid, Signal, kill_process};

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");
const SITE: &str = HOSPITALS[0];

fn config(lab: &Lab) -> PathBuf {
    lab.site(SITE).join("node.toml")
}

fn node(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new(EXE);
    command.arg("node").args(args).arg("--config").arg(config(lab)).stdin(Stdio::null());
    command
}

fn run(lab: &Lab, args: &[&str]) -> Output {
    node(lab, args).output().expect("the command")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the list says of the dataset.
fn listed(lab: &Lab) -> serde_json::Value {
    let listed = run(lab, &["datasets", "list", "--format", "json"]);
    serde_json::from_slice::<serde_json::Value>(&listed.stdout).expect("JSON")[0].clone()
}

/// The names in the dataset's folder that are no snapshot's.
fn left(lab: &Lab) -> Vec<String> {
    let names = fs::read_dir(lab.site(SITE).join("state/snapshots/heart")).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let kept = |name: &String| name.ends_with(".arrow") || (name.len() > 60 && name.ends_with(".json"));
    names.filter(|name| !kept(name)).collect()
}

fn grow(lab: &Lab) {
    let path = lab.site(SITE).join("data/heart.csv");
    let text = fs::read_to_string(&path).expect("the data");
    let first = text.lines().next().expect("a row").to_owned();
    fs::write(&path, format!("{text}{first}\n")).expect("the data");
}

/// An ingest by hand, shortly before its end.
fn begun(lab: &Lab, hold: &Hold) -> (Child, bocage_tests::hold::Held) {
    let (name, value) = hold.env();
    let mut command = node(lab, &["datasets", "refresh", "heart"]);
    let child = command.env(name, value).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command");
    let held = hold.next();
    assert_eq!(held.pid(), child.id());
    (child, held)
}

#[test]
fn an_ingest_that_is_killed_leaves_the_snapshot_before_in_use_and_the_next_one_takes_its_draft_away() {
    let lab = Lab::new(EXE);
    assert!(run(&lab, &["datasets", "refresh", "heart"]).status.success());
    let before = listed(&lab);
    assert!(before["snapshot"].is_string() && before["ingest"].is_null(), "{before}");
    grow(&lab);
    let hold = Hold::at_ingests(&lab.path(""));
    let (mut child, held) = begun(&lab, &hold);
    assert!(left(&lab).iter().any(|name| name.starts_with(".draft-")), "{:?}", left(&lab));
    assert!(listed(&lab)["ingest"].as_str().expect("a sentence").starts_with("an ingest runs since "));
    kill_pid(child.id());
    child.wait().expect("its end");
    drop(held);
    let after = listed(&lab);
    assert_eq!((&after["snapshot"], &after["rows"]), (&before["snapshot"], &before["rows"]));
    assert!(after["ingest"].as_str().expect("a sentence").contains("was cut off"), "{after}");
    let check = run(&lab, &["check"]);
    assert!(text(&check.stdout).contains("was cut off"), "{}", text(&check.stdout));
    let said = text(&check.stderr);
    assert!(
        check.status.code() == Some(1) && said.contains("heart: the ingest of ") && said.contains("\n  hint: "),
        "{said}"
    );
    assert!(left(&lab).iter().any(|name| name.starts_with(".draft-")));

    let again = run(&lab, &["datasets", "refresh", "heart"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let now = listed(&lab);
    assert!(now["ingest"].is_null() && now["snapshot"] != before["snapshot"], "{now}");
    assert_eq!(run(&lab, &["check"]).status.code(), Some(0));
    assert_eq!(left(&lab), ["current"]);
}

#[test]
fn an_ingest_that_is_interrupted_takes_its_draft_away_itself() {
    let lab = Lab::new(EXE);
    let hold = Hold::at_ingests(&lab.path(""));
    let (child, held) = begun(&lab, &hold);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::INT).expect("the process is there");
    held.release();
    let ended = child.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(text(&ended.stderr), "error: it was interrupted; the snapshot before stays in use\n");
    assert_eq!(left(&lab), ["attempt.json"]);
    assert!(listed(&lab)["ingest"].as_str().expect("a sentence").contains("failed: it was interrupted"));
}

#[test]
fn an_ingest_that_is_killed_at_any_step_is_gone_on_with_and_gives_what_it_would_have_given() {
    let lab = Lab::new(EXE);
    assert!(run(&lab, &["datasets", "refresh", "heart"]).status.success());
    let whole = listed(&lab);
    for moment in ["ingest-reading", "ingest-sorting", "ingest-writing", "ingest-written"] {
        assert!(run(&lab, &["datasets", "drop", "heart", "--yes"]).status.success());
        let armed = Armed::new(&lab.path(""), moment, Whom::Itself);
        let ingest = || {
            let mut command = node(&lab, &["ingest", "heart"]);
            command.env(SMALL_INGESTS, "1");
            command
        };
        let killed = ingest().envs([armed.env()]).output().expect("the command");
        assert!(armed.went_off() && killed.status.code().is_none(), "{moment}: {}", text(&killed.stderr));
        assert!(left(&lab).contains(&"unfinished.rows".to_owned()), "{moment}: {:?}", left(&lab));
        let again = ingest().output().expect("the command");
        let said = text(&again.stdout) + &text(&again.stderr);
        assert!(again.status.success(), "{moment}: {said}");
        assert!(said.contains("goes on where an ingest before was interrupted"), "{moment}: {said}");
        let now = listed(&lab);
        assert_eq!((&now["snapshot"], &now["rows"]), (&whole["snapshot"], &whole["rows"]), "{moment}");
        assert_eq!(left(&lab), ["current"], "{moment}");
    }
}

#[test]
fn a_damaged_file_of_an_export_that_may_be_left_out_is_named_wherever_the_snapshot_is_told_of() {
    const NETWORK: &str = r#"
        network = "lab"
        packs = ["fhir-r4-core"]
        [publication]
        min_sites = 1
        [researcher]
        name = "A researcher"
        mode = "exact"
        [[site]]
        id = "site"
        [site.dataset.patients]
        contract = "fhir-r4-patient@1"
        source = { kind = "fhir", path = "export", view = "fhir-r4-core/patient", damaged = "skip" }
    "#;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |below: &str| folder.path().join(below);
    fs::write(path("network.toml"), NETWORK).expect("network.toml");
    let mut made = Command::new(EXE);
    made.args(["network", "init"]).arg(path("network.toml")).arg("--out").arg(path("net"));
    assert!(made.output().expect("the command").status.success(), "a network");
    let export = path("net/sites/site/export");
    fs::create_dir_all(&export).expect("the export");
    let patient = r#"{"resourceType":"Patient","id":"a","birthDate":"1980-02-03","gender":"female"}"#;
    fs::write(export.join("Patient.1.ndjson"), patient).expect("a file");
    fs::write(export.join("Patient.2.ndjson.gz"), "not packed").expect("a file");
    let said = |args: &[&str]| {
        let mut command = Command::new(EXE);
        command.arg("node").args(args).arg("--config").arg(path("net/sites/site/node.toml"));
        let output = command.output().expect("the command");
        text(&output.stdout) + &text(&output.stderr)
    };
    let sentence = "1 damaged file was left out as a whole: Patient.2.ndjson.gz";
    let refreshed = said(&["datasets", "refresh", "patients"]);
    assert!(refreshed.contains(&format!("of the source of patients {sentence}\n")), "{refreshed}");
    for args in [&["datasets", "show", "patients"][..], &["check"]] {
        let said = said(args);
        assert!(said.contains(sentence) && said.contains("its compressed data is damaged"), "{args:?}: {said}");
    }
    let (list, table) = (said(&["datasets"]), said(&["datasets", "list", "--format", "csv"]));
    assert!(list.contains(sentence) && table.contains(sentence), "{list}{table}");
}

#[test]
fn a_running_node_takes_a_first_snapshot_by_an_ingest_and_takes_up_those_of_others() {
    let lab = Lab::new(EXE);
    let forgotten = lab.site(SITE).join("state/snapshots/formerly");
    fs::create_dir_all(&forgotten).expect("the folder of a dataset that the node has no more");
    fs::write(forgotten.join("unfinished.rows"), "ids").expect("what an ingest of it left");
    let node = lab.node(SITE, &[]);
    let at = node.wait_for_line(&["formerly", "removed the rows of an ingest that nobody went on with"]);
    assert_eq!(fs::read_dir(&forgotten).expect("the folder").count(), 0);
    let at = node.wait_for_line_after(at, &["started", "ingest", "heart"]);
    let at = node.wait_for_line_after(at, &["the snapshot is in use"]);
    grow(&lab);
    assert!(run(&lab, &["datasets", "refresh", "heart"]).status.success());
    node.wait_for_line_after(at, &["the snapshot is in use"]);
    drop(node);
    let shown = text(&run(&lab, &["ledger", "show", "--format", "json"]).stdout);
    assert!(shown.contains("\"start\"") && shown.contains("\"refresh\""), "{shown}");
}

#[test]
fn a_source_that_fails_is_said_in_the_log_in_check_and_in_the_list_and_the_node_goes_on() {
    let lab = Lab::new(EXE);
    fs::write(lab.site(SITE).join("data/heart.csv"), "").expect("the data");
    let coordinator = lab.coordinator();
    let node = lab.node(SITE, &[]);
    node.wait_for_line(&["the file has no rows"]);
    node.wait_for_line(&["ended", "ingest", "heart"]);
    coordinator.wait_for_line(&["connected", SITE]);
    let listed = listed(&lab);
    assert!(listed["snapshot"].is_null() && listed["ingest"].as_str().expect("a sentence").contains("failed: "));
    assert!(text(&run(&lab, &["datasets"]).stdout).contains("the ingest of "));
}

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
    let dataset = "[site.dataset.patients]\ncontract = \"fhir-r4-patient@1\"\n\
        source = { kind = \"fhir\", path = \"export\", view = \"fhir-r4-core/patient\", damaged = \"skip\" }\n";
    let patient = r#"{"resourceType":"Patient","id":"a","birthDate":"1980-02-03","gender":"female"}"#;
    let files = [("Patient.1.ndjson", patient), ("Patient.2.ndjson.gz", "not packed")];
    let hospital = Hospital::new("fhir-r4-core", dataset, &files);
    let said = |args: &[&str]| hospital.said(args);
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

/// A hospital of a network with a pack, its export or tables in `export`.
struct Hospital(tempfile::TempDir);

impl Hospital {
    fn new(pack: &str, datasets: &str, files: &[(&str, &str)]) -> Self {
        let hospital = Self(tempfile::tempdir().expect("a folder"));
        let network = format!(
            "network = \"lab\"\npacks = [\"{pack}\"]\n[publication]\nmin_sites = 1\n[researcher]\nname = \"A researcher\"\nmode = \"exact\"\n\
             [[site]]\nid = \"site\"\n{datasets}"
        );
        fs::write(hospital.path("network.toml"), network).expect("network.toml");
        let mut made = Command::new(EXE);
        made.args(["network", "init"]).arg(hospital.path("network.toml")).arg("--out").arg(hospital.path("net"));
        let output = made.output().expect("the command");
        assert!(output.status.success(), "a network: {}", text(&output.stderr));
        fs::create_dir_all(hospital.path("net/sites/site/export")).expect("the export");
        files.iter().for_each(|(name, text)| hospital.write(name, text));
        hospital
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("net/sites/site/export").join(name), text).expect("a file");
    }

    fn said(&self, args: &[&str]) -> String {
        let mut command = Command::new(EXE);
        command.arg("node").args(args).arg("--config").arg(self.path("net/sites/site/node.toml"));
        let output = command.output().expect("the command");
        text(&output.stdout) + &text(&output.stderr)
    }

    /// The lines about rules that look into other datasets, of what is said.
    fn rules(said: &str) -> Vec<&str> {
        let ours = ["rule not_before_birth:", "is_there:", "has a newer snapshot", "rows left out: rule"];
        said.lines().map(str::trim).filter(|line| ours.iter().any(|part| line.contains(part))).collect()
    }
}

#[test]
fn a_fhir_export_s_diagnoses_before_a_birth_and_of_no_encounter_are_kept_emptied_or_left_out_and_told_in_check() {
    let dataset = |name: &str, of: &str, view: &str| {
        format!(
            "[site.dataset.{name}]\ncontract = \"fhir-r4-{of}\"\nsource = {{ kind = \"fhir\", path = \"export\", view = \"fhir-r4-core/{view}\" }}\n"
        )
    };
    let datasets = dataset("conditions", "condition@3", "condition")
        + "rules = { not_before_birth = \"reject\", encounter_is_there = \"null\" }\n"
        + &dataset("encounters", "encounter@2", "encounter")
        + &dataset("patients", "patient@1", "patient");
    let patients = r#"{"resourceType":"Patient","id":"a","birthDate":"1980-02-03"}
{"resourceType":"Patient","id":"b","birthDate":"1980"}
"#;
    let encounter = |id: &str, patient: &str, start: &str| {
        format!(
            r#"{{"resourceType":"Encounter","id":"{id}","status":"finished","class":{{"code":"AMB"}},"subject":{{"reference":"Patient/{patient}"}},"period":{{"start":"{start}"}}}}"#
        ) + "\n"
    };
    let condition = |patient: &str, encounter: &str, onset: &str| {
        format!(
            r#"{{"resourceType":"Condition","subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/{encounter}"}},"onsetDateTime":"{onset}"}}"#
        ) + "\n"
    };
    let conditions = condition("a", "1", "1980-02-02") // the day before the birth
        + &condition("a", "1", "1980-02") // perhaps on the day of birth
        + &condition("a", "2", "1990-01-01T10:00:00+01:00") // during another's encounter
        + &condition("b", "2", "1979") // the year before that of birth
        + &condition("b", "2", "1980-01-01")
        + &condition("b", "9", "1999-01-01"); // during no encounter
    let encounters = encounter("1", "a", "1980-02-02") + &encounter("2", "b", "1990-01-01T10:00:00Z");
    let files = [("Patient.ndjson", patients), ("Encounter.ndjson", &encounters), ("Condition.ndjson", &conditions)];
    let hospital = Hospital::new("fhir-r4-core", &datasets, &files);
    let early = hospital.said(&["datasets", "refresh", "conditions"]);
    assert!(early.contains("rule `not_before_birth` takes rows or values away by another dataset, and cannot be looked at: no snapshot of `patients` can be used"), "{early}");
    for name in ["patients", "encounters", "conditions"] {
        let said = hospital.said(&["datasets", "refresh", name]);
        assert!(said.contains("snapshot of "), "{said}");
    }
    let check = hospital.said(&["check"]);
    let expected = [
        "2 rows left out: rule not_before_birth fails",
        "rule encounter_is_there: 2 rows fail and are kept without the value (leads to a row of the patient in fhir-r4-encounter: encounter): row 3, 6 of the source",
        "rule not_before_birth: 2 rows fail and are left out (not before the birth in fhir-r4-patient: date): row 1, 4 of the source",
        "rule not_before_birth: 1 row fails and is kept (not before the birth in fhir-r4-patient: date): row 1 of the source",
    ];
    assert_eq!(Hospital::rules(&check), expected, "{check}");
    // A birth that is corrected: what was held against the one before says so, until it is held against this one.
    hospital.write("Patient.ndjson", &patients.replace("1980-02-03", "1980-02-01"));
    hospital.said(&["datasets", "refresh", "patients"]);
    let newer = "patients has a newer snapshot than the one that rules were held against; against it: bocage node datasets refresh";
    let check = hospital.said(&["check"]);
    assert_eq!(check.matches(newer).count(), 2, "{check}");
    let said = hospital.said(&["datasets", "refresh", "conditions"]);
    assert!(said.contains("1 row fails and is left out") && said.contains(": row 4 of the source"), "{said}");
    assert_eq!(hospital.said(&["check"]).matches(newer).count(), 1, "of the encounters still");
}

#[test]
fn an_omop_site_s_rows_before_a_birth_and_of_no_visit_are_counted_where_the_other_tables_are_offered() {
    let dataset = |name: &str, of: &str, map: &str| {
        format!(
            "[site.dataset.{name}]\ncontract = \"omop-{of}\"\nsource = {{ kind = \"csv\", path = \"export/{name}.csv\" }}\n{map}"
        )
    };
    let of_person = "map = { birth_date = \"birth_datetime\" }\n".to_owned()
        + "absent = [\"race_concept_id\", \"ethnicity_concept_id\", \"care_site_id\", \"gender_source_value\", \"gender_source_concept_id\", \"race_source_value\", \"race_source_concept_id\", \"ethnicity_source_value\", \"ethnicity_source_concept_id\"]\n";
    let of_condition = "absent = [\"condition_start_datetime\", \"condition_end_date\", \"condition_end_datetime\", \"condition_type_concept_id\", \"condition_status_concept_id\", \"stop_reason\", \"visit_detail_id\", \"condition_source_value\", \"condition_source_concept_id\", \"condition_status_source_value\"]\n";
    let person = "person_id,gender_concept_id,year_of_birth,birth_datetime\n1,8507,1980,1980-02-03T12:00:00\n2,8532,1990,1990-05-05\n";
    let conditions = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,visit_occurrence_id\n\
        1,1,201826,1980-02-02,7\n2,1,201826,1980-02-03,7\n3,2,201826,2001-01-01,8\n4,2,201826,1989-12-31,\n";
    let datasets = dataset("condition_occurrence", "condition-occurrence@541", of_condition)
        + &dataset("person", "person@540", &of_person);
    let hospital =
        Hospital::new("omop-5.4", &datasets, &[("person.csv", person), ("condition_occurrence.csv", conditions)]);
    for name in ["person", "condition_occurrence"] {
        let said = hospital.said(&["datasets", "refresh", name]);
        assert!(said.contains("snapshot of "), "{said}");
    }
    let check = hospital.said(&["check"]);
    let expected = [
        "rule not_before_birth: 2 rows fail and are kept (not before the birth in omop-person: condition_start_date): row 1, 4 of the source",
        "rule visit_detail_is_there: not looked at (leads to a row of the patient in omop-visit-detail: visit_detail_id): this node has no dataset under a contract `omop-visit-detail`",
        "rule visit_is_there: not looked at (leads to a row of the patient in omop-visit-occurrence: visit_occurrence_id): this node has no dataset under a contract `omop-visit-occurrence`",
    ];
    assert_eq!(Hospital::rules(&check), expected, "{check}");
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

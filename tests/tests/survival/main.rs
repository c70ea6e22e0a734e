//! Survival of several hospitals against what other packages make of the pooled rows (`tests/reference/survival.py`): equal without disclosure
//! control, and within what is told where small numbers are hidden; then [`usual`] says of which hospitals an answer is. [`widths`] holds the intervals of
//! quantiles to what they may be.

mod plain;
mod random;
mod usual;
mod widths;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bocage_coordinator::api::types::{AnalysisResult, Block, Value};
use bocage_tests::federation::{Federation, Gate, block};
use serde_json::Value as Json;

/// A row of a file, by its heading.
type Row = BTreeMap<String, String>;

fn rows(file: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(file).expect("a file");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

fn in_repository(file: &str) -> Vec<Row> {
    rows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pda").join(file))
}

/// A file that is not ours to copy, or nothing, which is said.
fn shared(file: &str) -> Option<Vec<Row>> {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/survival").join(file);
    if found.exists() {
        return Some(rows(&found));
    }
    eprintln!("skipped: ../shared/data/survival/{file} is not here");
    None
}

fn reference() -> Json {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/survival.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("the reference")).expect("JSON")
}

const CONTRACT: &str = r#"
id = "follow-up@1"
title = "Follow-up"
subject = "row"
[[column]]
name = "time"
type = "int"
range = [0, 3000]
[[column]]
name = "status"
type = "code"
codes = [{ code = "0", label = "alive" }, { code = "1", label = "dead" }, { code = "2", label = "discharged" }]
[[column]]
name = "part"
type = "code"
required = true
codes = [{ code = "0" }, { code = "1" }, { code = "2" }, { code = "3" }]
"#;

/// A patient under the contract.
#[derive(Clone)]
struct Patient {
    site: String,
    time: u32,
    status: u8,
    part: u8,
}

fn whole(text: &str) -> u32 {
    text.parse::<f64>().expect("a number") as u32
}

/// The patients of a file; `part` is the place of a group among those of this list.
fn patients(rows: &[Row], time: &str, by: (&str, &[&str]), status: impl Fn(&Row) -> u8) -> Vec<Patient> {
    let patient = |row: &Row| {
        let part = by.1.iter().position(|level| row.get(by.0).is_some_and(|of| of == level)).unwrap_or_default();
        let site = row.get("site").cloned().unwrap_or_default();
        Patient { site, time: whole(&row[time]), status: status(row), part: part as u8 }
    };
    rows.iter().map(patient).collect()
}

fn federation(patients: &[Patient], site: impl Fn(usize, &Patient) -> String) -> Federation {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (i, patient) in patients.iter().enumerate() {
        let file = files.entry(site(i, patient)).or_insert_with(|| "time,status,part\n".to_owned());
        let Patient { time, status, part, .. } = patient;
        file.push_str(&format!("{time},{status},{part}\n"));
    }
    let sites: Vec<(&str, String)> = files.iter().map(|(name, csv)| (name.as_str(), csv.clone())).collect();
    Federation::new(CONTRACT, &sites)
}

/// Sites of about the same size, whatever the file's own are.
fn dealt(patients: &[Patient], sites: usize) -> Federation {
    federation(patients, |i, _| format!("site-{:02}", i % sites))
}

fn lung2() -> Vec<Patient> {
    let rows = in_repository("lung2.csv");
    patients(&rows, "time", ("sex", &["0.0", "1.0"]), |row| u8::from(row["status"] == "1.0"))
}

fn covid() -> Vec<Patient> {
    patients(&in_repository("covid.csv"), "los", ("sex", &["0", "1"]), |row| if row["death"] == "1" { 1 } else { 2 })
}

fn asked(grid: &str, more: &str) -> String {
    format!("[[analysis]]\nname = \"s\"\nsurvival = {{ time = \"time\", event = \"status = '1'\", {grid}{more} }}\n")
}

const MONTHS: &str = "every = 30, until = 900";
const BY: &str = ", by = [\"part\"]";

/// The rows of a block whose first value is this, or all.
fn of<'a>(block: &'a Block, group: &'a str) -> impl Iterator<Item = &'a Vec<Value>> {
    block.rows.iter().filter(move |row| group.is_empty() || row[0] == Value::Text(group.to_owned()))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Count(n) => Some(*n as f64),
        Value::Number(x) => Some(*x),
        Value::Null => None,
        Value::Text(_) => panic!("a text"),
    }
}

fn column(block: &Block, group: &str, name: &str) -> Vec<Option<f64>> {
    let at = block.columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name}"));
    of(block, group).map(|row| number(&row[at])).collect()
}

fn all(list: &Json) -> Vec<Option<f64>> {
    list.as_array().expect("a list").iter().map(Json::as_f64).collect()
}

#[track_caller]
fn assert_near(found: Option<f64>, wanted: f64, what: &str) {
    let found = found.unwrap_or_else(|| panic!("{what} is hidden"));
    assert!((found - wanted).abs() <= 1e-8 * wanted.abs().max(1e-6), "{what}: {found}, not {wanted}");
}

#[track_caller]
fn assert_all_near(found: &[Option<f64>], wanted: &[Option<f64>], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        match wanted {
            Some(wanted) => assert_near(*found, *wanted, &format!("{what} at {i}")),
            // A package says that there is none, or goes on with the last one.
            None => assert_eq!(*found, None, "{what} at {i}"),
        }
    }
}

/// A group's curve, median and mean are those of the reference, wherever S is neither 0 nor beyond the last patient.
fn assert_group(result: &AnalysisResult, group: &str, case: &Json, wanted: &Json) {
    let every = case["every"].as_u64().unwrap_or(1) as usize;
    let sample =
        |name: &str| -> Vec<Option<f64>> { column(&result.block, group, name).into_iter().step_by(every).collect() };
    for (ours, theirs) in
        [("survival", "survival"), ("at_risk", "at_risk"), ("least", "survival"), ("most", "survival")]
    {
        assert_all_near(&sample(ours), &all(&wanted[theirs]), &format!("{group} {ours}"));
    }
    if every == 1 {
        assert_all_near(&sample("events"), &all(&wanted["observed"]), &format!("{group} events"));
    }
    let alive: Vec<bool> = all(&wanted["survival"]).iter().map(|s| s.is_some_and(|s| s > 0.0)).collect();
    for end in ["lower", "upper"] {
        let keep = |of: Vec<Option<f64>>| {
            of.into_iter().zip(&alive).filter(|(_, alive)| **alive).map(|(x, _)| x).collect::<Vec<_>>()
        };
        assert_all_near(&keep(sample(end)), &keep(all(&wanted[end])), &format!("{group} {end}"));
    }
    let (median, mean) = (block(result, "quantiles"), block(result, "restricted mean"));
    assert_eq!(column(median, group, "from"), [wanted["median"].as_f64()], "{group} median");
    assert_eq!(column(median, group, "lower"), [wanted["median_ci"][0].as_f64()], "{group} median from");
    assert_near(column(mean, group, "restricted_mean")[0], wanted["mean"].as_f64().expect("a number"), "mean");
    assert_near(
        column(mean, group, "se")[0],
        wanted["mean_se"].as_f64().expect("a number"),
        "standard error of the mean",
    );
    let patients = block(result, "patients");
    assert_eq!(column(patients, group, "patients"), [wanted["patients"].as_f64()]);
    assert_eq!(column(patients, group, "events"), [wanted["events"].as_f64()]);
}

fn assert_test(result: &AnalysisResult, title: &str, wanted: &Json) {
    let found = block(result, title);
    let value = |name: &str| column(found, name, "value")[0];
    assert_near(value("chi2"), wanted["chi2"].as_f64().expect("a number"), title);
    assert_near(value("p"), wanted["p"].as_f64().expect("a number"), title);
}

fn run(federation: &Federation, text: &str, gate: Gate) -> AnalysisResult {
    federation.run(text, gate).remove(0)
}

#[test]
fn curves_and_tests_of_three_hospitals_are_those_of_the_pooled_rows() {
    let case = &reference()["lung2"];
    let federation = federation(&lung2(), |_, patient| patient.site.clone());
    let result = run(&federation, &asked(MONTHS, BY), Gate::OPEN);
    for (group, theirs) in [("0", "0.0"), ("1", "1.0")] {
        assert_group(&result, group, case, &case["groups"][theirs]);
    }
    assert_test(&result, "log-rank test", &case["logrank"]);
    assert_test(&result, "log-rank test, stratified by site", &case["stratified"]);
    let plain = run(&federation, &asked(MONTHS, ", by = [\"part\"], band = \"plain\""), Gate::OPEN);
    for (ours, theirs) in [("lower", "plain_lower"), ("upper", "plain_upper")] {
        assert_all_near(&column(&plain.block, "0", ours), &all(&case["groups"]["0.0"][theirs]), ours);
    }
}

#[test]
fn a_grid_of_single_days_gives_the_curves_of_lung_veteran_and_gbsg() {
    let days = "every = 1, until = 1000";
    let reference = reference();
    let check = |name: &str, grid: &str, patients: &[Patient], levels: &[&str]| {
        let case = &reference[name];
        let result = run(&dealt(patients, 4), &asked(grid, BY), Gate::OPEN);
        for (i, level) in levels.iter().enumerate() {
            assert_group(&result, &i.to_string(), case, &case["groups"][*level]);
        }
        assert_test(&result, "log-rank test", &case["logrank"]);
    };
    if let Some(rows) = shared("lung.csv") {
        let dead = |row: &Row| u8::from(row["status"] == "2.0");
        check("lung", days, &patients(&rows, "time", ("sex", &["1.0", "2.0"]), dead), &["1.0", "2.0"]);
    }
    if let Some(rows) = shared("veteran.csv") {
        let cells = ["adeno", "large", "smallcell", "squamous"];
        let dead = |row: &Row| u8::from(row["status"] == "1.0");
        check("veteran", days, &patients(&rows, "time", ("celltype", &cells), dead), &cells);
    }
    if let Some(rows) = shared("gbsg.csv") {
        let again = |row: &Row| u8::from(row["status"] == "1");
        let all = patients(&rows, "rfstime", ("hormon", &["0", "1"]), again);
        check("gbsg", "every = 30, until = 2400", &all, &["0", "1"]);
    }
}

#[test]
fn the_incidence_of_two_events_that_compete_is_that_of_the_pooled_rows() {
    let case = &reference()["covid"];
    let federation = federation(&covid(), |_, patient| patient.site.clone());
    let more = ", competing = { discharged = \"status = '2'\" }";
    let result = run(&federation, &asked("every = 1, until = 21", more), Gate::OPEN);
    let found = block(&result, "cumulative incidence");
    for (name, kind) in [("event", "1"), ("discharged", "2")] {
        assert_all_near(&column(found, name, "incidence"), &all(&case[kind]["incidence"]), name);
        assert_all_near(&column(found, name, "se"), &all(&case[kind]["se"]), name);
    }
    // All of them leave by one or the other, or stay.
    let survival = column(&result.block, "", "survival");
    let deaths = column(found, "event", "incidence");
    let discharges = column(found, "discharged", "incidence");
    for ((s, one), other) in survival.iter().zip(deaths).zip(discharges) {
        assert_near(Some(one.expect("a number") + other.expect("a number") + s.expect("a number")), 1.0, "all");
    }
}

#[test]
fn rates_and_their_ratio_have_the_exact_intervals_of_the_pooled_rows() {
    let wanted = &reference()["lung2_rates"];
    let text = "[[analysis]]\nname = \"r\"\nrates = { time = \"time\", event = \"status = '1'\", by = [\"part\"], per = 1000 }\n";
    let federation = federation(&lung2(), |_, patient| patient.site.clone());
    let check = |result: &AnalysisResult| {
        for (group, theirs) in [("0", "0.0"), ("1", "1.0")] {
            let of = |name: &str| column(&result.block, group, name)[0];
            let wanted = |name: &str| wanted[theirs][name].as_f64().expect("a number");
            for (ours, per) in [("events", 1.0), ("time", 1.0), ("rate", 1000.0), ("lower", 1000.0), ("upper", 1000.0)]
            {
                assert_near(of(ours), wanted(ours) * per, ours);
            }
            for ours in ["ratio", "ratio_lower", "ratio_upper", "p"] {
                match group {
                    "0" => assert_eq!(of(ours), None, "the first group has no ratio to itself"),
                    _ => assert_near(of(ours), wanted(ours), ours),
                }
            }
        }
    };
    check(&run(&federation, text, Gate::OPEN));
    check(&run(&dealt(&lung2(), 4), text, Gate::OPEN));
}

#[test]
fn the_same_rows_over_any_number_of_sites_give_the_same_bits() {
    let patients = lung2();
    let text = asked(MONTHS, BY);
    let answer = |sites: usize| {
        let mut result = run(&dealt(&patients, sites), &text, Gate::OPEN);
        // How many sites there are is told, and a test by site is of them.
        result.also.retain(|named| !named.title.contains("by site") && named.title != "patients");
        (result.block, result.also)
    };
    let one = answer(1);
    for sites in [2, 4, 16] {
        assert_eq!(answer(sites), one, "{sites} sites");
    }
}

#[test]
fn under_the_usual_policy_every_number_holds_the_pooled_one_or_is_not_given() {
    let federation = federation(&lung2(), |_, patient| patient.site.clone());
    let result = run(&federation, &asked(MONTHS, ""), Gate::USUAL);
    let pooled = run(&federation, &asked(MONTHS, ""), Gate::OPEN);
    let (of, truth) = (|name: &str| column(&result.block, "", name), |name: &str| column(&pooled.block, "", name));
    for (i, s) in truth("survival").iter().enumerate() {
        let s = s.expect("a number");
        let (least, most) = (of("least")[i].expect("a number"), of("most")[i].expect("a number"));
        assert!(least <= s + 1e-12 && s <= most + 1e-12, "{s} is not in [{least}, {most}] at {i}");
        let ends = of("lower")[i].zip(of("upper")[i]);
        let (lower, upper) = ends.unwrap_or((0.0, 1.0));
        assert!(
            lower <= truth("lower")[i].expect("a number") + 1e-12
                && truth("upper")[i].expect("a number") <= upper + 1e-12
        );
        for (named, wide) in [("events", &result.block), ("at_risk", &result.block), ("censored", &result.block)] {
            let at = wide.columns.iter().position(|column| column == named).expect("a number");
            let wanted = truth(named)[i].expect("a number") as u64;
            match &wide.rows[i][at] {
                Value::Count(n) => assert_eq!(*n, wanted, "{named} at {i}"),
                _ => {
                    let hidden =
                        wide.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (i, at)).expect("a number");
                    assert!(
                        hidden.interval.expect("a number").contains(wanted),
                        "{named} at {i}: {hidden:?}, not {wanted}"
                    );
                }
            }
        }
    }
    let shown = of("survival").iter().filter(|s| s.is_some()).count();
    assert!((1..30).contains(&shown), "{shown} of 30 edges are shared by all sites");
    let (told, pooled) = (block(&result, "quantiles"), block(&pooled, "quantiles"));
    let truth = column(pooled, "", "from")[0].expect("a number");
    let or_never = |end: Option<f64>| end.unwrap_or(f64::INFINITY);
    assert!(or_never(column(told, "", "from")[0]) <= truth && truth < or_never(column(told, "", "to")[0]));
    assert!(
        result.notes.iter().any(|note| note.contains("intervals that all its sites share, of 30")),
        "{:?}",
        result.notes
    );
}

#[test]
fn a_grid_of_wide_intervals_hides_little_under_the_usual_policy() {
    let federation = federation(&lung2(), |_, patient| patient.site.clone());
    let grid = "grid = [200, 400]";
    let (usual, pooled) =
        (run(&federation, &asked(grid, ""), Gate::USUAL), run(&federation, &asked(grid, ""), Gate::OPEN));
    for name in ["survival", "lower", "upper", "least", "most", "at_risk", "events"] {
        let (found, wanted) = (column(&usual.block, "", name)[0], column(&pooled.block, "", name)[0]);
        assert_near(found, wanted.expect("a number"), name);
    }
    let (least, most) = (
        column(&usual.block, "", "least")[1].expect("a number"),
        column(&usual.block, "", "most")[1].expect("a number"),
    );
    let truth = column(&pooled.block, "", "survival")[1].expect("a number");
    assert!(least < truth && truth < most && most - least < 0.15, "{truth} in [{least}, {most}]");
}

#[test]
fn where_too_much_is_hidden_there_is_no_test_and_the_answer_says_why() {
    let federation = federation(&lung2(), |_, patient| patient.site.clone());
    let result = run(&federation, &asked(MONTHS, BY), Gate::USUAL);
    for title in ["log-rank test", "log-rank test, stratified by site"] {
        assert_eq!(column(block(&result, title), "", "value")[0], None, "{title}");
    }
    let said = |what: &str| result.notes.iter().any(|note| note.contains(what));
    assert!(
        said("no log-rank test of all patients as one: it needs the same sites in every group"),
        "{:?}",
        result.notes
    );
    assert!(said("no log-rank test stratified by site: 0 of 3 sites show every line"), "{:?}", result.notes);
    assert!(said("stratified by site leaves out 1 of 3 sites: they keep 1 of 30 intervals"), "{:?}", result.notes);
    assert!(said("the log-rank tests leave out 2 groups of which no site shows events"), "nobody has these codes");
}

#[test]
fn where_sites_keep_one_interval_of_many_there_is_no_test() {
    // Of each group 15 have the event at each site, and 15 are lost: no site can tell two parts of the follow-up.
    let patient = |i: usize| Patient {
        site: format!("site-{}", i / 60),
        time: 20 + 50 * (i % 15) as u32 + (i % 2) as u32,
        status: (i % 30 < 15).into(),
        part: (i % 60 >= 30).into(),
    };
    let federation = federation(&(0..180).map(patient).collect::<Vec<_>>(), |_, patient| patient.site.clone());
    let result = run(&federation, &asked(MONTHS, BY), Gate::USUAL);
    for (title, why) in [
        ("log-rank test", "no log-rank test of all patients as one: all sites share 1 of 30 intervals"),
        (
            "log-rank test, stratified by site",
            "the log-rank test stratified by site leaves out 3 of 3 sites: they keep 1 of 30",
        ),
    ] {
        assert!(column(block(&result, title), "", "value").iter().take(3).all(Option::is_none), "{title}");
        assert!(result.notes.iter().any(|note| note.starts_with(why)), "{:?}", result.notes);
    }
    // Who asks for one interval compares how many have the event.
    let result = run(&federation, &asked("grid = [900]", BY), Gate::USUAL);
    assert!(column(block(&result, "log-rank test"), "", "value")[0].is_some(), "{:?}", result.notes);
}

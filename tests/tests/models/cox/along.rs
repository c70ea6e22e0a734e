//! One baseline for all sites along a grid: the fit of the pooled rows whose times are rounded to it.

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Federation, Gate, block, number};

use super::super::data::{self, reference_of};
use super::{LUNG2, TWO, cox, equal, lung2, near, run};

const FORMULA: &str = "formula = \"surv(time, status = 1) ~ age + sex\"";
const GRID: &str = "every = 50, until = 1000";

/// A column of the further block with this title.
fn column(result: &AnalysisResult, title: &str, name: &str) -> Vec<f64> {
    let block = block(result, title);
    let at = block.columns.iter().position(|column| column == name).expect("a column");
    let number = |row: &Vec<Value>| match &row[at] {
        Value::Number(x) => *x,
        Value::Count(n) => *n as f64,
        other => panic!("{name}: {other:?}"),
    };
    block.rows.iter().map(number).collect()
}

#[test]
fn the_pooled_fit_on_rounded_times_comes_out_with_ties_after_efron_and_breslow() {
    let federation = data::dealt(LUNG2, &lung2(), 1);
    for (ties, clock, reference) in [("efron", "identity", "lung2, grid"), ("breslow", "log", "lung2, grid, breslow")] {
        let options = format!("{FORMULA}, {GRID}, ties = \"{ties}\", proportionality = \"{clock}\"");
        equal(&run(&federation, &options), reference, &TWO, "errors");
    }
}

#[test]
fn a_stratum_by_a_key_has_a_baseline_of_its_own_over_all_sites() {
    let options = format!("formula = \"surv(time, status = 1) ~ age\", {GRID}, strata = [\"sex\"]");
    let result = run(&data::dealt(LUNG2, &lung2(), 1), &options);
    equal(&result, "lung2, grid, by sex", &[("age", "age")], "errors");
    assert_eq!(block(&result, "baseline").rows.len(), 40);
    assert_eq!(block(&result, "baseline").rows[20][0], Value::Text("1".to_owned()));
}

#[test]
fn however_rows_lie_over_sites_the_fit_is_the_same() {
    let options = format!("{FORMULA}, {GRID}, proportionality = \"identity\", at = [{{ age = 60, sex = \"0\" }}]");
    let whole = run(&data::dealt(LUNG2, &lung2(), 1), &options);
    let close = |one: f64, other: f64, what: &str| {
        assert!((one - other).abs() <= 1e-10 * one.abs().max(1e-3), "{what}: {one} and {other}");
    };
    for sites in [2, 4, 16] {
        let dealt = run(&data::dealt(LUNG2, &lung2(), sites), &options);
        for row in ["age", "sex[1]"] {
            for name in ["estimate", "standard error"] {
                close(number(&whole.block, row, name), number(&dealt.block, row, name), row);
            }
        }
        for row in ["age", "sex", "all"] {
            let tested = |of| number(block(of, "proportionality"), row, "statistic");
            close(tested(&whole), tested(&dealt), row);
        }
        for name in ["survival", "lower", "upper"] {
            let of = |result| column(result, "survival", name);
            of(&whole).into_iter().zip(of(&dealt)).for_each(|(one, other)| close(one, other, name));
        }
        let likelihood = |of| number(block(of, "fit"), "log-likelihood", "value");
        close(likelihood(&whole), likelihood(&dealt), "log-likelihood");
    }
}

#[test]
fn the_baseline_is_breslows_and_says_how_long_patients_go_without_the_event() {
    let federation = data::by_site(LUNG2, &lung2());
    for (ties, reference) in [("efron", "lung2, grid"), ("breslow", "lung2, grid, breslow")] {
        let patterns = "at = [{ age = 60, sex = \"0\" }, { age = 72, sex = \"1\" }]";
        let result = run(&federation, &format!("{FORMULA}, {GRID}, ties = \"{ties}\", {patterns}"));
        let theirs = reference_of("cox", reference);
        let own = column(&result, "baseline", "cumulative hazard");
        let baseline = theirs["baseline"].as_array().expect("a baseline");
        assert_eq!(own.len(), baseline.len());
        own.iter().zip(baseline).for_each(|(own, theirs)| near(*own, theirs, "baseline"));
        for (at, name) in ["survival", "lower", "upper"].into_iter().enumerate() {
            let theirs = theirs["survival"].as_array().expect("patterns").iter();
            let theirs = theirs.flat_map(|rows| rows.as_array().expect("rows")).map(|row| &row[at]);
            let own = column(&result, "survival", name);
            assert_eq!(own.len(), 2 * baseline.len());
            own.iter().zip(theirs).for_each(|(own, theirs)| near(*own, theirs, name));
        }
    }
}

#[test]
fn whoever_is_beyond_the_grid_is_there_without_the_event() {
    let result = run(&data::dealt(LUNG2, &lung2(), 1), &format!("{FORMULA}, every = 50, until = 300"));
    let events = lung2()
        .into_iter()
        .filter(|(_, row)| row["status"] == "1" && row["time"].parse::<f64>().is_ok_and(|time| time < 300.0));
    let events = events.count();
    assert_eq!(number(block(&result, "fit"), "events", "value"), events as f64);
    assert_eq!(number(block(&result, "fit"), "patients", "value"), 228.0);
    assert_eq!(column(&result, "baseline", "to").last(), Some(&300.0));
}

/// So many patients, of whom every second has the event, within so many days.
fn hospital(patients: usize, days: usize) -> String {
    let mut text = "hospital,time,late,status,age,sex\n".to_owned();
    for i in 0..patients {
        text += &format!("site1,{},0,{},{},{}\n", 1 + 37 * i % days, i / 2 % 2, 40 + 7 * i % 41, i / 4 % 2);
    }
    text
}

fn under_the_usual_gate(sites: &[(&str, String)]) -> AnalysisResult {
    let federation = Federation::new(LUNG2, sites);
    federation.run(&cox(&format!("{FORMULA}, every = 100, until = 1000")), Gate::USUAL).remove(0)
}

#[test]
fn under_the_usual_gate_the_fit_is_along_the_ends_that_all_sites_keep() {
    let large = || hospital(3000, 999);
    let alone = under_the_usual_gate(&[("large", large()), ("large-too", large())]);
    assert_eq!(column(&alone, "baseline", "to").len(), 10, "{:?}", alone.notes);
    // Of a tenth of its patients a smaller one merges intervals, and all go by it.
    let with = under_the_usual_gate(&[("large", large()), ("small", hospital(300, 999))]);
    let ends = column(&with, "baseline", "to");
    assert!((2..10).contains(&ends.len()) && ends.last() == Some(&1000.0), "{ends:?}, {:?}", with.notes);
    let note = format!("times are rounded to {} of the 10 intervals", ends.len());
    let kept = format!("large 10, small {}", ends.len());
    let says = |found: &String| found.starts_with(&note) && found.ends_with(&kept);
    assert!(with.notes.iter().any(says), "{:?}", with.notes);
    assert_eq!(number(block(&with, "fit"), "sites", "value"), 2.0);
}

#[test]
fn under_the_usual_gate_a_site_without_anybody_late_shows_no_late_ends() {
    let with = under_the_usual_gate(&[("long", hospital(3000, 999)), ("short", hospital(3000, 299))]);
    let ends = column(&with, "baseline", "to");
    assert_eq!(ends, [100.0, 200.0, 1000.0], "{:?}", with.notes);
}

#[test]
fn under_the_usual_gate_a_site_where_too_few_leave_refuses() {
    let result = under_the_usual_gate(&[("large", hospital(3000, 999)), ("tiny", hospital(24, 999))]);
    let wanted = "tiny refused: ";
    assert!(result.notes.iter().any(|note| note.starts_with(wanted)), "{:?}", result.notes);
    assert!(result.block.rows.is_empty(), "one site answered of two that are needed");
}

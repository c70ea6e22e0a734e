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
fn in_each_stratum_patients_with_a_pattern_go_by_its_own_baseline() {
    let options = format!("formula = \"surv(time, status = 1) ~ age\", {GRID}, strata = [\"sex\"]");
    let result = run(&data::by_site(LUNG2, &lung2()), &format!("{options}, at = [{{ age = 60 }}, {{ age = 72 }}]"));
    let theirs = reference_of("cox", "lung2, grid, by sex");
    let baseline = theirs["baseline"].as_array().expect("a baseline");
    let own = column(&result, "baseline", "cumulative hazard");
    assert_eq!(own.len(), baseline.len());
    own.iter().zip(baseline).for_each(|(own, theirs)| near(*own, theirs, "baseline"));
    for (at, name) in ["survival", "lower", "upper"].into_iter().enumerate() {
        let theirs = theirs["survival"].as_array().expect("patterns").iter();
        let theirs = theirs.flat_map(|rows| rows.as_array().expect("rows")).map(|row| &row[at]);
        let own = column(&result, "survival", name);
        assert_eq!(own.len(), 4 * 20, "two patterns in two strata");
        own.iter().zip(theirs).for_each(|(own, theirs)| near(*own, theirs, name));
    }
    let stratum = |row: usize| block(&result, "survival").rows[row][..2].to_vec();
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!((&stratum(0)[1], &stratum(20)[1]), (&text("0"), &text("1")));
    assert_eq!(stratum(0)[0], stratum(20)[0]);
}

#[test]
fn robust_standard_errors_along_the_grid_are_of_patients_scores() {
    for sites in [1, 4] {
        let federation = data::dealt(LUNG2, &lung2(), sites);
        for (ties, reference) in [("efron", "lung2, grid"), ("breslow", "lung2, grid, breslow")] {
            let options = format!("{FORMULA}, {GRID}, ties = \"{ties}\", standard_errors = \"robust\"");
            let result = run(&federation, &options);
            for (theirs, own) in TWO {
                let error = number(&result.block, own, "standard error");
                near(error, &reference_of("cox", reference)["robust"][theirs], own);
            }
        }
        let by_sex = format!(
            "formula = \"surv(time, status = 1) ~ age\", {GRID}, strata = [\"sex\"], standard_errors = \"robust\""
        );
        let error = number(&run(&federation, &by_sex).block, "age", "standard error");
        near(error, &reference_of("cox", "lung2, grid, by sex")["robust"]["age"], "by sex");
    }
}

#[test]
fn who_comes_late_is_at_risk_along_the_grid_from_the_interval_on_in_which_they_come() {
    for sites in [1, 4] {
        let federation = data::dealt(LUNG2, &lung2(), sites);
        let formula = "formula = \"surv(late, time, status = 1) ~ age + sex\"";
        for ties in ["efron", "breslow"] {
            let result =
                run(&federation, &format!("{formula}, {GRID}, ties = \"{ties}\", proportionality = \"identity\""));
            let theirs = reference_of("cox", &format!("lung2, grid, late, {ties}"));
            for (name, own) in TWO {
                near(number(&result.block, own, "estimate"), &theirs["estimates"][name], own);
                near(number(&result.block, own, "standard error"), &theirs["errors"][name], own);
                let tested =
                    number(block(&result, "proportionality"), own.split('[').next().unwrap_or(own), "statistic");
                near(tested, &theirs["proportionality"][name], own);
            }
            near(number(block(&result, "fit"), "log-likelihood", "value"), &theirs["log_likelihood"], "log-likelihood");
        }
        let until = run(&federation, &format!("{formula}, {GRID}, enter_until = 150"));
        let theirs = reference_of("cox", "lung2, grid, late until 150");
        near(number(block(&until, "fit"), "patients", "value"), &theirs["n"], "patients");
        TWO.iter().for_each(|(name, own)| near(number(&until.block, own, "estimate"), &theirs["estimates"][name], own));
    }
    // Within one site, pairs are those of the pooled rows.
    let whole = run(
        &data::dealt(LUNG2, &lung2(), 1),
        &format!("formula = \"surv(late, time, status = 1) ~ age + sex\", {GRID}"),
    );
    let theirs = reference_of("cox", "lung2, grid, late, efron");
    near(number(block(&whole, "fit"), "concordance", "value"), &theirs["concordance"], "concordance");
    for (more, problem) in [
        ("standard_errors = \"robust\"", "nobody who comes late"),
        ("enter_until = 160", "`enter_until` is an end of the grid"),
    ] {
        let text = cox(&format!("formula = \"surv(late, time, status = 1) ~ age\", {GRID}, {more}"));
        let text = format!("title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"lung2@1\"\n{text}");
        let problems = data::by_site(LUNG2, &lung2()).bind(&text).expect_err(problem);
        assert!(problems.contains(problem), "{problems}");
    }
}

#[test]
fn under_the_usual_gate_ends_stay_where_enough_come_or_nobody_is_to_come() {
    // A fifth come late, all before the day 200.
    let late = |text: String| {
        let line = |(i, line): (usize, &str)| {
            let parts: Vec<&str> = line.split(',').collect();
            let comes = if i % 5 == 0 { 100 + i % 97 } else { 0 };
            let time: usize = parts[1].parse().unwrap_or(0);
            let comes = if comes < time { comes } else { 0 };
            if i == 0 {
                format!("{line}\n")
            } else {
                format!("{},{},{comes},{}\n", parts[0], parts[1], parts[3..].join(","))
            }
        };
        text.lines().enumerate().map(line).collect::<String>()
    };
    let sites = [("one", late(hospital(3000, 999))), ("two", late(hospital(3000, 999)))];
    let federation = Federation::new(LUNG2, &sites);
    let ends = |more: &str| {
        let options =
            format!("formula = \"surv(late, time, status = 1) ~ age + sex\", every = 100, until = 1000{more}");
        let result = federation.run(&cox(&options), Gate::USUAL).remove(0);
        assert!(!result.block.rows.is_empty(), "{:?}", result.notes);
        column(&result, "baseline", "to")
    };
    // Nobody comes from 200 on, which is not told from few.
    assert_eq!(ends(""), [100.0, 1000.0]);
    assert_eq!(ends(", enter_until = 200").len(), 10);
}

#[test]
fn without_the_last_round_a_fit_along_the_grid_has_no_robust_errors_and_says_so() {
    let federation = data::dealt(LUNG2, &lung2(), 2);
    let options = format!("{FORMULA}, {GRID}, standard_errors = \"robust\"");
    let rounds = number(block(&run(&federation, &options), "fit"), "rounds", "value") as u16;
    let text =
        format!("title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"lung2@1\"\n{}", cox(&options));
    let study = federation.bind(&text).expect("a study");
    // The first round asks which ends stay; the last one is at twice the coefficients.
    let refuses = |site: &bocage_protocol::ids::SiteId, round| site.as_str() == "site-01" && round > rounds;
    let result = federation.answer_but(&study, Gate::OPEN, refuses).remove(0);
    assert!(result.notes.iter().any(|note| note.starts_with("no robust errors: ")), "{:?}", result.notes);
    assert_eq!(result.block.rows[0][2], Value::Null, "{:#?}", result.block);
    assert!(number(&result.block, "age", "estimate") > 0.0);
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

//! Data that no model is fitted to, or barely: each a note that names what it is, or the right answer; never a number that is none.

mod kinds;

use std::fmt::Write as _;

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_protocol::ids::SiteId;
use bocage_tests::federation::{Federation, Gate, block, number};

const CONTRACT: &str = r#"
    id = "odd@1"
    subject = "row"
    column = [
        { name = "x", type = "float", range = [-10, 10] },
        { name = "v", type = "float", range = [0, 20] },
        { name = "c", type = "code", codes = [{ code = "a" }, { code = "b" }] },
        { name = "o", type = "float", range = [-5, 5] },
        { name = "w", type = "float", range = [0, 5] },
        { name = "y", type = "bool" },
        { name = "times", type = "int", range = [0, 100] },
    ]
"#;

/// k = 3 at each site, and one site is enough.
const THREE: Gate = Gate { threshold: 3, joint: 3, ..Gate::OPEN };

/// A patient of a file.
#[derive(Clone)]
struct Row {
    x: Option<f64>,
    v: f64,
    c: &'static str,
    o: f64,
    w: f64,
    y: bool,
    times: u32,
}

/// So many patients who give no trouble, from this one on.
fn rows(from: usize, n: usize) -> Vec<Row> {
    let row = |i: usize| Row {
        x: Some((i * 7 % 19) as f64 / 2.0 - 4.0),
        v: (i * 5 % 17) as f64 + 1.0,
        c: ["a", "b"][i / 2 % 2],
        o: 0.0,
        w: 1.0,
        y: (i * 11 % 7) < 3,
        times: (i * 13 % 9) as u32,
    };
    (from..from + n).map(row).collect()
}

fn csv(rows: &[Row]) -> String {
    let mut text = "x,v,c,o,w,y,times\n".to_owned();
    for Row { x, v, c, o, w, y, times } in rows {
        let x = x.map(|x| x.to_string()).unwrap_or_default();
        let _ = writeln!(text, "{x},{v},{c},{o},{w},{y},{times}");
    }
    text
}

fn federation(sites: &[Vec<Row>]) -> Federation {
    let names = ["north", "south", "west"];
    let sites: Vec<(&str, String)> = names.into_iter().zip(sites.iter().map(|rows| csv(rows))).collect();
    Federation::new(CONTRACT, &sites)
}

fn analysis(model: &str) -> String {
    format!("[[analysis]]\nname = \"m\"\nmodel = {{ {model} }}")
}

/// What comes of a model over these sites. No number in it may be none.
fn run(sites: &[Vec<Row>], gate: Gate, model: &str) -> AnalysisResult {
    finite(federation(sites).run(&analysis(model), gate).remove(0))
}

fn finite(result: AnalysisResult) -> AnalysisResult {
    let blocks = std::iter::once(&result.block).chain(result.also.iter().map(|named| &named.block));
    for value in blocks.flat_map(|block| block.rows.iter().flatten()) {
        assert!(!matches!(value, Value::Number(x) if !x.is_finite()), "{result:#?}");
    }
    result
}

fn changed(sites: &[usize], change: impl Fn(&mut Row)) -> Vec<Vec<Row>> {
    let mut from = 0;
    let mut site = |n: usize| {
        let mut rows = rows(from, n);
        from += n;
        rows.iter_mut().for_each(&change);
        rows
    };
    sites.iter().map(|n| site(*n)).collect()
}

#[track_caller]
fn no_fit(result: &AnalysisResult, note: &str) {
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
    let told: Vec<&Value> = result
        .also
        .iter()
        .filter(|of| of.title == "fit")
        .flat_map(|of| of.block.rows.iter().map(|row| &row[0]))
        .collect();
    let counts = ["patients", "events", "sites", "rounds"].map(|name| Value::Text(name.to_owned()));
    assert!(told.iter().all(|name| counts.contains(name)), "{told:?}");
    assert!(result.notes.iter().any(|found| found.contains(note)), "{:?}", result.notes);
}

#[track_caller]
fn said(result: &AnalysisResult, note: &str) {
    assert!(result.notes.iter().any(|found| found.contains(note)), "{:?}", result.notes);
}

#[track_caller]
fn same_fit(one: &AnalysisResult, other: &AnalysisResult, terms: &[&str]) {
    for term in terms {
        for column in ["estimate", "standard error"] {
            let (a, b) = (number(&one.block, term, column), number(&other.block, term, column));
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1e-3), "{term}, {column}: {a} and {b}");
        }
    }
}

#[test]
fn an_outcome_that_a_column_tells_apart_completely_is_named_separation() {
    let sites = changed(&[40, 40], |row| row.y = row.x > Some(0.0));
    no_fit(&run(&sites, Gate::OPEN, "formula = 'y ~ x'"), "no fit: the coefficient of `x` goes beyond 10");
}

#[test]
fn of_whom_a_fit_would_have_been_is_told_where_there_is_none() {
    let sites = changed(&[40, 50], |row| row.y = row.x > Some(0.0));
    let result = run(&sites, Gate::OPEN, "formula = 'y ~ x'");
    let of = |name| number(block(&result, "fit"), name, "value");
    assert_eq!([of("patients"), of("sites")], [90.0, 2.0]);
    let events = sites.iter().flatten().filter(|row| row.y).count();
    assert_eq!(of("events"), events as f64);
    let patients = |site, n| vec![Value::Text(String::from(site)), Value::Count(n)];
    assert_eq!(
        block(&result, "patients with all that the model reads").rows,
        [patients("north", 40), patients("south", 50)]
    );
    let few = Gate { min_sites: 3, ..Gate::OPEN };
    assert!(
        run(&sites, few, "formula = 'y ~ x'").also.is_empty(),
        "of two sites nothing is told where three are needed"
    );
}

#[test]
fn no_events_are_no_fit_and_under_the_gate_a_refusal() {
    let sites = changed(&[40, 40], |row| row.y = false);
    no_fit(&run(&sites, Gate::OPEN, "formula = 'y ~ x'"), "no fit: ");
    no_fit(&run(&sites, Gate::USUAL, "formula = 'y ~ x'"), "`the outcome` varies too little");
}

#[test]
fn no_events_of_a_count_are_no_fit() {
    let sites = changed(&[40, 40], |row| row.times = 0);
    no_fit(&run(&sites, Gate::OPEN, "formula = 'times ~ x', family = 'poisson'"), "no fit: ");
}

#[test]
fn a_level_that_nobody_has_is_named() {
    let sites = changed(&[40, 40], |row| row.c = "a");
    no_fit(
        &run(&sites, Gate::OPEN, "formula = 'x ~ c'"),
        "no fit: `c[b]` is made of the columns before it, or never varies",
    );
    no_fit(&run(&sites, Gate::USUAL, "formula = 'x ~ c'"), "`c = b` varies too little");
}

#[test]
fn a_column_that_nobody_has_leaves_no_patient() {
    let sites = changed(&[40, 40], |row| row.x = None);
    for gate in [Gate::OPEN, Gate::USUAL] {
        no_fit(&run(&sites, gate, "formula = 'y ~ x'"), "patients have all that the model reads");
    }
}

#[test]
fn a_site_without_anybody_of_the_cohort_is_left_out_by_name() {
    let mut sites = changed(&[40, 40], |_| {});
    let two = run(&sites, Gate::OPEN, "formula = 'x ~ v + c'");
    let mut others = rows(80, 40);
    others.iter_mut().for_each(|row| row.o = 2.0);
    sites.push(others);
    let cohort = format!("where = \"o < 1\"\n{}", analysis("formula = 'x ~ v + c'"));
    let three = finite(federation(&sites).run(&cohort, Gate::OPEN).remove(0));
    said(&three, "west refused: fewer than 1 patients have all that the model reads");
    assert_eq!(number(block(&three, "fit"), "sites", "value"), 2.0);
    same_fit(&two, &three, &["(intercept)", "v", "c[b]"]);
}

#[test]
fn a_constant_column_is_named() {
    let sites = changed(&[40, 40], |row| row.v = 3.0);
    no_fit(
        &run(&sites, Gate::OPEN, "formula = 'x ~ v'"),
        "no fit: `v` is made of the columns before it, or never varies",
    );
    no_fit(&run(&sites, Gate::USUAL, "formula = 'x ~ v'"), "`v` varies too little");
}

#[test]
fn a_column_that_is_made_of_another_is_named() {
    let sites = changed(&[40, 40], |row| row.v = row.x.map_or(0.0, |x| x / 2.0 + 7.0));
    no_fit(&run(&sites, Gate::OPEN, "formula = 'y ~ x + v'"), "no fit: `v` is made of the columns before it");
}

#[test]
fn a_constant_outcome_of_a_linear_model_has_no_number_that_is_none() {
    let sites = changed(&[40, 40], |row| row.v = 3.0);
    let result = run(&sites, Gate::OPEN, "formula = 'v ~ x'");
    assert!((number(&result.block, "(intercept)", "estimate") - 3.0).abs() < 1e-9);
    assert!(number(&result.block, "x", "estimate").abs() < 1e-9);
}

#[test]
fn a_unit_a_thousand_million_times_smaller_or_larger_is_the_same_model() {
    let plain = rows(0, 90);
    let scaled = |by: f64, model: &str| {
        let contract = CONTRACT.replace("range = [0, 20]", &format!("range = [0, {}]", 20.0 * by));
        let mut rows = plain.clone();
        rows.iter_mut().for_each(|row| row.v *= by);
        let sites = [("north", csv(&rows[..50])), ("south", csv(&rows[50..]))];
        finite(Federation::new(&contract, &sites).run(&analysis(model), Gate::OPEN).remove(0))
    };
    for model in ["formula = 'x ~ v + c'", "formula = 'y ~ v + c'", "formula = 'times ~ v + c', family = 'poisson'"] {
        let one = scaled(1.0, model);
        for by in [1e-9, 1e12] {
            let other = scaled(by, model);
            for column in ["estimate", "standard error"] {
                for (term, unit) in [("(intercept)", 1.0), ("v", by), ("c[b]", 1.0)] {
                    let (a, b) = (number(&one.block, term, column), unit * number(&other.block, term, column));
                    assert!((a - b).abs() <= 1e-8 * a.abs().max(1e-6), "{model}, {by:e}: {term}: {a} and {b}");
                }
            }
        }
    }
    // As an outcome, too.
    let (one, other) = (scaled(1.0, "formula = 'v ~ x'"), scaled(1e12, "formula = 'v ~ x'"));
    let (a, b) = (number(&one.block, "x", "estimate"), number(&other.block, "x", "estimate") / 1e12);
    assert!((a - b).abs() <= 1e-8 * a.abs(), "{a} and {b}");
}

#[test]
fn twelve_patients_carry_two_parameters_and_eleven_do_not() {
    let sites = changed(&[12, 11], |_| {});
    let result = run(&sites, THREE, "formula = 'x ~ v'");
    said(&result, "south refused: there are too few patients for 2 parameters");
    assert_eq!(number(block(&result, "fit"), "patients", "value"), 12.0);
}

#[test]
fn a_hundred_columns_are_a_model_and_one_more_is_refused_before_anybody_is_asked() {
    let bind = |levels: usize| {
        let codes: Vec<String> = (0..levels).map(|code| format!("{{ code = \"{code}\" }}")).collect();
        let contract = CONTRACT.replace(r#"{ code = "a" }, { code = "b" }"#, &codes.join(", "));
        let mut patients = rows(0, 12);
        patients.iter_mut().for_each(|row| row.c = "0");
        let sites = [("north", csv(&patients))];
        let study = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"odd@1\"\n";
        Federation::new(&contract, &sites).bind(&format!("{study}{}", analysis("formula = 'x ~ c'"))).map(|_| ())
    };
    assert_eq!(bind(100), Ok(()));
    let problem = bind(101).expect_err("too many");
    assert!(problem.contains("the formula makes 101 columns, a model has 100 at most"), "{problem}");
}

#[test]
fn an_offset_of_0_is_none() {
    let sites = changed(&[40, 40], |_| {});
    for model in ["formula = 'x ~ v'", "formula = 'y ~ v'", "formula = 'times ~ v', family = 'poisson'"] {
        let with = model.replacen("~ v", "~ v + offset(o)", 1);
        same_fit(&run(&sites, Gate::OPEN, model), &run(&sites, Gate::OPEN, &with), &["(intercept)", "v"]);
    }
}

#[test]
fn a_weight_of_0_is_as_if_the_patient_were_not_there() {
    let sites = changed(&[40, 40], |row| row.w = if row.v > 14.0 { 0.0 } else { 1.0 });
    let without: Vec<Vec<Row>> =
        sites.iter().map(|rows| rows.iter().filter(|row| row.w > 0.0).cloned().collect()).collect();
    for model in ["formula = 'y ~ v'", "formula = 'times ~ v', family = 'poisson'"] {
        let weighted = run(&sites, Gate::OPEN, &format!("{model}, weights = 'w'"));
        same_fit(&run(&without, Gate::OPEN, model), &weighted, &["(intercept)", "v"]);
    }
}

#[test]
fn nobody_with_a_weight_is_no_fit() {
    let sites = changed(&[40, 40], |row| row.w = 0.0);
    no_fit(&run(&sites, Gate::OPEN, "formula = 'y ~ v', weights = 'w'"), "no fit: ");
}

#[test]
fn a_site_that_refuses_in_the_middle_is_left_out_and_the_fit_is_that_of_the_others() {
    let sites = changed(&[40, 40, 40], |_| {});
    let all = federation(&sites);
    let study = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"odd@1\"\n";
    let study = all.bind(&format!("{study}{}", analysis("formula = 'y ~ v + c'"))).expect("a study");
    let result =
        finite(all.answer_but(&study, Gate::OPEN, |site, round| site.as_str() == "west" && round >= 2).remove(0));
    said(&result, "west refused: the steward says no");
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 2.0);
    same_fit(&run(&sites[..2], Gate::OPEN, "formula = 'y ~ v + c'"), &result, &["(intercept)", "v", "c[b]"]);
}

#[test]
fn how_much_a_fit_explains_is_of_the_sites_that_are_in_it_at_the_end() {
    // The last site's outcomes lie elsewhere: with it, the outcome varies much more.
    let sites = changed(&[40, 40, 40], |_| {});
    let mut far = sites.clone();
    far[2].iter_mut().for_each(|row| row.times += 30);
    let federation = federation(&far);
    for (model, quantity) in [
        ("formula = 'times ~ v + c'", "R-squared"),
        ("formula = 'times ~ v + c', family = 'poisson'", "pseudo R-squared (McFadden)"),
    ] {
        let study = "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"odd@1\"\n";
        let study = federation.bind(&format!("{study}{}", analysis(model))).expect("a study");
        let refuses = |site: &SiteId, round| site.as_str() == "west" && round >= 1;
        let left = finite(federation.answer_but(&study, Gate::OPEN, refuses).remove(0));
        let without = run(&sites[..2], Gate::OPEN, model);
        let [left, without] = [&left, &without].map(|result| number(block(result, "fit"), quantity, "value"));
        assert!((left - without).abs() < 1e-9, "{quantity}: {left} and {without}");
    }
}

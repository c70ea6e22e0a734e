//! Sites that round, against the same sites that do not: whatever is published of the former holds what is published of the latter, in every kind
//! of analysis that counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bocage_coordinator::api::types::{AnalysisResult, Block, HiddenReason, Value};
use bocage_tests::federation::{Federation, Gate, Mode};
use proptest::prelude::*;

const CONTRACT: &str = r#"
id = "ward@1"
subject = "row"
[[column]]
name = "area"
type = "code"
required = true
codes = [{ code = "a" }, { code = "b" }, { code = "c" }]
groupings = [{ name = "pairs", groups = [{ label = "ab", codes = ["a", "b"] }, { label = "c", codes = ["c"] }] }]
[[column]]
name = "sex"
type = "code"
codes = [{ code = "f" }, { code = "m" }]
[[column]]
name = "age"
type = "int"
range = [0, 120]
required = true
[[column]]
name = "weight"
type = "float"
range = [0, 300]
[[column]]
name = "sick"
type = "bool"
required = true
[[column]]
name = "days"
type = "int"
range = [0, 400]
required = true
[[column]]
name = "ward"
type = "text"
"#;

/// Every kind of analysis whose sites release counts.
const ASKED: &str = r#"
[[analysis]]
name = "table"
table = { by = ["area", "sex"], show = ["count", "rows", "mean(age)", "sum(weight)", "sd(weight)", "share(age >= 50)"] }
[[analysis]]
name = "all"
table = { show = ["count", "mean(weight)"] }
[[analysis]]
name = "bars"
histogram = { of = "age", bins = [40, 60] }
[[analysis]]
name = "cross"
crosstab = { rows = "area", columns = "sex" }
[[analysis]]
name = "quantiles"
quantiles = { of = "age", at = [0.1, 0.5, 0.9] }
[[analysis]]
name = "heavy"
quantiles = { of = "weight", at = [0.25, 0.5] }
[[analysis]]
name = "flow"
attrition = { steps = ["age >= 30", "sex = 'f'", "not sick"] }
[[analysis]]
name = "keys"
table = { by = ["discovered(ward)"], show = ["count", "mean(age)"], top = 10 }
[[analysis]]
name = "rates"
rates = { time = "days", event = "sick", by = ["area"] }
[[analysis]]
name = "curve"
survival = { time = "days", event = "sick", every = 50, until = 350, by = ["sex"] }
[[analysis]]
name = "summary"
summary = { columns = ["age", "weight", "sex", "sick"] }
[[analysis]]
name = "one"
table_one = { by = "sex", columns = ["age", "area"] }
[[analysis]]
name = "risks"
compare = { by = "sex", outcome = "sick" }
[[analysis]]
name = "means"
compare = { by = "sex", outcome = "weight" }
[[analysis]]
name = "pairs"
correlation = { columns = ["age", "weight"] }
[[analysis]]
name = "accuracy"
accuracy = { test = "age >= 50", truth = "sick" }
[[analysis]]
name = "standard"
standardised = { events = "sick", over = ["cut(age, 50)"], population = { "<50" = 60, ">=50" = 40 } }
"#;

/// Patients that follow from a seed: sites differ in size, age and weight.
fn site(seed: u64, site: u64, n: u64) -> String {
    let mut text = "area,sex,age,weight,sick,days,ward\n".to_owned();
    for i in 0..n {
        let x = (seed * 1_000_003 + site * 7919 + i * 104_729) % 9973;
        let area = ["a", "b", "c"][(x % 3) as usize];
        let sex = ["f", "m", "f", "m", ""][(x / 3 % 5) as usize];
        let weight = if x.is_multiple_of(11) { String::new() } else { format!("{}.5", 50 + (x * 7 + 13 * site) % 61) };
        let (age, sick, days) = (20 + (x / 7 + 9 * site) % 70, (x / 5).is_multiple_of(3), x * 31 % 401);
        let ward = ["north", "south", "east", ""][(x / 13 % 4) as usize];
        let _ = writeln!(text, "{area},{sex},{age},{weight},{sick},{days},{ward}");
    }
    text
}

fn federation(seed: u64, sizes: &[u64]) -> Federation {
    let sites: Vec<(String, String)> =
        sizes.iter().enumerate().map(|(at, n)| (format!("site-{at}"), site(seed, at as u64, *n))).collect();
    let sites: Vec<(&str, String)> = sites.iter().map(|(name, csv)| (name.as_str(), csv.clone())).collect();
    Federation::new(CONTRACT, &sites)
}

/// As a site with k = 11 that rounds answers, and one that hides the same and does not.
fn gate(mode: Mode) -> Gate {
    Gate { threshold: Mode::Round.threshold(11), mode, ..Gate::USUAL }
}

/// Every block of an answer, by its place.
fn blocks(result: &AnalysisResult) -> Vec<(String, &Block)> {
    let also = result.also.iter().map(|named| (format!("{}, {}", result.name, named.title), &named.block));
    let rolled_up = result.rolled_up.iter().map(|block| (format!("{}, rolled up", result.name), block));
    std::iter::once((result.name.to_string(), &result.block)).chain(also).chain(rolled_up).collect()
}

/// What is told of a number: where it lies at most.
fn ends(block: &Block, row: usize, column: usize) -> Option<(f64, f64)> {
    if let Some(within) = block.within.iter().find(|within| (within.row, within.column) == (row, column)) {
        return Some((within.from, within.to));
    }
    match &block.rows[row][column] {
        Value::Number(x) => Some((*x, *x)),
        Value::Count(n) => Some((*n as f64, *n as f64)),
        Value::Text(_) => None,
        Value::Null => {
            let hidden = block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (row, column))?;
            let interval = hidden.interval?;
            Some((interval.0 as f64, interval.1.map_or(f64::INFINITY, |hi| hi as f64)))
        }
    }
}

/// Whether a column is an end of an interval that follows from the others, or an estimate within one: those are of other numbers.
fn follows(columns: &[String], column: usize) -> Option<(usize, usize)> {
    let at = |name: &str| columns.iter().position(|heading| heading == name);
    match columns[column].as_str() {
        "value" => at("from").zip(at("to")),
        "survival" => at("least").zip(at("most")),
        "restricted_mean" => at("least").zip(at("most")),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(x) => Some(*x),
        Value::Count(n) => Some(*n as f64),
        Value::Text(_) | Value::Null => None,
    }
}

/// What is wrong with an answer over rounded numbers, beside the one over those as they are.
fn wrong(name: &str, exact: &Block, rounded: &Block) -> Vec<String> {
    let mut wrong = Vec::new();
    let labels = |block: &Block| -> Vec<String> {
        let text = |value: &Value| if let Value::Text(text) = value { text.clone() } else { String::new() };
        block.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect()
    };
    if exact.columns != rounded.columns {
        return vec![format!("{name}: {:?} and {:?}", exact.columns, rounded.columns)];
    }
    let mut rows: BTreeMap<String, usize> =
        labels(exact).into_iter().enumerate().map(|(at, label)| (label, at)).collect();
    for (row, label) in labels(rounded).into_iter().enumerate() {
        let Some(of) = rows.remove(&label) else {
            wrong.push(format!("{name}: no row {label}"));
            continue;
        };
        for (column, heading) in exact.columns.iter().enumerate() {
            let Some(truth) = number(&exact.rows[of][column]) else { continue };
            if heading.starts_with("quantile ") {
                // An estimate whose interval stands in a block of its own.
                continue;
            }
            let tolerance = 1e-9 * truth.abs().max(1.0);
            let told = match follows(&exact.columns, column) {
                // An estimate: its own interval holds it, and holds the exact one.
                Some((from, to)) => number(&rounded.rows[row][from]).zip(number(&rounded.rows[row][to])),
                // The ends of an interval are no narrower.
                None if ["from", "least", "lower"].contains(&heading.as_str()) => {
                    number(&rounded.rows[row][column]).map(|from| (from, f64::INFINITY))
                }
                None if ["to", "most", "upper"].contains(&heading.as_str()) => {
                    number(&rounded.rows[row][column]).map(|to| (f64::NEG_INFINITY, to))
                }
                None => ends(rounded, row, column),
            };
            if let Some((from, to)) = told
                && !(from - tolerance <= truth && truth <= to + tolerance)
            {
                wrong.push(format!("{name}, {label}, {heading}: {truth} is not in [{from}, {to}]"));
            }
        }
    }
    wrong
}

fn compare(federation: &Federation) -> Vec<String> {
    let (exact, rounded) = (federation.run(ASKED, gate(Mode::Exact)), federation.run(ASKED, gate(Mode::Round)));
    let mut all = Vec::new();
    for (exact, rounded) in exact.iter().zip(&rounded) {
        for ((name, exact), (_, rounded)) in blocks(exact).into_iter().zip(blocks(rounded)) {
            all.extend(wrong(&name, exact, rounded));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12 * bocage_tests::scale(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_published_of_rounded_numbers_holds_what_the_numbers_make(
        seed in 0u64..10_000, sizes in prop::collection::vec(60u64..400, 2..5),
    ) {
        let wrong = compare(&federation(seed, &sizes));
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_reader_is_told_which_sites_round_and_sees_no_exact_count() {
    let federation = federation(7, &[300, 250, 200]);
    for result in federation.run(ASKED, gate(Mode::Round)) {
        let told = result.notes.iter().any(|note| note.contains("site-0, site-1, site-2 round each count"));
        assert!(told, "{}: {:?}", result.name, result.notes);
        for (name, block) in blocks(&result) {
            let counts = ["count", "rows", "valid", "patients", "entered", "kept", "at_risk", "events"];
            for (column, heading) in block.columns.iter().enumerate().filter(|(_, h)| counts.contains(&h.as_str())) {
                let exact = block.rows.iter().filter(|row| matches!(row[column], Value::Count(n) if n > 0)).count();
                assert_eq!(exact, 0, "{name}, {heading}: {block:#?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_made_of_rounded_numbers_is_not_given_and_says_why() {
    let federation = federation(7, &[300, 250, 200]);
    let results: BTreeMap<String, AnalysisResult> =
        federation.run(ASKED, gate(Mode::Round)).into_iter().map(|result| (result.name.to_string(), result)).collect();
    let reasons = |block: &Block, column: &str| -> Vec<HiddenReason> {
        let at = block.columns.iter().position(|heading| heading == column).expect(column);
        block.hidden.iter().filter(|hidden| hidden.column == at).map(|hidden| hidden.reason).collect()
    };
    let also = |name: &str, title: &str| {
        let found = results[name].also.iter().find(|named| named.title == title);
        &found.unwrap_or_else(|| panic!("{name}: {title}")).block
    };
    for (block, column, reason) in [
        (also("cross", "test of independence"), "value", HiddenReason::NotAllExact),
        (also("risks", "tests"), "p", HiddenReason::NotAllExact),
        (also("means", "tests"), "p", HiddenReason::Rounded),
        (also("curve", "log-rank test"), "value", HiddenReason::NotAllExact),
        (&results["rates"].block, "rate", HiddenReason::NotAllExact),
        (&results["pairs"].block, "r", HiddenReason::Rounded),
    ] {
        let found = reasons(block, column);
        assert!(!found.is_empty() && found.iter().all(|of| *of == reason), "{column}: {found:?} of {block:#?}");
    }
}

#[test]
fn one_site_that_rounds_makes_a_count_an_interval_of_its_own_width() {
    let federation = federation(3, &[120, 90]);
    let count = "[[analysis]]\nname = \"n\"\ntable = { show = [\"count\"] }\n";
    let [exact, rounded] = [Mode::Exact, Mode::Round].map(|mode| federation.run(count, gate(mode)).remove(0).block);
    assert_eq!(exact.rows[0][0], Value::Count(210));
    let hidden = &rounded.hidden[0];
    assert_eq!(hidden.interval.map(|of| (of.0, of.1)), Some((206, Some(214))), "two off for each of two sites");
    assert_eq!(hidden.reason, HiddenReason::Rounded);
}

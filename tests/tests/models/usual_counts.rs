//! Tables of the covid data under the gate as nodes have it: what is told is that of the sites which the rows themselves say can show it, counted here
//! anew by k and nothing of the product.

use std::collections::BTreeMap;

use bocage_coordinator::api::types::{AnalysisResult, HiddenReason, Value};
use bocage_tests::federation::{Gate, block, number};

use super::data::{self, COVID};

const K: usize = 11;

type Row = BTreeMap<String, String>;

fn run(analysis: &str) -> AnalysisResult {
    let asked = format!("[[analysis]]\nname = \"m\"\n{analysis}");
    data::by_site(COVID, &data::covid()).run(&asked, Gate::USUAL).remove(0)
}

fn value(row: &Row, column: &str) -> f64 {
    row[column].parse().expect("a number")
}

/// The rows of each site for which this is true.
fn by_site(is: impl Fn(&Row) -> bool) -> BTreeMap<String, Vec<Row>> {
    let mut sites: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (site, row) in data::covid() {
        let of = sites.entry(site).or_default();
        if is(&row) {
            of.push(row);
        }
    }
    sites
}

#[test]
fn a_rate_is_of_the_sites_where_k_of_the_group_died_and_k_did_not_and_a_ratio_of_the_same_sites() {
    let result = run(r#"rates = { time = "los", event = "death", by = ["sex"] }"#);
    let died = |row: &&Row| row["death"] == "true";
    for (sex, sites, events) in [("0", 6, 240), ("1", 5, 174)] {
        let all = by_site(|row| row["sex"] == sex);
        let shown: Vec<&Vec<Row>> = all
            .values()
            .filter(|rows| {
                let dead = rows.iter().filter(died).count();
                dead >= K && rows.len() - dead >= K
            })
            .collect();
        assert_eq!(shown.len(), sites, "{sex}");
        let dead: usize = shown.iter().map(|rows| rows.iter().filter(died).count()).sum();
        let time: f64 = shown.iter().flat_map(|rows| rows.iter()).map(|row| value(row, "los")).sum();
        assert_eq!(dead, events, "{sex}");
        assert_eq!(number(&result.block, sex, "events"), dead as f64, "{sex}");
        assert_eq!(number(&result.block, sex, "time"), time, "{sex}");
        let rate = number(&result.block, sex, "rate");
        assert!((rate - dead as f64 / time).abs() < 1e-14, "{sex}: {rate}");
    }
    // Of the men of site6 eight died, so that the two rates are of other sites.
    let ratio = result.block.columns.iter().position(|column| column == "ratio").expect("a ratio");
    let hidden = result.block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (1, ratio));
    assert_eq!(hidden.map(|hidden| hidden.reason), Some(HiddenReason::NotAllExact), "{:?}", result.block);
    let said = "1 has no ratio: some sites show time and events of one of the two groups only";
    assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
}

/// Patients by two conditions, at each site: true and true, true and false, false and true, neither.
fn fourfold(test: impl Fn(&Row) -> bool, truth: impl Fn(&Row) -> bool) -> Vec<[usize; 4]> {
    let count = |rows: &Vec<Row>| {
        let of = |a: bool, b: bool| rows.iter().filter(|row| (test(row), truth(row)) == (a, b)).count();
        [of(true, true), of(true, false), of(false, true), of(false, false)]
    };
    by_site(|_| true).values().map(count).collect()
}

#[test]
fn a_test_is_held_against_the_truth_where_every_site_shows_the_four_cells() {
    let cells = fourfold(|row| value(row, "age") >= 60.0, |row| row["sex"] == "1");
    assert!(cells.iter().flatten().all(|n| *n >= K), "{cells:?}");
    let [tp, fp, fn_, tn] = [0, 1, 2, 3].map(|at| cells.iter().map(|of| of[at]).sum::<usize>() as f64);
    let result = run(r#"accuracy = { test = "age >= 60", truth = "sex = '1'" }"#);
    let measures = block(&result, "accuracy");
    for (name, wanted) in [
        ("sensitivity", tp / (tp + fn_)),
        ("specificity", tn / (tn + fp)),
        ("ppv", tp / (tp + fp)),
        ("npv", tn / (tn + fn_)),
        ("prevalence", (tp + fn_) / (tp + fp + fn_ + tn)),
    ] {
        let found = number(measures, name, "value");
        assert!((found - wanted).abs() < 1e-14, "{name}: {found} is not {wanted}");
    }
    // Of those whose value is low hardly anybody died, so there is a cell that no two sites show.
    let cells = fourfold(|row| value(row, "lab") >= 50.0, |row| row["death"] == "true");
    assert_eq!(cells.iter().filter(|of| of[2] >= K).count(), 1, "{cells:?}");
    let result = run(r#"accuracy = { test = "lab >= 50", truth = "death" }"#);
    let measures = block(&result, "accuracy");
    assert!(measures.rows.iter().all(|row| row[1..].iter().all(|cell| *cell == Value::Null)), "{measures:?}");
    assert!(measures.hidden.iter().all(|hidden| hidden.reason == HiddenReason::NotAllExact), "{measures:?}");
    let said = "no measure: it needs the four cells of test and truth exactly";
    assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
}

#[test]
fn a_standardised_rate_needs_each_of_its_strata_exactly() {
    let asked = |events: &str| {
        run(&format!(
            "standardised = {{ events = \"{events}\", by = \"sex\", over = [\"cut(age, 60)\"], population = {{ \"<60\" = 7000, \">=60\" = 3000 }} }}"
        ))
    };
    let result = asked("death");
    let said = "not every rate is given: it needs its strata exactly; wider strata have fewer hidden cells";
    assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
    let at = result.block.columns.iter().position(|column| column == "standardised").expect("a rate");
    assert!(result.block.rows.iter().all(|row| row[at] == Value::Null), "{:?}", result.block);
    // Nobody under 60 died at most sites, in either sex.
    let few = by_site(|row| value(row, "age") < 60.0 && row["death"] == "true");
    assert!(few.values().filter(|rows| rows.len() < K).count() >= 4, "{few:?}");
}

#[test]
fn a_table_one_has_the_means_of_all_sites_and_no_share_of_a_level_that_one_of_them_hides() {
    let result = run(r#"table_one = { by = "death", columns = ["age", "sex"] }"#);
    let at = |name: &str| result.block.columns.iter().position(|column| column == name).expect("a column");
    let row = |column: &str, level: &str| {
        let named = [column, level].map(|text| Value::Text(text.to_owned()));
        result.block.rows.iter().position(|row| row[..2] == named).unwrap_or_else(|| panic!("{:?}", result.block))
    };
    let age = row("age", "");
    for group in ["false", "true"] {
        let ages: Vec<f64> =
            data::covid().iter().filter(|(_, row)| row["death"] == group).map(|(_, row)| value(row, "age")).collect();
        let of = |what: &str| &result.block.rows[age][at(&format!("{group}: {what}"))];
        assert_eq!(*of("n"), Value::Count(ages.len() as u64));
        let mean = ages.iter().sum::<f64>() / ages.len() as f64;
        assert!(matches!(of("mean or share"), Value::Number(found) if (found - mean).abs() < 1e-8), "{group}: {mean}");
    }
    // Eight of the men of site6 died: their number lies within what is hidden, and no share of the dead is told.
    let men = row("sex", "1");
    let count = at("true: n");
    let hidden = result.block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (men, count));
    let within = hidden.and_then(|hidden| hidden.interval).unwrap_or_else(|| panic!("{:?}", result.block));
    let truth = data::covid().iter().filter(|(_, row)| row["death"] == "true" && row["sex"] == "1").count() as u64;
    assert!(within.contains(truth), "{within:?}, {truth}");
    assert_eq!(result.block.rows[men][at("true: mean or share")], Value::Null);
    assert!(matches!(result.block.rows[men][at("false: n")], Value::Count(_)), "{:?}", result.block);
}

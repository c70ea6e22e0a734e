//! How good a score is: curve, Brier's score and calibration over several sites are those of the pooled rows, or hold them.

use std::collections::BTreeMap;

use bocage_coordinator::api::types::{AnalysisResult, Value};
use bocage_tests::federation::{Federation, Gate, block, number};
use serde_json::json;

use super::data::{self, COVID};

const MODEL: &str = "[models.risk]\nformula = \"death ~ age + sex + lab\"\n\
                     coefficients = { \"(intercept)\" = -5.25, age = 0.0431, \"sex[1]\" = 0.37, lab = 0.0123 }\n";
const ASKED: &str = "[[analysis]]\nname = \"e\"\nevaluate = { model = \"risk\" }\n";

/// Linear predictor and truth of everybody.
fn pooled() -> Vec<(f64, bool)> {
    let of = |row: &BTreeMap<String, String>| {
        let x = |name: &str| row[name].parse::<f64>().expect("a number");
        (-5.25 + 0.0431 * x("age") + 0.37 * x("sex") + 0.0123 * x("lab"), row["death"] == "true")
    };
    data::covid().iter().map(|(_, row)| of(row)).collect()
}

fn expit(eta: f64) -> f64 {
    1.0 / (1.0 + (-eta).exp())
}

fn area(rows: &[(f64, bool)]) -> f64 {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (with, _) in rows.iter().filter(|row| row.1) {
        for (without, _) in rows.iter().filter(|row| !row.1) {
            sum += if with > without { 1.0 } else { f64::from(u8::from(with == without)) / 2.0 };
            pairs += 1.0;
        }
    }
    sum / pairs
}

fn evaluated(federation: &Federation, models: &str, asked: &str, gate: Gate) -> AnalysisResult {
    let text = format!(
        "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"{}\"\n{models}{asked}",
        federation.contract().id()
    );
    let study = federation.bind(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let mut results = federation.answer(&study, gate);
    assert_eq!(results.len(), 1, "the parts are one answer");
    results.remove(0)
}

fn near(found: f64, wanted: f64, within: f64, what: &str) {
    assert!((found - wanted).abs() <= within * wanted.abs().max(1.0), "{what}: {found} is not {wanted}");
}

#[test]
fn scores_of_probabilities_are_those_of_the_pooled_rows_over_any_number_of_sites() {
    let rows = pooled();
    let n = rows.len() as f64;
    let y = |with: &bool| f64::from(u8::from(*with));
    let sum = |of: &dyn Fn(&(f64, bool)) -> f64| rows.iter().map(of).sum::<f64>();
    let brier = sum(&|(eta, with)| (y(with) - expit(*eta)).powi(2)) / n;
    let expected = sum(&|(eta, _)| expit(*eta));
    let events = sum(&|(_, with)| y(with));
    let loss = -sum(&|(eta, with)| (if *with { expit(*eta) } else { 1.0 - expit(*eta) }).ln()) / n;
    let truth = area(&rows);
    let reference = data::reference_of("evaluation", "covid");
    let of_script = |name: &str| reference[name].as_f64().expect("a number");
    let federations = [1, 2, 4, 16].map(|sites| data::dealt(COVID, &data::covid(), sites));
    for federation in federations.iter().chain([&data::by_site(COVID, &data::covid())]) {
        let result = evaluated(federation, MODEL, ASKED, Gate::OPEN);
        let value = |name: &str| number(&result.block, name, "value");
        near(value("Brier score"), brier, 1e-10, "Brier");
        near(value("observed over expected"), events / expected, 1e-10, "O/E");
        near(value("scaled Brier score"), 1.0 - brier / (events / n * (1.0 - events / n)), 1e-10, "scaled");
        near(number(block(&result, "probabilities"), "mean logarithmic loss", "value"), loss, 1e-10, "loss");
        near(value("Brier score"), of_script("brier"), 1e-9, "Brier of scikit-learn");
        near(value("calibration slope"), of_script("slope"), 1e-7, "slope of statsmodels");
        near(value("calibration intercept"), of_script("intercept"), 1e-7, "intercept of statsmodels");
        let [least, most] = ["least", "most"].map(|end| number(&result.block, "area under the curve", end));
        near(truth, of_script("auc"), 1e-12, "AUC of scikit-learn");
        assert!(least <= truth && truth <= most && most - least < 0.02, "{least} {truth} {most}");
        near(value("area under the curve"), truth, 2e-3, "area");
        // Without a threshold every edge is exact.
        let at = |edge: f64, class: bool| {
            let of = |row: &&(f64, bool)| row.1 == class;
            rows.iter().filter(of).filter(|row| expit(row.0) >= edge).count() as f64
                / rows.iter().filter(of).count() as f64
        };
        for edge in ["0.05", "0.2", "0.5"] {
            let share: f64 = edge.parse().expect("a number");
            near(number(block(&result, "curve"), edge, "sensitivity"), at(share, true), 1e-12, edge);
            near(number(block(&result, "curve"), edge, "specificity"), 1.0 - at(share, false), 1e-12, edge);
        }
        let calibration = block(&result, "calibration");
        let within: Vec<&(f64, bool)> = rows.iter().filter(|row| (0.1..0.2).contains(&expit(row.0))).collect();
        assert_eq!(number(calibration, "[0.1,0.2)", "patients"), within.len() as f64);
        let observed = within.iter().filter(|row| row.1).count() as f64 / within.len() as f64;
        near(number(calibration, "[0.1,0.2)", "observed"), observed, 1e-12, "observed");
    }
}

#[test]
fn calibration_by_bands_has_intervals_of_the_confidence_that_was_asked() {
    let federation = data::by_site(COVID, &data::covid());
    // Wilson (1927), by points of the normal distribution as tables have them.
    for (confidence, z) in [("0.9", 1.6448536269514722), ("0.99", 2.5758293035489004)] {
        let asked = ASKED.replace("evaluate = {", &format!("evaluate = {{ confidence = {confidence},"));
        let result = evaluated(&federation, MODEL, &asked, Gate::OPEN);
        let of = |column: &str| number(block(&result, "calibration"), "[0.1,0.2)", column);
        let (n, p) = (of("patients"), of("observed"));
        let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        near(of("to") - of("from"), 2.0 * half, 1e-12, confidence);
        assert!(!result.notes.iter().any(|note| note.contains("R-squared")), "{:?}", result.notes);
    }
}

#[test]
fn under_the_usual_gate_the_area_lies_within_its_bounds_and_its_bounds_within_its_interval() {
    let truth = area(&pooled());
    let result = evaluated(&data::by_site(COVID, &data::covid()), MODEL, ASKED, Gate::USUAL);
    let of = |end: &str| number(&result.block, "area under the curve", end);
    let ordered = of("from") <= of("least") && of("least") <= truth && truth <= of("most") && of("most") <= of("to");
    assert!(ordered, "{truth}: {:?} {:?}", result.block, result.notes);
    assert!(of("most") - of("least") < 0.25, "it says something: {:?}", result.block);
    let told = serde_json::to_value(&result).expect("JSON");
    assert_eq!(told["kind"], json!("evaluate"));
}

#[test]
fn any_number_along_a_declared_grid_has_an_area_and_nothing_of_a_model() {
    let asked =
        "[[analysis]]\nname = \"e\"\nevaluate = { score = \"age\", truth = \"death\", grid = [40, 50, 60, 70, 80] }\n";
    let rows: Vec<(f64, bool)> =
        data::covid().iter().map(|(_, row)| (row["age"].parse().expect("an age"), row["death"] == "true")).collect();
    let result = evaluated(&data::by_site(COVID, &data::covid()), "", asked, Gate::OPEN);
    let of = |end: &str| number(&result.block, "area under the curve", end);
    let truth = area(&rows);
    assert!(of("least") <= truth && truth <= of("most"));
    assert_eq!(result.block.rows.len(), 1);
}

#[test]
fn a_class_that_is_too_small_leaves_its_site_out_and_without_sites_there_is_no_area() {
    let mut rows = data::covid();
    for (site, row) in &mut rows {
        if site == "site1" {
            row.insert("death".to_owned(), "false".to_owned());
        }
    }
    let result = evaluated(&data::by_site(COVID, &rows), MODEL, ASKED, Gate::USUAL);
    let said = "curve: site1 is left out: it has fewer than 11 who have it, or who have it not";
    assert!(result.notes.iter().any(|note| note == said), "{:?}", result.notes);
    rows.iter_mut().for_each(|(_, row)| drop(row.insert("death".to_owned(), "false".to_owned())));
    for gate in [Gate::USUAL, Gate::OPEN] {
        let result = evaluated(&data::by_site(COVID, &rows), MODEL, ASKED, gate);
        assert_eq!(result.block.rows[0][1], Value::Null, "{:?}", result.block);
    }
}

#[test]
fn hospitals_that_make_one_bin_of_all_have_no_area_together() {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut few = data::covid();
    few.retain(|(site, row)| {
        let seen = seen.entry((site.clone(), row["death"].clone())).or_default();
        *seen += 1;
        *seen <= 15
    });
    let result = evaluated(&data::by_site(COVID, &few), MODEL, ASKED, Gate::USUAL);
    assert!(result.block.rows[0][1..].iter().all(|value| *value == Value::Null), "{:?}", result.block);
    let said = "curve: no area: anything from 0 to 1 is possible";
    assert!(result.notes.iter().any(|note| note.starts_with(said)), "{:?}", result.notes);
}

#[test]
fn what_cannot_be_evaluated_is_said_with_what_to_write() {
    let federation = data::by_site(COVID, &data::covid());
    for (asked, problem) in [
        ("{ }", "an evaluation is of a fitted model, or of another score"),
        ("{ model = \"none\" }", "there is no fitted model `none`"),
        ("{ score = \"age\", truth = \"death\" }", "a score needs a grid, which must not come from the data"),
        ("{ score = \"age\", grid = [1, 2] }", "what is true is not said"),
        ("{ score = \"age\", truth = \"death\", grid = [2, 1] }", "a grid has 1 to 1000 ascending edges"),
        ("{ score = \"sex\", truth = \"death\", grid = [1] }", "and no number"),
        ("{ model = \"long\" }", "`long` is no logistic model"),
    ] {
        let linear = "[models.long]\nformula = \"los ~ age\"\ncoefficients = { \"(intercept)\" = 1, age = 0.1 }\n";
        let text = format!(
            "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"covid@1\"\n{linear}\n\
             [[analysis]]\nname = \"e\"\nevaluate = {asked}\n"
        );
        let problems = federation.bind(&text).expect_err(problem);
        let wanted = if asked.contains("long") { "what is true is not said" } else { problem };
        assert!(problems.contains(wanted), "{problems}");
    }
}

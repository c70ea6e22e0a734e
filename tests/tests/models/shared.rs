//! Every model of the published pooled answers, some on data that may not be part of this repository: the same numbers, where the data are there; and,
//! under the gate as nodes have it, who contributes on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bocage_coordinator::api::types::{AnalysisResult, Value as Cell};
use bocage_tests::federation::{Gate, block, number};
use bocage_tests::lab::repository;
use serde_json::Value;

use super::data::{self, COVID, HEART, RCT, Rows};
use super::references::model;

const MEDPAR: &str = r#"
    id = "medpar@1"
    subject = "row"
    column = [
        { name = "los", type = "int", range = [0, 150] },
        { name = "hmo", type = "int", range = [0, 1] },
        { name = "white", type = "int", range = [0, 1] },
        { name = "died", type = "bool" },
        { name = "age80", type = "int", range = [0, 1] },
        { name = "type2", type = "int", range = [0, 1] },
        { name = "type3", type = "int", range = [0, 1] },
    ]
"#;

const GLOW: &str = r#"
    id = "glow@1"
    subject = "row"
    column = [
        { name = "age", type = "int", range = [50, 100] },
        { name = "height", type = "int", range = [120, 210] },
        { name = "priorfrac", type = "code", codes = [{ code = "No" }, { code = "Yes" }] },
        { name = "momfrac", type = "code", codes = [{ code = "No" }, { code = "Yes" }] },
        { name = "armassist", type = "code", codes = [{ code = "No" }, { code = "Yes" }] },
        { name = "raterisk", type = "code", codes = [{ code = "Less" }, { code = "Same" }, { code = "Greater" }] },
        { name = "fracture", type = "bool" },
    ]
"#;

/// The folder of published data, where it is.
pub fn shared() -> Option<PathBuf> {
    let path = repository("../shared/data");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: the published data are not there");
    None
}

/// The rows of a file by what a column of it says of the site, with its codes of events as true and false.
fn rows(folder: &Path, file: &str, site: &str, event: &str) -> Rows {
    let with_site = |mut row: BTreeMap<String, String>| {
        let of = row[event].as_str();
        let event_is = matches!(of, "1" | "Yes").to_string();
        row.insert(event.to_owned(), event_is);
        (format!("s-{}", row[site].to_lowercase()), row)
    };
    data::rows(&folder.join("glm").join(file), None).into_iter().map(with_site).collect()
}

fn medpar(folder: &Path) -> Rows {
    rows(folder, "medpar_54hospitals.csv", "provnum", "died")
}

fn glow(folder: &Path) -> Rows {
    rows(folder, "glow500_6sites_GPL3.csv", "site_id", "fracture")
}

/// Estimates and errors with their six and more digits, as far as the fits there come to their end; deviance and log-likelihood.
#[track_caller]
fn published(folder: &Path, name: &str, result: &AnalysisResult, names: &[(&str, &str)]) {
    let text = std::fs::read_to_string(folder.join("reference_pooled_fits.json")).expect("references");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let expected = &all[name];
    assert_eq!(expected["coef"].as_object().expect("coefficients").len(), names.len(), "{name}: every coefficient");
    let fit = block(result, "fit");
    let near = |found: f64, of: &Value, within: f64, what: &str| {
        let of = of.as_f64().unwrap_or_else(|| panic!("{name}, {what}: no number"));
        assert!((found - of).abs() <= within, "{name}, {what}: {found}, published {of}");
    };
    near(number(fit, "patients", "value"), &expected["n"], 0.0, "n");
    for (theirs, ours) in names {
        near(number(&result.block, ours, "estimate"), &expected["coef"][theirs], 1e-7, ours);
        near(number(&result.block, ours, "standard error"), &expected["se"][theirs], 1e-7, ours);
    }
    near(number(fit, "deviance", "value"), &expected["deviance"], 1e-6, "deviance");
    near(number(fit, "log-likelihood", "value"), &expected["loglik"], 1e-6, "log-likelihood");
}

const MEDPAR_NAMES: [(&str, &str); 5] =
    [("Intercept", "(intercept)"), ("hmo", "hmo"), ("white", "white"), ("type2", "type2"), ("type3", "type3")];
const LOS: &str = r#"formula = "los ~ hmo + white + type2 + type3", family = "poisson""#;

#[test]
fn length_of_stay_and_death_in_54_hospitals() {
    let Some(folder) = shared() else { return };
    let rows = medpar(&folder);
    let result = model(MEDPAR, &rows, LOS);
    assert_eq!(number(block(&result, "fit"), "sites", "value"), 54.0);
    published(&folder, "medpar poisson", &result, &MEDPAR_NAMES);
    let names = [&MEDPAR_NAMES[..], &[("age80", "age80")]].concat();
    let result = model(MEDPAR, &rows, r#"formula = "died ~ hmo + white + age80 + type2 + type3""#);
    published(&folder, "medpar logit died", &result, &names);
}

#[test]
fn fractures_at_six_sites() {
    let Some(folder) = shared() else { return };
    let names = [
        ("Intercept", "(intercept)"),
        ("C(priorfrac)[T.Yes]", "priorfrac[Yes]"),
        ("C(momfrac)[T.Yes]", "momfrac[Yes]"),
        ("C(armassist)[T.Yes]", "armassist[Yes]"),
        ("C(raterisk, Treatment('Less'))[T.Greater]", "raterisk[Greater]"),
        ("C(raterisk, Treatment('Less'))[T.Same]", "raterisk[Same]"),
        ("age", "age"),
        ("height", "height"),
    ];
    let text = r#"formula = "fracture ~ age + height + priorfrac + momfrac + armassist + raterisk""#;
    published(&folder, "glow500 logit", &model(GLOW, &glow(&folder), text), &names);
}

#[test]
fn a_trial_the_heart_centres_and_covid() {
    let Some(folder) = shared() else { return };
    let names = [("Intercept", "(intercept)"), ("tx", "rx[true]"), ("risk", "risk")];
    let trial = data::rct();
    published(&folder, "indo_rct logit", &model(RCT, &trial, r#"formula = "outcome ~ rx + risk""#), &names);
    published(&folder, "indo_rct logit crude", &model(RCT, &trial, r#"formula = "outcome ~ rx""#), &names[..2]);
    let names = [
        ("Intercept", "(intercept)"),
        ("C(site)[T.hungarian]", "site[hungary]"),
        ("C(site)[T.switzerland]", "site[switzerland]"),
        ("C(site)[T.va]", "site[long-beach]"),
        ("age", "age"),
        ("sex", "sex[1]"),
        ("thalach", "thalach"),
        ("exang", "exang[1]"),
        ("oldpeak", "oldpeak"),
    ];
    let text = r#"formula = "disease ~ site + age + sex + thalach + exang + oldpeak""#;
    let result = model(HEART, &data::heart(), text);
    published(&folder, "uci_heart logit + site FE (complete cases)", &result, &names);
    let names = [("Intercept", "(intercept)"), ("age", "age"), ("sex", "sex[1]"), ("lab", "lab")];
    let covid = data::covid();
    let result = model(COVID, &covid, r#"formula = "death ~ age + sex + lab""#);
    published(&folder, "pda covid logit", &result, &names);
    let result = model(COVID, &covid, r#"formula = "los ~ age + sex + lab", family = "poisson""#);
    published(&folder, "pda covid poisson los", &result, &names);
}

#[test]
fn every_published_answer_is_held_by_a_test() {
    let Some(folder) = shared() else { return };
    let text = std::fs::read_to_string(folder.join("reference_pooled_fits.json")).expect("references");
    let all: BTreeMap<String, Value> = serde_json::from_str(&text).expect("JSON");
    let here = include_str!("shared.rs");
    let of_hazards = include_str!("cox/shared.rs");
    for name in all.keys() {
        let held = [here, of_hazards].iter().any(|tests| tests.contains(&format!("\"{name}\"")));
        assert!(held, "no test holds `{name}`");
    }
}

fn usual(contract: &str, rows: &Rows, text: &str) -> AnalysisResult {
    let analysis = format!("[[analysis]]\nname = \"m\"\nmodel = {{ {text} }}");
    data::by_site(contract, rows).run(&analysis, Gate::USUAL).remove(0)
}

#[track_caller]
fn said(result: &AnalysisResult, start: &str) {
    assert!(result.notes.iter().any(|note| note.starts_with(start)), "{start}: {:#?}", result.notes);
}

#[test]
fn under_the_usual_gate_no_hospital_of_54_has_enough_of_all_that_the_model_tells_apart() {
    let Some(folder) = shared() else { return };
    let result = usual(MEDPAR, &medpar(&folder), LOS);
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
    for start in [
        "s-030001 refused: `white` varies too little",
        "s-030003 refused: fewer than 11 patients have all that the model reads",
        "s-030007 refused: there are too few patients for 5 parameters",
        "s-030008 refused: `hmo` varies too little",
        "nothing is published: a cell needs 2 sites, and 0 answered",
    ] {
        said(&result, start);
    }
    assert_eq!(result.notes.iter().filter(|note| note.contains(" refused: ")).count(), 54);
}

/// How often each of these is why a site is not in a fit.
#[track_caller]
fn refused(result: &AnalysisResult, why: &[(usize, &str)]) {
    for (count, why) in why {
        let found = result.notes.iter().filter(|note| note.contains(&format!(" refused: {why}"))).count();
        assert_eq!(found, *count, "{why}: {:#?}", result.notes);
    }
    let all = result.notes.iter().filter(|note| note.contains(" refused: ")).count();
    assert_eq!(all, why.iter().map(|(count, _)| count).sum::<usize>(), "{:#?}", result.notes);
}

#[test]
fn under_the_usual_gate_deaths_are_explained_where_four_hospitals_are_large_and_only_by_what_varies_enough() {
    let Some(folder) = shared() else { return };
    let medpar = medpar(&folder);
    let whole = r#"formula = "died ~ hmo + white + age80 + type2 + type3""#;
    let own = usual(MEDPAR, &medpar, whole);
    assert!(own.block.rows.is_empty() && own.also.is_empty(), "{:#?}", own.block);
    assert_eq!(own.notes.iter().filter(|note| note.contains(" refused: ")).count(), 54);
    let one = usual(MEDPAR, &medpar, r#"formula = "died ~ age80""#);
    said(&one, "nothing is published: a cell needs 2 sites, and 1 answered");
    assert!(one.block.rows.is_empty(), "{:#?}", one.block);
    let dealt =
        |(at, (_, row)): (usize, &(String, BTreeMap<String, String>))| (format!("site-{}", at % 4), row.clone());
    let four: Rows = medpar.iter().enumerate().map(dealt).collect();
    let result = usual(MEDPAR, &four, whole);
    let together =
        [(2, "`the outcome` and `white` vary too little"), (2, "`hmo` and `white` vary too little together")];
    refused(&result, &together);
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
    let fewer = usual(MEDPAR, &four, r#"formula = "died ~ hmo + age80""#);
    refused(&fewer, &[(1, "`hmo` and `age80` vary too little together")]);
    assert_eq!(sites(&fewer), ["site-1", "site-2", "site-3"]);
}

#[test]
fn under_the_usual_gate_the_whole_model_of_fractures_is_refused_by_all_six_sites_and_that_of_age_by_one() {
    let Some(folder) = shared() else { return };
    let glow = glow(&folder);
    let text = r#"formula = "fracture ~ age + height + priorfrac + momfrac + armassist + raterisk""#;
    let result = usual(GLOW, &glow, text);
    let pairs = "`priorfrac = Yes` and `momfrac = Yes` vary too little together";
    refused(
        &result,
        &[(4, pairs), (1, "`momfrac = Yes` varies too little"), (1, "`priorfrac = Yes` varies too little")],
    );
    said(&result, "nothing is published: a cell needs 2 sites, and 0 answered");
    assert!(result.block.rows.is_empty() && result.also.is_empty(), "{:#?}", result.block);
    let result = usual(GLOW, &glow, r#"formula = "fracture ~ age + height""#);
    said(&result, "s-4 refused: `the outcome` varies too little");
    assert_eq!(sites(&result), ["s-1", "s-2", "s-3", "s-5", "s-6"]);
}

#[test]
fn under_the_usual_gate_sites_of_eighty_patients_have_too_few_fractures_of_each_kind() {
    let Some(folder) = shared() else { return };
    let result = usual(GLOW, &glow(&folder), r#"formula = "fracture ~ age + height + priorfrac + momfrac""#);
    assert!(result.block.rows.is_empty(), "{:#?}", result.block);
    said(&result, "s-1 refused: `momfrac = Yes` varies too little");
    said(&result, "s-2 refused: `priorfrac = Yes` and `momfrac = Yes` vary too little together");
    let result = usual(GLOW, &glow(&folder), r#"formula = "fracture ~ age + height + priorfrac""#);
    said(&result, "s-1 refused: `priorfrac = Yes` and `the outcome` vary too little together");
    said(&result, "nothing is published: a cell needs 2 sites, and 1 answered");
}

#[test]
fn under_the_usual_gate_two_hospitals_of_a_trial_and_two_heart_centres_are_fitted() {
    let crude = usual(RCT, &data::rct(), r#"formula = "outcome ~ rx""#);
    said(&crude, "s-case refused: fewer than 11 patients have all that the model reads");
    said(&crude, "s-uk refused: `rx = true` varies too little");
    assert_eq!(sites(&crude), ["s-iu", "s-um"]);
    let with_risk = usual(RCT, &data::rct(), r#"formula = "outcome ~ rx + risk""#);
    said(&with_risk, "s-um refused: `risk` varies too little on one side of `rx = true`");
    assert!(with_risk.block.rows.is_empty());
    let heart = usual(HEART, &data::heart(), r#"formula = "disease ~ age + sex""#);
    said(&heart, "long-beach refused: `sex = 1` varies too little");
    said(&heart, "switzerland refused: `sex = 1` varies too little");
    assert_eq!(sites(&heart), ["cleveland", "hungary"]);
    let all = usual(HEART, &data::heart(), r#"formula = "disease ~ site + age + sex + thalach + exang + oldpeak""#);
    said(&all, "hungary refused: `oldpeak` varies too little on one side of `sex = 1`");
    said(&all, "nothing is published: a cell needs 2 sites, and 1 answered");
}

#[test]
fn under_the_usual_gate_covid_is_fitted_over_five_hospitals_together_and_by_themselves() {
    let five = ["site1", "site2", "site3", "site4", "site5"];
    for more in ["", r#", two_stage = "fixed""#, ", likelihood_ratio = true"] {
        let result = usual(COVID, &data::covid(), &format!(r#"formula = "death ~ age + sex + lab"{more}"#));
        said(&result, "site6 refused: `sex = 1` and `the outcome` vary too little together");
        assert_eq!(sites(&result), five, "{more}");
    }
    let stay = usual(COVID, &data::covid(), r#"formula = "los ~ age + sex + lab", family = "poisson""#);
    assert_eq!(sites(&stay).len(), 6);
}

/// Who is in a fit.
fn sites(result: &AnalysisResult) -> Vec<String> {
    let rows = &block(result, "patients with all that the model reads").rows;
    let name = |row: &Vec<Cell>| match &row[0] {
        Cell::Text(site) => site.clone(),
        other => panic!("{other:?}"),
    };
    rows.iter().map(name).collect()
}

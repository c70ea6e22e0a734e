//! Published data that may not be part of this repository: the same answers as R's and lifelines', where the data are there.

use std::collections::BTreeMap;
use std::path::Path;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::{Gate, block, number};
use serde_json::Value;

use super::super::data::{self, Rows};
use super::super::shared::shared;
use super::{cox, equal, run};

const LUNG: &str = r#"
    id = "lung@1"
    subject = "row"
    column = [
        { name = "inst", type = "int", range = [0, 40] },
        { name = "time", type = "int", range = [0, 1100] },
        { name = "status", type = "int", range = [1, 2] },
        { name = "age", type = "int", range = [30, 100] },
        { name = "sex", type = "int", range = [1, 2] },
        { name = "ph_ecog", type = "int", range = [0, 4] },
    ]
"#;

const VETERAN: &str = r#"
    id = "veteran@1"
    subject = "row"
    column = [
        { name = "trt", type = "int", range = [1, 2] },
        { name = "celltype", type = "code", codes = [{ code = "squamous" }, { code = "smallcell" }, { code = "adeno" }, { code = "large" }] },
        { name = "time", type = "int", range = [1, 1000] },
        { name = "status", type = "int", range = [0, 1] },
        { name = "karno", type = "int", range = [0, 100] },
        { name = "diagtime", type = "int", range = [0, 100] },
        { name = "age", type = "int", range = [20, 100] },
        { name = "prior", type = "int", range = [0, 10] },
    ]
"#;

const GBSG: &str = r#"
    id = "gbsg@1"
    subject = "row"
    column = [
        { name = "age", type = "int", range = [20, 100] },
        { name = "meno", type = "int", range = [0, 1] },
        { name = "size", type = "int", range = [0, 150] },
        { name = "grade", type = "int", range = [1, 3] },
        { name = "nodes", type = "int", range = [0, 60] },
        { name = "pgr", type = "int", range = [0, 3000] },
        { name = "er", type = "int", range = [0, 1500] },
        { name = "hormon", type = "int", range = [0, 1] },
        { name = "rfstime", type = "int", range = [0, 3000] },
        { name = "status", type = "int", range = [0, 1] },
    ]
"#;

/// The rows of a file, all at one site.
fn rows(folder: &Path, file: &str) -> Rows {
    let clean = |row: BTreeMap<String, String>| {
        let value = |value: &str| if value == "NA" { String::new() } else { data::code(value) };
        let row = row.iter().map(|(name, of)| (name.replace('.', "_"), value(of))).collect();
        ("all".to_owned(), row)
    };
    data::rows(&folder.join("survival").join(file), None).into_iter().map(clean).collect()
}

/// To the precision of what is published there: lifelines stops early. `names`: theirs and ours.
fn published(folder: &Path, name: &str, result: &AnalysisResult, names: &[(&str, &str)]) {
    let text = std::fs::read_to_string(folder.join("reference_pooled_fits.json")).expect("references");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    for (column, own) in names {
        for (theirs, ours, printed) in [("coef", "estimate", 1e-5), ("se", "standard error", 1e-6)] {
            let (ours, theirs) =
                (number(&result.block, own, ours), all[name][theirs][column].as_f64().expect("a number"));
            assert!((ours - theirs).abs() <= printed, "{name}, {own}: {ours}, published {theirs}");
        }
    }
}

#[test]
fn lung_cancer() {
    let Some(folder) = shared() else { return };
    let federation = data::by_site(LUNG, &rows(&folder, "lung.csv"));
    let three = [("age", "age"), ("sex", "sex"), ("ph_ecog", "ph_ecog")];
    let formula = "formula = \"surv(time, status = 2) ~ age + sex + ph_ecog\"";
    let result = run(&federation, &format!("{formula}, proportionality = \"identity\""));
    equal(&result, "lung", &three, "errors");
    published(&folder, "lung: age+sex+ph_ecog", &result, &three);
    for (name, estimate) in [("age", 0.011067), ("sex", -0.552612), ("ph_ecog", 0.463728)] {
        assert!((number(&result.block, name, "estimate") - estimate).abs() < 1e-6, "{name}");
    }
    equal(&run(&federation, &format!("{formula}, strata = [\"inst\"]")), "lung, inst", &three, "errors");
}

#[test]
fn a_trial_with_veterans() {
    let Some(folder) = shared() else { return };
    let federation = data::by_site(VETERAN, &rows(&folder, "veteran.csv"));
    let names = [
        ("trt", "trt"),
        ("smallcell", "celltype[smallcell]"),
        ("adeno", "celltype[adeno]"),
        ("large", "celltype[large]"),
        ("karno", "karno"),
        ("diagtime", "diagtime"),
        ("age", "age"),
        ("prior", "prior"),
    ];
    let formula = "formula = \"surv(time, status = 1) ~ trt + celltype + karno + diagtime + age + prior\"";
    let result = run(&federation, formula);
    equal(&result, "veteran", &names, "errors");
    let theirs = names.map(|(name, own)| match own.starts_with("celltype") {
        true => (format!("celltype_{name}"), own),
        false => (name.to_owned(), own),
    });
    let theirs: Vec<(&str, &str)> = theirs.iter().map(|(name, own)| (name.as_str(), *own)).collect();
    published(&folder, "veteran: all, ref squamous", &result, &theirs);
}

#[test]
fn breast_cancer() {
    let Some(folder) = shared() else { return };
    let federation = data::by_site(GBSG, &rows(&folder, "gbsg.csv"));
    let names = ["age", "meno", "size", "grade", "nodes", "pgr", "er", "hormon"].map(|name| (name, name));
    let formula = "formula = \"surv(rfstime, status = 1) ~ age + meno + size + grade + nodes + pgr + er + hormon\"";
    let result = run(&federation, formula);
    equal(&result, "gbsg", &names, "errors");
    published(&folder, "gbsg: age+meno+size+grade+nodes+pgr+er+hormon", &result, &names);
}

/// Under the gate as nodes have it, the patients dealt out to so many sites.
fn usual(contract: &str, rows: &Rows, sites: usize, options: &str) -> AnalysisResult {
    data::dealt(contract, rows, sites).run(&cox(options), Gate::USUAL).remove(0)
}

/// How each site is said not to be in the fit, and how many sites are.
#[track_caller]
fn is_of(result: &AnalysisResult, sites: f64, said: &[&str]) {
    for start in said {
        assert!(result.notes.iter().any(|note| note.starts_with(start)), "{start}: {:#?}", result.notes);
    }
    let refusals =
        result.notes.iter().filter(|note| note.contains(" refused: ") || note.contains("is left out")).count();
    assert_eq!(refusals, said.len(), "{:#?}", result.notes);
    match result.block.rows.is_empty() {
        true => assert_eq!(sites, 0.0, "{:#?}", result.notes),
        false => assert_eq!(number(block(result, "fit"), "sites", "value"), sites),
    }
}

#[test]
fn under_the_usual_gate_lung_cancer_is_fitted_by_age_and_sex_at_two_sites_and_not_at_four() {
    let Some(folder) = shared() else { return };
    let lung = rows(&folder, "lung.csv");
    let formula = "formula = \"surv(time, status = 2) ~ age + sex + ph_ecog\"";
    let institutions: Rows = lung
        .iter()
        .filter(|(_, row)| !row["inst"].is_empty())
        .map(|(_, row)| (format!("inst-{:0>2}", row["inst"]), row.clone()))
        .collect();
    let own = data::by_site(LUNG, &institutions).run(&cox(formula), Gate::USUAL).remove(0);
    assert!(own.block.rows.is_empty() && own.also.is_empty(), "{:#?}", own.block);
    assert_eq!(own.notes.iter().filter(|note| note.contains(" refused: ")).count(), 18, "none of the 18 institutions");
    let few = ["site-00", "site-01"].map(|site| format!("{site} refused: `ph_ecog` varies too little"));
    is_of(&usual(LUNG, &lung, 2, formula), 0.0, &few.each_ref().map(String::as_str));
    let formula = "formula = \"surv(time, status = 2) ~ age + sex\"";
    let two = usual(LUNG, &lung, 2, formula);
    is_of(&two, 2.0, &[]);
    // What leaves is what is computed: the usual gate hides or shows, and changes nothing.
    assert_eq!(two, data::dealt(LUNG, &lung, 2).run(&cox(formula), Gate::OPEN).remove(0));
    let few =
        [0, 1, 2, 3].map(|site| format!("site-0{site} refused: `the outcome` and `sex` vary too little together"));
    is_of(&usual(LUNG, &lung, 4, formula), 0.0, &few.each_ref().map(String::as_str));
    let along = usual(LUNG, &lung, 2, &format!("{formula}, every = 90, until = 720"));
    is_of(&along, 0.0, &["site-01 refused: too few patients leave or come in an interval"]);
}

#[test]
fn under_the_usual_gate_a_trial_in_which_nearly_all_die_is_not_fitted() {
    let Some(folder) = shared() else { return };
    let veteran = rows(&folder, "veteran.csv");
    for terms in ["trt + celltype + karno + diagtime + age + prior", "trt + karno", "karno + age"] {
        let result = usual(VETERAN, &veteran, 2, &format!("formula = \"surv(time, status = 1) ~ {terms}\""));
        let few = ["site-00", "site-01"].map(|site| format!("{site} refused: `the outcome` varies too little"));
        is_of(&result, 0.0, &few.each_ref().map(String::as_str));
    }
}

#[test]
fn under_the_usual_gate_breast_cancer_is_fitted_by_what_varies_enough_at_the_sites_where_nobody_weighs_too_much() {
    let Some(folder) = shared() else { return };
    let gbsg = rows(&folder, "gbsg.csv");
    let of = |terms: &str, more: &str| {
        usual(GBSG, &gbsg, 4, &format!("formula = \"surv(rfstime, status = 1) ~ {terms}\"{more}"))
    };
    let few = [
        "site-00 refused: `grade` varies too little",
        "site-01 refused: `grade` varies too little",
        "site-02 refused: `grade` varies too little",
        "site-03 refused: `meno` and `hormon` vary too little together",
    ];
    is_of(&of("age + meno + size + grade + nodes + pgr + er + hormon", ""), 0.0, &few);
    let heavy = [
        "site-01 refused: a patient weighs too much in the model at this step",
        "site-00 is left out: it refused a round of the fit: a patient weighs too much in the model at this step",
    ];
    let four = of("age + size + nodes + hormon", "");
    is_of(&four, 2.0, &heavy);
    let tests = "no likelihood-ratio and score test: other sites or patients are in the fit than at its begin";
    assert!(four.notes.iter().any(|note| note == tests), "{:#?}", four.notes);
    is_of(&of("age + hormon", ""), 4.0, &[]);
    let along = of("age + hormon", ", every = 180, until = 2160");
    is_of(&along, 0.0, &[]);
    let kept = "no fit: all sites keep 1 of the 12 intervals (site-00 ";
    assert!(along.notes.iter().any(|note| note.starts_with(kept)), "{:#?}", along.notes);
}

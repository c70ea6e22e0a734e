//! Published data that may not be part of this repository: the same answers as R's and lifelines', where the data are there.

use std::collections::BTreeMap;
use std::path::Path;

use bocage_coordinator::api::types::AnalysisResult;
use bocage_tests::federation::number;
use serde_json::Value;

use super::super::data::{self, Rows};
use super::super::shared::shared;
use super::{equal, run};

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

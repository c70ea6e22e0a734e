//! A report goes into a paper's appendix: it is whole, holds against everybody who may check it, and each hospital finds its own release in it.

use bocage_tests::lab::{HOSPITALS, Lab};
use serde_json::Value;

use super::{EXE, everyone, study};

fn run(lab: &Lab, args: &[&str]) -> (Option<i32>, String) {
    let output = lab.run(args);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_report_verifies_each_hospital_finds_its_receipt_and_one_changed_byte_is_found() {
    let lab = Lab::under_permits(EXE);
    let _network = everyone(&lab);
    let (file, out) = (lab.path("study.toml"), lab.path("appendix"));
    let more = "[[analysis]]\nname = \"ages\"\nhistogram = { of = \"age\", bins = [40, 50, 60, 70] }\n\
                [[analysis]]\nname = \"middle\"\nquantiles = { of = \"age\", at = [0.25, 0.5, 0.75] }\n\
                [[analysis]]\nname = \"risk\"\nmodel = { formula = \"disease ~ age\" }\n";
    std::fs::write(&file, study("5m") + more).expect("a study");
    let (file, dir) = (file.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let (code, said) = run(&lab, &["study", "run", file, "--out", dir]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the report is in"), "{said}");
    let (code, said) = run(&lab, &["study", "verify", dir, "--ask-coordinator"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the coordinator keeps the same result") && said.contains("permit "), "{said}");
    let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
    assert_eq!(page.matches("<svg").count(), 5, "a picture of each answer, of the table one a number: {said}");
    let result = std::fs::read_to_string(out.join("result.json")).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    let id = result["study"]["id"].as_str().expect("an id");
    for (at, site) in HOSPITALS.iter().enumerate() {
        let receipts = result["sites"][at]["receipts"].as_array().expect("receipts");
        let (_, ledger, _) = lab.at_node(site, &["ledger", "show", &id[..12]]);
        assert!(receipts.len() > 1, "a model has several rounds");
        for receipt in receipts.iter().map(|receipt| receipt.as_str().expect("a digest")) {
            assert!(ledger.contains(receipt) && page.contains(receipt), "{site}: {ledger}");
        }
    }
    // Nothing is asked of anybody where the answer could not be kept.
    let studies = lab.get("/v1/studies")["studies"].as_array().map(Vec::len);
    let (code, said) = run(&lab, &["study", "run", file, "--out", dir]);
    assert_eq!((code, said.contains("--force")), (Some(1), true), "{said}");
    assert_eq!(lab.get("/v1/studies")["studies"].as_array().map(Vec::len), studies);
    let (code, said) = run(&lab, &["study", "result", &id[..12], "--out", dir, "--force"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(run(&lab, &["study", "verify", dir]).0, Some(0));
    let csv = out.join("tables/by_sex.csv");
    let altered = std::fs::read_to_string(&csv).expect("a table").replacen('1', "2", 1);
    std::fs::write(&csv, altered).expect("altered");
    let (code, said) = run(&lab, &["study", "verify", dir]);
    assert_eq!((code, said.contains("tables/by_sex.csv")), (Some(1), true), "{said}");
}

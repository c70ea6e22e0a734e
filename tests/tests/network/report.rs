//! A report goes into a paper's appendix: it is whole, holds against everybody who may check it, and each hospital finds its own release in it.

use std::path::Path;

use bocage_protocol::trust::{Entry, MANIFEST, PUBLICATION, RESULT, SignedManifest};
use bocage_tests::lab::{HOSPITALS, Lab};
use serde_json::Value;

use super::{EXE, everyone, study};

fn run(lab: &Lab, args: &[&str]) -> (Option<i32>, String) {
    let output = lab.run(args);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What a researcher can do with a report of their own: another receipt in the result, no signature of the coordinator beside it, all signed anew, as if by
/// a version of which tables and page cannot be compared.
fn forge(lab: &Lab, out: &Path, receipt: &str) {
    let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("a file");
    let mut manifest = SignedManifest::from_text(&read(MANIFEST)).and_then(|of| of.verify()).expect("a manifest");
    let altered = read(RESULT).replacen(receipt, &"0".repeat(receipt.len()), 1);
    manifest.version = "0.0.1".to_owned();
    manifest.files.insert(RESULT.to_owned(), Entry::of(altered.as_bytes()));
    manifest.files.remove(PUBLICATION).expect("the coordinator's signature");
    std::fs::remove_file(out.join(PUBLICATION)).expect("left out");
    std::fs::write(out.join(RESULT), altered).expect("altered");
    let signed = SignedManifest::sign(&manifest, &lab.researcher()).expect("signed anew");
    std::fs::write(out.join(MANIFEST), signed.to_text()).expect("a manifest");
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
    let publisher = lab.get("/v1/network")["publisher"].as_str().expect("a key").to_owned();
    assert!(said.contains(&format!("published by the coordinator {publisher}\n")), "{said}");
    let (code, said) = run(&lab, &["study", "verify", dir, "--published-by", &publisher]);
    assert_eq!((code, said.contains("the coordinator signed this result")), (Some(0), true), "{said}");
    let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
    assert_eq!(page.matches("<svg").count(), 6, "of the table one a number, of the model its patients too: {said}");
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
    forge(&lab, &out, result["sites"][0]["receipts"][0].as_str().expect("a receipt"));
    let (code, said) = run(&lab, &["study", "verify", dir]);
    assert_eq!((code, said.contains("no signature of a coordinator")), (Some(0), true), "nobody asked for it: {said}");
    let (code, said) = run(&lab, &["study", "verify", dir, "--published-by", &publisher]);
    assert_eq!((code, said.contains("result.sig.json: it is missing")), (Some(1), true), "{said}");
    let (code, said) = run(&lab, &["study", "result", &id[..12], "--out", dir, "--force"]);
    assert_eq!((code, said.contains("keep it in the profile: published_by = ")), (Some(0), true), "{said}");
    let csv = out.join("tables/by_sex.csv");
    let altered = std::fs::read_to_string(&csv).expect("a table").replacen('1', "2", 1);
    std::fs::write(&csv, altered).expect("altered");
    let (code, said) = run(&lab, &["study", "verify", dir]);
    assert_eq!((code, said.contains("tables/by_sex.csv")), (Some(1), true), "{said}");
}

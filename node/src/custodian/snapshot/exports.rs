//! Snapshots of FHIR exports under the contracts of the pack: rows and values are those of an independent reader.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bocage_protocol::contract::{pack, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::Problems;
use serde_json::{Value, json};

use super::{Manifest, Taking};
use crate::custodian::source::DatasetSpec;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// The contract of this view.
fn contract(view: &str) -> &'static str {
    let id = format!("\"fhir-r4-{}@", view.replace('_', "-"));
    let texts = pack("fhir-r4-core").unwrap().contracts;
    texts.iter().find(|text| text.contains(&id)).unwrap_or_else(|| panic!("{id}"))
}

fn taken(export: &Path, view: &str) -> Result<Manifest, String> {
    let dir = tempfile::tempdir().unwrap();
    let contract = parse(contract(view), view).unwrap();
    let source = json!({"kind": "fhir", "path": export, "view": format!("fhir-r4-core/{view}")});
    let section = json!({"contract": contract.id().to_string(), "source": source});
    let mut problems = Problems::default();
    let spec = DatasetSpec::read(&view.replace('_', "-"), &section, "node.toml", dir.path(), &mut problems).unwrap();
    Taking::into(dir.path()).take(&spec, &contract, Timestamp(1)).map_err(|e| e.to_string())
}

#[test]
fn a_snapshot_of_an_export_has_the_rows_and_values_of_an_independent_reader() {
    let reference = fs::read_to_string(tests().join("reference/fhir.json")).unwrap();
    let reference: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&reference).unwrap();
    let mut rows = 0;
    for site in ["site_3", "us_core", "bundles"] {
        for (view, counted) in &reference[&format!("tests/data/fhir/{site}")] {
            let manifest = match taken(&tests().join("data/fhir").join(site), view) {
                Err(error) if counted["rows"] == 0 => {
                    assert!(error.contains("no usable row: there is no "), "{error}");
                    continue;
                }
                manifest => manifest.unwrap_or_else(|error| panic!("{site}, {view}: {error}")),
            };
            assert_eq!(manifest.rows, counted["rows"], "{site}, {view}");
            let valid: BTreeMap<&str, u64> =
                manifest.report.columns.iter().map(|(name, column)| (name.as_str(), column.valid)).collect();
            // Values that are there and do not fit their column would be fewer here.
            for (name, there) in counted["columns"].as_object().unwrap() {
                assert_eq!(valid[name.as_str()], there[0], "{site}, {view}, {name}");
            }
            rows += manifest.rows;
        }
    }
    assert!(rows > 5000, "{rows}");
}

#[test]
fn what_is_wrong_with_an_export_is_in_the_report_by_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let good = r#"{"resourceType":"Patient","id":"a","birthDate":"1980-02-03","gender":"female"}"#;
    let bad = r#"{"resourceType":"Patient","id":"b","gender":["Sxecret","x"]}"#;
    fs::write(dir.path().join("Patient.ndjson"), [good, bad, "Sxecret", good].join("\n")).unwrap();
    let report = taken(dir.path(), "patient").unwrap().report;
    let found: Vec<(u64, bool, String)> = report
        .bad_lines
        .found
        .iter()
        .map(|found| (found.count, found.left_out, format!("{} ({})", found.what, found.first.join(", "))))
        .collect();
    let wanted = [
        (1, true, "no JSON: left out (Patient.ndjson:3)"),
        (
            1,
            true,
            "column `gender`: several values where one is wanted (`first()` takes one, `\"collection\": true` keeps all): left out (Patient.ndjson:2)",
        ),
        (1, false, "the id of a resource that was there before: kept, so it counts twice (Patient.ndjson:4)"),
    ];
    assert_eq!(found, wanted.map(|(count, left_out, text)| (count, left_out, text.to_owned())));
    let kept: u64 = report.rows_rejected.iter().map(|rejected| rejected.rows).sum();
    assert_eq!((report.rows_kept, kept), (1, 1), "the contract has one row a patient");
}

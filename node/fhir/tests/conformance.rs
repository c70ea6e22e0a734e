//! The official conformance files of SQL-on-FHIR v2, each as a test: every case must give the rows that it expects, read from files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bocage_fhir::{Reader, View};
use serde_json::Value;

/// A row, by column: null, or a text that says its value.
type Row = BTreeMap<String, Option<String>>;

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // 1.0 and 1 are one number.
        Value::Number(number) => Some(number.as_f64().expect("a number").to_string()),
        other => Some(other.to_string()),
    }
}

fn rows(view: &Value, resources: &Path) -> Result<(Vec<String>, Vec<Row>), String> {
    let view = View::from_json(view, "view.json").map_err(|problems| problems.to_string())?;
    let columns: Vec<_> = view.columns().to_vec();
    let mut reader = Reader::open(resources, view).map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    // One row a batch, so that batches have ends where they hurt.
    while let Some(batch) = reader.next_batch(1, 1 << 20).map_err(|e| e.to_string())? {
        for row in 0..batch.rows() {
            let cells = columns.iter().zip(batch.columns()).map(|(column, texts)| {
                let kind = column.kind.as_deref().unwrap_or_default();
                let numeric = matches!(kind, "decimal" | "integer") && !column.collection;
                let cell = texts.get(row).map(|cell| {
                    if numeric { cell.parse::<f64>().expect("a number").to_string() } else { cell.to_owned() }
                });
                (column.name.clone(), cell)
            });
            rows.push(cells.collect());
        }
    }
    match reader.report().left_out {
        0 => Ok((columns.into_iter().map(|column| column.name).collect(), rows)),
        _ => Err(reader.report().to_string()),
    }
}

fn check(case: &Value, resources: &Path) -> Result<(), String> {
    let outcome = rows(&case["view"], resources);
    if case["expectError"] == true {
        return outcome.map_or(Ok(()), |_| Err("an error was expected".to_owned()));
    }
    let (columns, mut rows) = outcome?;
    if let Some(wanted) = case["expectColumns"].as_array() {
        let wanted: Vec<_> = wanted.iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
        if wanted != columns {
            return Err(format!("columns {columns:?} instead of {wanted:?}"));
        }
    }
    let Some(wanted) = case["expect"].as_array() else { return Err("the case expects nothing".to_owned()) };
    let wanted = wanted.iter().map(|row| row.as_object().expect("a row"));
    let mut wanted: Vec<Row> =
        wanted.map(|row| row.iter().map(|(name, value)| (name.clone(), text(value))).collect()).collect();
    // The order of rows is nobody's promise.
    rows.sort();
    wanted.sort();
    if rows == wanted { Ok(()) } else { Err(format!("rows\n{rows:#?}\ninstead of\n{wanted:#?}")) }
}

fn conforms(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file);
    let suite: Value = serde_json::from_str(&fs::read_to_string(path).expect("the file")).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let resources = folder.path().join("resources.ndjson");
    let lines: Vec<String> = suite["resources"].as_array().expect("resources").iter().map(Value::to_string).collect();
    fs::write(&resources, lines.join("\n")).expect("written");
    let cases = suite["tests"].as_array().expect("cases");
    assert!(!cases.is_empty());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case, &resources).err().map(|why| format!("{}: {why}", case["title"])))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases of {file} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// `where` is a word of Rust.
fn file_of(test: &str) -> String {
    format!("{}.json", test.trim_start_matches("r#"))
}

macro_rules! suites {
    ($($name:ident)*) => {
        $(#[test] fn $name() { conforms(&file_of(stringify!($name))); })*

        #[test]
        fn every_file_has_its_test() {
            let tested = [$(file_of(stringify!($name))),*];
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
            let mut files: Vec<_> =
                fs::read_dir(folder).expect("the folder").map(|e| e.expect("a file").file_name().into_string().expect("a name")).collect();
            files.retain(|name| name.ends_with(".json"));
            files.sort();
            assert_eq!(files, tested);
        }
    };
}

suites! {
    basic collection combinations constant constant_types fhirpath fhirpath_numbers fn_boundary fn_empty fn_extension fn_first
    fn_join fn_oftype fn_reference_keys foreach logic repeat row_index union validate view_resource r#where
}

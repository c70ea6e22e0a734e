//! The same rows from a CSV file and from a Parquet file are the same snapshot, bit for bit, with the same report.

use std::path::Path;

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::Problems;
use serde_json::{Value, json};

use super::{Manifest, Snapshot, Taking};
use crate::custodian::source::made::{Values, WriterProperties, file, texts};
use crate::custodian::source::{DatasetSpec, SUBJECT};

mod held;

/// Takes a snapshot of `path`, which is of this kind.
fn taken(dir: &Path, kind: &str, path: &Path, contract: &str, map: &Value) -> Manifest {
    let contract = parse(contract, "contract.toml").unwrap();
    let source = json!({"kind": kind, "path": path});
    of(dir, &source, &contract, map)
}

/// Takes a snapshot of a source.
fn of(dir: &Path, source: &Value, contract: &Contract, map: &Value) -> Manifest {
    let section = json!({"contract": contract.id().to_string(), "source": source, "map": map});
    let mut problems = Problems::default();
    let spec = DatasetSpec::read("rows", &section, "node.toml", dir, &mut problems).unwrap();
    Taking::into(dir).take(&spec, contract, Timestamp(1)).unwrap()
}

/// Rows, patients and values that fit, of a table of the OMOP data in both formats.
fn of_omop(table: &str, contract: &str, map: &Value) -> (u64, u32, Vec<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/omop");
    let [csv, parquet] =
        ["csv", "parquet"].map(|kind| taken(dir.path(), kind, &data.join(format!("{table}.{kind}")), contract, map));
    assert_eq!(csv.report, parquet.report);
    assert_eq!(csv.content, parquet.content);
    (csv.rows, csv.subjects, csv.report.columns.values().map(|column| column.valid).collect())
}

#[test]
fn the_csv_and_the_parquet_file_of_a_table_of_persons_are_one_snapshot() {
    let contract = r#"
        id = "persons@1"
        subject = "person_id"
        one_row_per_subject = true
        [[column]]
        name = "person_id"
        type = "int"
        range = [1, 1000000000]
        [[column]]
        name = "born"
        type = "datetime"
        range = ["1900-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]
        required = true
        [[column]]
        name = "care_site_id"
        type = "int"
        range = [1, 1000000000]
        [[column]]
        name = "gender"
        type = "code"
        codes = [{ code = "8507", label = "male" }, { code = "8532", label = "female" }]
        [[column]]
        name = "person_source_value"
        type = "text"
        [[column]]
        name = "year_of_birth"
        type = "int"
        range = [1900, 2030]
    "#;
    let map = json!({"gender": "gender_concept_id", "born": "birth_datetime"});
    assert_eq!(of_omop("person", contract, &map), (28, 28, vec![28, 0, 28, 28, 28, 28]));
}

#[test]
fn the_csv_and_the_parquet_file_of_a_table_of_drugs_are_one_snapshot() {
    // In the Parquet file, quantities are decimals, and some codes are texts with a zero behind the point.
    let contract = r#"
        id = "drugs@1"
        subject = "person_id"
        [[column]]
        name = "person_id"
        type = "text"
        [[column]]
        name = "concept"
        type = "text"
        [[column]]
        name = "days_supply"
        type = "int"
        range = [0, 370]
        [[column]]
        name = "ended"
        type = "date"
        range = ["1900-01-01", "2030-01-01"]
        [[column]]
        name = "quantity"
        type = "float"
        range = [0, 1000]
        [[column]]
        name = "rxnorm"
        type = "int"
        range = [0, 1000000000]
        [[column]]
        name = "started"
        type = "datetime"
        range = ["1900-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]
    "#;
    let map = json!({
        "concept": "drug_concept_id",
        "ended": "verbatim_end_date",
        "rxnorm": "drug_source_value",
        "started": "drug_exposure_start_datetime",
    });
    let (rows, subjects, valid) = of_omop("drug_exposure", contract, &map);
    assert_eq!((rows, subjects), (883, 26));
    assert_eq!(valid, [883, 422, 826, 883, 883, 883, 883]);
}

#[test]
fn wide_ids_times_decimals_and_texts_are_the_same_from_both() {
    let contract = r#"
        id = "wide@1"
        subject = "patient"
        [[column]]
        name = "patient"
        type = "text"
        [[column]]
        name = "device"
        type = "int"
        range = [-9007199254740991, 9007199254740991]
        [[column]]
        name = "at"
        type = "datetime"
        range = ["1677-09-22T00:00:00Z", "2262-04-12T00:00:00Z"]
        [[column]]
        name = "born"
        type = "date"
        range = ["1800-01-01", "2100-01-01"]
        [[column]]
        name = "dose"
        type = "float"
        range = [-1000, 1000]
        [[column]]
        name = "note"
        type = "text"
        [[column]]
        name = "smoker"
        type = "bool"
    "#;
    let csv = "\
patient,device,at,born,dose,note,smoker
18446744073709551615,9007199254740991,1969-12-31T23:59:59.999999999Z,1969-12-31,-0.05,two words,true
9223372036854775807,9007199254740992,2262-04-11T23:47:16.854775807Z,1899-12-31,999.99,two words,false
18446744073709551614,-9007199254740991,,2024-02-29,,Ünï,
18446744073709551615,,1970-01-01T00:00:00Z,,0.10,,true
9223372036854775808,9223372036854775807,1677-09-22T00:00:00.000000001,1800-01-01,1.00,two words,false
";
    let columns =
        "required int64 patient (INTEGER(64,false)); optional int64 device; optional int64 at (TIMESTAMP(NANOS,true));
        optional int32 born (DATE); optional fixed_len_byte_array(4) dose (DECIMAL(7,2)); optional binary note (STRING);
        optional boolean smoker;";
    let decimal = |unscaled: i32| Some(unscaled.to_be_bytes().to_vec());
    let words = || Some(b"two words".to_vec());
    let first = vec![
        Values::Int64(vec![Some(-1), Some(i64::MAX), Some(-2)]),
        Values::Int64(vec![Some((1 << 53) - 1), Some(1 << 53), Some(1 - (1 << 53))]),
        Values::Int64(vec![Some(-1), Some(i64::MAX), None]),
        Values::Int32(vec![Some(-1), Some(-25_568), Some(19_782)]),
        Values::Fixed(vec![decimal(-5), decimal(99_999), None]),
        Values::Bytes(vec![words(), words(), Some("Ünï".into())]),
        Values::Bool(vec![Some(true), Some(false), None]),
    ];
    let second = vec![
        Values::Int64(vec![Some(-1), Some(i64::MIN)]),
        Values::Int64(vec![None, Some(i64::MAX)]),
        Values::Int64(vec![Some(0), Some(-9_223_286_400_000_000_000 + 1)]),
        Values::Int32(vec![None, Some(-62_091)]),
        Values::Fixed(vec![decimal(10), decimal(100)]),
        Values::Bytes(vec![None, words()]),
        Values::Bool(vec![Some(true), Some(false)]),
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rows.csv"), csv).unwrap();
    std::fs::write(dir.path().join("rows.parquet"), file(columns, WriterProperties::builder(), &[first, second]))
        .unwrap();
    let [csv, parquet] = ["csv", "parquet"]
        .map(|kind| taken(dir.path(), kind, &dir.path().join(format!("rows.{kind}")), contract, &json!({})));
    assert_eq!(csv.report, parquet.report);
    assert_eq!(csv.content, parquet.content);
    // Ids that differ in the last of 64 bits are two patients.
    assert_eq!((parquet.rows, parquet.subjects), (5, 4));
    let column = |name: &str| &parquet.report.columns[&name.parse().unwrap()];
    assert_eq!((column("device").valid, column("device").out_of_range), (2, 2));
    assert_eq!((column("at").valid, column("born").valid, column("dose").valid), (4, 4, 4));
    let snapshot = Snapshot::open_current(dir.path(), "rows").unwrap();
    let numbers = snapshot.frame().column(SUBJECT).unwrap().u32().unwrap().into_no_null_iter();
    let mut of_patient: Vec<Vec<Option<i64>>> = vec![Vec::new(); 4];
    numbers.zip(snapshot.frame().column("at").unwrap().i64().unwrap().iter()).for_each(|(number, at)| {
        of_patient[number as usize].push(at);
    });
    of_patient.sort();
    let alone = |at: i64| vec![Some(at)];
    let both = vec![Some(-1), Some(0)];
    assert_eq!(of_patient, [vec![None], alone(-9_223_286_400_000), both, alone(i64::MAX / 1_000_000)]);
}

#[test]
fn a_dictionary_of_texts_is_read_as_the_texts() {
    let contract = "id = \"sexes@1\"\nsubject = \"row\"\n[[column]]\nname = \"sex\"\ntype = \"code\"\ncodes = [{ code = \"f\" }, { code = \"m\" }]";
    let rows = ["f", "m", "m", "f", "m"].repeat(700);
    let dir = tempfile::tempdir().unwrap();
    let bytes = file("required binary sex (STRING);", WriterProperties::builder(), &[vec![texts(&rows)]]);
    // A dictionary holds each text once.
    assert!(bytes.len() < 1500, "{}", bytes.len());
    std::fs::write(dir.path().join("rows.parquet"), bytes).unwrap();
    let manifest = taken(dir.path(), "parquet", &dir.path().join("rows.parquet"), contract, &json!({}));
    assert_eq!((manifest.rows, manifest.report.columns[&"sex".parse().unwrap()].valid), (3500, 3500));
}

//! What the shipped views make of what exports of Synthea do not have: bounds instead of values, days without a time, values of other types, and the
//! three kinds of ICD-10.

use std::collections::BTreeMap;
use std::fs;

use bocage_fhir::Reader;
use bocage_fhir::pack::find;
use serde_json::{Value, json};

/// Rows of a view over these resources, without what is missing.
fn rows(view: &str, resources: &[Value]) -> Vec<BTreeMap<String, String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = resources.iter().map(|resource| format!("{resource}\n")).collect();
    fs::write(folder.path().join("export.ndjson"), lines).expect("an export");
    let view = find(view).expect("a view").view().unwrap_or_else(|problems| panic!("{problems}"));
    let mut reader = Reader::open(folder.path(), view).expect("an export");
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch(100, 1 << 20).expect("rows") {
        let mut made = vec![BTreeMap::new(); batch.rows()];
        for (column, texts) in reader.view().columns().iter().zip(batch.columns()) {
            for (row, text) in made.iter_mut().zip(texts.iter()) {
                row.extend(text.map(|text| (column.name.clone(), text.to_owned())));
            }
        }
        rows.extend(made);
    }
    assert_eq!(reader.report().left_out, 0);
    rows
}

fn observation(when: &str, value: &Value) -> Value {
    let mut resource = json!({"resourceType": "Observation", "id": "1", "status": "final", "effectiveDateTime": when,
        "code": {"coding": [{"system": "http://loinc.org", "code": "1988-5"}]}, "subject": {"reference": "Patient/a"}});
    resource.as_object_mut().expect("an object").extend(value.as_object().expect("an object").clone());
    resource
}

fn of(rows: &[BTreeMap<String, String>], column: &str) -> Vec<Option<String>> {
    rows.iter().map(|row| row.get(column).cloned()).collect()
}

fn texts(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned()).filter(|text| !text.is_empty())).collect()
}

#[test]
fn a_value_that_is_a_bound_is_no_value() {
    let quantity = |of: Value| json!({ "valueQuantity": of });
    let found = rows(
        "fhir-r4-core/observation",
        &[
            observation("2020-01-01", &quantity(json!({"value": 5, "unit": "mg/L", "comparator": "<"}))),
            observation("2020-01-01", &quantity(json!({"value": 5, "unit": "mg/L"}))),
            observation(
                "2020-01-01",
                &json!({"component": [{"code": {}, "valueQuantity": {"value": 7, "comparator": ">="}}]}),
            ),
        ],
    );
    assert_eq!(of(&found, "value"), texts(&["", "5", ""]));
    assert_eq!(of(&found, "comparator"), texts(&["<", "", ">="]));
    assert_eq!(of(&found, "bound"), texts(&["5", "", "7"]));
    assert_eq!(of(&found, "unit"), texts(&["mg/L", "mg/L", ""]));
}

#[test]
fn a_value_of_a_type_that_no_column_holds_is_said_to_be_one() {
    let other = [
        json!({"valueString": "positive"}),
        json!({"valueRange": {"low": {"value": 1}}}),
        json!({"valueRatio": {"numerator": {"value": 1}}}),
        json!({"valueSampledData": {"dimensions": 1}}),
        json!({"valueTime": "12:00:00"}),
        json!({"valueDateTime": "2020-01-01"}),
        json!({"valuePeriod": {"start": "2020-01-01"}}),
        json!({"component": [{"code": {}, "valueString": "1:40"}]}),
    ];
    let held = [
        json!({"valueQuantity": {"value": 1}}),
        json!({"valueInteger": 1}),
        json!({"valueBoolean": true}),
        json!({"valueCodeableConcept": {"coding": [{"code": "x"}]}}),
        json!({"dataAbsentReason": {"text": "unknown"}}),
    ];
    for (values, wanted) in [(&other[..], "true"), (&held[..], "false")] {
        for value in values {
            let found = rows("fhir-r4-core/observation", &[observation("2020-01-01", value)]);
            assert_eq!(of(&found, "value_other"), texts(&[wanted]), "{value}");
        }
    }
}

#[test]
fn the_time_of_day_is_there_where_it_is_known() {
    let when = [
        "2020-01-31",
        "2020-01",
        "2020",
        "2020-01-31T08:30:00+01:00",
        "2020-01-31T08:30:00.250Z",
        "2020-01-01T00:00:00+14:00",
    ];
    let resources: Vec<Value> = when.iter().map(|when| observation(when, &json!({}))).collect();
    let found = rows("fhir-r4-core/observation", &resources);
    assert_eq!(of(&found, "date"), texts(&when));
    assert_eq!(of(&found, "instant"), texts(&["", "", "", when[3], when[4], when[5]]));
}

#[test]
fn each_kind_of_icd_10_has_a_column_of_its_own() {
    let condition = |system: &str, code: &str| {
        json!({"resourceType": "Condition", "id": "1", "subject": {"reference": "Patient/a"},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "1"}, {"system": system, "code": code}]}})
    };
    let found = rows(
        "fhir-r4-core/condition",
        &[
            condition("http://hl7.org/fhir/sid/icd-10", "I64"),
            condition("http://hl7.org/fhir/sid/icd-10-cm", "I63.9"),
            condition("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "U07.1!"),
        ],
    );
    assert_eq!(of(&found, "icd10"), texts(&["I64", "", ""]));
    assert_eq!(of(&found, "icd10cm"), texts(&["", "I63.9", ""]));
    assert_eq!(of(&found, "icd10gm"), texts(&["", "", "U07.1!"]));
}

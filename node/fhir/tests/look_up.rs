//! Prescriptions that only refer to a medication, as most hospitals' exports have them: their codes are those of the medication, wherever that stands.

use std::fs;

use bocage_fhir::pack::{find, looked_up};
use bocage_fhir::{Damaged, How, Reader, View};
use serde_json::{Value, json};
use tempfile::TempDir;

const NAME: &str = "fhir-r4-core/medication_request";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";

fn medication(id: &str, codings: &[(&str, &str)]) -> Value {
    let codings: Vec<Value> = codings.iter().map(|(system, code)| json!({"system": system, "code": code})).collect();
    json!({"resourceType": "Medication", "id": id, "code": {"coding": codings}})
}

fn request(id: &str, medication: Value) -> Value {
    let mut request = json!({"resourceType": "MedicationRequest", "id": id, "subject": {"reference": "Patient/1"}});
    for (name, value) in medication.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

fn refers(to: &str) -> Value {
    json!({"medicationReference": {"reference": to}})
}

fn lines(of: &[Value]) -> String {
    of.iter().map(|resource| format!("{resource}\n")).collect()
}

/// Medications behind the prescriptions, in a file of their own and in a Bundle.
fn export() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let requests = [
        request("in-place", json!({"medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "7"}]}})),
        request("one", refers("Medication/one")),
        request("other", refers("https://server/fhir/Medication/other/_history/2")),
        request("both", refers("Medication/both")),
        request("codeless", refers("Medication/codeless")),
        request("dangling", refers("Medication/nowhere")),
        request("search", refers("Medication?code=9")),
        request("contained", {
            let mut inside = refers("#in");
            inside["contained"] = json!([medication("in", &[(RXNORM, "8")])]);
            inside
        }),
    ];
    let medications = [
        medication("one", &[(RXNORM, "1")]),
        medication("other", &[("http://www.whocc.no/atc", "A10BA02")]),
        medication("both", &[("http://www.whocc.no/atc", "A10BA02"), (RXNORM, "1")]),
        medication("codeless", &[]),
        medication("one", &[(RXNORM, "again")]),
    ];
    fs::write(folder.path().join("MedicationRequest.ndjson"), lines(&requests)).expect("written");
    fs::write(folder.path().join("Medications.ndjson"), lines(&medications)).expect("written");
    let urn = "urn:uuid:0a";
    let mut nameless = medication("", &[(RXNORM, "2")]);
    nameless.as_object_mut().expect("a resource").remove("id");
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": "urn:uuid:0b", "resource": request("in-bundle", refers(urn))},
        {"fullUrl": urn, "resource": nameless},
    ]});
    fs::write(folder.path().join("a.json"), bundle.to_string()).expect("written");
    folder
}

fn reader(folder: &TempDir, threads: usize) -> Reader {
    let load = |text: &str| View::load(text, NAME).unwrap_or_else(|problems| panic!("{problems}"));
    let how = How { threads, damaged: Damaged::Stop };
    let view = find(NAME).expect("shipped").view;
    let reader = Reader::open_as(folder.path(), load(view), how).expect("an export");
    reader.looking_up(load(looked_up(NAME).expect("looked up")))
}

/// The code, other code and its system of each row.
fn codes(reader: &mut Reader) -> Vec<String> {
    let mut codes = Vec::new();
    while let Some(batch) = reader.next_batch(3, usize::MAX).expect("rows") {
        let of = |name: &str| reader.view().columns().iter().position(|column| column.name == name);
        let columns = ["code", "other_code", "other_system"].map(|name| &batch.columns()[of(name).expect("a column")]);
        let row = |row| columns.map(|texts| texts.get(row).unwrap_or("-")).join(" ");
        codes.extend((0..batch.rows()).map(row));
    }
    codes
}

#[test]
fn a_prescription_has_the_codes_of_the_medication_that_it_refers_to_and_what_refers_to_none_is_counted() {
    let folder = export();
    for threads in [1, 4] {
        let mut reader = reader(&folder, threads);
        let atc = "A10BA02 http://www.whocc.no/atc";
        let expected =
            ["7 - -", "1 - -", &format!("- {atc}"), &format!("1 {atc}"), "- - -", "- - -", "- - -", "8 - -", "2 - -"];
        assert_eq!(codes(&mut reader), expected);
        let report = reader.report();
        // A search and what is contained have no key; the codeless one is found, and says nothing.
        assert_eq!((report.looked_up, report.not_found), (6, 1));
        assert_eq!((report.rows, report.resources), (9, 9), "medications are no rows");
    }
}

#[test]
fn an_export_without_medications_finds_none_and_one_that_says_all_in_place_looks_nothing_up() {
    let folder = export();
    fs::remove_file(folder.path().join("Medications.ndjson")).expect("removed");
    let mut first = reader(&folder, 1);
    assert_eq!(codes(&mut first)[1..7], ["- - -"; 6]);
    assert_eq!((first.report().looked_up, first.report().not_found), (6, 5));
    let in_place = request("a", json!({"medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "7"}]}}));
    fs::write(folder.path().join("MedicationRequest.ndjson"), lines(&[in_place])).expect("written");
    fs::remove_file(folder.path().join("a.json")).expect("removed");
    let mut second = reader(&folder, 1);
    assert_eq!(codes(&mut second), ["7 - -"]);
    assert_eq!((second.report().looked_up, second.report().not_found), (0, 0));
}

#[test]
fn reading_that_goes_on_looks_up_as_reading_that_was_not_broken_off() {
    let folder = export();
    fs::remove_file(folder.path().join("a.json")).expect("removed");
    let requests: Vec<Value> =
        (0..9000).map(|i| request(&i.to_string(), refers(&format!("Medication/{}", ["one", "x"][i % 2])))).collect();
    fs::write(folder.path().join("MedicationRequest.ndjson"), lines(&requests)).expect("written");
    let mut whole = reader(&folder, 2);
    let all = codes(&mut whole);
    let mut first = reader(&folder, 2);
    let rows = first.next_batch(3, usize::MAX).expect("rows").expect("a batch").rows();
    let (at, ids) = first.place();
    assert!(rows < all.len());
    let mut second = reader(&folder, 2);
    assert!(second.go_on(at.expect("a place"), first.report().clone(), ids).expect("a file"));
    assert_eq!(codes(&mut second), all[rows..]);
    assert_eq!(second.report(), whole.report());
    assert_eq!(whole.report().not_found, 4500);
}

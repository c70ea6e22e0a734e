//! How fast an export becomes rows, on one core: `cargo bench -p bocage-fhir`. Prints megabytes of NDJSON a second for each view.
//!
//! The export is made here, of the few resources below with other ids: what is measured is reading, skipping and evaluating, not a disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use bocage_fhir::{Reader, View};

/// What an export of so many bytes is made of.
const BYTES: u64 = 200_000_000;

const OBSERVATION: &str = include_str!("observation.json");
const PATIENT: &str = include_str!("patient.json");

const OBSERVATION_VIEW: &str = r#"{ "resource": "Observation", "select": [{ "column": [
    { "name": "id", "path": "getResourceKey()" },
    { "name": "patient", "path": "subject.getReferenceKey(Patient)" },
    { "name": "status", "path": "status" },
    { "name": "code", "path": "code.coding.where(system = 'http://loinc.org').code.first()" },
    { "name": "date", "path": "effective.ofType(dateTime)" },
    { "name": "value", "path": "value.ofType(Quantity).value" },
    { "name": "unit", "path": "value.ofType(Quantity).code" }] }] }"#;

const PATIENT_VIEW: &str = r#"{ "resource": "Patient", "select": [{ "column": [
    { "name": "id", "path": "getResourceKey()" },
    { "name": "gender", "path": "gender" },
    { "name": "birth_date", "path": "birthDate" },
    { "name": "race", "path": "extension('http://hl7.org/fhir/us/core/StructureDefinition/us-core-race').extension('ombCategory').value.ofType(Coding).code.first()" }] }] }"#;

fn write(path: &Path, line: &str) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let (mut written, mut id) = (0, 0);
    while written < BYTES {
        let line = line.trim().replace("THE-ID", &id.to_string());
        writeln!(file, "{line}").expect("written");
        (written, id) = (written + line.len() as u64 + 1, id + 1);
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, view, line) in [("Observation", OBSERVATION_VIEW, OBSERVATION), ("Patient", PATIENT_VIEW, PATIENT)] {
        let path = folder.path().join(format!("{name}.ndjson"));
        write(&path, line);
        for _ in 0..3 {
            let view = View::load(view, "view.json").expect("a view");
            let begun = Instant::now();
            let mut reader = Reader::open(&path, view).expect("an export");
            let mut rows = 0;
            while let Some(batch) = reader.next_batch(8192, 1 << 20).expect("rows") {
                rows += batch.rows();
            }
            let seconds = begun.elapsed().as_secs_f64();
            let megabytes = reader.progress().total as f64 / 1e6;
            writeln!(std::io::stdout(), "{name}: {rows} rows, {:.0} MB/s", megabytes / seconds).expect("a terminal");
        }
    }
}

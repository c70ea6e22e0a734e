//! How fast an export becomes rows, on one core: `cargo bench -p bocage-fhir`. Prints megabytes of NDJSON a second for each view.
//!
//! A second is one of the processor's, since other programs may run beside it (Linux tells it in `/proc`).
//!
//! The export is made here, of the few resources below with other ids: what is measured is reading, skipping and evaluating, not a disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use bocage_fhir::{Reader, pack};

/// What an export of so many bytes is made of.
const BYTES: u64 = 50_000_000;

const OBSERVATION: &str = include_str!("observation.json");
const PATIENT: &str = include_str!("patient.json");

fn write(path: &Path, line: &str) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let (mut written, mut id) = (0, 0);
    while written < BYTES {
        let line = line.trim().replace("THE-ID", &id.to_string());
        writeln!(file, "{line}").expect("written");
        (written, id) = (written + line.len() as u64 + 1, id + 1);
    }
}

/// How long this thread has run.
fn cpu_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds: f64 = told.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
    nanoseconds / 1e9
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, line) in [("observation", OBSERVATION), ("patient", PATIENT)] {
        let shipped = pack::find(&format!("fhir-r4-core/{name}")).expect("a view");
        let path = folder.path().join(format!("{name}.ndjson"));
        write(&path, line);
        for _ in 0..3 {
            let view = shipped.view().expect("a view");
            let begun = cpu_seconds();
            let mut reader = Reader::open(&path, view).expect("an export");
            let mut rows = 0;
            while let Some(batch) = reader.next_batch(8192, 1 << 20).expect("rows") {
                rows += batch.rows();
            }
            let seconds = cpu_seconds() - begun;
            let megabytes = reader.progress().total as f64 / 1e6;
            writeln!(std::io::stdout(), "{name}: {rows} rows, {:.0} MB/s", megabytes / seconds).expect("a terminal");
        }
    }
}

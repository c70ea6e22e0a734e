//! Whole exports read by the shipped views: every cell must be what an independent reader finds (`tests/reference/fhir.py`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use bocage_fhir::Reader;
use bocage_fhir::pack::{Shipped, shipped};
use flate2::bufread::MultiGzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// As the reference counts: cells that are there, and the sum of their checksums.
fn counted(export: &Path, shipped: &Shipped) -> Value {
    let view = shipped.view().unwrap_or_else(|problems| panic!("{problems}"));
    let mut columns: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut reader = Reader::open(export, view).expect("an export");
    let mut rows = 0;
    while let Some(batch) = reader.next_batch(1000, 1 << 20).expect("rows") {
        rows += batch.rows();
        for (column, texts) in reader.view().columns().iter().zip(batch.columns()) {
            let sums = columns.entry(column.name.clone()).or_default();
            for text in texts.iter().flatten() {
                *sums = (sums.0 + 1, sums.1 + u64::from(crc32fast::hash(text.as_bytes())));
            }
        }
    }
    let report = reader.report();
    assert_eq!(report.left_out, 0, "{}: {report}", shipped.name);
    assert_eq!(report.rows, rows as u64);
    let progress = reader.progress();
    assert_eq!(progress.done, progress.total, "all bytes of {export:?} were read");
    json!({ "resources": report.resources, "rows": rows, "columns": if rows == 0 { json!({}) } else { json!(columns) } })
}

/// An export without its packing, since it is read once for each view and code that is compiled for tests unpacks slowly.
fn unpacked(export: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(export).expect("an export") {
        let path = entry.expect("a file").path();
        let file = File::open(&path).expect("a file");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let mut to = File::create(folder.path().join(name.trim_end_matches(".gz"))).expect("a file");
        if name.ends_with(".gz") {
            io::copy(&mut MultiGzDecoder::new(BufReader::new(file)), &mut to).expect("unpacked");
        } else {
            io::copy(&mut BufReader::new(file), &mut to).expect("copied");
        }
    }
    folder
}

/// How many of the reference's folders are below `within` and were compared.
fn compared(within: &str) -> usize {
    let reference = fs::read_to_string(root().join("tests/reference/fhir.json")).expect("the reference");
    let reference: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&reference).expect("JSON");
    let folders = reference.iter().filter(|(folder, _)| folder.starts_with(within) && root().join(folder).exists());
    let mut count = 0;
    for (folder, views) in folders {
        assert_eq!(views.len(), shipped().len());
        let unpacked = unpacked(&root().join(folder));
        for shipped in shipped() {
            let name = shipped.name.trim_start_matches("fhir-r4-core/");
            let ours = counted(unpacked.path(), shipped);
            assert_eq!(ours, views[name], "{folder}, {name}");
        }
        count += 1;
    }
    count
}

#[test]
fn the_repositorys_exports_give_the_rows_of_an_independent_reader() {
    assert_eq!(compared("tests/data/fhir/"), 6);
}

#[test]
fn a_packed_export_gives_what_it_gives_unpacked() {
    let packed = root().join("tests/data/fhir/site_2");
    let condition = shipped().iter().find(|shipped| shipped.name.ends_with("/condition")).expect("a view");
    assert_eq!(counted(&packed, condition), counted(unpacked(&packed).path(), condition));
}

#[test]
fn the_shared_exports_give_the_rows_of_an_independent_reader_where_they_are_there() {
    if compared("../shared/data/") == 0 {
        let skipped = "skipped: the exports of ../shared/data are not on this machine";
        writeln!(io::stderr(), "{skipped}").expect("a terminal");
    }
}

//! An export in pieces: neither how many threads make rows of them, nor where reading was broken off and begun again, nor a damaged file beside the
//! others shows in the rows and in what was found.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use bocage_fhir::{At, Damaged, How, Reader, Report, View, What};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tempfile::TempDir;

const VIEW: &str = r#"{ "resource": "Patient", "select": [
    { "column": [{ "name": "id", "path": "getResourceKey()" }, { "name": "gender", "path": "gender" }] },
    { "forEachOrNull": "name", "column": [{ "name": "family", "path": "family" }] }] }"#;

const ALONE: How = How { threads: 1, damaged: Damaged::Stop };

type Rows = Vec<Vec<Option<String>>>;

fn view() -> View {
    View::load(VIEW, "view.json").unwrap_or_else(|problems| panic!("{problems}"))
}

fn patient(id: usize) -> String {
    let filling = "x".repeat(400);
    format!(
        r#"{{"resourceType":"Patient","id":"p{id}","name":[{{"family":"a{id}"}},{{"family":"b"}}],"x":"{filling}"}}"#
    )
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("a sound test");
    encoder.finish().expect("a sound test")
}

/// Several pieces of lines, packed and not, with bad ones among them and ids that come again in another file, and a Bundle of several pieces.
fn export() -> TempDir {
    let folder = tempfile::tempdir().expect("a sound test");
    let lines = |from: usize, to: usize| {
        let mut lines: Vec<String> = (from..to).map(patient).collect();
        for at in (100..lines.len()).step_by(997) {
            lines[at] = "{".to_owned();
        }
        lines.join("\n")
    };
    fs::write(folder.path().join("a.ndjson"), lines(0, 6000)).expect("a sound test");
    fs::write(folder.path().join("b.ndjson.gz"), gzipped(&lines(5000, 9000))).expect("a sound test");
    let entries: Vec<String> =
        (8000..9300).map(|id| format!(r#"{{"fullUrl":"u","resource":{}}}"#, patient(id))).collect();
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{}]}}"#, entries.join(","));
    fs::write(folder.path().join("c.json"), bundle).expect("a sound test");
    fs::write(folder.path().join("d.ndjson"), lines(9300, 9400)).expect("a sound test");
    folder
}

/// Reads on; after `most` batches it is broken off.
fn read(reader: &mut Reader, most: usize, rows: &mut Rows, ids: &mut Vec<u64>) -> Option<At> {
    for _ in 0..most {
        let Some(batch) = reader.next_batch(1, 1).expect("a sound test") else { break };
        for row in 0..batch.rows() {
            rows.push(batch.columns().iter().map(|column| column.get(row).map(str::to_owned)).collect());
        }
        ids.extend(reader.place().1);
    }
    reader.place().0
}

fn whole(export: &Path, how: How) -> (Rows, Report) {
    let mut reader = Reader::open_as(export, view(), how).expect("a sound test");
    let mut rows = Rows::new();
    read(&mut reader, usize::MAX, &mut rows, &mut Vec::new());
    (rows, reader.report().clone())
}

#[test]
fn however_many_threads_make_rows_the_rows_and_what_was_found_are_the_same() {
    let export = export();
    let alone = whole(export.path(), ALONE);
    assert!(alone.0.len() > 20_000 && alone.1.count(What::Twice) > 1900 && alone.1.findings.len() == 3, "{}", alone.1);
    for threads in [2, 3, 16] {
        assert!(whole(export.path(), How { threads, ..ALONE }) == alone, "{threads} threads");
    }
}

#[test]
fn reading_that_goes_on_where_it_was_broken_off_gives_what_it_gives_at_once() {
    let export = export();
    let alone = whole(export.path(), ALONE);
    let (mut broken_off, mut without_a_place) = (0, 0);
    for after in 0.. {
        let (mut rows, mut ids) = (Rows::new(), Vec::new());
        let mut before = Reader::open_as(export.path(), view(), How { threads: 2, ..ALONE }).expect("a sound test");
        let at = read(&mut before, after, &mut rows, &mut ids);
        if rows.len() == alone.0.len() {
            break;
        }
        let Some(at) = at else {
            without_a_place += 1;
            continue;
        };
        let found: Report =
            serde_json::from_str(&serde_json::to_string(before.report()).expect("a sound test")).expect("a sound test");
        let mut reader = Reader::open_as(export.path(), view(), ALONE).expect("a sound test");
        assert!(reader.go_on(at, found, ids).expect("a sound test"));
        read(&mut reader, usize::MAX, &mut rows, &mut Vec::new());
        assert!((rows, reader.report().clone()) == alone, "broken off at {at:?}");
        broken_off += 1;
    }
    // Only within the Bundle there is no place to begin at.
    assert!(broken_off > 5 && without_a_place > 0, "{broken_off} {without_a_place}");
}

#[test]
fn a_place_that_the_export_does_not_have_is_none_to_go_on_at() {
    let export = export();
    let go_on = |at: serde_json::Value| {
        let mut reader = Reader::open_as(export.path(), view(), ALONE).expect("a sound test");
        let files = reader.files().count();
        let at = serde_json::from_value(at).expect("a sound test");
        let found = reader.go_on(at, Report::default(), []).expect("a sound test");
        assert!(reader.progress().done <= reader.progress().total);
        (found, files)
    };
    let at = |files: usize, bytes: u64| json!({"files": files, "bytes": bytes, "lines": bytes.min(1)});
    let (begin, files) = go_on(at(0, 0));
    assert!(begin && go_on(at(files, 0)).0, "the beginning and the end");
    for (beyond, bytes) in [(files + 1, 0), (usize::MAX, 0), (files, 1), (files + 1, 1)] {
        assert!(!go_on(at(beyond, bytes)).0, "{beyond} files, {bytes} bytes");
    }
    let bundle = Reader::open_as(export.path(), view(), ALONE)
        .expect("a sound test")
        .files()
        .position(|file| file.extension().is_some_and(|ending| ending == "json"))
        .expect("a Bundle");
    assert!(go_on(at(bundle, 0)).0 && !go_on(at(bundle, 1)).0, "nothing begins within a Bundle");
}

#[test]
fn a_damaged_file_is_left_out_as_a_whole_where_that_is_wanted_and_named() {
    let export = export();
    let sound = whole(export.path(), ALONE);
    let packed = fs::read(export.path().join("b.ndjson.gz")).expect("a sound test");
    fs::write(export.path().join("b0.ndjson.gz"), &packed[..packed.len() - 9]).expect("a sound test");
    fs::write(export.path().join("b1.json"), r#"{"resourceType":"Bundle","entry":["#).expect("a sound test");
    let stopped =
        Reader::open_as(export.path(), view(), ALONE).expect("a sound test").next_batch(usize::MAX, usize::MAX);
    assert!(stopped.unwrap_err().to_string().contains("b0.ndjson.gz: its compressed data is damaged"));
    for threads in [1, 4] {
        let (rows, found) = whole(export.path(), How { threads, damaged: Damaged::Skip });
        assert!(rows == sound.0, "no row of a damaged file, and all of the others");
        let named: Vec<(&str, &str)> =
            found.damaged_files.iter().map(|file| (file.file.as_str(), file.reason.as_str())).collect();
        let wanted = [
            ("b0.ndjson.gz", "its compressed data is damaged or ends too early, behind line 3999"),
            ("b1.json", "JSON that ends too early"),
        ];
        assert_eq!((found.damaged, named), (2, wanted.to_vec()));
        let nothing = Report { damaged: 0, damaged_files: Vec::new(), ..found };
        assert!(nothing == sound.1, "nothing of a damaged file is counted");
    }
}

//! What hospitals' files are like on bad days: each case is a clear error or a counted finding, and no value of the data is repeated.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use bocage_fhir::{Malformed, ReadError, Reader, Report, Trouble, View, What};
use bocage_protocol::limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// What must be in no message: every bad file holds it.
const SECRET: &str = "Sxecret";

const VIEW: &str = r#"{ "resource": "Patient", "select": [
    { "column": [{ "name": "id", "path": "getResourceKey()" }, { "name": "gender", "path": "gender" },
                 { "name": "ids", "path": "(identifier.value | id).count()" },
                 { "name": "other", "path": "link.other.getReferenceKey(Patient).first()" }] },
    { "forEachOrNull": "name", "column": [{ "name": "family", "path": "family" }] },
    { "forEachOrNull": "name", "column": [{ "name": "use", "path": "use" }] }] }"#;

struct Export(TempDir);

impl Export {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().expect("a sound test");
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).expect("a sound test");
        }
        Self(folder)
    }

    fn read_by(&self, view: &str) -> Result<(Vec<Option<String>>, Report), String> {
        let said = |e: ReadError| e.to_string();
        let view = View::load(view, "view.json").unwrap_or_else(|problems| panic!("{problems}"));
        let mut reader = Reader::open(self.0.path(), view).map_err(said)?;
        let mut ids = Vec::new();
        while let Some(batch) = reader.next_batch(2, 1 << 20).map_err(said)? {
            ids.extend(batch.columns()[0].iter().map(|id| id.map(str::to_owned)));
        }
        assert!(reader.next_batch(2, 1 << 20).map_err(said)?.is_none(), "the end stays the end");
        assert!(!reader.report().to_string().contains(SECRET), "{}", reader.report());
        Ok((ids, reader.report().clone()))
    }

    fn read(&self) -> Result<(Vec<Option<String>>, Report), String> {
        self.read_by(VIEW)
    }
}

fn patient(id: &str, more: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"{more}}}"#)
}

/// The one bad line stands between two good ones: these are read, and it is reported by its number.
fn finding(line: impl AsRef<[u8]>) -> (What, Option<String>) {
    let lines = [patient("a", "").as_bytes(), line.as_ref(), patient("b", "").as_bytes()].join(&b'\n');
    let (ids, report) = Export::of(&[("Patient.ndjson", &lines)]).read().expect("a sound test");
    assert!(ids.contains(&Some("a".into())) && ids.contains(&Some("b".into())), "{ids:?}");
    let [(finding, places)] = &report.findings.iter().collect::<Vec<_>>()[..] else { panic!("{report}") };
    assert_eq!((places.count, places.first[0].to_string()), (1, "Patient.ndjson:2".to_owned()));
    (finding.what, finding.column.clone())
}

#[test]
fn a_line_that_is_no_resource_is_passed_over_and_told_by_its_number() {
    let utf16: Vec<u8> = patient(SECRET, "").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let nested = format!(r#","x":{}{}"#, "[".repeat(5000), "]".repeat(5000));
    let cases: Vec<(Vec<u8>, What)> = vec![
        (SECRET.into(), What::Malformed(Malformed::Syntax)),
        (format!("{SECRET},male,1980").into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, "")[..20].into(), What::Malformed(Malformed::CutShort)),
        (patient(SECRET, r#","gender":"#).into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, "").repeat(2).into(), What::Malformed(Malformed::Trailing)),
        (patient(SECRET, r#","gender":"a","gender":"b""#).into(), What::Malformed(Malformed::Twice)),
        (patient(SECRET, &nested).into(), What::Malformed(Malformed::TooDeep)),
        (
            patient(SECRET, &format!(r#","gender":[{}5]"#, "5,".repeat(1_000_000))).into(),
            What::Malformed(Malformed::TooMany),
        ),
        (patient(SECRET, ",\"x\":\"a\tb\"").into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, r#","gender":"\ud800""#).into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, r#","weight":NaN"#).into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, r#","weight":007"#).into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, ",").into(), What::Malformed(Malformed::Syntax)),
        (patient(SECRET, "").replace('"', "'").into(), What::Malformed(Malformed::Syntax)),
        (vec![0; 100], What::Malformed(Malformed::Syntax)),
        (patient(SECRET, "").replace('S', "\u{0}").into(), What::Malformed(Malformed::Syntax)),
        ([patient(SECRET, "").as_bytes(), b"\xff\xfe"].concat(), What::NotUtf8),
        ([&[0xff, 0xfe][..], &utf16].concat(), What::NotUtf8),
        (format!(r#"["{SECRET}"]"#).into(), What::Typeless),
        (format!(r#""{SECRET}""#).into(), What::Typeless),
        ("5".into(), What::Typeless),
        ("null".into(), What::Typeless),
        (format!(r#"{{"id":"{SECRET}"}}"#).into(), What::Typeless),
        (format!(r#"{{"resourceType":7,"id":"{SECRET}"}}"#).into(), What::Typeless),
        (format!(r#"{{"resourceType":"Bundle","type":"history","entry":[{{"x":"{SECRET}"}}]}}"#).into(), What::History),
        (format!(r#"{{"resourceType":"Bundle","entry":"{SECRET}"}}"#).into(), What::NoEntries),
        (format!(r#"{{"resourceType":"Bundle","entry":["{SECRET}"#).into(), What::Malformed(Malformed::CutShort)),
    ];
    for (line, wanted) in cases {
        assert_eq!(finding(&line), (wanted, None), "{}", String::from_utf8_lossy(&line[..line.len().min(200)]));
    }
}

#[test]
fn a_resource_that_does_not_fit_gives_no_row_and_its_column_is_named() {
    let many: Vec<String> = (0..200).map(|i| format!(r#"{{"family":"{SECRET}{i}"}}"#)).collect();
    let many = format!(r#","name":[{}]"#, many.join(","));
    let others = format!(
        r#","identifier":[{}]"#,
        (0..2000).map(|i| format!(r#"{{"value":"{SECRET}{i}"}}"#)).collect::<Vec<_>>().join(",")
    );
    let cases = [
        (others, Trouble::TooManyValues, Some("ids")),
        (format!(r#","gender":["{SECRET}","b"]"#), Trouble::Several, Some("gender")),
        (format!(r#","gender":[["{SECRET}"]]"#), Trouble::ArrayInArray, Some("gender")),
        (format!(r#","gender":{{"code":"{SECRET}"}}"#), Trouble::NotScalar, Some("gender")),
        (format!(r#","name":[{{"family":["{SECRET}","b"]}}]"#), Trouble::Several, Some("family")),
        (format!(r#","name":[["{SECRET}"]]"#), Trouble::ArrayInArray, None),
        // Two lists of 200 names make 40,000 rows.
        (many, Trouble::TooManyRows, None),
    ];
    for (more, trouble, column) in cases {
        assert_eq!(finding(patient(SECRET, &more)), (What::Unfit(trouble), column.map(str::to_owned)), "{more:.100}");
    }
}

#[test]
fn elements_that_give_no_rows_are_bounded_too() {
    let list = |name: &str, n: usize| format!(r#","{name}":[{}]"#, vec![r#"{"use":"x"}"#; n].join(","));
    let lists = patient(SECRET, &(list("name", 400) + &list("identifier", 400)));
    // One within the other, 18 deep: two ways from each to the next are 262,144 from the first to the last.
    let deep = patient(SECRET, &(r#","link":{"x":1"#.repeat(18) + &"}".repeat(18)));
    let nothing = r#"{ "forEach": "photo", "column": [{ "name": "id", "path": "id" }] }"#;
    let column = |name: &str| format!(r#""column": [{{ "name": "{name}", "path": "id" }}]"#);
    let (a, b) = (column("a"), column("b"));
    for (resource, select) in [
        (lists, format!(r#"{{ "forEach": "name", {a} }}, {{ "forEach": "identifier", {b} }}"#)),
        (deep, format!(r#"{{ "repeat": ["link", "link"], {a} }}"#)),
    ] {
        let view = format!(r#"{{ "resource": "Patient", "select": [{select}, {nothing}] }}"#);
        let (ids, report) = Export::of(&[("p.ndjson", resource.as_bytes())]).read_by(&view).unwrap();
        assert_eq!((ids.len(), report.count(What::Unfit(Trouble::TooManyElements))), (0, 1), "{select}");
    }
}

#[test]
fn a_view_that_repeats_itself_without_end_stops() {
    let view =
        r#"{ "resource": "Patient", "select": [{ "repeat": ["$this"], "column": [{ "name": "id", "path": "id" }] }] }"#;
    let (ids, report) = Export::of(&[("p.ndjson", patient(SECRET, "").as_bytes())]).read_by(view).unwrap();
    assert_eq!((ids.len(), report.count(What::Unfit(Trouble::Endless))), (0, 1));
}

#[test]
fn a_line_of_200_megabytes_is_passed_over_in_bounded_memory() {
    let export = Export::of(&[("Patient.ndjson", patient("a", "").as_bytes())]);
    let mut file = File::options().append(true).open(export.0.path().join("Patient.ndjson")).unwrap();
    file.write_all(b"\n").unwrap();
    let start = file.seek(SeekFrom::End(0)).unwrap();
    // A hole of the file, which reads as zeros.
    file.set_len(start + (200 << 20)).unwrap();
    file.write_all(format!("\n{}\n", patient("b", "")).as_bytes()).unwrap();
    let (ids, report) = export.read().unwrap();
    assert_eq!(ids, [Some("a".into()), Some("b".into())]);
    assert_eq!(report.count(What::TooLong), 1);
    assert!(report.to_string().contains("longer than a resource may be: left out (Patient.ndjson:2)"), "{report}");
}

#[test]
fn a_line_as_long_as_it_may_be_is_read_and_a_longer_one_is_not() {
    let filled = |length: usize| {
        let empty = patient("a", r#","x":"""#).len();
        patient("a", &format!(r#","x":"{}""#, " ".repeat(length - empty)))
    };
    let ids = |length: usize| Export::of(&[("p.ndjson", filled(length).as_bytes())]).read().unwrap().0.len();
    assert_eq!([ids(limits::FHIR_LINE_BYTES), ids(limits::FHIR_LINE_BYTES + 1)], [1, 0]);
}

#[test]
fn files_of_nothing_and_odd_line_ends_are_no_mistake() {
    let crlf = format!("\u{feff}{}\r\n\r\n  \n{}", patient("a", ""), patient("b", ""));
    let files: &[(&str, &[u8])] = &[
        ("Empty.ndjson", b""),
        ("Empty.ndjson.gz", b""),
        ("Empty.ndjson.zst", b""),
        ("Empty.json", b""),
        ("Blank.ndjson", b"\n\n  \n"),
        ("Nothing.json", br#"{"resourceType":"Bundle","type":"searchset","total":0}"#),
        ("Patient.ndjson", crlf.as_bytes()),
        ("README.txt", b"not read"),
    ];
    let (ids, report) = Export::of(files).read().unwrap();
    assert_eq!(ids, [Some("a".into()), Some("b".into())]);
    assert!(report.findings.is_empty(), "{report}");
}

#[test]
fn resources_are_known_by_what_they_say_not_by_their_files_name() {
    let device = r#"{"resourceType":"Device","id":"d"}"#;
    let files =
        [("Device.ndjson", patient("a", "")), ("Patient.ndjson", device.to_owned()), ("x.1.jsonl", patient("b", ""))];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let (ids, report) = Export::of(&files).read().unwrap();
    assert_eq!((ids.len(), report.resources, report.others), (2, 2, 1));
}

#[test]
fn an_id_that_is_there_twice_is_counted() {
    let lines = [patient("a", ""), patient(SECRET, ""), patient(SECRET, "")].join("\n");
    let (ids, report) = Export::of(&[("p.ndjson", lines.as_bytes())]).read().unwrap();
    assert_eq!((ids.len(), report.count(What::Twice)), (3, 1));
    assert!(report.to_string().contains("(p.ndjson:3)"), "{report}");
}

#[test]
fn references_in_circles_and_to_nowhere_give_keys_or_none() {
    let to =
        |id: &str, reference: &str| patient(id, &format!(r#","link":[{{"other":{{"reference":"{reference}"}}}}]"#));
    let lines = [
        to("a", "Patient/b"),
        to("b", "Patient/a"),
        to("c", "Patient/c"),
        to("d", "Group/g"),
        to("e", "Patient?identifier=x"),
        to("f", "urn:uuid:f"),
        to("g", "#h"),
    ];
    let (_, report) = Export::of(&[("p.ndjson", lines.join("\n").as_bytes())]).read().unwrap();
    assert_eq!((report.rows, report.unresolved), (7, 3));
    assert!(report.to_string().contains("3 references name nothing that could be looked up"), "{report}");
}

#[test]
fn an_entry_without_id_has_the_key_that_the_bundle_gives_it() {
    let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"fullUrl":"urn:uuid:u1","resource":{"resourceType":"Patient","link":[{"other":{"reference":"urn:uuid:u2"}}]}},
        {"request":{"method":"DELETE","url":"Patient/9"}},
        {"fullUrl":"urn:uuid:u2","resource":{"resourceType":"Patient","id":"p2"}},
        {"fullUrl":"urn:uuid:u2","resource":{"resourceType":"Patient","id":"p3"}},
        {"resource":{"resourceType":"Bundle","entry":[]}},
        {"resource":{"resourceType":"Patient"}},
        {"resource":5}, 7]}"#;
    let view = r#"{ "resource": "Patient", "select": [{ "column": [
        { "name": "other", "path": "link.other.getReferenceKey(Patient)" }] }] }"#;
    let export = Export::of(&[("b.json", bundle.as_bytes())]);
    let (others, report) = export.read_by(view).unwrap();
    assert_eq!(others, [Some("p3".into()), None, None, None], "the later of two entries of one name");
    assert_eq!((report.count(What::SameUrl), report.others), (1, 1));
    let syntax =
        report.findings.iter().find(|(finding, _)| finding.what == What::Malformed(Malformed::Syntax)).unwrap();
    assert_eq!(
        syntax.1.first.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["b.json:1 entry 7", "b.json:1 entry 8"]
    );
    let (keys, _) = export.read().unwrap();
    assert_eq!(keys, [Some("u1".into()), Some("p2".into()), Some("p3".into()), None]);
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("a sound test");
    encoder.finish().expect("a sound test")
}

fn zstandard(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("a sound test");
    encoder.include_checksum(true).expect("a sound test");
    encoder.write_all(text.as_bytes()).expect("a sound test");
    encoder.finish().expect("a sound test")
}

#[test]
fn a_file_that_may_not_be_whole_is_an_error_that_names_it() {
    // Numbers that do not repeat, so that half of the packed bytes holds some lines.
    let mut number = 1u64;
    let mut line = |_| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        patient(&format!("{SECRET}{number}"), "") + "\n"
    };
    let text: String = (0..5000).map(&mut line).collect();
    let (gz, zst) = (gzipped(&text), zstandard(&text));
    let damaged = |bytes: &[u8]| [&bytes[..bytes.len() / 2], &[0x55; 64], &bytes[bytes.len() / 2 + 64..]].concat();
    let bundle = format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{}}}]}}"#, patient(SECRET, ""));
    let many = format!(r#"{{"resourceType":"Bundle","entry":[{}5]}}"#, "5,".repeat(limits::FHIR_BUNDLE_ENTRIES));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("p.ndjson.gz", gz[..gz.len() / 2].to_vec(), "damaged or ends too early, behind line "),
        ("p.ndjson.gz", gz[..gz.len() - 4].to_vec(), "damaged or ends too early, behind line 5000"),
        ("p.ndjson.gz", damaged(&gz), "damaged or ends too early"),
        ("p.ndjson.gz", [&gz[..], SECRET.as_bytes()].concat(), "damaged or ends too early, behind line 5000"),
        ("p.ndjson.gz", text.clone().into_bytes(), "damaged or ends too early, behind line 0"),
        ("p.ndjson.zst", zst[..zst.len() / 2].to_vec(), "damaged or ends too early"),
        ("p.ndjson.zst", damaged(&zst), "damaged or ends too early"),
        ("p.ndjson.zst", text.clone().into_bytes(), "damaged or ends too early, behind line 0"),
        ("b.json", bundle.as_bytes()[..bundle.len() - 2].to_vec(), "JSON that ends too early"),
        ("b.json", format!("{bundle} {SECRET}").into_bytes(), "no JSON"),
        ("b.json", [bundle.as_bytes(), b"\xff"].concat(), "no UTF-8"),
        ("b.json.gz", gzipped(&bundle)[..30].to_vec(), "damaged or ends too early"),
        ("b.json", many.into_bytes(), "more than 500000 entries"),
    ];
    for (name, bytes, wanted) in cases {
        let Err(error) = Export::of(&[(name, &bytes)]).read() else { panic!("{name}, {wanted}: no error") };
        assert!(
            error.contains(wanted) && error.contains(name) && error.contains("\n  hint: "),
            "{name}, {wanted}: {error}"
        );
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn a_bundle_larger_than_memory_is_refused() {
    let export = Export::of(&[("b.json", b"")]);
    File::options().append(true).open(export.0.path().join("b.json")).unwrap().set_len(1 << 30).unwrap();
    assert!(export.read().unwrap_err().contains("more than 134217728 bytes"));
}

#[test]
fn what_is_not_there_is_told() {
    let view = || View::load(VIEW, "view.json").unwrap();
    let export = Export::of(&[("p.csv", b"x"), ("README", b"x")]);
    let open = |path: &std::path::Path| Reader::open(path, view()).err().unwrap().to_string();
    assert!(open(&export.0.path().join("absent")).contains("there is no such file or folder\n  hint: "));
    assert!(open(export.0.path()).contains("no file of an export\n  hint: files end in .ndjson"));
    assert!(open(&export.0.path().join("p.csv")).contains("no file of an export"));
    std::os::unix::fs::symlink("nowhere", export.0.path().join("p.ndjson")).unwrap();
    assert!(open(export.0.path()).contains("p.ndjson: there is no such file"));
}

#[test]
fn an_export_that_changes_while_it_is_read_is_told() {
    let export = Export::of(&[("p.ndjson", patient("a", "").as_bytes())]);
    let mut reader = Reader::open(export.0.path(), View::load(VIEW, "view.json").unwrap()).unwrap();
    while reader.next_batch(10, 1 << 20).unwrap().is_some() {}
    reader.unchanged().unwrap();
    fs::write(export.0.path().join("q.ndjson"), b"").unwrap();
    assert!(
        reader.unchanged().unwrap_err().to_string().contains("it was changed or replaced while it was read\n  hint: ")
    );
}

#[test]
fn no_pipe_is_waited_for() {
    let export = Export::of(&[("p.ndjson", patient("a", "").as_bytes())]);
    let made = std::process::Command::new("mkfifo").arg(export.0.path().join("q.ndjson")).status().unwrap();
    assert!(made.success());
    assert_eq!(export.read().unwrap().0.len(), 1);
}

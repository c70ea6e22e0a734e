//! Bad files of a hospital's ordinary days. What makes the whole file doubtful is refused with file, line and hint, and the
//! snapshot before stays in use; what spoils a line or a value is counted and named by number. No value is ever repeated.

use std::fs::{self, File};
use std::path::PathBuf;

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::settings::Problems;
use serde_json::{Value, json};

use super::*;
use crate::custodian::source::{DatasetSpec, Mapping, Opened, SourceError};

pub(super) mod disk;
mod parquet;

const CONTRACT: &str = r#"
    id = "visits@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    invalid = "reject"
    [[column]]
    name = "sex"
    type = "code"
    codes = [{ code = "f" }, { code = "m" }]
    [[column]]
    name = "chol"
    type = "float"
    range = [50, 700]
    [[column]]
    name = "seen"
    type = "datetime"
    range = ["2000-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]
"#;

const HEADER: &str = "patient,age,sex,chol,seen\n";
const SOUND: &str = "NHS-1,63,m,233.5,2020-01-31T10:00:00Z\nNHS-2,41,f,180,2021-06-01 09:30:00\n";

struct Site {
    dir: tempfile::TempDir,
    contract: Contract,
    before: Digest,
}

impl Site {
    /// A site with a sound snapshot.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let contract = parse(CONTRACT, "visits.toml").unwrap();
        let mut site = Self { dir, contract, before: Digest::of("none", &[]) };
        fs::write(site.file(), format!("{HEADER}{SOUND}")).unwrap();
        site.before = site.take(&json!({})).unwrap().content;
        site
    }

    /// The contract with another type of the patient's column.
    fn contract_with(&self, patient: &str) -> Contract {
        parse(&CONTRACT.replacen("type = \"text\"", patient, 1), "visits.toml").unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("visits.csv")
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.path().join("snapshots")
    }

    fn take(&self, source: &Value) -> Result<Manifest, SnapshotError> {
        self.take_above(Floor { disk: &SystemDisk, bytes: 0 }, source)
    }

    /// What `check` says of the source.
    fn check(&self, source: &Value) -> Result<(), SourceError> {
        let spec = self.spec(source);
        let opened = Opened::open(&spec.source)?;
        let mapping = Mapping::bind(&spec, &self.contract, &opened.columns())?;
        opened.readable(&mapping)
    }

    fn take_above(&self, floor: Floor<'_>, source: &Value) -> Result<Manifest, SnapshotError> {
        let dir = self.snapshots();
        Taking { floor, ..Taking::into(&dir) }.take(&self.spec(source), &self.contract, Timestamp(1))
    }

    fn spec(&self, source: &Value) -> DatasetSpec {
        let mut section = json!({"contract": "visits@1", "source": {"kind": "csv", "path": "visits.csv"}, "map": {}});
        for (key, value) in source.as_object().unwrap() {
            section["source"][key] = value.clone();
        }
        let mut problems = Problems::default();
        DatasetSpec::read("visits", &section, "node.toml", self.dir.path(), &mut problems).unwrap()
    }

    /// What the refusal says. The snapshot before must be in use, whole and alone.
    fn refusal(&self, taken: Result<Manifest, SnapshotError>) -> String {
        let says = taken.map(|_| ()).unwrap_err().to_string();
        let snapshot = Snapshot::open_current(&self.snapshots(), "visits").unwrap();
        assert_eq!((snapshot.content_hash(), snapshot.frame().height()), (&self.before, 2), "{says}");
        assert_eq!(fs::read_dir(self.snapshots().join("visits")).unwrap().count(), 3, "{says}");
        for value in ["NHS", "233.5", "10:00", "secret"] {
            assert!(!says.contains(value), "a value of the data in: {says}");
        }
        says.replace(&format!("{}/", self.dir.path().display()), "")
    }

    fn refuses(&self, bytes: &[u8], source: &Value) -> String {
        let path = source.get("path").map_or(self.file(), |path| self.dir.path().join(path.as_str().unwrap()));
        fs::write(path, bytes).unwrap();
        let taken = self.take(source);
        self.refusal(taken)
    }
}

fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes_of).collect()
}

#[test]
fn a_file_that_cannot_be_whole_is_refused_with_its_line_and_a_hint() {
    let sound = format!("{HEADER}{SOUND}");
    let with = |line: &str| format!("{sound}{line}").into_bytes();
    let latin1 = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let long = |text: &str| with(&format!("NHS-3,\"{}\",m,1,\n", text.repeat((2 << 20) / text.len())));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "no usable row: the file is empty"),
        ("a byte order mark alone", b"\xEF\xBB\xBF".to_vec(), "no usable row: the file is empty"),
        ("line ends alone", b"\n\r\n\n".to_vec(), "no usable row: the file is empty"),
        ("only a header", HEADER.into(), "no usable row: the file has no rows"),
        ("half a header", b"patient,age,sex,chol,seen".to_vec(), "no usable row: the file has no rows"),
        (
            "utf-16, little end first",
            utf16(&format!("\u{feff}{sound}"), u16::to_le_bytes),
            "the file is UTF-16\n  hint: save it as UTF-8",
        ),
        (
            "utf-16, big end first",
            utf16(&format!("\u{feff}{sound}"), u16::to_be_bytes),
            "the file is UTF-16\n  hint: save it as UTF-8",
        ),
        (
            "utf-16 without a mark",
            utf16(&sound, u16::to_le_bytes),
            "the header holds zero bytes\n  hint: save the file as UTF-8",
        ),
        (
            "a header in latin-1",
            latin1("patient,âge,sex,chol,seen\nNHS-1,63,m,200,\n"),
            "the header is not UTF-8\n  hint: save the file as UTF-8",
        ),
        (
            "rows in latin-1",
            latin1(&format!("{HEADER}é,63,m,200,\né,63,m,200,\n")),
            "no usable row: no line is UTF-8\n  hint: save the file as UTF-8",
        ),
        (
            "an archive",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03visits\n1\n".to_vec(),
            "cannot be read: its compressed data is damaged or ends too early\n  hint: the file was not copied or written as a whole: copy it again",
        ),
        (
            "a spreadsheet",
            b"PK\x03\x04\x14\x00\x06\x00".to_vec(),
            "it is a zip file or a spreadsheet, not a text\n  hint: unpack it, or export it as plain CSV",
        ),
        (
            "semicolons",
            sound.replace(',', ";").into(),
            "the header is one column, with `;` in it\n  hint: say delimiter = \";\"",
        ),
        (
            "tabs",
            sound.replace(',', "\t").into(),
            "the header is one column, with `\\t` in it\n  hint: say delimiter = \"\\t\"",
        ),
        (
            "rows with another delimiter",
            format!("{HEADER}{}", SOUND.replace(',', ";")).into(),
            "no usable row: 2 lines do not have 5 fields\n  hint: check `delimiter`, `header` and `columns`",
        ),
        (
            "the same name twice",
            b"patient,age,age,sex,chol,seen\nNHS-1,63,63,m,1,\n".to_vec(),
            "columns 2 and 3 have the same name\n  hint: name them apart with `columns`; if the file has no header, say `header = false`",
        ),
        (
            "no header, two equal values",
            b"NHS-1,63,63,m,1\nNHS-2,41,41,f,2\n".to_vec(),
            "columns 2 and 3 have the same name\n  hint: name them apart with `columns`; if the file has no header, say `header = false`",
        ),
        ("no names at all", b",,,,\n1,2,3,4,5\n".to_vec(), "no column has a usable name"),
        (
            "a quote that never closes",
            with("NHS-3,\"63,m,1,\nNHS-4,63,m,1,\n"),
            "line 4: a quote in the row that begins here never closes\n  hint: the file may be cut off, or the text holds a lone quote",
        ),
        (
            "a quote in the header that never closes",
            format!("patient,\"age,sex,chol,seen\n{SOUND}").into(),
            "line 1: a quote in the row that begins here never closes\n  hint: the file may be cut off, or the text holds a lone quote",
        ),
        (
            "cut off in a row",
            with("NHS-3,6"),
            "line 4: the file ends within this row\n  hint: it may be cut off; export it again",
        ),
        (
            "cut off in a quoted field",
            with("NHS-3,63,m,1,\"2020"),
            "line 4: a quote in the row that begins here never closes\n  hint: the file may be cut off, or the text holds a lone quote",
        ),
        (
            "a long row",
            long("x"),
            "line 4: the row that begins here is longer than 1 MiB\n  hint: a quote that begins here may never close, or the file has no line ends",
        ),
        (
            "a long row of short lines",
            long("secret\n"),
            "line 4: the row that begins here is longer than 1 MiB\n  hint: a quote that begins here may never close, or the file has no line ends",
        ),
        (
            "a header without an end",
            vec![b'x'; 3 << 20],
            "line 1: the row that begins here is longer than 1 MiB\n  hint: a quote that begins here may never close, or the file has no line ends",
        ),
        (
            "nobody is named",
            format!("{HEADER},63,m,200,\n,41,f,180,\n").into(),
            "no usable row: no row fits the contract (no patient is named: 2)",
        ),
        (
            "every age is of another type",
            format!("{HEADER}NHS-1,old,m,200,\nNHS-2,\"6,3\",f,180,\n").into(),
            "no usable row: no row fits the contract (`age` is not valid: 2)",
        ),
    ];
    for (name, bytes, wanted) in cases {
        assert_eq!(Site::new().refuses(&bytes, &json!({})), format!("visits.csv: {wanted}"), "{name}");
    }
}

#[test]
fn settings_that_do_not_fit_the_file_are_refused() {
    let sound = format!("{HEADER}{SOUND}").into_bytes();
    let says = Site::new().refuses(&sound, &json!({"columns": ["patient", "age"]}));
    assert_eq!(says, "visits.csv: the header has 5 columns, `columns` in node.toml names 2");
    let says = Site::new().refuses(b"patient,age,sex,total\nNHS-1,63,m,233.5\n", &json!({}));
    let column = |name: &str, hint: &str| {
        format!(
            "node.toml: dataset.visits.map.{name}: the source has no column `{name}`, and no rule maps it\n  hint: {hint}"
        )
    };
    let absent = |name: &str| column(name, &format!("map it, or declare it not collected: absent = [\"{name}\"]"));
    assert_eq!(says, format!("{}\n{}", absent("chol"), absent("seen")));
}

#[test]
fn what_is_no_readable_file_is_refused_without_waiting_for_it() {
    let missing = Site::new();
    fs::remove_file(missing.file()).unwrap();
    let says = missing.refusal(missing.take(&json!({})));
    assert_eq!(says, "visits.csv: there is no such file\n  hint: paths in node.toml are relative to node.toml");

    let folder = Site::new();
    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    let says = folder.refusal(folder.take(&json!({})));
    assert!(says.starts_with("visits.csv: the folder has no file\n  hint: the parts of a table lie in it"), "{says}");

    let socket = Site::new();
    fs::remove_file(socket.file()).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(socket.file()).unwrap();
    assert_eq!(socket.refusal(socket.take(&json!({}))), "visits.csv: not a file");

    // Its first byte is nobody's memory, so that reading it fails whoever asks.
    let broken = Site::new();
    fs::remove_file(broken.file()).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", broken.file()).unwrap();
    let says = broken.refusal(broken.take(&json!({})));
    assert!(says.starts_with("visits.csv: cannot be read: Input/output error"), "{says}");
}

#[test]
fn a_line_of_200_megabytes_is_given_up_after_one() {
    let site = Site::new();
    let file = File::options().append(true).open(site.file()).unwrap();
    // A hole: it takes no room on the disk and reads as zero bytes without a line end.
    file.set_len(200 << 20).unwrap();
    let says = site.refusal(site.take(&json!({})));
    assert!(says.starts_with("visits.csv: line 4: the row that begins here is longer than 1 MiB\n"), "{says}");
}

/// What a report says, in one line: rows, bad lines, and the columns with deviations.
fn told(manifest: &Manifest) -> String {
    let report = &manifest.report;
    let mut says = format!("{} of {} rows", report.rows_kept, report.source_rows);
    let bad = &report.bad_lines;
    for (what, lines) in [("ragged", &bad.wrong_field_count), ("not utf-8", &bad.not_utf8), ("zeros", &bad.zero_bytes)]
    {
        if lines.count > 0 {
            says += &format!("; {what} {:?}", lines.first);
        }
    }
    if bad.unended {
        says += "; no line end";
    }
    for (name, c) in &report.columns {
        let found = [
            (c.missing, "missing"),
            (c.wrong_type, "mistyped"),
            (c.unknown_code, "unknown"),
            (c.out_of_range, "beyond"),
        ];
        let found: Vec<String> = found.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !found.is_empty() {
            says += &format!("; {name}: {}", found.join(", "));
        }
    }
    says
}

#[test]
fn what_spoils_a_line_or_a_value_is_counted_and_named_by_number() {
    let row = |sex: &str, chol: &str, seen: &str| format!("{HEADER}NHS-1,63,{sex},{chol},{seen}\n").into_bytes();
    let rows = |text: &str| format!("{HEADER}{SOUND}{text}").into_bytes();
    let joined = |parts: &[&[u8]]| parts.concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a byte order mark", joined(&[b"\xEF\xBB\xBF", &rows("")]), "2 of 2 rows"),
        ("windows line ends", format!("{HEADER}{SOUND}").replace('\n', "\r\n").into(), "2 of 2 rows"),
        ("no line end at the end", rows("NHS-3,50,f,200,2020-01-01T00:00:00Z"), "3 of 3 rows; no line end"),
        ("blank lines", rows("\n\n\r\n"), "2 of 2 rows"),
        ("blanks and quotes about values", rows("\" NHS-3 \", 50 ,\"f\" , 200, 2020-01-01T00:00:00Z\n"), "3 of 3 rows"),
        (
            "short and long lines",
            rows("NHS-3,50\nNHS-4,50,f,200,,\nNHS-5,50,f,200,2020-01-01T00:00:00Z\n"),
            "3 of 3 rows; ragged [4, 5]",
        ),
        (
            "mixed encodings",
            joined(&[&rows(""), b"Ren\xe9,50,f,200,\n", "René,50,f,200,2020-01-01T00:00:00Z\n".as_bytes()]),
            "3 of 3 rows; not utf-8 [4]",
        ),
        ("zero bytes", rows("NHS-3\0,50,f,200,\n"), "2 of 2 rows; zeros [4]"),
        (
            "markers of missing values",
            row("NA", "", "NaN"),
            "1 of 1 rows; chol: 1 missing; seen: 1 missing; sex: 1 missing",
        ),
        ("an unknown code", row("male", "200", "2020-01-01T00:00:00Z"), "1 of 1 rows; sex: 1 unknown"),
        ("a code in capitals", row("F", "200", "2020-01-01T00:00:00Z"), "1 of 1 rows; sex: 1 unknown"),
        ("an infinity", row("f", "inf", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 mistyped"),
        ("an infinity with a sign", row("f", "-Infinity", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 mistyped"),
        ("a number beyond doubles", row("f", "1e999", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 mistyped"),
        ("no number, said otherwise", row("f", "nan", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 mistyped"),
        ("a decimal comma", row("f", "\"233,5\"", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 mistyped"),
        ("a unit behind a number", row("f", "233.5 mg/dL", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 mistyped"),
        ("a value beyond its range", row("f", "7000", "2020-01-01T00:00:00Z"), "1 of 1 rows; chol: 1 beyond"),
        ("a date in another order", row("f", "200", "31.01.2020"), "1 of 1 rows; seen: 1 mistyped"),
        ("a day that is none", row("f", "200", "2023-02-29T00:00:00Z"), "1 of 1 rows; seen: 1 mistyped"),
        ("a time with an offset", row("f", "200", "2029-12-31T23:30:00-01:00"), "1 of 1 rows; seen: 1 beyond"),
        ("an age of another type", rows("NHS-3,sixty,f,200,2020-01-01T00:00:00Z\n"), "2 of 3 rows; age: 1 mistyped"),
        ("an age with a fraction", rows("NHS-3,60.5,f,200,2020-01-01T00:00:00Z\n"), "2 of 3 rows; age: 1 mistyped"),
        ("a row of nobody", rows(",60,f,200,2020-01-01T00:00:00Z\n"), "2 of 3 rows; patient: 1 missing"),
    ];
    for (name, bytes, wanted) in cases {
        let site = Site::new();
        fs::write(site.file(), bytes).unwrap();
        assert_eq!(told(&site.take(&json!({})).unwrap()), wanted, "{name}");
    }
}

#[test]
fn a_lone_quote_that_a_later_one_closes_swallows_no_rows_unseen() {
    let mut text = format!("{HEADER}{SOUND}NHS-3,50,f,200,\"2020-01-01T00:00:00Z\n");
    text += &"NHS-4,50,f,200,2020-01-01T00:00:00Z\n".repeat(400);
    text += "NHS-5,50,f,200,2020-01-01T00:00:00Z\"\n";
    let site = Site::new();
    let says = site.refuses(text.as_bytes(), &json!({}));
    assert!(
        says.contains("visits.csv: line 4: a quoted text in the row that begins here runs over several lines"),
        "{says}"
    );
    let texts = format!("{HEADER}{SOUND}\"NHS\n3\",50,f,200,2020-01-01T00:00:00Z\nNHS-4\n");
    fs::write(site.file(), texts).unwrap();
    assert_eq!(told(&site.take(&json!({"multi_line": true})).unwrap()), "3 of 3 rows; ragged [6]");
}

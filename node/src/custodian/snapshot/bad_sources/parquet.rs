//! Parquet files of a hospital's ordinary days: what makes the whole file doubtful is refused with file, column and row or row group;
//! what spoils a row or a value is counted and named by number.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::disk::{Failing, Meanwhile};
use super::{HEADER, SOUND, Site, told};
use crate::custodian::snapshot::Floor;
use crate::custodian::source::made::{
    EnabledStatistics, Encoding, Values, WriterProperties, WriterPropertiesBuilder, file, texts,
};

const COLUMNS: &str =
    "optional binary patient (STRING); optional int32 age; optional binary sex (STRING); optional double chol;
    optional int64 seen (TIMESTAMP(MILLIS,true));";

/// 2020-01-31T10:00:00Z.
const SEEN: i64 = 1_580_464_800_000;

fn source() -> Value {
    json!({"kind": "parquet", "path": "visits.parquet"})
}

fn plain() -> WriterPropertiesBuilder {
    let plain = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None);
    plain.set_dictionary_enabled(false).set_offset_index_disabled(true)
}

/// Two sound rows, as a row group.
fn sound_rows() -> Vec<Values> {
    vec![
        texts(&["NHS-1", "NHS-2"]),
        Values::Int32(vec![Some(63), Some(41)]),
        texts(&["m", "f"]),
        Values::Double(vec![Some(233.5), Some(180.0)]),
        Values::Int64(vec![Some(SEEN), None]),
    ]
}

fn sound() -> Vec<u8> {
    file(COLUMNS, plain(), &[sound_rows(), sound_rows()])
}

/// A file of one column beside the sound ones.
fn beside(column: &str, values: Values) -> Vec<u8> {
    let rest = COLUMNS.replacen("optional double chol;", "", 1);
    let mut rows = sound_rows();
    rows.remove(3);
    file(&format!("{rest} {column};"), plain(), &[rows.into_iter().chain([values]).collect()])
}

/// The file with each occurrence of `old` replaced.
fn with(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut changed = bytes.to_vec();
    let found: Vec<usize> = (0..=bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert!(!found.is_empty());
    found.iter().for_each(|at| changed[*at..at + new.len()].copy_from_slice(new));
    changed
}

#[test]
fn a_file_that_cannot_be_whole_is_refused_with_its_place_and_a_hint() {
    let whole = sound();
    let footer = whole.len() - 8 - u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap()) as usize;
    let tail = |length: u32, magic: &[u8]| [&whole[..whole.len() - 8], &length.to_le_bytes(), magic].concat();
    let garbled = [&whole[..footer], &vec![0xff; whole.len() - footer - 8], &whole[whole.len() - 8..]].concat();
    let no_footer = "the file has no footer\n  hint: it may be cut off; export it again";
    let no_rows = vec![texts(&[]), Values::Int32(vec![]), texts(&[]), Values::Double(vec![]), Values::Int64(vec![])];
    let nobody = vec![Values::Bytes(vec![None, None])].into_iter().chain(sound_rows().split_off(1)).collect();
    let latin1 = vec![Values::Bytes(vec![Some(b"\xe9".to_vec()), Some(b"\xe8".to_vec())])];
    let latin1 = latin1.into_iter().chain(sound_rows().split_off(1)).collect();
    let old = Values::Bytes(vec![Some(b"old".to_vec()); 2]);
    let mistyped = [texts(&["NHS-1", "NHS-2"]), old].into_iter().chain(sound_rows().split_off(2)).collect();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "no usable row: the file is empty"),
        (
            "a CSV file",
            format!("{HEADER}{SOUND}").into(),
            "it is no Parquet file\n  hint: if it is a CSV file, say kind = \"csv\"",
        ),
        (
            "an archive",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x03visits".to_vec(),
            "it is no Parquet file\n  hint: export it again as Parquet",
        ),
        ("its first bytes alone", b"PAR1".to_vec(), no_footer),
        ("cut off in a page", whole[..60].to_vec(), no_footer),
        ("cut off by one byte", whole[..whole.len() - 1].to_vec(), no_footer),
        ("another file behind it", [&whole[..], b"\n"].concat(), no_footer),
        (
            "a footer that begins before the file",
            tail(u32::MAX, b"PAR1"),
            "the footer is said to be longer than the file\n  hint: the file is damaged; export it again",
        ),
        (
            "a footer that begins elsewhere",
            tail(7, b"PAR1"),
            "the footer: it cannot be decoded\n  hint: the file is damaged, cut off or encrypted; export it again",
        ),
        (
            "a garbled footer",
            garbled,
            "the footer: it cannot be decoded\n  hint: the file is damaged, cut off or encrypted; export it again",
        ),
        (
            "encrypted",
            [b"PARE", &whole[4..whole.len() - 4], b"PARE"].concat(),
            "the file is encrypted\n  hint: write it without Parquet's encryption, onto a disk that is encrypted",
        ),
        ("no rows", file(COLUMNS, plain(), &[no_rows]), "no usable row: the file has no rows"),
        ("no row groups", file(COLUMNS, plain(), &[]), "no usable row: the file has no rows"),
        ("no columns", file("", plain(), &[]), "the file has no columns"),
        (
            "no names at all",
            file("optional int32 __;", plain(), &[vec![Values::Int32(vec![Some(1)])]]),
            "no column has a usable name\n  hint: name them with `columns`",
        ),
        (
            "the same name twice",
            beside("optional int32 age", Values::Int32(vec![None, None])),
            "columns 2 and 5 have the same name, `age`\n  hint: name them apart with `columns`; capitals and punctuation do not tell names apart",
        ),
        (
            "the same name in capitals",
            beside("optional int32 _AGE", Values::Int32(vec![None, None])),
            "columns 2 and 5 have the same name, `age`\n  hint: name them apart with `columns`; capitals and punctuation do not tell names apart",
        ),
        (
            "a nested column",
            beside("repeated double chol", Values::Double(vec![Some(233.5); 2])),
            "column `chol`: it is nested, and only plain values are read\n  hint: write what is needed of it as a column of its own",
        ),
        (
            "a column of bytes",
            beside("optional binary chol", Values::Bytes(vec![None, Some(b"\xff\xfe secret".to_vec())])),
            "column `chol`, row 2: the bytes are no text in UTF-8\n  hint: write the column as text, or leave it out of the mapping",
        ),
        (
            "a long text",
            beside("optional binary chol (STRING)", Values::Bytes(vec![None, Some(b"secret".repeat(1 << 18))])),
            "column `chol`, row 2: the text is longer than 1 MiB\n  hint: leave the column out of the mapping, or write shorter texts",
        ),
        (
            "a damaged page",
            // The length of the first text.
            with(&whole, &[5, 0, 0, 0, b'N'], &[0xff, 0xff, 0xff, 0xff, b'N']),
            "column `patient`, row group 1 (rows 1 to 2): it cannot be decoded\n  hint: the file is damaged, cut off or encrypted; \
             export it again",
        ),
        (
            "a page that says it has more values than there are rows",
            // The header's number of values (zigzag) stands before the encoding (PLAIN) and that of the levels (RLE, twice).
            with(&whole, &[0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6], &[0x15, 6, 0x15, 0, 0x15, 6, 0x15, 6]),
            "column `patient`, row group 1 (rows 1 to 2): it has another number of rows than the file says\n  hint: the file is damaged; \
             export it again",
        ),
        (
            "a footer that counts other rows than its row groups",
            with(&whole, &[0x16, 8, 0x19], &[0x16, 10, 0x19]),
            "the footer: it has another number of rows than the file says\n  hint: the file is damaged; export it again",
        ),
        (
            "a column that has other values than rows",
            // Codec (none), then the number of values.
            with(&whole, &[0x15, 0, 0x16, 4], &[0x15, 0, 0x16, 6]),
            "column `patient`, row group 1 (rows 1 to 2): it has another number of rows than the file says\n  hint: the file is damaged; \
             export it again",
        ),
        (
            "no text is UTF-8",
            file(COLUMNS, plain(), &[latin1]),
            "no usable row: no row is UTF-8\n  hint: write texts as UTF-8",
        ),
        (
            "nobody is named",
            file(COLUMNS, plain(), &[nobody]),
            "no usable row: no row fits the contract (no patient is named: 2)",
        ),
        (
            "every age is of another type",
            file(&COLUMNS.replacen("int32 age", "binary age (STRING)", 1), plain(), &[mistyped]),
            "no usable row: no row fits the contract (`age` is not valid: 2)",
        ),
    ];
    for (name, bytes, wanted) in cases {
        assert_eq!(Site::new().refuses(&bytes, &source()), format!("visits.parquet: {wanted}"), "{name}");
    }
}

#[test]
fn a_kind_that_does_not_fit_the_file_is_named() {
    let as_csv = json!({"path": "visits.parquet"});
    let says = Site::new().refuses(&sound(), &as_csv);
    assert_eq!(says, "visits.parquet: it is a Parquet file\n  hint: say kind = \"parquet\"");
    let says = Site::new()
        .refuses(&sound(), &json!({"kind": "parquet", "path": "visits.parquet", "columns": ["patient", "age"]}));
    assert_eq!(says, "visits.parquet: the file has 5 columns, `columns` in node.toml names 2");
}

#[test]
fn what_is_no_readable_file_is_refused_without_waiting_for_it() {
    let site = Site::new();
    let path = site.dir.path().join("visits.parquet");
    let missing = site.refusal(site.take(&source()));
    assert_eq!(missing, "visits.parquet: there is no such file\n  hint: paths in node.toml are relative to node.toml");
    fs::create_dir(&path).unwrap();
    let folder = site.refusal(site.take(&source()));
    assert!(folder.starts_with("visits.parquet: the folder has no file\n  hint: "), "{folder}");
    fs::remove_dir(&path).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(site.refusal(site.take(&source())), "visits.parquet: not a file");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("replaced by another", |path| {
            fs::write(path.with_extension("new"), fs::read(path).unwrap()).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("shortened", |path| File::options().write(true).open(path).unwrap().set_len(70).unwrap()),
        ("rewritten in place", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(&[0xff; 100], 10).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (name, change) in changes {
        let site = Site::new();
        let path = site.dir.path().join("visits.parquet");
        fs::write(&path, sound()).unwrap();
        let happens = move || {
            if path.exists() {
                change(&path);
            }
        };
        let says = site.refusal(site.take_above(Floor { disk: &Meanwhile(&happens), bytes: 0 }, &source()));
        assert!(
            says.starts_with("visits.parquet: it was changed or replaced while it was read\n  hint: "),
            "{name}: {says}"
        );
    }
}

#[test]
fn a_full_disk_leaves_the_snapshot_before_in_use() {
    for takes in [0, 1, 500] {
        let site = Site::new();
        fs::write(site.dir.path().join("visits.parquet"), sound()).unwrap();
        let disk = Failing { free: u64::MAX, takes, then: ErrorKind::StorageFull };
        let says = site.refusal(site.take_above(Floor { disk: &disk, bytes: 0 }, &source()));
        assert_eq!(says, "snapshots/visits: the disk is full\n  hint: make room; the snapshot before stays in use");
    }
}

#[test]
fn what_spoils_a_row_or_a_value_is_counted_and_named_by_number() {
    let doubles = |values: [f64; 2]| beside("required double chol", Values::Double(values.map(Some).to_vec()));
    let numbers = |column: &str, values: [i64; 2]| beside(column, Values::Int64(values.map(Some).to_vec()));
    let words = |a: &[u8], b: &[u8]| {
        beside("required binary chol (STRING)", Values::Bytes([a, b].map(|t| Some(t.to_vec())).to_vec()))
    };
    // Of the two sound rows one has no `seen`.
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("two row groups", sound(), "4 of 4 rows; seen: 2 missing"),
        ("no number", doubles([f64::NAN, 180.0]), "2 of 2 rows; chol: 1 missing; seen: 1 missing"),
        ("infinities", doubles([f64::INFINITY, f64::NEG_INFINITY]), "2 of 2 rows; chol: 2 mistyped; seen: 1 missing"),
        ("values beyond their range", doubles([7000.0, -0.0]), "2 of 2 rows; chol: 2 beyond; seen: 1 missing"),
        (
            "whole numbers",
            numbers("required int64 chol", [200, i64::MAX]),
            "2 of 2 rows; chol: 1 beyond; seen: 1 missing",
        ),
        (
            "numbers without a sign",
            numbers("required int64 chol (INTEGER(64,false))", [200, -1]),
            "2 of 2 rows; chol: 1 beyond; seen: 1 missing",
        ),
        (
            "decimals",
            numbers("required int64 chol (DECIMAL(18,2))", [20_000, 20]),
            "2 of 2 rows; chol: 1 beyond; seen: 1 missing",
        ),
        (
            "times",
            numbers("required int64 chol (TIMESTAMP(NANOS,true))", [0, 1]),
            "2 of 2 rows; chol: 2 mistyped; seen: 1 missing",
        ),
        ("markers of missing values", words(b" NA ", b""), "2 of 2 rows; chol: 2 missing; seen: 1 missing"),
        ("numbers as texts", words(b"233,5", b" 180 "), "2 of 2 rows; chol: 1 mistyped; seen: 1 missing"),
        ("mixed encodings", words(b"233.5", b"\xe9"), "1 of 1 rows; not utf-8 [2]"),
        ("zero bytes", words(b"1\x00", b"180"), "1 of 1 rows; zeros [1]; seen: 1 missing"),
    ];
    for (name, bytes, wanted) in cases {
        let site = Site::new();
        fs::write(site.dir.path().join("visits.parquet"), bytes).unwrap();
        assert_eq!(told(&site.take(&source()).unwrap()), wanted, "{name}");
    }
}

#[test]
fn without_a_marker_for_it_no_number_is_a_value_of_another_type() {
    let site = Site::new();
    let bytes = beside("required double chol", Values::Double(vec![Some(f64::NAN), Some(180.0)]));
    fs::write(site.dir.path().join("visits.parquet"), bytes).unwrap();
    let source = json!({"kind": "parquet", "path": "visits.parquet", "missing": []});
    assert_eq!(told(&site.take(&source).unwrap()), "2 of 2 rows; chol: 1 mistyped; seen: 1 missing");
}

#[test]
fn texts_of_delta_encoded_pages_are_whole_values_too() {
    let properties =
        plain().set_encoding(Encoding::PLAIN).set_column_encoding("patient".into(), Encoding::DELTA_BYTE_ARRAY);
    let site = Site::new();
    let mut file_of = File::create(site.dir.path().join("visits.parquet")).unwrap();
    file_of.write_all(&file(COLUMNS, properties, &[sound_rows(), sound_rows()])).unwrap();
    let manifest = site.take(&source()).unwrap();
    assert_eq!((manifest.rows, manifest.subjects), (4, 2));
}

#[test]
fn floats_that_would_name_patients_are_refused_before_two_become_one() {
    let site = Site::new();
    let ids = |x: f64, y: f64| {
        let rest = COLUMNS.replacen("optional binary patient (STRING)", "optional double patient", 1);
        let rows = [Values::Double(vec![Some(x), Some(y)])].into_iter().chain(sound_rows().split_off(1)).collect();
        file(&rest, plain(), &[rows])
    };
    // 2^53 + 1 is no double.
    let merged = ids(9_007_199_254_740_993.0, 9_007_199_254_740_992.0);
    let says = site.refuses(&merged, &source());
    assert!(
        says.starts_with("visits.parquet: column `patient`: it has floats, and the mapping makes texts or ids of them"),
        "{says}"
    );
    assert!(says.ends_with("\n  hint: write ids as integers or text"), "{says}");
    assert!(site.check(&source()).unwrap_err().to_string().ends_with(&says), "not said before the rows are read");
    let numbered = Site { contract: site.contract_with("type = \"int\"\n    range = [0, 9007199254740991]"), ..site };
    let says = numbered.refuses(&merged, &source());
    assert!(says.starts_with("visits.parquet: column `patient`, row 1: the number names a patient"), "{says}");
    fs::write(numbered.dir.path().join("visits.parquet"), ids(7.0, 9_007_199_254_740_991.0)).unwrap();
    assert_eq!(numbered.take(&source()).unwrap().subjects, 2);
}

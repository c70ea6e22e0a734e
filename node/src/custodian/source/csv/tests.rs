//! CSV files read: columns, bad lines by number, names.

use std::fs::{self, File};
use std::io::Write as _;

use super::super::reading::whole;
use super::*;

fn source(bytes: &[u8]) -> (tempfile::TempDir, CsvSource) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.csv");
    File::create(&path).unwrap().write_all(bytes).unwrap();
    let missing = ["", "NA"].map(str::to_owned).to_vec();
    (dir, CsvSource { path, delimiter: b',', header: true, columns: None, missing, multi_line: false })
}

fn texts(rows: &DataFrame, name: &str) -> Vec<Option<String>> {
    let column = rows.column(name).unwrap();
    column.str().unwrap().iter().map(|v| v.map(str::to_owned)).collect()
}

fn name(text: &str) -> ColumnName {
    text.parse().unwrap()
}

/// All rows of the wanted columns, however small the batches.
fn read(opened: OpenedCsv, wanted: &[ColumnName]) -> Result<(DataFrame, BadLines), SourceError> {
    let (frame, findings) = whole(opened.read(wanted, BatchSize { rows: 2, bytes: usize::MAX }))?;
    Ok((frame, findings.bad_lines))
}

#[test]
fn wanted_columns_are_read_trimmed_and_missing_markers_are_null() {
    let (_dir, source) = source(b"\xEF\xBB\xBFAge, Sex at Birth,other\n 63 ,NA,x\n41,,y\n");
    let opened = OpenedCsv::open(&source).unwrap();
    assert_eq!(opened.columns(), ["age", "sex_at_birth", "other"].map(name));
    let rows = read(opened, &["sex_at_birth", "age"].map(name)).unwrap().0;
    assert_eq!(texts(&rows, "age"), [Some("63".to_owned()), Some("41".to_owned())]);
    assert_eq!(texts(&rows, "sex_at_birth"), [None, None]);
    assert_eq!(rows.width(), 2);
}

#[test]
fn bad_lines_are_counted_and_named_by_number() {
    let mut bytes = b"a,b\n1,2\n1,2,3\n\n1,\xFF\r\n5,6\n".to_vec();
    bytes.extend(b"7\n".repeat(30));
    let (_dir, source) = source(&bytes);
    let (rows, bad_lines) = read(OpenedCsv::open(&source).unwrap(), &[name("a")]).unwrap();
    assert_eq!(rows.height(), 2);
    assert_eq!(bad_lines.not_utf8.first, [5]);
    assert_eq!(bad_lines.wrong_field_count.count, 31);
    assert_eq!(bad_lines.wrong_field_count.first[..2], [3, 7]);
    assert_eq!(bad_lines.wrong_field_count.first.len(), 20);
}

#[test]
fn line_numbers_are_right_behind_quoted_line_ends_and_windows_ones() {
    let (_dir, source) = source(b"\xEF\xBB\xBFa,b\r\n\"x\ny\",2\r\n1\r\n\r\n2\r\n3,4\r\n5\r\n");
    let source = CsvSource { multi_line: true, ..source };
    let (rows, bad_lines) = read(OpenedCsv::open(&source).unwrap(), &[name("a")]).unwrap();
    assert_eq!(rows.height(), 2);
    assert_eq!(bad_lines.wrong_field_count.first, [4, 6, 8]);
}

#[test]
fn a_missing_empty_or_ambiguous_file_is_a_clear_error() {
    let (dir, good) = source(b"a,b\n1,2\n");
    let gone = CsvSource { path: dir.path().join("gone.csv"), ..good.clone() };
    assert!(matches!(OpenedCsv::open(&gone), Err(SourceError::Missing { .. })));
    let folder = CsvSource { path: dir.path().to_owned(), ..good };
    assert!(OpenedCsv::open(&folder).is_err());
    let (_dir, empty) = source(b"");
    assert!(matches!(OpenedCsv::open(&empty), Err(SourceError::Empty { .. })));
    let (_dir, headed) = source(b"a,b\n");
    let error = read(OpenedCsv::open(&headed).unwrap(), &[name("a")]).err().unwrap();
    assert!(error.to_string().ends_with("no usable row: the file has no rows"), "{error}");
    let (_dir, semicolons) = source(b"a;b,c\n1;2\n");
    let error = read(OpenedCsv::open(&semicolons).unwrap(), &[]).err().unwrap();
    assert!(error.to_string().contains("check `delimiter`"), "{error}");
    let (_dir, twice) = source(b"Chol,chol \n1,2\n");
    let error = OpenedCsv::open(&twice).err().unwrap();
    assert!(error.to_string().contains("columns 1 and 2 have the same name"), "{error}");
}

#[test]
fn names_from_the_configuration_replace_those_of_the_file() {
    let (_dir, mut source) = source(b"1,2\n3,4\n");
    source.columns = Some(vec!["x".into(), "y".into()]);
    source.header = false;
    assert_eq!(read(OpenedCsv::open(&source).unwrap(), &[name("y")]).unwrap().0.height(), 2);
    source.header = true;
    assert_eq!(read(OpenedCsv::open(&source).unwrap(), &[name("y")]).unwrap().0.height(), 1);
    source.columns = Some(vec!["x".into()]);
    assert!(OpenedCsv::open(&source).err().unwrap().to_string().contains("the header has 2 columns"));
}

/// Rows with a bad line far behind, so that what is packed takes several reads.
fn many_rows() -> String {
    let mut text = "a,b\n".to_owned();
    for i in 0..40_000u64 {
        text += &format!("{i},{}\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    text + "bad\n1,2\n"
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_packed_file_is_read_as_what_it_holds_whatever_its_name_and_however_many_members_it_has() {
    let text = many_rows();
    let (half, rest) = text.split_at(text.len() / 2);
    let (_dir, plain) = source(text.as_bytes());
    let wanted = ["b", "a"].map(name);
    let (rows, bad_lines) = read(OpenedCsv::open(&plain).unwrap(), &wanted).unwrap();
    assert_eq!((rows.height(), &bad_lines.wrong_field_count.first[..]), (40_001, &[40_002][..]));
    let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    for packed in [gzipped(&text), [gzipped(half), gzipped(rest)].concat(), [zstd(half), zstd(rest)].concat()] {
        let (_dir, source) = source(&packed);
        let mut shares = Vec::new();
        let mut reading = OpenedCsv::open(&source).unwrap().read(&wanted, BatchSize { rows: 9_000, bytes: usize::MAX });
        while reading.next().unwrap().is_some() {
            shares.push(reading.share().unwrap());
        }
        assert!(shares.is_sorted() && shares[0] > 0.0 && shares[0] < 0.9 && shares.last() == Some(&1.0), "{shares:?}");
        let found = reading.finish().unwrap();
        assert_eq!((found.bad_lines, found.source_bytes), (bad_lines.clone(), packed.len() as u64));
        assert!(read(OpenedCsv::open(&source).unwrap(), &wanted).unwrap().0.equals_missing(&rows));
    }
}

#[test]
fn a_packed_file_that_is_cut_or_altered_anywhere_is_refused_and_says_so() {
    let whole = gzipped(&many_rows());
    let mut altered = whole.clone();
    altered[whole.len() - 6] ^= 1;
    let zstd = zstd::encode_all(many_rows().as_bytes(), 1).unwrap();
    let garbled = [&whole[..], b"and more"].concat();
    for bytes in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], &altered, &zstd[..zstd.len() / 2], &garbled] {
        let (_dir, source) = source(bytes);
        let says = read(OpenedCsv::open(&source).unwrap(), &[name("a")]).unwrap_err().to_string();
        assert!(
            says.contains("data.csv: ") && says.contains("compressed data is damaged or ends too early\n  hint: "),
            "{says}"
        );
    }
    let (_dir, source) = source(&gzipped("a,b\n1,2\n3,\"4"));
    let says = read(OpenedCsv::open(&source).unwrap(), &[name("a")]).unwrap_err().to_string();
    assert!(says.contains("line 3: a quote in the row that begins here never closes"), "{says}");
    let (_dir, twice) = self::source(&gzipped("a,b\n1,2\n"));
    let packed = fs::read(&twice.path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&packed).unwrap();
    fs::write(&twice.path, encoder.finish().unwrap()).unwrap();
    let says = OpenedCsv::open(&twice).err().unwrap().to_string();
    assert!(says.contains("it is a gzip file within another, not a text"), "{says}");
}

//! Parquet values as text: every type, codec, encoding and page version; names; what cannot be read.

use std::fs;

use super::made::{
    Compression, Encoding, Values, WriterProperties, WriterPropertiesBuilder, WriterVersion, file, texts,
};
use polars::prelude::DataFrame;

use super::super::reading::{Batches as _, Findings, whole};
use super::*;

struct Made {
    _dir: tempfile::TempDir,
    source: ParquetSource,
}

fn made(bytes: &[u8]) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.parquet");
    fs::write(&path, bytes).unwrap();
    let missing = ["", "NA", "NaN"].map(str::to_owned).to_vec();
    Made { _dir: dir, source: ParquetSource { path, columns: None, missing } }
}

fn name(text: &str) -> ColumnName {
    text.parse().unwrap()
}

fn plain() -> WriterPropertiesBuilder {
    WriterProperties::builder()
}

/// All rows of the wanted columns, in small batches.
fn read(opened: OpenedParquet, wanted: &[ColumnName]) -> (DataFrame, Findings) {
    whole(opened.read(wanted, BatchSize { rows: 2, bytes: usize::MAX }).unwrap()).unwrap()
}

/// The texts of one column.
fn column(source: &ParquetSource, of: &str) -> Result<Vec<Option<String>>, String> {
    let size = BatchSize { rows: 1500, bytes: usize::MAX };
    let rows = OpenedParquet::open(source).and_then(|opened| whole(opened.read(&[name(of)], size)?));
    let (rows, _) = rows.map_err(|e| e.to_string().replace(&source.path.display().to_string(), "rows.parquet"))?;
    let column = rows.column(of).unwrap();
    Ok(column.str().unwrap().iter().map(|v| v.map(str::to_owned)).collect())
}

/// A column `x` of one type, its values and their texts.
fn is_read(declared: &str, values: Values, wanted: &[&str]) {
    let made = made(&file(&format!("optional {declared};"), plain(), &[vec![values]]));
    let wanted: Vec<Option<String>> = wanted.iter().map(|text| (*text != "∅").then(|| (*text).to_owned())).collect();
    assert_eq!(column(&made.source, "x").as_ref(), Ok(&wanted), "{declared}");
}

#[test]
fn every_type_becomes_the_text_that_a_csv_file_would_hold() {
    use Values::*;
    is_read("boolean x", Bool(vec![Some(true), None, Some(false)]), &["true", "∅", "false"]);
    is_read("int32 x", Int32(vec![Some(i32::MIN), None, Some(7)]), &["-2147483648", "∅", "7"]);
    is_read("int32 x (INTEGER(8,false))", Int32(vec![Some(255)]), &["255"]);
    is_read("int32 x (INTEGER(32,false))", Int32(vec![Some(-1)]), &["4294967295"]);
    is_read("int64 x", Int64(vec![Some(i64::MIN), Some(i64::MAX)]), &["-9223372036854775808", "9223372036854775807"]);
    is_read(
        "int64 x (INTEGER(64,false))",
        Int64(vec![Some(-1), Some(i64::MIN)]),
        &["18446744073709551615", "9223372036854775808"],
    );
    is_read("int64 x (UINT_64)", Int64(vec![Some(-1)]), &["18446744073709551615"]);
    is_read("float x", Float(vec![Some(0.1), Some(f32::NAN), Some(-2.0)]), &["0.1", "∅", "-2"]);
    is_read("double x", Double(vec![Some(233.5), Some(f64::INFINITY), Some(1e300)]), &["233.5", "inf", "1e300"]);
    is_read("fixed_len_byte_array(2) x (FLOAT16)", Fixed(vec![Some(vec![0x00, 0xbc])]), &["-1"]);
    is_read(
        "int32 x (DATE)",
        Int32(vec![Some(0), Some(-1), Some(19_782)]),
        &["1970-01-01", "1969-12-31", "2024-02-29"],
    );
    is_read("int32 x (TIME(MILLIS,true))", Int32(vec![Some(3_600_001)]), &["01:00:00.001"]);
    is_read("int64 x (TIME(NANOS,false))", Int64(vec![Some(1)]), &["00:00:00.000000001"]);
    is_read("int64 x (TIMESTAMP(MILLIS,true))", Int64(vec![Some(-1)]), &["1969-12-31T23:59:59.999Z"]);
    is_read("int64 x (TIMESTAMP(MICROS,false))", Int64(vec![Some(1_500_000)]), &["1970-01-01T00:00:01.500000"]);
    is_read("int64 x (TIMESTAMP(NANOS,true))", Int64(vec![Some(1)]), &["1970-01-01T00:00:00.000000001Z"]);
    is_read("int64 x (TIMESTAMP_MICROS)", Int64(vec![Some(0)]), &["1970-01-01T00:00:00Z"]);
    is_read("int96 x", Int96(vec![Some([0, 0, 2_440_589]), None]), &["1970-01-02T00:00:00", "∅"]);
    is_read("int32 x (DECIMAL(9,2))", Int32(vec![Some(-5)]), &["-0.05"]);
    is_read("int64 x (DECIMAL(18,0))", Int64(vec![Some(999_999_999_999_999_999)]), &["999999999999999999"]);
    is_read("fixed_len_byte_array(3) x (DECIMAL(6,3))", Fixed(vec![Some(vec![0xff, 0xff, 0xfe])]), &["-0.002"]);
    is_read("binary x (DECIMAL(20,1))", Bytes(vec![Some(vec![0x01, 0x00]), None]), &["25.6", "∅"]);
    is_read(
        "fixed_len_byte_array(16) x (UUID)",
        Fixed(vec![Some((0..16).collect())]),
        &["00010203-0405-0607-0809-0a0b0c0d0e0f"],
    );
    is_read("binary x (STRING)", texts(&["é", " trimmed ", "NA", ""]), &["é", "trimmed", "∅", "∅"]);
    is_read("binary x (ENUM)", texts(&["f"]), &["f"]);
    is_read("binary x (JSON)", texts(&["{\"a\": 1}"]), &["{\"a\": 1}"]);
    is_read("binary x", texts(&["declared as nothing, and text"]), &["declared as nothing, and text"]);
}

#[test]
fn codecs_encodings_and_page_versions_change_nothing() {
    let numbers: Vec<Option<i64>> =
        (0..5000).map(|i| (i % 7 != 0).then_some(i * i * 1_000_003 - 4_000_000_000)).collect();
    let words: Vec<Option<Vec<u8>>> =
        (0..5000).map(|i| (i % 11 != 0).then(|| format!("patient {}", i % 1700).into_bytes())).collect();
    let wanted = |of: &str| -> Vec<Option<String>> {
        match of {
            "n" => numbers.iter().chain(&numbers).map(|n| n.map(|n| n.to_string())).collect(),
            _ => words.iter().chain(&words).map(|w| w.clone().map(|w| String::from_utf8(w).unwrap())).collect(),
        }
    };
    let group = || vec![Values::Int64(numbers.clone()), Values::Bytes(words.clone())];
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    let encodings = [
        None,
        Some((Encoding::PLAIN, Encoding::PLAIN)),
        Some((Encoding::DELTA_BINARY_PACKED, Encoding::DELTA_LENGTH_BYTE_ARRAY)),
        Some((Encoding::BYTE_STREAM_SPLIT, Encoding::DELTA_BYTE_ARRAY)),
    ];
    let writers = codecs.iter().flat_map(|codec| encodings.iter().map(move |encodings| (*codec, *encodings)));
    for (i, (codec, encodings)) in writers.enumerate() {
        let version = if i % 2 == 0 { WriterVersion::PARQUET_1_0 } else { WriterVersion::PARQUET_2_0 };
        let mut properties =
            plain().set_compression(codec).set_writer_version(version).set_data_page_row_count_limit(1500);
        properties = properties.set_dictionary_enabled(encodings.is_none()).set_write_batch_size(500);
        if let Some((of_numbers, of_words)) = encodings {
            properties =
                properties.set_column_encoding("n".into(), of_numbers).set_column_encoding("w".into(), of_words);
        }
        let made = made(&file("optional int64 n; optional binary w (STRING);", properties, &[group(), group()]));
        for of in ["n", "w"] {
            assert!(column(&made.source, of) == Ok(wanted(of)), "{of}: {codec:?} {encodings:?} {version:?}");
        }
    }
}

#[test]
fn wanted_columns_are_read_in_the_order_that_is_asked_for() {
    let groups = [vec![texts(&["a", "b"]), Values::Int32(vec![Some(1), Some(2)])]];
    let made = made(&file("required binary Patient-ID (STRING); required int32 Age;", plain(), &groups));
    let opened = OpenedParquet::open(&made.source).unwrap();
    assert_eq!(opened.columns(), ["patient_id", "age"].map(name));
    let (rows, findings) = read(opened, &["age", "patient_id"].map(name));
    assert_eq!(rows.get_column_names(), ["age", "patient_id"]);
    assert_eq!((rows.height(), findings.source_bytes), (2, fs::metadata(&made.source.path).unwrap().len()));
    // A rule may read no column at all.
    assert_eq!(read(OpenedParquet::open(&made.source).unwrap(), &[]).0.height(), 2);
}

#[test]
fn names_from_the_configuration_replace_those_of_the_file() {
    let made = made(&file("required int32 a; required int32 A;", plain(), &[vec![Values::Int32(vec![Some(1)]); 2]]));
    let with = |columns: &[&str]| {
        let columns = Some(columns.iter().map(|c| (*c).to_owned()).collect());
        ParquetSource { columns, ..made.source.clone() }
    };
    let says = column(&made.source, "a").unwrap_err();
    assert!(
        says.starts_with(
            "rows.parquet: columns 1 and 2 have the same name, `a`\n  hint: name them apart with `columns`"
        ),
        "{says}"
    );
    assert_eq!(column(&with(&["a", "b"]), "b"), Ok(vec![Some("1".to_owned())]));
    let says = column(&with(&["a"]), "a").unwrap_err();
    assert_eq!(says, "rows.parquet: the file has 2 columns, `columns` in node.toml names 1");
}

#[test]
fn markers_of_missing_values_are_compared_with_a_value_s_text() {
    let values = vec![Values::Double(vec![Some(-9.0), Some(f64::NAN)]), texts(&["-9", "NaN"])];
    let mut made = made(&file("required double x; required binary t (STRING);", plain(), &[values]));
    made.source.missing = vec!["-9".to_owned()];
    assert_eq!(column(&made.source, "x"), Ok(vec![None, Some("NaN".to_owned())]));
    assert_eq!(column(&made.source, "t"), Ok(vec![None, Some("NaN".to_owned())]));
}

#[test]
fn columns_without_text_are_ignored_until_one_is_wanted() {
    let schema = "required int32 age; optional group address { optional binary street (STRING); } repeated int32 visits;
        required fixed_len_byte_array(12) span (INTERVAL); required binary scan; required fixed_len_byte_array(17) dose (DECIMAL(39,2));";
    let values = vec![
        Values::Int32(vec![Some(1), Some(2)]),
        texts(&["a", "b"]),
        Values::Int32(vec![Some(1), Some(2)]),
        Values::Fixed(vec![Some(vec![0; 12]); 2]),
        Values::Bytes(vec![Some(b"text".to_vec()), Some(b"\xff\xd8\xff".to_vec())]),
        Values::Fixed(vec![Some(vec![0; 17]); 2]),
    ];
    let made = made(&file(schema, plain(), &[values]));
    assert_eq!(column(&made.source, "age").unwrap().len(), 2);
    for (of, wanted) in [
        ("address", ": it is nested, and only plain values are read\n  hint: write what is needed of it"),
        ("visits", ": it is nested, and only plain values are read\n  hint: write what is needed of it"),
        ("span", ": its bytes are no text\n  hint: write it as text or numbers"),
        ("scan", ", row 2: the bytes are no text in UTF-8\n  hint: write the column as text"),
        ("dose", ": its decimals have more than 38 digits\n  hint: write it with fewer digits"),
    ] {
        let says = column(&made.source, of).unwrap_err();
        assert!(says.starts_with(&format!("rows.parquet: column `{of}`{wanted}")), "{says}");
        let known = OpenedParquet::open(&made.source).unwrap().readable(&[name("age"), name(of)]);
        assert_eq!(known.is_err(), of != "scan", "{of}");
    }
}

#[test]
fn a_row_with_a_text_that_is_none_is_counted_by_its_number_and_left_out() {
    let group = |a: [&[u8]; 3], b: [&[u8]; 3]| {
        [a, b].map(|texts| Values::Bytes(texts.map(|text| Some(text.to_vec())).to_vec())).to_vec()
    };
    let groups = [group([b"1", b"\xff", b"3"], [b"1", b"2", b"3"]), group([b"4", b"5", b"6"], [b"4", b"\0", b"\xfe"])];
    let made = made(&file("required binary a (STRING); required binary b (STRING);", plain(), &groups));
    let (rows, Findings { bad_lines, .. }) = read(OpenedParquet::open(&made.source).unwrap(), &[name("a"), name("b")]);
    assert_eq!(rows.height(), 3);
    assert_eq!((bad_lines.not_utf8.count, &bad_lines.not_utf8.first[..]), (2, &[2, 6][..]));
    assert_eq!(bad_lines.zero_bytes.first, [5]);
    let kept: Vec<_> = rows.column("b").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
    assert_eq!(kept, ["1", "3", "4"]);
}

#[test]
fn a_text_beyond_every_measure_is_refused_with_its_row() {
    let long = vec![b'x'; (1 << 20) + 1];
    let values = Values::Bytes(vec![Some(b"short".to_vec()), Some(long)]);
    let made = made(&file("required binary x (STRING);", plain(), &[vec![values]]));
    let says = column(&made.source, "x").unwrap_err();
    assert!(says.starts_with("rows.parquet: column `x`, row 2: the text is longer than 1 MiB\n  hint: "), "{says}");
}

#[test]
fn a_file_unfolds_to_no_more_than_a_file_of_its_size_can_hold() {
    assert_eq!(room(1000, 0, 3), Some(1_000_000 + UNFOLDED_BYTES));
    assert_eq!(room(1000, 10, 3), Some(1_000_000 + UNFOLDED_BYTES - 480));
    assert_eq!(room(1000, MOST_ROWS, 3), None);
    assert_eq!(room(1000, MOST_ROWS, 0), None);
    let groups = [vec![texts(&["0123456789"; 100])]];
    let made = made(&file("required binary x (STRING);", plain(), &groups));
    let opened = OpenedParquet::open(&made.source).unwrap();
    let mut reading = ParquetReading::new(opened, &[name("x")], BatchSize::default()).unwrap();
    reading.room = 999;
    let says = reading.next().unwrap_err().to_string();
    assert!(says.contains("row group 1 (rows 1 to 100): the file unfolds to more than"), "{says}");
}

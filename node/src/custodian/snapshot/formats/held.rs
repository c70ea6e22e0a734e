//! What a Parquet file's columns are held as shows in no snapshot: random tables, with values of every kind that fit, do not fit or are missing, give the same
//! as columns that stay what they are, as texts of the same file, and as a CSV file of these texts.

use std::fmt::Write as _;

use bocage_protocol::contract::{Contract, parse};
use proptest::prelude::*;
use serde_json::json;

use super::of;
use crate::custodian::source::made::{
    Compression, Encoding, Values, WriterProperties, WriterPropertiesBuilder, file, whole_texts,
};

/// Name, how Parquet has it, and what the contract makes of it.
const COLUMNS: [(&str, &str, &str); 20] = [
    ("small", "int32 small", "int"),
    ("wide", "int64 wide", "int"),
    ("never_negative", "int32 never_negative (INTEGER(32,false))", "int"),
    ("beyond", "int64 beyond (INTEGER(64,false))", "int"),
    ("counted", "int64 counted", "float"),
    ("coded", "int32 coded", "code"),
    ("coded_wide", "int64 coded_wide", "code"),
    ("said", "binary said (STRING)", "code"),
    ("truth", "boolean truth", "bool"),
    ("counted_truth", "int32 counted_truth", "bool"),
    ("measured", "double measured", "float"),
    ("rounded", "double rounded", "int"),
    ("measured_short", "float measured_short", "float"),
    ("rounded_short", "float rounded_short", "int"),
    ("day", "int32 day (DATE)", "date"),
    ("day_as_moment", "int32 day_as_moment (DATE)", "datetime"),
    ("moment", "int64 moment (TIMESTAMP(MILLIS,true))", "datetime"),
    ("moment_of_wall", "int64 moment_of_wall (TIMESTAMP(MICROS,false))", "datetime"),
    ("moment_fine", "int64 moment_fine (TIMESTAMP(NANOS,true))", "datetime"),
    ("day_of_moment", "int64 day_of_moment (TIMESTAMP(MILLIS,false))", "date"),
];

const MISSING: [&str; 7] = ["", "NA", "-9", "0", "NaN", "1.5", "true"];

fn contract() -> Contract {
    let mut text = "id = \"held@1\"\nsubject = \"row\"\n".to_owned();
    for (name, _, kind) in COLUMNS {
        let more = match kind {
            "int" => "range = [-9007199254740991, 9007199254740991]",
            "float" => "range = [-1e300, 1e300]",
            "code" => {
                "codes = [{ code = \"1\" }, { code = \"-7\" }, { code = \"2.0\" }, { code = \"03\" }, { code = \"0\" }]"
            }
            "date" => "range = [\"0001-01-01\", \"9999-12-31\"]",
            "datetime" => "range = [\"1000-01-01T00:00:00Z\", \"9000-01-01T00:00:00Z\"]",
            _ => "",
        };
        let _ = write!(text, "[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n{more}\n");
    }
    parse(&text, "held.toml").unwrap()
}

/// A number from which every column takes its value, in a way that meets the ends of what fits now and then.
fn number() -> impl Strategy<Value = Option<i64>> {
    let number = prop_oneof![
        4 => -10..10i64,
        1 => any::<i64>(),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(1 << 53), Just((1 << 53) - 1), Just(1 << 24)],
        // About the ends of the calendar, in days and in milliseconds.
        1 => prop_oneof![-719_530..-719_526i64, 2_932_894..2_932_899i64],
        1 => prop_oneof![-719_528..2_932_896i64].prop_map(|day| day * 86_400_000 + day % 7),
        1 => prop_oneof![Just(-62_167_219_200_001i64), Just(253_402_300_800_000i64), Just(253_402_300_799_999i64)],
    ];
    proptest::option::weighted(0.9, number)
}

fn double(number: i64) -> f64 {
    match number.rem_euclid(11) {
        0 => f64::NAN,
        1 => -0.0,
        2 => f64::from_bits(number as u64),
        3 => f64::INFINITY,
        4 => number as f64,
        _ => (number % 1000) as f64 / 4.0,
    }
}

fn values(column: &str, numbers: &[Option<i64>]) -> Values {
    fn each<T>(numbers: &[Option<i64>], of: impl Fn(i64) -> T) -> Vec<Option<T>> {
        numbers.iter().map(|number| number.map(&of)).collect()
    }
    match column.split_once(' ').unwrap().0 {
        "boolean" => Values::Bool(each(numbers, |n| n % 2 == 0)),
        "int32" => Values::Int32(each(numbers, |n| n as i32)),
        "int64" => Values::Int64(each(numbers, |n| n)),
        "float" => Values::Float(each(numbers, |n| double(n) as f32)),
        "double" => Values::Double(each(numbers, double)),
        _ => {
            let words = ["1", " 1.0", "-7", "2", "2.0", "03", "3", "f\u{e9}", ""];
            Values::Bytes(each(numbers, |n| words[n.rem_euclid(9) as usize].as_bytes().to_vec()))
        }
    }
}

fn written(how: u8) -> WriterPropertiesBuilder {
    let properties = WriterProperties::builder().set_data_page_row_count_limit(7).set_write_batch_size(3);
    match how {
        0 => properties,
        1 => properties.set_dictionary_enabled(false).set_compression(Compression::SNAPPY),
        _ => properties
            .set_dictionary_enabled(false)
            .set_column_encoding("wide".into(), Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding("moment".into(), Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding("measured".into(), Encoding::BYTE_STREAM_SPLIT),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_a_column_is_held_as_shows_in_no_snapshot(
        numbers in proptest::collection::vec(proptest::collection::vec(number(), COLUMNS.len()), 1..40),
        how in 0..3u8,
        marked in any::<bool>(),
        dated in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (parquet, csv) = (dir.path().join("rows.parquet"), dir.path().join("rows.csv"));
        let columns: Vec<String> = COLUMNS.iter().map(|(_, column, _)| format!("optional {column};")).collect();
        let of_column = |i: usize| numbers.iter().map(|row| row[i]).collect::<Vec<_>>();
        let group: Vec<Values> =
            COLUMNS.iter().enumerate().map(|(i, (_, column, _))| values(column, &of_column(i))).collect();
        std::fs::write(&parquet, file(&columns.concat(), written(how), &[group.clone(), group])).unwrap();
        let mut missing = if marked { MISSING.to_vec() } else { vec![""] };
        missing.extend(dated.then_some("1970-01-01"));
        let contract = contract();
        let source = json!({"kind": "parquet", "path": parquet, "missing": missing});
        std::fs::write(&csv, whole_texts(&parquet)).unwrap();
        let texts: serde_json::Map<String, serde_json::Value> =
            COLUMNS.iter().map(|(name, ..)| ((*name).to_owned(), json!(format!("coalesce({name}, {name})")))).collect();
        let plain = of(&dir.path().join("plain"), &source, &contract, &json!({}));
        let of_texts = of(&dir.path().join("texts"), &source, &contract, &texts.into());
        let source = json!({"kind": "csv", "path": csv, "missing": missing});
        let of_csv = of(&dir.path().join("csv"), &source, &contract, &json!({}));
        prop_assert_eq!(&plain.report, &of_texts.report);
        prop_assert_eq!(&plain.report, &of_csv.report);
        prop_assert_eq!(plain.content, of_texts.content);
        prop_assert_eq!(plain.content, of_csv.content);
    }
}

//! From a hospital's file to an answer: integers that doubles cannot tell from their neighbours' neighbours, times and texts are what they
//! were, whichever kind of file they come from.

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::Timestamp;
use bocage_protocol::plan::{Comparison, Expr, Literal};
use bocage_protocol::settings::Problems;
use serde_json::json;

use super::{Designs, Features, Ground, Offered, Snapshot, check, column, compare, run};
use crate::custodian::snapshot::Taking;
use crate::custodian::source::DatasetSpec;
use crate::custodian::source::made::{Values, WriterProperties, file};

const CONTRACT: &str = r#"
    id = "devices@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "device"
    type = "int"
    range = [-9007199254740991, 9007199254740991]
    [[column]]
    name = "at"
    type = "datetime"
    range = ["1900-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]
    [[column]]
    name = "note"
    type = "text"
"#;

const WIDEST: i64 = (1 << 53) - 1;
/// 2020-02-29T23:59:59.999Z.
const LEAP: i64 = 1_583_020_799_999;

/// Patients' ids of 64 bits, in pairs that differ in the last one, with a device, a time and a note.
fn rows() -> Vec<(u64, i64, i64, &'static str)> {
    let row = |i: u64| {
        let last = (i % 2) as i64;
        (u64::MAX - i / 2, WIDEST - last, LEAP + last, if last == 0 { "two words" } else { "two  words" })
    };
    (0..60).map(row).collect()
}

fn as_csv() -> Vec<u8> {
    let at = |at| if at == LEAP { "2020-03-01T00:59:59.999+01:00" } else { "2020-03-01 00:00:00" };
    let rows = rows();
    let lines = rows.iter().map(|(patient, device, when, note)| format!("{patient},{device}.0,{},{note}\n", at(*when)));
    format!("patient,device,at,note\n{}", lines.collect::<String>()).into()
}

fn as_parquet() -> Vec<u8> {
    let columns = "required int64 patient (INTEGER(64,false)); required int64 device; required int64 at (TIMESTAMP(MICROS,false));
        required binary note (STRING);";
    let values = vec![
        Values::Int64(rows().iter().map(|row| Some(row.0 as i64)).collect()),
        Values::Int64(rows().iter().map(|row| Some(row.1)).collect()),
        Values::Int64(rows().iter().map(|row| Some(row.2 * 1000)).collect()),
        Values::Bytes(rows().iter().map(|row| Some(row.3.into())).collect()),
    ];
    file(columns, WriterProperties::builder(), &[values])
}

/// Rows and patients for whom a condition is true.
fn counted(snapshot: &Offered, contract: &Contract, filter: Option<Expr>) -> (i128, i128) {
    let plan = check(contract, filter, vec![], vec![]);
    let counted = run(
        &Ground::alone(snapshot, contract),
        &mut Features::default(),
        &Designs::new("here".parse().unwrap()),
        &plan,
        3,
    );
    let total = counted.unwrap().reveal_table().tally.total;
    (total.rows, total.subjects)
}

#[test]
fn wide_integers_times_texts_and_ids_of_64_bits_are_told_apart_to_the_last_digit() {
    for (kind, bytes) in [("csv", as_csv()), ("parquet", as_parquet())] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rows"), bytes).unwrap();
        let section = json!({"contract": "devices@1", "source": {"kind": kind, "path": "rows"}});
        let spec = DatasetSpec::read("d", &section, "node.toml", dir.path(), &mut Problems::default()).unwrap();
        let contract = parse(CONTRACT, "devices.toml").unwrap();
        let manifest = Taking::into(dir.path()).take(&spec, &contract, Timestamp(0)).unwrap();
        assert!(manifest.report.columns.values().all(|column| column.valid == 60), "{:?}", manifest.report);
        let snapshot = Snapshot::open_current(dir.path(), "d").unwrap();
        let snapshot = Offered::new(std::sync::Arc::new(snapshot), None);
        let literal = |literal: Literal| Expr::Literal(literal);
        let equal = |name: &str, value: Literal| compare(Comparison::Equal, column(name), literal(value));
        let among = |name: &str, list: Vec<Literal>| Expr::In { of: Box::new(column(name)), list };
        assert_eq!(counted(&snapshot, &contract, None), (60, 30), "{kind}");
        let half = [
            equal("device", Literal::Int(WIDEST)),
            compare(Comparison::Less, column("device"), literal(Literal::Int(WIDEST))),
            among("device", vec![Literal::Int(WIDEST - 1), Literal::Int(WIDEST - 2)]),
            equal("at", Literal::Datetime(LEAP)),
            compare(Comparison::Greater, column("at"), literal(Literal::Datetime(LEAP))),
            among("at", vec![Literal::Datetime(LEAP + 1), Literal::Datetime(LEAP + 2)]),
            equal("note", Literal::Text("two words".into())),
            among("note", vec![Literal::Text("two  words".into())]),
        ];
        for filter in half {
            assert_eq!(counted(&snapshot, &contract, Some(filter.clone())), (30, 30), "{kind}: {filter:?}");
        }
        assert_eq!(counted(&snapshot, &contract, Some(equal("device", Literal::Int(WIDEST - 2)))), (0, 0), "{kind}");
    }
}

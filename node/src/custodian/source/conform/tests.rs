//! Rows through mapping and contract: what is kept, what is counted, what is left out.

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::settings::Problems;
use polars::prelude::DataType;
use serde_json::{Value, json};

use super::super::{BatchSize, DatasetSpec, Mapping, Opened, SourceError};
use super::*;

mod names;
mod rules;

/// 2026-01-15, noon.
const NOW: Timestamp = Timestamp(1_768_478_400_000);

/// Rows that fit, in the source's order.
struct Conformed {
    frame: DataFrame,
    report: Report,
}

const CONTRACT: &str = r#"
    id = "heart@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    required = true
    [[column]]
    name = "chol"
    type = "float"
    range = [50, 700]
    [[column]]
    name = "sex"
    type = "code"
    codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
    invalid = "reject"
    [[column]]
    name = "disease"
    type = "bool"
    [[column]]
    name = "seen"
    type = "date"
    range = ["2000-01-01", "2030-01-01"]
    [[column]]
    name = "ca"
    type = "int"
    range = [0, 3]
"#;

fn contract(one_row: bool) -> Contract {
    let flag = if one_row { "one_row_per_subject = true\n" } else { "" };
    parse(&format!("{flag}{CONTRACT}"), "heart.toml").unwrap()
}

fn conformed(csv: &str, section: Value, contract: &Contract) -> Result<Conformed, SourceError> {
    conformed_by(csv, section, contract, None)
}

fn conformed_by(
    csv: &str,
    section: Value,
    contract: &Contract,
    form: Option<&IdForm>,
) -> Result<Conformed, SourceError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("heart.csv"), csv).unwrap();
    let mut problems = Problems::default();
    let spec = DatasetSpec::read("heart", &section, "node.toml", dir.path(), &mut problems).unwrap();
    let opened = Opened::open(&spec.source)?;
    let mapping = Mapping::bind(&spec, contract, &opened.columns())?;
    let mut reading = opened.read(&mapping, BatchSize { rows: 2, bytes: usize::MAX })?;
    let mut conforming = Conforming::new(&spec, contract, &mapping, NOW, &BTreeMap::new()).naming_rows(form);
    let mut frame: Option<DataFrame> = None;
    let mut keys = vec![Vec::new(); conforming.late().len()];
    while let Some(texts) = reading.next()? {
        let batch = conforming.batch(texts)?;
        keys.iter_mut().zip(conforming.take_keys()).for_each(|(all, keys)| all.extend(keys));
        match &mut frame {
            None => frame = Some(batch),
            Some(frame) => drop(frame.vstack_mut(&batch).unwrap()),
        }
    }
    keys.into_iter().enumerate().for_each(|(rule, keys)| conforming.compare(rule, keys, Vec::new()));
    let frame = conforming.taken().out_of(frame.unwrap()).unwrap();
    let report = conforming.finish(reading.finish()?, 0)?;
    Ok(Conformed { frame, report })
}

fn section() -> Value {
    json!({
        "contract": "heart@1",
        "source": {"kind": "csv", "path": "heart.csv"},
        "map": {"disease": "num > 0", "chol": "nullif(chol, 0)"},
        "absent": ["ca"],
    })
}

const ROWS: &str = "\
patient,age,chol,sex,num,seen
b,63,0,1.0,2,2020-01-31
a,41,233.5,0,0,2020-02-01T10:00:00Z
b,64.0,900,1,x,yesterday
c,,200,0,1,
d,50,?,2,1,
,50,200,1,1,
e,200,NA,1,,
";

fn report<'a>(c: &'a Conformed, column: &str) -> &'a ColumnReport {
    &c.report.columns[&column.parse().unwrap()]
}

#[test]
fn every_deviation_is_counted_once() {
    let conformed = conformed(ROWS, section(), &contract(false)).unwrap();
    let report = |column| report(&conformed, column);
    assert_eq!(
        *report("chol"),
        ColumnReport { valid: 3, missing: 1, wrong_type: 1, out_of_range: 1, null_by_rule: 1, ..Default::default() }
    );
    assert_eq!(*report("age"), ColumnReport { valid: 5, missing: 1, out_of_range: 1, ..Default::default() });
    assert_eq!(*report("sex"), ColumnReport { valid: 6, unknown_code: 1, ..Default::default() });
    assert_eq!(*report("disease"), ColumnReport { valid: 5, missing: 1, wrong_type: 1, ..Default::default() });
    assert_eq!(*report("seen"), ColumnReport { valid: 2, missing: 4, wrong_type: 1, ..Default::default() });
    assert_eq!(*report("ca"), ColumnReport { missing: 7, ..Default::default() });
    assert_eq!((conformed.report.source_rows, conformed.report.rows_kept), (7, 3));
    let rejected: Vec<(Reason, u64)> =
        conformed.report.rows_rejected.iter().map(|r| (r.reason.clone(), r.rows)).collect();
    let name = |c: &str| c.parse().unwrap();
    let reasons =
        [Reason::Invalid(name("age")), Reason::Invalid(name("sex")), Reason::Required(name("age")), Reason::NoSubject];
    assert_eq!(rejected, reasons.map(|reason| (reason, 1)));
}

#[test]
fn rows_that_fit_stay_in_order_with_their_patients_beside_them() {
    let conformed = conformed(ROWS, section(), &contract(false)).unwrap();
    let frame = &conformed.frame;
    let ids: Vec<Option<&str>> = frame.column(ID).unwrap().str().unwrap().iter().collect();
    assert_eq!(ids, [Some("b"), Some("a"), Some("b")]);
    let places: Vec<u64> = frame.column(PLACE).unwrap().u64().unwrap().into_no_null_iter().collect();
    assert!(places[0] == places[2] && places[0] != places[1]);
    assert!(frame.column("patient").is_err());
    let ages: Vec<Option<i64>> = frame.column("age").unwrap().i64().unwrap().iter().collect();
    assert_eq!(ages, [Some(63), Some(41), Some(64)]);
    assert_eq!(frame.column("sex").unwrap().dtype(), &DataType::UInt8);
    assert_eq!(frame.column("seen").unwrap().i32().unwrap().get(1), Some(18_293));
    assert_eq!(frame.column("disease").unwrap().bool().unwrap().get(0), Some(true));
    assert_eq!(frame.column("chol").unwrap().f64().unwrap().iter().collect::<Vec<_>>(), [None, Some(233.5), None]);
}

#[test]
fn a_place_is_the_same_in_every_process_on_every_machine() {
    let texts = [Some("NHS-4711"), None, Some("é")];
    let places = |ids: Ids<'_>| {
        let columns = ids.columns(&[0, 2]);
        columns[1].u64().unwrap().into_no_null_iter().collect::<Vec<_>>()
    };
    assert_eq!(places(Ids::Texts(&texts)), [6_326_352_559_732_484_428, 17_412_225_022_557_811_914]);
    let numbers = places(Ids::Numbers(&[Some(-1), None, Some(i64::MAX)]));
    assert!(numbers[0] != numbers[1] && numbers == places(Ids::Numbers(&[Some(-1), None, Some(i64::MAX)])));
}

#[test]
fn a_source_without_one_fitting_row_is_an_error_that_says_why() {
    let error = conformed("patient,age,chol,sex,num,seen\na,x,1,1,1,\n", section(), &contract(false)).err().unwrap();
    assert!(error.to_string().contains("no row fits the contract"), "{error}");
    assert!(error.to_string().contains("(`age` is not valid: 1)"), "{error}");
}

#[test]
fn a_rule_of_constants_holds_in_every_row() {
    let mut section = section();
    section["map"]["sex"] = json!("'1'");
    section["map"]["ca"] = json!("1 + 1");
    section["absent"] = json!([]);
    let conformed = conformed(ROWS, section, &contract(false)).unwrap();
    assert_eq!(report(&conformed, "sex").valid, 7);
    assert_eq!(conformed.frame.column("ca").unwrap().i64().unwrap().get(0), Some(2));
}

#[test]
fn codes_take_the_smallest_type_that_holds_them() {
    let kind = |codes: usize| Kind::Code {
        system: None,
        codes: vec![bocage_protocol::contract::Code { code: String::new(), label: String::new() }; codes].into(),
    };
    let types: Vec<DataType> = [256, 257, 60_000].map(|n| physical_type(&kind(n))).to_vec();
    assert_eq!(types, [DataType::UInt8, DataType::UInt16, DataType::UInt16]);
}

#[test]
fn wide_numbers_times_and_texts_arrive_as_they_are() {
    let wide = r#"
        id = "heart@1"
        subject = "patient"
        [[column]]
        name = "patient"
        type = "int"
        range = [0, 9007199254740991]
        [[column]]
        name = "device"
        type = "int"
        range = [-9007199254740991, 9007199254740991]
        [[column]]
        name = "at"
        type = "datetime"
        range = ["1900-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]
        [[column]]
        name = "concept"
        type = "code"
        codes = [{ code = "900000000000207008" }, { code = "007" }]
        [[column]]
        name = "note"
        type = "text"
    "#;
    let rows = "\
patient,device,at,concept,note
9007199254740990,9007199254740991,2020-02-29T23:59:59.999+01:00,900000000000207008,  two words  
9007199254740991,-9007199254740991.0,1969-12-31 23:59:59.999,007,\"a \"\"b\"\", c\"
9007199254740990.0,9007199254740993,2020-02-30T00:00:00Z,7,Ünï
";
    let section = json!({"contract": "heart@1", "source": {"kind": "csv", "path": "heart.csv"}});
    let conformed = conformed(rows, section, &parse(wide, "heart.toml").unwrap()).unwrap();
    let frame = &conformed.frame;
    // The first and the last row are one patient's, who differs from the second's by one in sixteen digits.
    let patients = frame.column(ID).unwrap().i64().unwrap().into_no_null_iter().collect::<Vec<_>>();
    assert_eq!(patients, [9_007_199_254_740_990, 9_007_199_254_740_991, 9_007_199_254_740_990]);
    let ints = |name: &str| frame.column(name).unwrap().i64().unwrap().iter().collect::<Vec<_>>();
    assert_eq!(ints("device"), [Some(9_007_199_254_740_991), Some(-9_007_199_254_740_991), None]);
    assert_eq!(
        *report(&conformed, "device"),
        ColumnReport { valid: 2, out_of_range: 1, inexact: 1, ..Default::default() }
    );
    assert_eq!(ints("at"), [Some(1_583_017_199_999), Some(-1), None]);
    let codes: Vec<Option<u8>> = frame.column("concept").unwrap().u8().unwrap().iter().collect();
    assert_eq!(codes, [Some(0), Some(1), None]);
    let notes: Vec<Option<&str>> = frame.column("note").unwrap().str().unwrap().iter().collect();
    assert_eq!(notes, [Some("two words"), Some("a \"b\", c"), Some("Ünï")]);
}

#[test]
fn german_dates_and_decimal_commas_are_read_as_the_settings_say_and_nothing_is_guessed() {
    let rows = "pid;age;chol;sex;num;gesehen\n\
        a;63;233,5;1;1;31.12.2020\n\
        b;41;1.234;0;0;2020-12-31\n\
        c;50;;1;1;31.13.2020\n\
        d;50;200;1;1;1.2.2021\n";
    let section = json!({
        "contract": "heart@1",
        "source": {"kind": "csv", "path": "heart.csv", "delimiter": ";"},
        "rename": {"pid": "patient"},
        "date_formats": {"gesehen": "%d.%m.%Y"},
        "decimal_comma": ["chol"],
        "map": {"disease": "num > 0", "seen": "gesehen"},
        "absent": ["ca"],
    });
    let conformed = conformed(rows, section, &contract(false)).unwrap();
    let chol: Vec<Option<f64>> = conformed.frame.column("chol").unwrap().f64().unwrap().iter().collect();
    assert_eq!(chol, [Some(233.5), None, None, Some(200.0)]);
    let seen: Vec<Option<i32>> = conformed.frame.column("seen").unwrap().i32().unwrap().iter().collect();
    assert_eq!(seen, [Some(18_627), None, None, Some(18_659)]);
    assert_eq!(*report(&conformed, "chol"), ColumnReport { valid: 2, missing: 1, wrong_type: 1, ..Default::default() });
    assert_eq!(*report(&conformed, "seen"), ColumnReport { valid: 2, wrong_type: 2, ..Default::default() });
}

#[test]
fn a_form_of_a_column_that_the_source_lacks_is_a_problem() {
    let mut section = section();
    section["date_formats"] = json!({"gesehn": "%d.%m.%Y"});
    section["decimal_comma"] = json!(["colesterol"]);
    let error = conformed(ROWS, section, &contract(false)).err().unwrap().to_string();
    for wanted in
        ["date_formats.gesehn: the source has no column `gesehn`\n  hint: ", "decimal_comma: the source has no"]
    {
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn whole_numbers_beyond_what_a_double_holds_are_counted_as_such_and_told_where_nothing_else_is_left() {
    let contract = parse(
        "id = \"heart@1\"\nsubject = \"patient\"\n[[column]]\nname = \"patient\"\ntype = \"int\"\nrange = [0, 9007199254740991]\n",
        "heart.toml",
    );
    let contract = contract.unwrap();
    let of = |rows: &str| {
        let section = json!({"contract": "heart@1", "source": {"kind": "csv", "path": "heart.csv"}});
        conformed(&format!("patient\n{rows}"), section, &contract)
    };
    let some = of("9007199254740992\n-1\n9007199254740991\n").unwrap();
    let patient = report(&some, "patient");
    assert_eq!((patient.valid, patient.out_of_range, patient.inexact), (1, 2, 1));
    let says = of("9007199254740993\n").err().unwrap().to_string();
    assert!(
        says.contains(
            "no row fits the contract (no patient is named: 1)\n  hint: `patient` has whole numbers beyond ±2⁵³"
        ),
        "{says}"
    );
}

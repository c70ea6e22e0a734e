//! Exact texts of every type, in the server's order, whatever the server is set to.

use bocage_postgres::Form;
use serde_json::json;

use super::{Lab, begin, open, texts};

const TYPES: &str = "\
    create type cdm.mood as enum ('sad', 'ok'); create domain cdm.age as int;\
    create table cdm.t (i2 smallint, i8 bigint, n numeric, f4 real, f8 double precision, b bool, d date, ts timestamp, tz timestamptz, t text, c char(4), v varchar(9), u uuid, \
        j jsonb, m cdm.mood, a cdm.age, mo money, iv interval, \"Mixed \"\"Name\" int);\
    insert into cdm.t values (-1, 9007199254740993, 1.50, 0.1, 1e15, true, '2020-02-29', '2020-02-29 23:59:59.123456', '2020-03-01 01:00:00+02', ' x ', 'ab', '', \
        '00000000-0000-0000-0000-000000000001', '{\"a\": 1}', 'ok', 42, 12.5, '1 day 2 hours', 7);\
    insert into cdm.t default values;\
    insert into cdm.t values (0, 0, 'NaN', 'Infinity', 'NaN', false, 'infinity', '-infinity', '0044-03-15 BC', 'Zürich', '', 'x', null, '[]', 'sad', 0, 0, '0', 0)";

#[test]
fn every_type_comes_as_its_exact_text_whatever_the_role_is_set_to() {
    let Some(lab) = Lab::new("types", TYPES) else { return };
    lab.server.sql("postgres", "alter role types set timezone = 'America/New_York'; alter role types set datestyle = 'German'; alter role types set extra_float_digits = -3; alter role types set intervalstyle = 'postgres_verbose'");
    let rows = texts(&lab.source(json!({}))).unwrap();
    let first = [
        "-1",
        "9007199254740993",
        "1.50",
        "0.1",
        "1e+15",
        "true",
        "2020-02-29",
        "2020-02-29 23:59:59.123456",
        "2020-02-29T23:00:00Z",
        " x ",
        "ab",
        "",
        "00000000-0000-0000-0000-000000000001",
        "{\"a\": 1}",
        "ok",
        "42",
        "12.50",
        "P1DT2H",
        "7",
    ];
    assert_eq!(rows[0], first.map(|text| Some(text.to_owned())));
    assert!(rows[1].iter().all(Option::is_none));
    let third: Vec<&str> = rows[2].iter().map(|text| text.as_deref().unwrap_or("null")).collect();
    assert_eq!(
        third[2..10],
        ["NaN", "Infinity", "NaN", "false", "infinity", "-infinity", "0044-03-15T00:00:00TBCZ", "Zürich"]
    );
    let opened = open(&lab.source(json!({}))).unwrap();
    let names: Vec<&str> = opened.columns().map(|column| column.name.as_str()).collect();
    assert_eq!(names[18], "Mixed \"Name");
    let forms: Vec<Form> = opened.columns().map(|column| column.form).collect();
    assert_eq!((forms[2], forms[3], forms[4], forms[14]), (Form::Exact, Form::Float, Form::Float, Form::Exact));
}

#[test]
fn lists_records_and_bytes_are_refused_where_they_are_read_and_nowhere_else() {
    let Some(lab) = Lab::new(
        "nested",
        "create table cdm.t (id int, list int[], raw bytea, span int4range); insert into cdm.t values (5, '{1}', 'x', '[1,2)')",
    ) else {
        return;
    };
    let opened = open(&lab.source(json!({}))).unwrap();
    assert_eq!(
        opened.columns().map(|c| c.form).collect::<Vec<_>>(),
        [Form::Exact, Form::Nested, Form::Nested, Form::Nested]
    );
    let batch = opened.rows(&[0]).unwrap().next_batch().unwrap().unwrap();
    assert_eq!(batch.columns[0].iter().collect::<Vec<_>>(), [Some("5")]);
    let error = lab.error(&lab.source(json!({})));
    assert!(error.contains("table cdm.t: column `list`: it holds lists, records or bytes\n  hint: "), "{error}");
}

#[test]
fn a_query_is_read_as_a_table_is_and_an_empty_table_has_no_rows() {
    let Some(lab) = Lab::new(
        "queries",
        "create table cdm.t (id int); create table cdm.u (id int, word text); insert into cdm.u values (1, 'a'), (2, null)",
    ) else {
        return;
    };
    assert_eq!(texts(&lab.source(json!({}))).unwrap().len(), 0);
    let rows = texts(&lab.query("select u.id * 2 as twice, word from cdm.u -- all of them")).unwrap();
    assert_eq!(rows, [[Some("2".to_owned()), Some("a".to_owned())], [Some("4".to_owned()), None]]);
}

#[test]
fn two_hundred_thousand_rows_come_in_order_and_in_bounded_batches() {
    let fill = "create table cdm.t as select i as id, repeat('x', (i % 300)) as word from generate_series(1, 200000) i";
    let Some(lab) = Lab::new("many", fill) else { return };
    let mut rows = begin(&lab.source(json!({}))).unwrap();
    let (mut next, mut batches) = (1, 0);
    while let Some(batch) = rows.next_batch().unwrap() {
        batches += 1;
        assert!(batch.columns[0].len() <= 4096);
        for (id, word) in batch.columns[0].iter().zip(batch.columns[1].iter()) {
            assert_eq!((id, word.map(str::len)), (Some(next.to_string().as_str()), Some(next % 300)));
            next += 1;
        }
    }
    assert_eq!((next - 1, rows.rows(), batches), (200_000, 200_000, 49));
}

#[test]
fn wide_rows_make_smaller_batches_and_a_giant_value_is_refused_with_its_row() {
    let fill = "create table cdm.t as select i as id, repeat('x', case when i = 40 then 1048577 else 1048576 end) as word from generate_series(1, 40) i";
    let Some(lab) = Lab::new("wide", fill) else { return };
    let mut rows = begin(&lab.source(json!({}))).unwrap();
    let mut read = 0;
    let error = loop {
        match rows.next_batch() {
            Ok(batch) => {
                let batch = batch.expect("the last row is refused");
                assert!(batch.columns[0].len() <= 9, "8 MiB are a batch");
                read += batch.columns[0].len();
            }
            Err(error) => break error.to_string(),
        }
    };
    assert!(read >= 32, "{read}");
    assert!(error.contains("table cdm.t: column `word`, row 40: a value is longer than 1 MiB\n  hint: "), "{error}");
}

#[test]
fn a_text_that_is_no_utf_8_is_an_error_and_is_not_repeated() {
    let Some(lab) = Lab::new("latin", "select 1") else { return };
    lab.server.sql("postgres", "create database ascii encoding 'SQL_ASCII' template template0 locale 'C'");
    lab.server.sql(
        "ascii",
        "create schema cdm; create table cdm.t (id int, word text); insert into cdm.t values (1, 'a'), (2, E'Meier M\\xfcller'); \
         grant usage on schema cdm to latin; grant select on cdm.t to latin",
    );
    let error = lab.error(&lab.source(json!({"database": "ascii"})));
    let wanted = "table cdm.t: it holds a text that is not valid in the database's encoding (SQLSTATE 22021)\n  hint: ";
    assert!(error.contains(wanted), "{error}");
}

//! Names of rows as a snapshot holds them, and dates of which the month or year alone is known.

use bocage_protocol::trust::SecretKey;

use super::*;

const STAYS: &str = r#"
    id = "heart@1"
    subject = "patient"
    key = "stay"
    [[column]]
    name = "patient"
    type = "text"
    [[column]]
    name = "stay"
    type = "text"
    [[column]]
    name = "before"
    type = "text"
    references = "heart"
    [[column]]
    name = "number"
    type = "int"
    range = [0, 100]
    references = "numbers"
    [[column]]
    name = "day"
    type = "date"
    range = ["2000-01-01", "2030-12-31"]
    [[column]]
    name = "about"
    type = "date"
    range = ["2000-01-01", "2030-12-31"]
    precision = "year"
    [[rule]]
    name = "twice"
    kind = "duplicate"
    columns = ["stay"]
"#;

fn section() -> Value {
    json!({ "contract": "heart@1", "source": {"kind": "csv", "path": "heart.csv"}, "map": {} })
}

const ROWS: &str = "\
patient,stay,before,number,day,about
a,s1,,7,2020-03-05,2020-03-05
b,s2,s1,7,2020-03,2020-03
c,s\u{e9},e\u{301},,2020,2020
d,s1,s\u{e9},8,2020-03-05,20
";

#[test]
fn a_name_of_a_row_is_held_as_a_token_that_is_the_same_where_it_is_referred_to() {
    let contract = parse(STAYS, "heart.toml").unwrap();
    let key = SecretKey::generate(&mut bocage_net::env::SystemEntropy);
    let form = IdForm::of(None, &key).unwrap();
    let found = conformed_by(ROWS, section(), &contract, Some(&form)).unwrap();
    let tokens = |name: &str| found.frame.column(name).unwrap().i64().unwrap().iter().collect::<Vec<_>>();
    let (stays, before, numbers) = (tokens("stay"), tokens("before"), tokens("number"));
    assert_eq!(before[0], None);
    assert_eq!((before[1], stays[3]), (stays[0], stays[0]), "one name is one token");
    assert_ne!(stays[0], stays[1]);
    assert_eq!((before[1], before[3]), (Some(form.of_row("heart", "s1")), stays[2]));
    assert_eq!((numbers[0], numbers[2]), (Some(form.of_row("numbers", "7")), None));
    assert_ne!(form.of_row("numbers", "7"), form.of_row("heart", "7"), "another dataset's");
    let twice = &found.report.rules[&"twice".parse().unwrap()];
    assert_eq!((twice.failed.count, &twice.failed.first[..]), (1, &[4][..]));
    let nameless = conformed(ROWS, section(), &contract).unwrap();
    assert_eq!(nameless.frame.column("stay").unwrap().null_count(), 4, "without a key there is no token");
}

#[test]
fn the_middle_stands_for_a_month_or_year_where_the_contract_takes_one_and_is_counted() {
    let contract = parse(STAYS, "heart.toml").unwrap();
    let found = conformed(ROWS, section(), &contract).unwrap();
    let days = |name: &str| found.frame.column(name).unwrap().i32().unwrap().iter().collect::<Vec<_>>();
    let day = bocage_protocol::front::dates::parse_date;
    assert_eq!(days("day"), [day("2020-03-05"), None, None, day("2020-03-05")]);
    assert_eq!(days("about"), [day("2020-03-05"), day("2020-03-15"), day("2020-07-01"), None]);
    assert_eq!(*report(&found, "day"), ColumnReport { valid: 2, wrong_type: 2, ..Default::default() });
    assert_eq!(*report(&found, "about"), ColumnReport { valid: 3, partial: 2, wrong_type: 1, ..Default::default() });
}

//! The contract's rules: what fails, what is kept of it, and that no order shows.

use super::super::super::RuleReport;
use super::*;
use bocage_protocol::contract::OnFail;

const COLUMNS: &str = r#"
    id = "lives@1"
    subject = "patient"
    [[column]]
    name = "patient"
    type = "text"
    required = true
    [[column]]
    name = "born"
    type = "date"
    range = ["1900-01-01", "2100-12-31"]
    [[column]]
    name = "died"
    type = "date"
    range = ["1900-01-01", "2100-12-31"]
    [[column]]
    name = "seen"
    type = "datetime"
    range = ["1900-01-01T00:00:00Z", "2100-12-31T00:00:00Z"]
    [[column]]
    name = "weight"
    type = "float"
    range = [0, 500]
"#;

const LIVES: &str = "\
patient,born,died,seen,weight
a,1950-01-01,2000-01-01,2026-01-15T23:59:59Z,70.5
b,1950-01-01,1949-12-31,2026-01-16T00:00:00Z,70.5
c,1950-01-01,,,
d,,1949-12-31,,
a,1950-01-01,2000-01-01,2026-01-15T23:59:59Z,70.5
e,2026-01-16,2026-01-15,,9000
a,1950-01-01,2000-01-01,2026-01-15T23:59:59Z,70.6
";

const BORN_FIRST: &str = "[[rule]]\nname = \"born_first\"\ncheck = \"born <= died\"\n";
const FUTURE: &str = "[[rule]]\nname = \"future\"\nkind = \"future_date\"\n";
const TWICE: &str = "[[rule]]\nname = \"twice\"\nkind = \"duplicate\"\ncolumns = [\"patient\", \"seen\", \"weight\"]\n";

fn lives(rules: &str, stricter: Value) -> Conformed {
    let contract = parse(&format!("{COLUMNS}\n{rules}"), "lives.toml").unwrap();
    let section = json!({"contract": "lives@1", "source": {"kind": "csv", "path": "heart.csv"}, "rules": stricter});
    conformed(LIVES, section, &contract).unwrap()
}

fn rule<'a>(conformed: &'a Conformed, name: &str) -> &'a RuleReport {
    &conformed.report.rules[&name.parse().unwrap()]
}

fn died(conformed: &Conformed) -> Vec<Option<i32>> {
    conformed.frame.column("died").unwrap().i32().unwrap().iter().collect()
}

#[test]
fn a_row_that_fails_a_check_is_counted_by_its_number_and_kept_and_a_missing_value_passes() {
    let kept = lives(BORN_FIRST, json!({}));
    assert_eq!(
        (rule(&kept, "born_first").failed.count, rule(&kept, "born_first").failed.first.clone()),
        (2, vec![2, 6])
    );
    assert_eq!(rule(&kept, "born_first").check, "born <= died");
    assert_eq!((kept.report.rows_kept, died(&kept).iter().flatten().count()), (7, 6));
}

#[test]
fn a_row_that_fails_loses_the_value_at_fault_or_is_left_out_as_the_contract_says() {
    let nulled = lives(&format!("{BORN_FIRST}on_fail = \"null\"\ncolumn = \"died\""), json!({}));
    assert_eq!((nulled.report.rows_kept, died(&nulled).iter().flatten().count()), (7, 4));
    let rejected = lives(&format!("{BORN_FIRST}on_fail = \"reject\""), json!({}));
    let left_out = Rejected { reason: Reason::Rule("born_first".parse().unwrap()), rows: 2 };
    assert_eq!((rejected.report.rows_kept, rejected.report.rows_rejected.clone()), (5, vec![left_out]));
}

#[test]
fn a_date_is_in_the_future_from_the_day_after_the_snapshot_on() {
    let nulled = lives(&format!("{FUTURE}on_fail = \"null\""), json!({}));
    assert_eq!(rule(&nulled, "future").failed.first, [2, 6]);
    let seen: Vec<bool> = nulled.frame.column("seen").unwrap().i64().unwrap().iter().map(|s| s.is_some()).collect();
    assert_eq!(seen, [true, false, false, false, true, false, true]);
    let born = nulled.frame.column("born").unwrap().i32().unwrap().iter().flatten().count();
    assert_eq!((born, died(&nulled).iter().flatten().count()), (5, 6), "only the column at fault loses its value");
}

#[test]
fn a_row_that_repeats_another_is_found_by_all_its_columns_and_the_first_one_passes() {
    let unique = lives(&format!("{TWICE}on_fail = \"reject\""), json!({}));
    assert_eq!(rule(&unique, "twice").failed.first, [5]);
    assert_eq!(unique.report.rows_kept, 6);
    let weights: Vec<f64> = unique.frame.column("weight").unwrap().f64().unwrap().iter().flatten().collect();
    assert_eq!(weights, [70.5, 70.5, 70.6]);
}

#[test]
fn a_repeated_row_stays_where_the_one_that_it_repeats_was_left_out() {
    let first =
        "[[rule]]\nname = \"no_b\"\ncheck = \"weight <> 70.5 or died > date '1999-01-01'\"\non_fail = \"reject\"\n";
    let rows =
        LIVES.replace("b,1950-01-01,1949-12-31,2026-01-16T00:00:00Z", "a,1950-01-01,1949-12-31,2026-01-15T23:59:59Z");
    let last_first: Vec<&str> = rows.lines().collect();
    let rows = [last_first[0], last_first[2], last_first[1], last_first[5]].join("\n") + "\n";
    for rules in [format!("{first}{TWICE}on_fail = \"reject\""), format!("{TWICE}on_fail = \"reject\"\n{first}")] {
        let contract = parse(&format!("{COLUMNS}\n{rules}"), "lives.toml").unwrap();
        let section = json!({"contract": "lives@1", "source": {"kind": "csv", "path": "heart.csv"}});
        let conformed = conformed(&rows, section, &contract).unwrap();
        assert_eq!(
            (rule(&conformed, "no_b").failed.first.clone(), rule(&conformed, "twice").failed.first.clone()),
            (vec![1], vec![3])
        );
        assert_eq!(conformed.report.rows_kept, 1);
    }
}

#[test]
fn a_site_may_be_stricter_than_the_contract() {
    let stricter = lives(&format!("{BORN_FIRST}{TWICE}"), json!({"born_first": "reject"}));
    assert_eq!(
        (rule(&stricter, "born_first").on_fail, rule(&stricter, "twice").on_fail),
        (OnFail::Reject, OnFail::Keep)
    );
    assert_eq!((stricter.report.rows_kept, rule(&stricter, "twice").failed.count), (5, 1));
}

#[test]
fn a_site_that_would_be_milder_or_names_a_rule_wrong_is_refused() {
    let contract = parse(&format!("{COLUMNS}\n{BORN_FIRST}on_fail = \"reject\"\n{TWICE}"), "lives.toml").unwrap();
    let rules = json!({"born_first": "keep", "born_fist": "null", "twice": "null"});
    let section = json!({"contract": "lives@1", "source": {"kind": "csv", "path": "heart.csv"}, "rules": rules});
    let error = conformed(LIVES, section, &contract).err().unwrap().to_string();
    for wanted in [
        "dataset.heart.rules.born_first: the contract says reject, which is stricter than keep\n  hint: keep < null < reject",
        "dataset.heart.rules.born_fist: `lives@1` has no rule `born_fist`\n  hint: did you mean `born_first`?",
        "dataset.heart.rules.twice: a row that repeats another has no value at fault",
    ] {
        assert!(error.contains(wanted), "{wanted}\nnot in\n{error}");
    }
}

#[test]
fn the_shipped_contracts_find_what_no_living_person_has_and_other_units() {
    let of = |pack: &str, id: &str, rows: &str| {
        let texts = &bocage_protocol::contract::pack(pack).unwrap().contracts;
        let contracts = texts.iter().map(|text| parse(text, "contract.toml").unwrap());
        let contract = contracts.into_iter().find(|contract| contract.id().to_string() == id).unwrap();
        let header: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
        let columns = contract.columns().iter().map(|column| column.name.as_str());
        let absent: Vec<&str> = columns.filter(|name| !header.contains(name)).collect();
        let section = json!({"contract": id, "source": {"kind": "csv", "path": "heart.csv"}, "absent": absent});
        conformed(rows, section, &contract).unwrap()
    };
    let observations = "patient,date,code,value,unit\n\
        a,2020-01-01,8480-6,120,mm[Hg]\n\
        a,2020-01-01,8480-6,1200,mm[Hg]\n\
        a,2020-01-01,29463-7,150,[lb_av]\n\
        a,2020-01-01,29463-7,,kg\n\
        a,2020-01-01,718-7,1500,g/L\n\
        a,2077-01-01,8302-2,1.8,cm\n";
    let found = of("fhir-r4-core", "fhir-r4-observation@3", observations);
    assert_eq!(rule(&found, "plausible_vital_signs").failed.first, [2, 6]);
    assert_eq!(rule(&found, "units_of_vital_signs").failed.first, [3]);
    assert_eq!(rule(&found, "not_in_the_future").failed.first, [6]);
    assert_eq!(found.report.rows_kept, 6);
    let stays = "patient,encounter,date,class\n\
        a,1,2020-01-01,AMB\na,2,2020-01-01,AMB\na,3,2020-01-01,EMER\nb,4,2020-01-01,AMB\na,5,2020-01-02,AMB\na,1,2020-01-03,AMB\na,6,,AMB\na,7,,AMB\n";
    let found = of("fhir-r4-core", "fhir-r4-encounter@2", stays);
    assert_eq!(
        rule(&found, "one_of_a_day_and_class").failed.first,
        [2],
        "two keys of one stay; without a date nobody can tell"
    );
    assert_eq!((&rule(&found, "one_row_a_key").failed.first[..], found.report.rows_kept), (&[6][..], 8));
    let values = "patient,date,value_other\na,2020-01-01,false\na,2020-01-01,true\na,2020-01-01,\n";
    let found = of("fhir-r4-core", "fhir-r4-observation@3", values);
    assert_eq!((rule(&found, "value_is_held").failed.first.as_slice(), found.report.rows_kept), (&[2][..], 3));
    let lives = "patient,birth_date,death_date\na,1950-01-01,1949-12-31\nb,1950,1950\nc,1950-01-01,\n";
    let found = of("fhir-r4-core", "fhir-r4-patient@1", lives);
    assert_eq!(rule(&found, "birth_before_death").failed.first, [1]);
    let measurements = "person_id,measurement_concept_id,measurement_date,value_as_number\n\
        1,3004249,2020-01-01,120\n1,3004249,2020-01-01,1200\n1,3000963,2020-01-01,1200\n";
    let found = of("omop-5.4", "omop-measurement@542", measurements);
    assert_eq!(rule(&found, "plausible_vital_signs").failed.first, [2]);
    let visits = "person_id,visit_occurrence_id,visit_concept_id,visit_start_date\n\
        1,1,9201,2020-01-01\n1,2,9201,2020-01-01\n1,3,9202,2020-01-01\n2,4,9201,2020-01-01\n";
    for (pack, id) in [("omop-5.3", "omop-visit-occurrence@531"), ("omop-5.4", "omop-visit-occurrence@541")] {
        assert_eq!(rule(&of(pack, id, visits), "one_of_a_day_and_concept").failed.first, [2]);
    }
}

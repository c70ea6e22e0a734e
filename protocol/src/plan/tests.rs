//! Checking plans: levels of keys, missing values, ladders, and what a node refuses even from a signed study.

use super::{Columns, Expr, Literal, Measure, Plan, Statistic, Table, ValidPlan, type_of};
use crate::contract::{self, Contract};
use crate::ids::Digest;

const CONTRACT: &str = r#"
    id = "visits@2"
    subject = "patient"
    one_row_per_subject = true
    [[column]]
    name = "patient"
    type = "text"
    required = true
    [[column]]
    name = "age"
    type = "int"
    range = [0, 99]
    groupings = [{ name = "decades", breaks = [20, 40, 60] }, { name = "halves", breaks = [40] }]
    [[column]]
    name = "icd"
    type = "code"
    required = true
    codes = [{ code = "E10" }, { code = "E11" }, { code = "I10" }]
    groupings = [{ name = "chapter", groups = [{ label = "E", codes = ["E10", "E11"] }, { label = "I", codes = ["I10"] }] }]
    [[column]]
    name = "crp"
    type = "float"
    range = [0, 500]
    [[column]]
    name = "stage"
    type = "int"
    range = [0, 6]
    [[column]]
    name = "grade"
    type = "int"
    range = [1, 8]
    [[column]]
    name = "from_day"
    type = "date"
    range = ["2020-01-01", "2020-12-31"]
    [[column]]
    name = "until_day"
    type = "date"
    range = ["2020-01-01", "2021-12-31"]
"#;

pub(super) fn contract() -> Contract {
    contract::parse(CONTRACT, "visits.toml").unwrap()
}

pub(super) fn column(name: &str) -> Expr {
    Expr::Column(name.parse().unwrap())
}

pub(super) fn cut(name: &str, breaks: &[f64]) -> Expr {
    Expr::Cut { of: Box::new(column(name)), breaks: breaks.to_vec() }
}

pub(super) fn at_least(name: &str, value: i64) -> Expr {
    let (left, right) = (Box::new(column(name)), Box::new(Expr::Literal(Literal::Int(value))));
    Expr::Compare { op: super::Comparison::GreaterOrEqual, left, right }
}

pub(super) fn plan(filter: Option<Expr>, by: Vec<Expr>, measures: Vec<Measure>) -> Plan {
    let contract = contract();
    let query = contract.rows(filter);
    Plan { query, statistic: Statistic::Table(Table { by, measures, roll_up: true }) }
}

fn labels(filter: Option<Expr>, key: Expr) -> Vec<String> {
    let valid = ValidPlan::check(plan(filter, vec![key], vec![]), &contract()).unwrap();
    valid.layout().keys_at(0)[0].labels.clone()
}

fn problems(plan: Plan) -> String {
    ValidPlan::check(plan, &contract()).unwrap_err().to_string()
}

#[test]
fn a_key_has_a_level_for_missing_values_only_where_they_can_occur() {
    assert_eq!(labels(None, cut("age", &[50.0])), ["<50", ">=50", "(missing)"]);
    assert_eq!(labels(Some(at_least("age", 18)), cut("age", &[50.0])), ["<50", ">=50"]);
    assert_eq!(labels(None, column("icd")), ["E10", "E11", "I10"]);
    let either = Expr::Or(vec![at_least("age", 18), at_least("crp", 3)]);
    assert_eq!(labels(Some(either), cut("age", &[50.0])).len(), 3);
    assert_eq!(labels(None, column("age")).len(), 101);
}

#[test]
fn the_ladder_follows_the_contracts_groupings_that_fit() {
    let steps = |key: Expr| {
        let valid = ValidPlan::check(plan(None, vec![key], vec![]), &contract()).unwrap();
        let layout = valid.layout();
        (0..layout.steps()).map(|step| layout.keys_at(step)[0].labels.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(steps(column("icd")), ["E10 E11 I10", "E I"]);
    assert_eq!(steps(cut("age", &[20.0, 30.0, 40.0])), ["<20 [20,30) [30,40) >=40 (missing)", "<40 >=40 (missing)"]);
    let decades = Expr::Grouped { column: "age".parse().unwrap(), grouping: "decades".into() };
    assert_eq!(steps(decades), ["<20 [20,40) [40,60) >=60 (missing)", "<40 >=40 (missing)"]);
    assert_eq!(steps(column("age")).len(), 3);
}

#[test]
fn the_subject_can_neither_be_read_nor_summed_nor_grouped_by() {
    let reading = plan(Some(Expr::IsNull(Box::new(column("patient")))), vec![column("patient")], vec![]);
    let text = problems(reading);
    assert_eq!(text.matches("`patient` names the patient and cannot be read").count(), 2, "{text}");
    assert!(
        problems(plan(None, vec![], vec![Measure::Column("patient".parse().unwrap())])).contains("names the patient")
    );
}

#[test]
fn a_plan_for_another_version_or_beyond_the_bounds_is_refused() {
    let mut other = plan(None, vec![], vec![]);
    other.query.contract = Digest::of("other", &[]);
    assert!(problems(other).contains("not for this version"));
    let ages = vec![column("age"); 4];
    assert!(problems(plan(None, ages, vec![])).contains("104060401 cells: too many"));
    let seven = vec![column("icd"); 7];
    assert!(problems(plan(None, seven, vec![])).contains("at most 6 keys"));
    let mut deep = at_least("age", 1);
    for _ in 0..60 {
        deep = Expr::Not(Box::new(deep));
    }
    assert!(problems(plan(Some(deep), vec![], vec![])).contains("nested at most"));
}

#[test]
fn measures_need_a_range_that_they_make_sense_in() {
    let measure = |m: Measure| ValidPlan::check(plan(None, vec![], vec![m]), &contract());
    let name = |n: &str| n.parse().unwrap();
    assert!(measure(Measure::Column(name("crp"))).is_ok());
    assert!(measure(Measure::Sqrt(name("crp"))).is_ok());
    assert!(measure(Measure::Days { from: name("from_day"), to: name("until_day") }).is_ok());
    assert!(measure(Measure::Product(name("age"), name("crp"))).is_ok());
    assert!(measure(Measure::Ln(name("crp"))).unwrap_err().to_string().contains("no logarithm"));
    assert!(measure(Measure::Column(name("icd"))).unwrap_err().to_string().contains("has no sum"));
    assert!(measure(Measure::Days { from: name("age"), to: name("until_day") }).is_err());
}

#[test]
fn a_column_of_few_values_is_summed_neither_by_itself_nor_within_another_measure() {
    let measure = |m: Measure| ValidPlan::check(plan(None, vec![], vec![m]), &contract()).map_err(|p| p.to_string());
    let name = |n: &str| n.parse().unwrap();
    for m in [
        Measure::Column(name("stage")),
        Measure::Sqrt(name("stage")),
        Measure::Ln(name("stage")),
        Measure::Product(name("stage"), name("crp")),
        Measure::Product(name("crp"), name("stage")),
    ] {
        let refused = measure(m).unwrap_err();
        assert!(refused.contains("measures[0]: `stage` has too few values to be summed"), "{refused}");
        assert!(refused.contains("share(stage = 6)"), "{refused}");
    }
    for m in [Measure::Column(name("grade")), Measure::Ln(name("grade")), Measure::Product(name("crp"), name("grade"))]
    {
        measure(m).unwrap();
    }
    let square = measure(Measure::Product(name("crp"), name("crp"))).unwrap_err();
    assert!(square.contains("the square of `crp` is in its standard deviation already"), "{square}");
}

#[test]
fn one_table_has_at_most_two_numeric_measures_of_a_column() {
    let name = |n: &str| n.parse().unwrap();
    let crp = || Measure::Column(name("crp"));
    let all = |measures| ValidPlan::check(plan(None, vec![], measures), &contract()).map_err(|p| p.to_string());
    let high = || Measure::Condition(at_least("crp", 5));
    let mut measures = vec![crp(), crp(), high(), Measure::Sqrt(name("crp")), high()];
    all(measures.clone()).unwrap();
    measures.push(Measure::Product(name("age"), name("crp")));
    let refused = all(measures).unwrap_err();
    assert!(refused.contains("measures[5]: a table has at most 2 numeric measures of `crp`"), "{refused}");
    assert!(refused.contains("hint:"), "{refused}");
}

#[test]
fn texts_are_parsed_in_a_mapping_only() {
    let parse = Expr::Parse { of: Box::new(column("patient")), to: super::ParseAs::Float };
    assert!(type_of(&parse, Columns::Contract(&contract())).is_err());
    assert!(type_of(&parse, Columns::Source(Some(&["patient".parse().unwrap()]))).is_ok());
}

#[test]
fn the_smallest_integer_and_day_are_refused_like_any_that_are_too_small() {
    let low = problems(plan(Some(at_least("age", i64::MIN)), vec![], vec![]));
    assert!(low.contains("an integer beyond"), "{low}");
    let mut early = plan(None, vec![], vec![]);
    let of = super::Derived::Age { table: None, at: super::Moment::Date(i32::MIN) };
    early.query.features = vec![super::Feature { name: "made".parse().unwrap(), on: None, of }];
    let early = problems(early);
    assert!(early.contains("a day beyond the year 9999"), "{early}");
}

#[test]
fn a_condition_whose_normal_form_is_too_large_stays_and_the_rest_is_normal() {
    let parts = crate::limits::EXPRESSION_NODES - 3;
    let truths = |n: usize| (0..n).map(|_| Expr::IsNull(Box::new(column("crp")))).collect::<Vec<_>>();
    let wide = Expr::Not(Box::new(Expr::And(truths(parts / 2))));
    let known = |expr: Expr| super::normal(&expr, &contract());
    assert_eq!(known(wide.clone()), Expr::Not(Box::new(Expr::IsNull(Box::new(column("crp"))))));
    let distinct =
        |i: usize| Expr::IsNull(Box::new(Expr::Coalesce(vec![column("crp"), Expr::Literal(Literal::Float(i as f64))])));
    let large = Expr::Not(Box::new(Expr::And((0..crate::limits::EXPRESSION_NODES / 4 - 1).map(distinct).collect())));
    assert!(large.size().is_some());
    assert_eq!(known(large.clone()), large, "`not` of each part would be beyond the bounds");
    let mixed = plan(
        Some(large.clone()),
        vec![],
        vec![Measure::Condition(Expr::Not(Box::new(Expr::Not(Box::new(at_least("age", 3))))))],
    );
    let valid = ValidPlan::check(mixed, &contract()).unwrap();
    assert_eq!(valid.plan().query.filter, Some(large));
    assert_eq!(valid.table().measures, [Measure::Condition(at_least("age", 3))]);
}

#[test]
fn a_plan_is_refused_in_other_words_for_what_its_normal_form_is_refused_for() {
    let (base, table) = (contract(), "t".parse::<super::TableName>().unwrap());
    let made = |name: &str| {
        let of = super::Derived::Value { table: table.clone(), column: "crp".parse().unwrap() };
        super::Feature { name: name.parse().unwrap(), on: None, of }
    };
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    let mut square = plan(None, vec![], vec![Measure::Product(a, b)]);
    let related = super::RelatedTable { dataset: base.id().clone(), contract: base.hash() };
    square.query.related = [(table.clone(), related)].into();
    square.query.features = vec![made("a"), made("b")];
    let contracts = super::Contracts { base: &base, related: [(table.clone(), &base)].into() };
    let refused = ValidPlan::check(square, contracts).unwrap_err().to_string();
    assert!(refused.contains("the square of"), "{refused}");
}

#[test]
fn a_feature_shares_the_codes_of_the_column_that_it_picks() {
    let base = contract();
    let of = super::Derived::Value { table: "t".parse().unwrap(), column: "icd".parse().unwrap() };
    let made = base.extended(
        &[super::Feature { name: "made".parse().unwrap(), on: None, of }],
        &[("t".parse().unwrap(), &base)].into(),
    );
    let codes = |contract: &Contract, name: &str| match &contract.column(name).unwrap().kind {
        contract::Kind::Code { codes, .. } => codes.as_ptr(),
        _ => panic!("codes"),
    };
    assert_eq!(codes(&made, "made"), codes(&base, "icd"));
}

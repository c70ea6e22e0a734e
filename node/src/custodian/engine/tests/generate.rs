//! Random rows and plans over one contract that has a column of every type.

use std::collections::BTreeMap;

use bocage_protocol::contract::{Contract, Kind, parse};
use bocage_protocol::plan::{
    Branch, Comparison, DateUnit, Discovered, Expr, Function, Literal, Measure, Operation, PeriodUnit, Periods, Plan,
    Statistic, Table,
};
use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use crate::custodian::engine::interpreter::{Row, Value};
use crate::custodian::source::{SUBJECT, physical_type};

const CONTRACT: &str = r#"
    id = "visits@1"
    subject = "row"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    required = true
    groupings = [{ name = "fine", breaks = [30, 60] }, { name = "halves", breaks = [60] }]
    [[column]]
    name = "chol"
    type = "float"
    range = [-100, 700]
    [[column]]
    name = "weight"
    type = "float"
    range = [1, 300]
    [[column]]
    name = "ca"
    type = "int"
    range = [-1, 6]
    [[column]]
    name = "cp"
    type = "code"
    codes = [{ code = "1", label = "typical" }, { code = "1a", label = "atypical" }, { code = "2", label = "other" }, { code = "3", label = "none" }]
    groupings = [{ name = "angina", groups = [{ label = "no", codes = ["2", "3"] }, { label = "yes", codes = ["1", "1a"] }] }]
    [[column]]
    name = "smoker"
    type = "bool"
    [[column]]
    name = "note"
    type = "text"
    [[column]]
    name = "seen"
    type = "date"
    range = ["1990-01-01", "2030-01-01"]
    [[column]]
    name = "left"
    type = "date"
    range = ["1990-01-01", "2030-01-01"]
    [[column]]
    name = "at"
    type = "datetime"
    range = ["1990-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]
"#;

/// The contract.
pub fn contract() -> Contract {
    parse(CONTRACT, "visits.toml").unwrap()
}

/// The contract with one text in place of another.
pub fn contract_with(from: &str, to: &str) -> Contract {
    parse(&CONTRACT.replace(from, to), "visits.toml").unwrap()
}

type Numbers = (i64, Option<f64>, Option<f64>, Option<i64>);
type Others = (Option<&'static str>, Option<bool>, Option<&'static str>, Option<i32>, Option<i32>, Option<i64>);
type Drawn = (Numbers, Others);

/// The same rows of fewer subjects: so many neighbours are one.
pub fn together(rows: Vec<Row>, per_subject: u32) -> Vec<Row> {
    rows.into_iter().map(|row| Row { subject: row.subject / per_subject, ..row }).collect()
}

/// Up to `most` rows, each its own subject.
pub fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let numbers = (
        0i64..=120,
        weighted(0.8, prop_oneof![Just(0.0), Just(-0.0), Just(7.0), -100.0..700.0f64]),
        weighted(0.8, 1.0..300.0f64),
        weighted(0.7, -1i64..=6),
    );
    let others = (
        weighted(0.8, select(vec!["1", "1a", "2", "3"])),
        weighted(0.6, any::<bool>()),
        weighted(0.7, select(vec!["", "x", "xy", "Y", "x\ny", "beyond twelve bytes"])),
        weighted(0.8, 7305i32..21_915),
        weighted(0.8, 7305i32..21_915),
        weighted(0.8, 631_152_000_000i64..1_893_456_000_000),
    );
    vec((numbers, others), 0..=most).prop_map(|drawn| {
        let row = |(subject, drawn): (usize, Drawn)| {
            let ((age, chol, weight, ca), (cp, smoker, note, seen, left, at)) = drawn;
            let values: [(&str, Option<Value>); 10] = [
                ("age", Some(Value::Number(age as f64))),
                ("chol", chol.map(Value::Number)),
                ("weight", weight.map(Value::Number)),
                ("ca", ca.map(|x: i64| Value::Number(x as f64))),
                ("cp", cp.map(|t: &str| Value::Text(t.to_owned()))),
                ("smoker", smoker.map(Value::Bool)),
                ("note", note.map(|t: &str| Value::Text(t.to_owned()))),
                ("seen", seen.map(Value::Date)),
                ("left", left.map(Value::Date)),
                ("at", at.map(Value::Datetime)),
            ];
            let values =
                values.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v?))).collect::<BTreeMap<_, _>>();
            Row { subject: subject as u32, values }
        };
        drawn.into_iter().enumerate().map(row).collect()
    })
}

/// The physical frame of rows, as a snapshot would hold them.
pub fn frame(rows: &[Row], contract: &Contract) -> DataFrame {
    let subjects: Vec<u32> = rows.iter().map(|r| r.subject).collect();
    let mut columns = vec![Series::new(SUBJECT.into(), subjects).into_column()];
    for column in contract.columns() {
        let name = column.name.as_str();
        let values = rows.iter().map(|r| r.values.get(name));
        columns.push(physical(name, &column.kind, values));
    }
    DataFrame::new(rows.len(), columns).unwrap()
}

fn physical<'a>(name: &str, kind: &Kind, values: impl Iterator<Item = Option<&'a Value>>) -> Column {
    let name = name.into();
    let numbers = |v: Option<&Value>| match v? {
        Value::Number(x) => Some(*x),
        Value::Date(d) => Some(f64::from(*d)),
        Value::Datetime(t) => Some(*t as f64),
        Value::Text(code) => match kind {
            Kind::Code { codes, .. } => codes.iter().position(|c| c.code == *code).map(|p| p as f64),
            _ => panic!("not a code"),
        },
        other => panic!("not a number: {other:?}"),
    };
    let series = match kind {
        Kind::Bool => {
            Series::new(name, values.map(|v| v.map(|v| *v == Value::Bool(true))).collect::<Vec<Option<bool>>>())
        }
        Kind::Text => {
            let text = |v: &'a Value| if let Value::Text(t) = v { t.as_str() } else { panic!("not a text") };
            Series::new(name, values.map(|v| v.map(text)).collect::<Vec<Option<&str>>>())
        }
        _ => Series::new(name, values.map(numbers).collect::<Vec<Option<f64>>>()).cast(&physical_type(kind)).unwrap(),
    };
    series.into_column()
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

fn column(name: &'static str) -> BoxedStrategy<Expr> {
    Just(Expr::Column(name.parse().unwrap())).boxed()
}

fn number_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (-3i64..=3).prop_map(Literal::Int),
        select(vec![0.0, -0.0, 0.5, 7.0, 49.0, 60.0, 1e300]).prop_map(Literal::Float),
    ]
}

fn text_literal() -> impl Strategy<Value = Literal> {
    select(vec!["", "x", "xy", "z"]).prop_map(|t| Literal::Text(t.to_owned()))
}

fn code_literal() -> impl Strategy<Value = Literal> {
    select(vec!["1", "1a", "2", "3"]).prop_map(|t| Literal::Text(t.to_owned()))
}

fn operation() -> impl Strategy<Value = Operation> {
    select(vec![Operation::Add, Operation::Subtract, Operation::Multiply, Operation::Divide])
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn compare(op: Comparison, left: Expr, right: Expr) -> Expr {
    Expr::Compare { op, left: boxed(left), right: boxed(right) }
}

/// `case`, `coalesce` and `nullif` of parts of one type.
fn choices(of: BoxedStrategy<Expr>, depth: u32) -> BoxedStrategy<Expr> {
    let when = condition(depth - 1);
    prop_oneof![
        (vec((when, of.clone()), 1..3), weighted(0.7, of.clone())).prop_map(|(branches, otherwise)| Expr::Case {
            branches: branches.into_iter().map(|(when, then)| Branch { when, then }).collect(),
            otherwise: otherwise.map(boxed),
        }),
        vec(of.clone(), 1..3).prop_map(Expr::Coalesce),
        (of.clone(), of).prop_map(|(of, equal)| Expr::NullIf { of: boxed(of), equal: boxed(equal) }),
    ]
    .boxed()
}

fn number(depth: u32) -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        4 => select(vec!["age", "chol", "weight", "ca"]).prop_map(|c| Expr::Column(c.parse().unwrap())),
        1 => number_literal().prop_map(Expr::Literal),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let part = || number(depth - 1);
    let functions = select(vec![Function::Exp, Function::Ln, Function::Sqrt, Function::Abs]);
    let units = select(vec![DateUnit::Days, DateUnit::Years]);
    prop_oneof![
        2 => leaf,
        3 => (operation(), part(), part())
            .prop_map(|(op, left, right)| Expr::Arithmetic { op, left: boxed(left), right: boxed(right) }),
        1 => (functions, part()).prop_map(|(function, of)| Expr::Apply { function, of: boxed(of) }),
        1 => (units.clone(), date(depth - 1), date(depth - 1))
            .prop_map(|(unit, from, to)| Expr::Between { unit, from: boxed(from), to: boxed(to) }),
        1 => (units, datetime(), datetime())
            .prop_map(|(unit, from, to)| Expr::Between { unit, from: boxed(from), to: boxed(to) }),
        2 => choices(part(), depth),
    ]
    .boxed()
}

fn date(depth: u32) -> BoxedStrategy<Expr> {
    let leaf =
        prop_oneof![column("seen"), column("left"), (7305i32..21_915).prop_map(|d| Expr::Literal(Literal::Date(d)))];
    if depth == 0 { leaf.boxed() } else { prop_oneof![2 => leaf, 1 => choices(date(depth - 1), depth)].boxed() }
}

fn datetime() -> BoxedStrategy<Expr> {
    let literal = (631_152_000_000i64..1_893_456_000_000).prop_map(|t| Expr::Literal(Literal::Datetime(t)));
    prop_oneof![3 => column("at"), 1 => literal].boxed()
}

fn text(depth: u32) -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![3 => column("note"), 1 => text_literal().prop_map(Expr::Literal)];
    if depth == 0 { leaf.boxed() } else { prop_oneof![2 => leaf, 1 => choices(text(depth - 1), depth)].boxed() }
}

fn code(depth: u32) -> BoxedStrategy<Expr> {
    if depth == 0 {
        return column("cp");
    }
    let null_if = (code(depth - 1), code_literal().prop_map(Expr::Literal))
        .prop_map(|(of, equal)| Expr::NullIf { of: boxed(of), equal: boxed(equal) });
    prop_oneof![2 => column("cp"), 1 => null_if, 1 => choices(code(depth - 1), depth)].boxed()
}

fn level(depth: u32) -> BoxedStrategy<Expr> {
    let breaks = select(vec![vec![0.0], vec![-0.5, 0.0, 7.0], vec![30.0, 60.0, 90.0]]);
    let group = |column: &str, grouping: &str| {
        Just(Expr::Grouped { column: column.parse().unwrap(), grouping: grouping.to_owned() })
    };
    let between = prop_oneof![
        Just(None),
        Just(Some((10_000, 18_000))),
        (7_000i32..22_000, 0i32..400).prop_map(|(day, more)| Some((day, day + more)))
    ];
    let units = select(PeriodUnit::ALL.map(|(_, unit)| unit).to_vec());
    let period = (select(vec!["seen", "at"]), units, between).prop_map(|(column, unit, between)| {
        let spanning = |unit| Periods::spanning(column.parse().unwrap(), unit, between, &contract());
        // Forty years have too many weeks.
        Expr::Periods(spanning(unit).or_else(|_| spanning(PeriodUnit::Quarter)).unwrap())
    });
    prop_oneof![
        1 => period,
        2 => (number(depth), breaks).prop_map(|(of, breaks)| Expr::Cut { of: boxed(of), breaks }),
        1 => group("cp", "angina"),
        1 => group("age", "fine"),
    ]
    .boxed()
}

fn condition(depth: u32) -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![4 => column("smoker"), 1 => any::<bool>().prop_map(|b| Expr::Literal(Literal::Bool(b)))];
    if depth == 0 {
        return leaf.boxed();
    }
    let part = || condition(depth - 1);
    let compared = |of: BoxedStrategy<Expr>| {
        (comparison(), of.clone(), of).prop_map(|(op, left, right)| compare(op, left, right)).boxed()
    };
    let equality = select(vec![Comparison::Equal, Comparison::NotEqual]);
    let member = |of: BoxedStrategy<Expr>, list: BoxedStrategy<Literal>| {
        (of, vec(list, 1..4)).prop_map(|(of, list)| Expr::In { of: boxed(of), list }).boxed()
    };
    let nullable = prop_oneof![number(depth - 1), part(), text(depth - 1), code(depth - 1), date(depth - 1), level(0)];
    let beginning = (prop_oneof![text(depth - 1), code(depth - 1)], select(vec!["1", "x"]))
        .prop_map(|(of, prefix)| Expr::Prefix { of: boxed(of), prefix: prefix.to_owned() });
    prop_oneof![
        1 => leaf,
        1 => part().prop_map(|of| Expr::Not(boxed(of))),
        2 => vec(part(), 1..4).prop_map(Expr::And),
        2 => vec(part(), 1..4).prop_map(Expr::Or),
        3 => compared(number(depth - 1)),
        1 => compared(date(depth - 1)),
        1 => compared(datetime()),
        1 => compared(text(depth - 1)),
        1 => (equality.clone(), part(), part()).prop_map(|(op, left, right)| compare(op, left, right)),
        2 => (equality, code(depth - 1), code_literal().prop_map(Expr::Literal))
            .prop_map(|(op, left, right)| compare(op, left, right)),
        1 => member(number(depth - 1), number_literal().boxed()),
        1 => member(text(depth - 1), text_literal().boxed()),
        1 => member(code(depth - 1), code_literal().boxed()),
        1 => member(part(), any::<bool>().prop_map(Literal::Bool).boxed()),
        1 => member(date(0), (7305i32..21_915).prop_map(Literal::Date).boxed()),
        2 => nullable.prop_map(|of| Expr::IsNull(boxed(of))),
        1 => beginning,
        1 => choices(part(), depth),
    ]
    .boxed()
}

fn key() -> BoxedStrategy<Expr> {
    let label = select(vec!["low", "high", "odd"]).prop_map(|l| Expr::Literal(Literal::Text(l.to_owned()))).boxed();
    let labels = (vec((condition(2), label.clone()), 1..4), weighted(0.5, label)).prop_map(|(branches, otherwise)| {
        let branches = branches.into_iter().map(|(when, then)| Branch { when, then }).collect();
        Expr::Case { branches, otherwise: otherwise.map(boxed) }
    });
    prop_oneof![2 => code(1), 2 => condition(2), 2 => level(2), 1 => column("ca"), 1 => column("age"), 2 => labels]
        .boxed()
}

fn measure() -> BoxedStrategy<Measure> {
    let name = |n: &str| n.parse().unwrap();
    prop_oneof![
        select(vec!["age", "chol", "weight", "ca"]).prop_map(move |c| Measure::Column(name(c))),
        Just(Measure::Ln(name("weight"))),
        Just(Measure::Sqrt(name("age"))),
        Just(Measure::Days { from: name("seen"), to: name("left") }),
        Just(Measure::Product(name("chol"), name("ca"))),
        condition(2).prop_map(Measure::Condition),
        condition(2).prop_map(Measure::Condition),
    ]
    .boxed()
}

/// Conditions over the contract.
pub fn conditions() -> BoxedStrategy<Expr> {
    condition(3)
}

/// Plans of discovered keys over the contract; a few do not pass the checker.
pub fn discovered_plans() -> impl Strategy<Value = Plan> {
    (plans(), select(vec!["note", "cp", "ca", "age"])).prop_map(|(plan, key)| {
        let Statistic::Table(table) = plan.statistic else { panic!("a table") };
        Plan { statistic: Statistic::Discovered(Discovered { key: key.parse().unwrap(), table }), ..plan }
    })
}

/// Plans over the contract; a few do not pass the checker.
pub fn plans() -> impl Strategy<Value = Plan> {
    (weighted(0.7, condition(3)), vec(key(), 0..3), vec(measure(), 0..4)).prop_map(|(filter, by, measures)| {
        let contract = contract();
        let query = contract.rows(filter);
        Plan { query, statistic: Statistic::Table(Table { by, measures, roll_up: false }) }
    })
}

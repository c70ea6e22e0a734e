//! Random sites: a table of people, one of events, one of visits to which rows of both refer, and one with a row a person, under random contracts; and random cohorts over them.

use std::collections::BTreeMap;

use bocage_protocol::contract::{Contract, Kind, parse};
use bocage_protocol::ids::{ColumnName, ContractId, TableName};
use bocage_protocol::plan::{
    Comparison, DateUnit, Derived, Edge, Expr, Factor, Family, Feature, Fit, Gives, Link, Literal, Measure, Moment,
    Pick, Plan, Prediction, Query, RelatedTable, Rows, Statistic, Table, Window,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::linked::{Linked, linked};
use super::reference::Tables;
use crate::custodian::engine::interpreter::{Row, Value};

/// How a site's contracts are.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// A row a person.
    one_row: bool,
    /// Times are datetimes.
    datetime: bool,
    /// Values are whole numbers.
    whole: bool,
    /// Codes are texts.
    free: bool,
}

pub fn shapes() -> impl Strategy<Value = Shape> {
    let shape = |(one_row, datetime, whole, free)| Shape { one_row, datetime, whole, free };
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(shape)
}

const DATES: &str = "type = \"date\"\nrange = [\"1800-01-01\", \"2100-01-01\"]";
const DATETIMES: &str = "type = \"datetime\"\nrange = [\"1800-01-01T00:00:00Z\", \"2100-01-01T00:00:00Z\"]";
const VISIT: &str = "type = \"int\"\nrange = [0, 9]\nreferences = \"visits\"";
/// The key, and that two rows may have one.
const TWICE: &str =
    "type = \"int\"\nrange = [0, 9]\n[[rule]]\nname = \"twice\"\nkind = \"duplicate\"\ncolumns = [\"visit\"]";
const CODES: &str = "type = \"code\"\ncodes = [{ code = \"b\" }, { code = \"a\" }, { code = \"c\" }]";

impl Shape {
    fn times(self) -> &'static str {
        if self.datetime { DATETIMES } else { DATES }
    }

    /// The contract of people, of events, of homes, and of visits.
    pub fn contracts(self) -> [Contract; 4] {
        let column = |name: &str, kind: &str| format!("[[column]]\nname = \"{name}\"\n{kind}\n");
        let contract = |head: &str, columns: &[(&str, &str)]| {
            let columns: String = columns.iter().map(|(name, kind)| column(name, kind)).collect();
            let text =
                format!("subject = \"patient\"\n{head}\n[[column]]\nname = \"patient\"\ntype = \"text\"\n{columns}");
            parse(&text, "contract.toml").unwrap()
        };
        let value = if self.whole { "type = \"int\"\nrange = [-3, 20]" } else { "type = \"float\"\nrange = [-3, 20]" };
        let code = if self.free { "type = \"text\"" } else { CODES };
        let one_row = if self.one_row { "one_row_per_subject = true" } else { "" };
        [
            contract(
                &format!("id = \"people@1\"\nbirth = \"born\"\ntime = \"entered\"\n{one_row}"),
                &[
                    ("sex", "type = \"code\"\ncodes = [{ code = \"f\" }, { code = \"m\" }]"),
                    ("born", DATES),
                    ("entered", self.times()),
                    ("score", "type = \"float\"\nrange = [-10, 10]"),
                    ("visit", VISIT),
                ],
            ),
            contract(
                "id = \"events@1\"\ntime = \"at\"",
                &[
                    ("at", self.times()),
                    ("code", code),
                    ("value", value),
                    ("flag", "type = \"bool\""),
                    ("seen", DATES),
                    ("visit", VISIT),
                ],
            ),
            contract(
                "id = \"home@1\"\nbirth = \"born\"\none_row_per_subject = true",
                &[("born", self.times()), ("area", CODES), ("income", "type = \"float\"\nrange = [0, 100]")],
            ),
            contract(
                "id = \"visits@1\"\ntime = \"begin\"\nkey = \"visit\"",
                &[("visit", TWICE), ("begin", self.times()), ("ended", DATES), ("class", CODES), ("cost", value)],
            ),
        ]
    }
}

fn time(datetime: bool) -> BoxedStrategy<Value> {
    if !datetime {
        return (-2i32..2).prop_map(Value::Date).boxed();
    }
    // Few times, so that several rows have the same, about 1970, at midnight and right before.
    (-2i64..2, select(vec![0, 86_399_999])).prop_map(|(day, ms)| Value::Datetime(day * 86_400_000 + ms)).boxed()
}

fn named(values: Vec<(&'static str, Option<Value>)>) -> BTreeMap<String, Value> {
    values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn number(whole: bool) -> BoxedStrategy<Value> {
    let values = if whole { vec![-3.0, 0.0, 1.0, 2.0, 20.0] } else { vec![-3.0, -0.0, 0.0, 0.1, 0.2, 0.3, 1.5, 20.0] };
    select(values).prop_map(Value::Number).boxed()
}

/// Few, so that a patient has several rows of one, and refers to those of others.
fn visit() -> impl Strategy<Value = Value> {
    (0i32..6).prop_map(|visit| Value::Number(f64::from(visit)))
}

/// Born on days about which birthdays are difficult.
fn born() -> BoxedStrategy<Value> {
    let days = vec![-40_000, -25_509, -3594, -3593, -3592, -366, -365, -1, 0, 3];
    select(days).prop_map(Value::Date).boxed()
}

/// Now and then at an end of what is plausible.
fn score() -> impl Strategy<Value = Value> {
    prop_oneof![2 => -10.0..10.0f64, 1 => (-1i32..4).prop_map(f64::from)].prop_map(Value::Number)
}

fn text(texts: Vec<&'static str>) -> impl Strategy<Value = Value> {
    select(texts).prop_map(|text| Value::Text(text.to_owned()))
}

/// A site's tables. Their patients overlap.
pub fn sites() -> impl Strategy<Value = (Shape, Tables)> {
    shapes().prop_flat_map(|shape| {
        let Shape { datetime, whole, .. } = shape;
        let person = (
            weighted(0.8, text(vec!["f", "m"])),
            weighted(0.9, born()),
            weighted(0.8, time(datetime)),
            weighted(0.8, score()),
            weighted(0.8, visit()),
        );
        let event = (
            weighted(0.9, time(datetime)),
            weighted(0.9, text(vec!["a", "b", "c"])),
            weighted(0.8, number(whole)),
            weighted(0.8, any::<bool>().prop_map(Value::Bool)),
            weighted(0.8, (-6i32..6).prop_map(Value::Date)),
            weighted(0.8, visit()),
        );
        let home_born = if datetime { time(true) } else { born() };
        let home = (
            weighted(0.9, home_born),
            weighted(0.8, text(vec!["a", "b", "c"])),
            weighted(0.8, (0.0..100.0f64).prop_map(Value::Number)),
        );
        let visited = (
            weighted(0.9, visit()),
            weighted(0.9, time(datetime)),
            weighted(0.8, (-3i32..3).prop_map(Value::Date)),
            weighted(0.8, text(vec!["a", "b", "c"])),
            weighted(0.8, number(whole)),
        );
        // Few patients, so that each has several rows.
        let people = vec((0u32..6, person), 1..12);
        let events = vec((0u32..7, event), 0..80);
        let homes = vec((0u32..7, home), 0..8);
        let visits = vec((0u32..7, visited), 0..40);
        (people, events, homes, visits).prop_map(move |(people, events, homes, visits)| {
            let mut of = [vec![], vec![], vec![], vec![]];
            for (subject, (sex, born, entered, score, visit)) in people {
                let values =
                    vec![("sex", sex), ("born", born), ("entered", entered), ("score", score), ("visit", visit)];
                let values = named(values);
                of[0].push(Row { subject, values });
            }
            for (subject, (at, code, value, flag, seen, visit)) in events {
                let values = vec![
                    ("at", at),
                    ("code", code),
                    ("value", value),
                    ("flag", flag),
                    ("seen", seen),
                    ("visit", visit),
                ];
                let values = named(values);
                of[1].push(Row { subject, values });
            }
            for (subject, (born, area, income)) in homes {
                of[2].push(Row { subject, values: named(vec![("born", born), ("area", area), ("income", income)]) });
            }
            for (subject, (visit, begin, ended, class, cost)) in visits {
                let values =
                    vec![("visit", visit), ("begin", begin), ("ended", ended), ("class", class), ("cost", cost)];
                of[3].push(Row { subject, values: named(values) });
            }
            if shape.one_row {
                once(&mut of[0]);
            }
            once(&mut of[2]);
            let tables = shape.contracts().into_iter().zip(of);
            (shape, tables.map(|(contract, rows)| (contract.id().clone(), (contract, rows))).collect())
        })
    })
}

/// The first row of each patient.
fn once(rows: &mut Vec<Row>) {
    let mut seen = std::collections::BTreeSet::new();
    rows.retain(|row| seen.insert(row.subject));
}

pub fn people() -> ContractId {
    "people@1".parse().unwrap()
}

fn column(name: &str) -> Expr {
    Expr::Column(name.parse().unwrap())
}

fn compare(op: Comparison, left: Expr, right: Literal) -> Expr {
    Expr::Compare { op, left: Box::new(left), right: Box::new(Expr::Literal(right)) }
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

/// Conditions over events.
fn of_events() -> BoxedStrategy<Expr> {
    let codes = vec(select(vec!["a", "b", "c"]), 1..3).prop_map(|codes| Expr::In {
        of: Box::new(column("code")),
        list: codes.into_iter().map(|code| Literal::Text(code.to_owned())).collect(),
    });
    let leaf = prop_oneof![
        3 => codes,
        2 => (comparison(), select(vec![0.0, 0.2, 1.0, 2.0]))
            .prop_map(|(op, x)| compare(op, column("value"), Literal::Float(x))),
        1 => Just(column("flag")),
        1 => (comparison(), -6i32..6).prop_map(|(op, day)| compare(op, column("seen"), Literal::Date(day))),
        1 => select(vec!["at", "code", "value"]).prop_map(|name| Expr::IsNull(Box::new(column(name)))),
        1 => Just(Expr::Literal(Literal::Bool(true))),
    ];
    leaf.prop_recursive(2, 6, 3, |part| {
        prop_oneof![
            part.clone().prop_map(|of| Expr::Not(Box::new(of))),
            vec(part.clone(), 2..4).prop_map(Expr::And),
            vec(part, 2..4).prop_map(Expr::Or),
        ]
    })
    .boxed()
}

/// Which moment a window's end is reckoned from, and how many days after it.
type End = (usize, i32);

/// What a feature is made of before it is known which came before it.
#[derive(Debug, Clone)]
pub struct Draft {
    kind: usize,
    own: bool,
    filter: Option<Expr>,
    window: Option<(Option<End>, Option<End>)>,
    pick: usize,
    column: usize,
    at_least: u32,
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let edge = || weighted(0.7, (0usize..6, -2i32..3));
    let draft = (
        0usize..17,
        any::<bool>(),
        weighted(0.6, of_events()),
        weighted(0.5, (edge(), edge())),
        0usize..8,
        0usize..5,
        1u32..4,
    );
    let made = |(kind, own, filter, window, pick, column, at_least)| Draft {
        kind,
        own: own && kind % 3 == 0,
        filter,
        window,
        pick,
        column,
        at_least,
    };
    vec(draft.prop_map(made), 1..7)
}

impl Draft {
    fn finish(self, shape: Shape, (dates, numbers): (&[ColumnName], &[ColumnName]), at: usize) -> Feature {
        let (prediction, plausible) = (self.prediction(), self.plausible(numbers));
        let moment = |which: usize, days: i32| match (dates.get(which.wrapping_sub(2)), shape.one_row) {
            (Some(name), _) => Moment::Column(name.clone()),
            (None, true) if which % 2 == 1 => Moment::Column("entered".parse().unwrap()),
            _ => Moment::Date(days),
        };
        let edge = |(which, days): (usize, i32)| Edge { at: moment(which, -days), days };
        let window = self.window.map(|(from, to)| Window { from: from.map(edge), to: to.map(edge) });
        let window = window.filter(|window| window.from.is_some() || window.to.is_some());
        let (table, columns): (TableName, _) = match self.own {
            true => ("people".parse().unwrap(), ["score", "sex", "born", "entered", "score"]),
            false => ("events".parse().unwrap(), ["value", "code", "flag", "seen", "at"]),
        };
        let filter = self.filter.filter(|_| !self.own);
        let rows = Rows { table, filter, window };
        let column: ColumnName = columns[self.column].parse().unwrap();
        let ordered = !["code", "flag", "sex"].contains(&column.as_str());
        let pick = match self.pick {
            0..=2 => Pick::First,
            3 if ordered => Pick::Least,
            4 if ordered => Pick::Greatest,
            5 if ["value", "score"].contains(&column.as_str()) => Pick::Mean,
            _ => Pick::Last,
        };
        let of = match self.kind {
            0 | 1 => Derived::Has { rows, at_least: self.at_least },
            2 | 3 => Derived::Count { rows },
            4..=11 => Derived::Pick { pick, column, rows },
            12 => Derived::Value {
                table: "home".parse().unwrap(),
                column: ["area", "income", "born"][self.column % 3].parse().unwrap(),
            },
            15 => Derived::Predicted(Box::new(prediction)),
            16 => plausible,
            _ => Derived::Age {
                table: (self.kind == 13).then(|| "home".parse().unwrap()),
                at: match moment(self.column, [0, 59, 365][self.pick % 3]) {
                    // Of a row, where a patient has several.
                    Moment::Date(_) if self.at_least > 2 => Moment::Column("entered".parse().unwrap()),
                    moment => moment,
                },
            },
        };
        Feature { name: format!("made_{at}").parse().unwrap(), on: None, of }
    }

    /// Of the base's own score, or of an earlier feature.
    fn plausible(&self, numbers: &[ColumnName]) -> Derived {
        let column = numbers.get(self.column % (numbers.len() + 1)).cloned();
        // Any two of these have more than one number in common.
        let lo = -((self.pick % 2) as f64);
        let (column, hi) = (column.unwrap_or_else(|| "score".parse().unwrap()), f64::from(self.at_least));
        Derived::Plausible { column, lo, hi }
    }

    /// Of the base's own score, and whether it is high.
    fn prediction(&self) -> Prediction {
        let score: ColumnName = "score".parse().unwrap();
        let number = Factor::Number(Measure::Column(score.clone()));
        let high = Expr::Compare {
            op: Comparison::GreaterOrEqual,
            left: Box::new(Expr::Column(score)),
            right: Box::new(Expr::Literal(Literal::Int(self.column as i64))),
        };
        let high = Factor::Level { key: high, level: (self.pick % 2) as u32 };
        let (slope, linear) = (0.0411 * f64::from(self.at_least), self.column.is_multiple_of(2));
        Prediction {
            fit: Fit::Mean(if self.pick < 3 { Family::Gaussian } else { Family::Binomial(Link::Logit) }),
            columns: vec![vec![number.clone()], vec![], vec![number, high.clone()], vec![high]],
            // No value lies on an edge that is asked for.
            beta: vec![slope, -0.2517, -0.0313, 0.5031],
            gives: if linear { Gives::Linear } else { Gives::Mean },
            from: None,
            folds: vec![],
        }
    }
}

fn features(drafts: Vec<Draft>, linked: Vec<Linked>, shape: Shape) -> Vec<Feature> {
    let [people, events, home, _] = shape.contracts();
    let contracts: BTreeMap<TableName, &Contract> =
        [("people", &people), ("events", &events), ("home", &home)].map(|(n, c)| (n.parse().unwrap(), c)).into();
    let (mut features, mut dates, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for (at, draft) in drafts.into_iter().enumerate() {
        let feature = draft.finish(shape, (&dates, &numbers), at);
        let name = feature.name.clone();
        features.push(feature);
        match &people.extended(&features, &contracts).column(name.as_str()).unwrap().kind {
            Kind::Date { .. } | Kind::Datetime { .. } => dates.push(name),
            Kind::Int { .. } | Kind::Float { .. } if !matches!(features[at].of, Derived::Predicted(_)) => {
                numbers.push(name)
            }
            _ => {}
        }
    }
    features.extend(linked.into_iter().enumerate().flat_map(|(at, linked)| linked.finish(shape, at)));
    features
}

/// A question to each feature: a condition, a key, a measure.
pub fn use_of(name: &ColumnName, kind: &Kind, turn: usize) -> (Expr, Expr, Option<Measure>) {
    let of = || Expr::Column(name.clone());
    let cut = |of: Expr, breaks: Vec<f64>| Expr::Cut { of: Box::new(of), breaks };
    let known = Expr::Not(Box::new(Expr::IsNull(Box::new(of()))));
    match kind {
        Kind::Bool => (of(), of(), Some(Measure::Condition(of()))),
        Kind::Int { .. } | Kind::Float { .. } => {
            let condition = compare(Comparison::GreaterOrEqual, of(), Literal::Float([0.0, 1.0, 2.0][turn % 3]));
            (condition, cut(of(), vec![0.0, 0.2, 1.5, 3.0]), Some(Measure::Column(name.clone())))
        }
        Kind::Date { .. } => {
            let since = Expr::Between {
                unit: DateUnit::Days,
                from: Box::new(Expr::Literal(Literal::Date(-2))),
                to: Box::new(of()),
            };
            (compare(Comparison::Less, of(), Literal::Date(2)), cut(since, vec![0.0, 2.0, 5.0]), None)
        }
        Kind::Datetime { .. } => (compare(Comparison::Less, of(), Literal::Datetime(43_200_000)), known, None),
        Kind::Code { .. } => (known, of(), None),
        Kind::Text => (known, Expr::Prefix { of: Box::new(of()), prefix: "a".to_owned() }, None),
    }
}

/// A cohort over a site: features, a filter over some, keys and measures over others.
pub fn cohorts() -> impl Strategy<Value = (Tables, Plan)> {
    (sites(), drafts(), linked(), vec(0usize..12, 8)).prop_map(|((shape, tables), drafts, linked, turns)| {
        let [people, events, home, visits] = shape.contracts();
        let features = features(drafts, linked, shape);
        let contracts: BTreeMap<TableName, &Contract> =
            [("people", &people), ("events", &events), ("home", &home), ("visits", &visits)]
                .map(|(n, c)| (n.parse().unwrap(), c))
                .into();
        let extended = people.extended(&features, &contracts);
        let (mut conditions, mut by, mut measures) = (vec![], vec![column("sex")], vec![]);
        for (feature, turn) in features.iter().filter(|feature| feature.on.is_none()).zip(&turns) {
            let kind = &extended.column(feature.name.as_str()).unwrap().kind;
            let (condition, key, measure) = use_of(&feature.name, kind, *turn);
            // A prediction is not summed, and a sum's bounds show in nothing but its sum over patients.
            let measure = measure.filter(|_| !matches!(feature.of, Derived::Predicted(_)));
            match if matches!(feature.of, Derived::Sum { .. }) { 3 } else { turn % 4 } {
                0 => conditions.push(condition),
                1 if by.len() < 3 => by.push(key),
                2 => measures.push(Measure::Condition(condition)),
                _ => measures.push(measure.unwrap_or(Measure::Condition(condition))),
            }
        }
        if turns[5] % 2 == 0 {
            by.remove(0);
        }
        let related = contracts.iter().map(|(name, contract)| {
            (name.clone(), RelatedTable { dataset: contract.id().clone(), contract: contract.hash() })
        });
        let filter = (!conditions.is_empty()).then(|| match conditions.len() {
            1 => conditions.remove(0),
            _ => Expr::And(conditions),
        });
        let query = Query {
            dataset: people.id().clone(),
            contract: people.hash(),
            related: related.collect(),
            features,
            filter,
        };
        (tables, Plan { query, statistic: Statistic::Table(Table { by, measures, roll_up: false }) })
    })
}

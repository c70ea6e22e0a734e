//! Random features of rows: what stands in the row that a row refers to, what lies about a row, and patients' sums; each with what a study makes of it.

use bocage_protocol::contract::Kind;
use bocage_protocol::ids::{ColumnName, TableName};
use bocage_protocol::plan::{Derived, Edge, Expr, Feature, Literal, Moment, Pick, Rows, Window};
use proptest::option::weighted;
use proptest::prelude::*;

use super::generate::{Shape, use_of};

/// What is made, before it has a name.
#[derive(Debug, Clone)]
pub struct Linked {
    what: usize,
    column: usize,
    pick: usize,
    turn: usize,
    at_least: u32,
    counted: bool,
    from: Option<i32>,
    to: Option<i32>,
    class: Option<&'static str>,
}

pub fn linked() -> impl Strategy<Value = Vec<Linked>> {
    let days = || weighted(0.8, -2i32..3);
    let class = weighted(0.4, proptest::sample::select(vec!["a", "b", "c"]));
    let linked = (0usize..12, 0usize..4, 0usize..3, 0usize..12, 1u32..4, any::<bool>(), days(), days(), class);
    let made = |(what, column, pick, turn, at_least, counted, from, to, class)| Linked {
        what,
        column,
        pick,
        turn,
        at_least,
        counted,
        from,
        to,
        class,
    };
    proptest::collection::vec(linked.prop_map(made), 1..4)
}

fn named(name: String) -> ColumnName {
    name.parse().unwrap()
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn rows(name: &str, filter: Option<Expr>, window: Option<Window>) -> Rows {
    Rows { table: table(name), filter, window }
}

impl Linked {
    /// A column of visits, and its kind.
    fn of_visit(&self, shape: Shape) -> (ColumnName, Kind) {
        let name = ["class", "cost", "begin", "ended"][self.column];
        let [_, _, _, visits] = shape.contracts();
        (name.parse().unwrap(), visits.column(name).unwrap().kind.clone())
    }

    fn class(&self) -> Option<Expr> {
        let is = |code: &str| Expr::In {
            of: Box::new(Expr::Column("class".parse().unwrap())),
            list: vec![Literal::Text(code.to_owned())],
        };
        self.class.map(is)
    }

    /// Days about a column of the row.
    fn about(&self, column: &str) -> Option<Window> {
        let edge = |days| Edge { at: Moment::Column(column.parse().unwrap()), days };
        let window = Window { from: self.from.map(edge), to: self.to.map(edge) };
        (window.from.is_some() || window.to.is_some()).then_some(window)
    }

    /// Whether there are so many, or how many.
    fn some(&self, rows: Rows) -> (Derived, Kind) {
        match self.counted {
            true => (Derived::Count { rows }, Kind::Int { lo: 0, hi: 10_000 }),
            false => (Derived::Has { rows, at_least: self.at_least }, Kind::Bool),
        }
    }

    /// The features, those of rows before that of the patient.
    pub fn finish(self, shape: Shape, at: usize) -> Vec<Feature> {
        let (inner, outer) = (named(format!("inner_{at}")), named(format!("outer_{at}")));
        let (column, kind) = self.of_visit(shape);
        let through = || "visit".parse().unwrap();
        let reached = |column: ColumnName| Derived::Reached { through: through(), table: table("visits"), column };
        let of_rows = |on: &str, of: Derived| Feature { name: inner.clone(), on: Some(table(on)), of };
        let is = |kind: &Kind| Some(use_of(&inner, kind, self.turn).0);
        let of_patient = |of: Derived| Feature { name: outer.clone(), on: None, of };
        match self.what {
            0 => vec![of_patient(reached(column))],
            1 => {
                let whole = self.some(rows("events", is(&kind), None)).0;
                vec![of_rows("events", reached(column)), of_patient(whole)]
            }
            2 => {
                let pick = [Pick::First, Pick::Last, Pick::First][self.pick];
                let picked = Derived::Pick { pick, column: inner.clone(), rows: rows("events", None, None) };
                vec![of_rows("events", reached(column)), of_patient(picked)]
            }
            3 => {
                let (some, kind) = self.some(rows("visits", self.class(), self.about("at")));
                vec![of_rows("events", some), of_patient(Derived::Count { rows: rows("events", is(&kind), None) })]
            }
            4 | 9 | 11 => {
                let (some, kind) = self.some(rows(
                    "visits",
                    self.class(),
                    self.about(["begin", "ended"][usize::from(self.what == 4)]),
                ));
                vec![of_rows("visits", some), of_patient(Derived::Count { rows: rows("visits", is(&kind), None) })]
            }
            5 => vec![of_patient(self.some(rows("visits", self.class(), self.about("entered"))).0)],
            6 => vec![of_patient(self.some(rows("people", None, self.about("entered"))).0)],
            7 | 10 => {
                let (name, column) = [("visits", "cost"), ("events", "value")][self.pick.min(1)];
                let (column, filter) = (column.parse().unwrap(), self.class().filter(|_| name == "visits"));
                vec![of_patient(Derived::Sum { column, rows: rows(name, filter, None), at_most: 1 })]
            }
            _ => {
                // A window about a day that stands in another row.
                let date = of_rows("events", reached(["begin", "ended"][self.pick % 2].parse().unwrap()));
                let near = named(format!("near_{at}"));
                let (some, kind) = self.some(rows("visits", self.class(), self.about(inner.as_str())));
                let there = Some(use_of(&near, &kind, self.turn).0);
                let near = Feature { name: near, on: Some(table("events")), of: some };
                vec![date, near, of_patient(Derived::Count { rows: rows("events", there, None) })]
            }
        }
    }
}

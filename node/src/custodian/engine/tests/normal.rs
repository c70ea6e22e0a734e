//! The normal form of a condition against the interpreter: other words, the same rows.

use bocage_protocol::plan::{Comparison, Expr, Literal, normal};
use proptest::prelude::*;

use super::super::interpreter::{Row, Value, value};
use super::cases;
use super::generate::{conditions, contract, rows};

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_normal_form_of_a_condition_says_the_same_of_every_row(rows in rows(12), condition in conditions()) {
        let contract = contract();
        let normal_form = normal(&condition, &contract);
        for row in &rows {
            prop_assert_eq!(value(&normal_form, row, &contract), value(&condition, row, &contract), "{:?}", normal_form);
        }
        prop_assert_eq!(normal(&normal_form, &contract), normal_form);
    }
}

#[test]
fn whole_numbers_and_days_around_a_constant_are_told_apart_as_before_and_twelve_ways_are_two() {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let contract = contract();
    let constants = (-4i32..=6).map(|halves| ("ca", Literal::Float(f64::from(halves) / 2.0)));
    let constants = constants.chain((-2..=3).map(|i| ("ca", Literal::Int(i))));
    let constants: Vec<_> = constants.chain((10_000..10_003).map(|day| ("seen", Literal::Date(day)))).collect();
    let values = (-1..=3).map(|i| ("ca", Value::Number(f64::from(i))));
    let values = values.chain((9_998..10_005).map(|day| ("seen", Value::Date(day))));
    let mut rows: Vec<Row> =
        values.map(|(of, value)| Row { subject: 0, values: [(of.to_owned(), value)].into() }).collect();
    rows.push(Row { subject: 0, values: [].into() });
    let boxed = |expr: &Expr| Box::new(expr.clone());
    for (of, constant) in constants {
        let (column, constant) = (Expr::Column(of.parse().unwrap()), Expr::Literal(constant));
        for op in [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual] {
            for (left, right) in [(&column, &constant), (&constant, &column)] {
                let written = Expr::Compare { op, left: boxed(left), right: boxed(right) };
                for written in [Expr::Not(boxed(&written)), written] {
                    let form = normal(&written, &contract);
                    let told = |expr: &Expr| rows.iter().map(|row| value(expr, row, &contract)).collect::<Vec<_>>();
                    assert_eq!(told(&form), told(&written), "{written:?}: {form:?}");
                    let Expr::Compare { op, .. } = form else { panic!("{form:?}") };
                    assert!(matches!(op, Equal | NotEqual | Less | GreaterOrEqual), "{form:?}");
                }
            }
        }
    }
}

//! The normal form of a condition against the interpreter: other words, the same rows.

use bocage_protocol::plan::normal;
use proptest::prelude::*;

use super::super::interpreter::value;
use super::cases;
use super::generate::{conditions, contract, rows};

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_normal_form_of_a_condition_says_the_same_of_every_row(rows in rows(12), condition in conditions()) {
        let (contract, normal_form) = (contract(), normal(&condition));
        for row in &rows {
            prop_assert_eq!(value(&normal_form, row, &contract), value(&condition, row, &contract), "{:?}", normal_form);
        }
        prop_assert_eq!(normal(&normal_form), normal_form);
    }
}

//! Histograms and cross-tabulations against all rows in the clear.

use bocage_protocol::plan::MISSING;
use proptest::prelude::*;

use super::patients::{LetOut, Patient, Site, assert_holds, hidden_at, let_out, one, plans, pooled, shown, sites};
use crate::analysis::{Answer, Driver, Next, SiteAnswer};
use crate::api::types::{Block, HiddenReason, Interval, Value};
use crate::bench;

const HISTOGRAM: &str =
    "[[analysis]]\nname = \"h\"\nhistogram = { of = \"chol\", bins = [200, 300], by = [\"sex\"] }\n";
const CROSSTAB: &str = "[[analysis]]\nname = \"c\"\ncrosstab = { rows = \"sex\", columns = \"sick\" }\n";

fn text(block: &Block, row: usize) -> Vec<&str> {
    let texts = block.rows[row].iter().map_while(|value| match value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_histograms_intervals_hold_the_pooled_counts(sites in sites(), min_sites in 1_u32..4) {
        let result = one(HISTOGRAM, &sites, min_sites);
        let block = &result.block;
        prop_assert_eq!(&block.columns, &["sex", "chol", "from", "to", "count"]);
        prop_assert_eq!(block.rows.len(), 8);
        for row in 0..8 {
            let edges = (shown(block, row, 2), shown(block, row, 3));
            let is_in = |patient: &&Patient| match patient.chol {
                None => text(block, row)[1] == MISSING,
                Some(x) => {
                    text(block, row)[1] != MISSING && edges.0.is_none_or(|from| from <= x) && edges.1.is_none_or(|to| x < to)
                }
            };
            let all = pooled(&sites);
            let own = all.iter().filter(|p| text(block, row)[0] == if p.male { "male" } else { "female" });
            assert_holds(block, row, 4, own.filter(is_in).count() as u64);
        }
    }

    #[test]
    fn a_crosstabs_intervals_and_totals_hold_the_pooled_counts(sites in sites(), min_sites in 1_u32..4) {
        let result = one(CROSSTAB, &sites, min_sites);
        let block = &result.block;
        prop_assert_eq!(&block.columns, &["sex by sick", "false", "true", MISSING, "total"]);
        let all = pooled(&sites);
        let columns = [Some(Some(false)), Some(Some(true)), Some(None), None];
        for (row, male) in [Some(false), Some(true), None].into_iter().enumerate() {
            for (column, sick) in columns.iter().enumerate() {
                let is_in = |p: &&Patient| male.is_none_or(|m| m == p.male) && sick.is_none_or(|s| s == p.sick);
                assert_holds(block, row, column + 1, all.iter().filter(is_in).count() as u64);
            }
        }
        let exact = (0..2).all(|row| (1..3).all(|column| matches!(block.rows[row][column], Value::Count(_))));
        let test = &result.also[1].block;
        prop_assert_eq!(exact, shown(test, 0, 1).is_some(), "a test needs every cell and nothing else");
        if exact {
            let n = |male: bool, sick: bool| all.iter().filter(|p| p.male == male && p.sick == Some(sick)).count() as f64;
            let (a, b, c, d) = (n(false, false), n(false, true), n(true, false), n(true, true));
            let chi2 = (a + b + c + d) * (a * d - b * c).powi(2) / ((a + b) * (c + d) * (a + c) * (b + d));
            prop_assert!((shown(test, 0, 1).unwrap() - chi2).abs() < 1e-9 * chi2.max(1.0));
        } else {
            prop_assert_eq!(hidden_at(test, 2, 1).reason, HiddenReason::NotAllExact);
            prop_assert!(result.notes.iter().any(|note| note.starts_with("no test: it needs every cell exactly")));
        }
    }
}

/// So many women and men, healthy and sick.
fn four(k: u32, healthy_women: usize, sick_women: usize, healthy_men: usize, sick_men: usize) -> Site {
    let of = |n: usize, male: bool, sick: bool| {
        std::iter::repeat_n(Patient { age: 50, male, chol: None, sick: Some(sick) }, n)
    };
    let women = of(healthy_women, false, false).chain(of(sick_women, false, true));
    Site { patients: women.chain(of(healthy_men, true, false)).chain(of(sick_men, true, true)).collect(), k }
}

#[test]
fn a_crosstab_of_exact_cells_has_expected_counts_and_a_test() {
    let sites = [four(5, 20, 10, 15, 30), four(5, 12, 5, 9, 11)];
    let result = one(CROSSTAB, &sites, 2);
    assert_eq!(result.kind, "crosstab");
    let row = |row: usize| result.block.rows[row][1..3].to_vec();
    assert_eq!((row(0), row(1)), (vec![Value::Count(32), Value::Count(15)], vec![Value::Count(24), Value::Count(41)]));
    let expected = &result.also[0].block;
    assert!((shown(expected, 0, 1).unwrap() - 47.0 * 56.0 / 112.0).abs() < 1e-12);
    let test = &result.also[1].block;
    let chi2 = 112.0 * (32.0 * 41.0 - 15.0 * 24.0_f64).powi(2) / (47.0 * 65.0 * 56.0 * 56.0);
    assert!((shown(test, 0, 1).unwrap() - chi2).abs() < 1e-9);
    assert_eq!(shown(test, 1, 1), Some(1.0));
    assert!((shown(test, 3, 1).unwrap() - (chi2 / 112.0).sqrt()).abs() < 1e-12);
    assert!(result.notes.contains(&"expected counts and the test leave out who has a missing value".to_owned()));
}

#[test]
fn a_crosstabs_totals_are_no_intervals_of_one_number() {
    // All of four patients, which is a power of two, stand in two cells: nobody is left for the others.
    let result = one(CROSSTAB, &[four(1, 2, 0, 0, 2)], 1);
    assert_eq!(result.block.rows[0][1], Value::Count(2));
    for row in 0..3 {
        for (column, truth) in [(1, 2), (2, 2), (3, 0), (4, 4)] {
            let truth = match (row, column) {
                (2, _) => truth,
                (0, 1 | 4) | (1, 2 | 4) => 2,
                _ => 0,
            };
            assert_holds(&result.block, row, column, truth);
        }
    }
}

#[test]
fn cells_that_share_patients_have_no_totals_and_no_test() {
    let several = "subject = \"patient\"\n[[column]]\nname = \"patient\"\ntype = \"text\"";
    let contract = bench::CONTRACT.replace("subject = \"row\"", several);
    let contract = bocage_protocol::contract::parse(&contract, "heart.toml").unwrap();
    let (spec, plan) = plans(CROSSTAB).remove(0);
    let LetOut::Table(release) = let_out(&four(5, 20, 10, 15, 30), &plan, &|_| 0) else { panic!("a table") };
    let site = bench::site("cleveland");
    let answers = [SiteAnswer { site: &site, answer: Answer::Table(&release) }];
    let Next::Publish(result) = Driver::new(&spec, &plan, &contract, 1).unwrap().step(&answers) else { panic!() };
    assert_eq!(result.block.columns, ["sex by sick", "false", "true", MISSING]);
    assert_eq!((result.block.rows.len(), &result.block.rows[0][1]), (2, &Value::Count(20)));
    assert_eq!(hidden_at(&result.also[1].block, 0, 1).reason, HiddenReason::NotAllExact);
    assert!(result.notes[0].starts_with("no totals and no test"), "{:?}", result.notes);
}

#[test]
fn one_hidden_cell_makes_the_totals_intervals_and_leaves_no_test() {
    let sites = [four(5, 20, 4, 15, 30), four(5, 12, 5, 9, 11)];
    let result = one(CROSSTAB, &sites, 1);
    assert_eq!(hidden_at(&result.block, 0, 2).interval, Some(Interval(5, Some(9))));
    assert_eq!(hidden_at(&result.block, 2, 2).interval, Some(Interval(46, Some(50))));
    assert_eq!(result.block.rows[2][1], Value::Count(56), "the other column is exact");
    assert_eq!(hidden_at(&result.also[1].block, 0, 1).reason, HiddenReason::NotAllExact);
    assert_eq!(hidden_at(&result.also[0].block, 1, 1).reason, HiddenReason::NotAllExact);
}

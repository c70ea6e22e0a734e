//! An attacker who solves n, Σx and Σx² for the values: what works against a gate that shows every sum, and is hidden by ours.

use bocage_protocol::contract::parse;
use bocage_protocol::plan::{Measure, MeasureLayout, Plan, Quantum, Statistic, Table};
use bocage_protocol::release::{CellRelease, MeasureRelease};
use bocage_protocol::tally::{Cell, Size, Sums, Tally};

use super::super::tests::let_out_counted;
use super::super::*;

const K: u32 = 11;

const CONTRACT: &str = r#"
    id = "demo@1"
    subject = "row"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    [[column]]
    name = "weight"
    type = "float"
    range = [0, 300]
    [[column]]
    name = "flag"
    type = "float"
    range = [0, 1]
"#;

fn column(name: &str) -> Measure {
    Measure::Column(name.parse().unwrap())
}

/// What an attacker sees of the one cell of a table, and how numbers became quanta. `looks` says whether the gate looks at the values.
fn ask(measure: Measure, values: &[f64], looks: bool) -> (MeasureRelease, Quantum) {
    let contract = parse(CONTRACT, "demo.toml").unwrap();
    let query = contract.rows(None);
    let table = Table { by: vec![], measures: vec![measure], roll_up: false };
    let plan = ValidPlan::check(Plan { query, statistic: Statistic::Table(table) }, &contract).unwrap();
    let MeasureLayout::Number(quantum) = plan.layout().measures()[0] else { panic!("no number") };
    let n = Size { subjects: values.len() as i128, rows: values.len() as i128 };
    let (mut sum, mut sum_sq, mut spread) = (0, 0, Spread::new(K));
    for value in values {
        let q = quantum.quanta(*value).unwrap();
        sum += i128::from(q);
        sum_sq += i128::from(q) * i128::from(q);
        spread.add(q, 1, K);
    }
    let cell = Cell { size: n, measures: vec![Sums::Number { valid: n, sum, sum_sq }] };
    let spread = if looks { spread } else { Spread::Wide };
    let tally = Tally { total: n, cells: vec![cell] };
    let counted = Counted { threshold: K, tally, details: vec![Detail::Number(vec![spread])] };
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    let release = let_out_counted(counted, &plan, &contract, &policy);
    let [CellRelease::Shown { measures, .. }] = release.cells.as_slice() else { panic!("the cell is hidden") };
    (measures[0].clone(), quantum)
}

/// Every way in which so many subjects can have these values and lead to these sums.
fn solutions(values: &[f64; 3], (seen, quantum): &(MeasureRelease, Quantum)) -> Vec<[u64; 3]> {
    let MeasureRelease::Number { valid, sum, sum_sq } = seen else { return Vec::new() };
    let q = values.map(|x| i128::from(quantum.quanta(x).unwrap()));
    let n = valid.subjects;
    let counts = (0..=n).flat_map(|a| (0..=n - a).map(move |b| [a, b, n - a - b]));
    let fits = |counts: &[u64; 3]| {
        let of = |power: u32| q.iter().zip(counts).map(|(q, n)| q.pow(power) * i128::from(*n)).sum::<i128>();
        of(1) == *sum && of(2) == *sum_sq
    };
    counts.filter(fits).collect()
}

fn times(counts: [usize; 3], values: [f64; 3]) -> Vec<f64> {
    counts.into_iter().zip(values).flat_map(|(n, x)| std::iter::repeat_n(x, n)).collect()
}

#[test]
fn the_weight_of_the_one_patient_with_a_flag_does_not_leave_in_a_product() {
    let product = || Measure::Product("weight".parse().unwrap(), "flag".parse().unwrap());
    let values: Vec<f64> = std::iter::repeat_n(0.0, 199).chain([44.46]).collect();
    let (seen, quantum) = ask(product(), &values, false);
    let MeasureRelease::Number { valid, sum, .. } = seen else { panic!("hidden") };
    assert!((quantum.sum(valid.rows, sum) - 44.46).abs() < 1e-4, "a careless gate gives the weight away");
    assert_eq!(ask(product(), &values, true).0, MeasureRelease::Hidden);
}

#[test]
fn who_has_a_flag_written_as_a_number_is_not_counted_by_its_sum() {
    let values: Vec<f64> = std::iter::repeat_n(0.0, 199).chain([1.0]).collect();
    let (seen, quantum) = ask(column("flag"), &values, false);
    let MeasureRelease::Number { valid, sum, .. } = seen else { panic!("hidden") };
    assert!((quantum.sum(valid.rows, sum) - 1.0).abs() < 1e-6, "a careless gate says that it is one patient");
    assert_eq!(ask(column("flag"), &values, true).0, MeasureRelease::Hidden);
    let many: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
    assert_eq!(ask(column("flag"), &many, true).0, MeasureRelease::Hidden, "two values are two counts");
}

#[test]
fn three_ages_are_not_solved_for_how_often_each_occurs() {
    let ages = [71.0, 72.0, 73.0];
    for counts in [[1, 5, 6], [1, 14, 15], [100, 200, 300]] {
        let values = times(counts, ages);
        assert_eq!(solutions(&ages, &ask(column("age"), &values, false)), [counts.map(|n| n as u64)]);
        assert_eq!(ask(column("age"), &values, true).0, MeasureRelease::Hidden, "{counts:?}");
    }
}

#[test]
fn ages_that_differ_enough_are_summed() {
    let ages: Vec<f64> = (0..40).map(|i| f64::from(50 + i % 9)).collect();
    let seen = ask(column("age"), &ages, true).0;
    assert!(matches!(seen, MeasureRelease::Number { .. }), "{seen:?}");
    assert_eq!(seen, ask(column("age"), &ages, false).0, "and unchanged");
}

//! One patient's value in a sum.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::plan::Quantum;
use bocage_protocol::release::CellRelease;

use super::cells::answer;
use super::scenario::Family;
use super::ward::{Patient, Sums, keys, patients, sums, table, twenty};

/// A cohort of thirty with weights that differ; the one at 17 is the target.
fn thirty(target: impl Fn(Patient) -> Patient) -> Vec<Patient> {
    let ordinary = |i: usize| Patient { age: 30 + i as i64, weight: Some(60.0 + i as f64), ..Patient::default() };
    patients(30, |i| if i == 17 { target(ordinary(i)) } else { ordinary(i) })
}

const TARGETS_WEIGHT: f64 = 77.0;

/// The sums that a measure has in the cells of a table.
fn ask(rows: &[Patient], on: Controls, filter: &str, by: &str, measure: &str, quantum: Quantum) -> Vec<Sums> {
    let outcome = answer(rows, on, filter, &format!("table = {{ by = [{by}], show = ['count', '{measure}'] }}"));
    table(&outcome).cells.iter().filter_map(|cell| sums(cell, quantum)).collect()
}

fn floats(lo: f64, hi: f64) -> Quantum {
    Quantum::of_float_range(lo, hi)
}

fn near(x: f64, y: f64) -> bool {
    (x - y).abs() < 1e-3
}

/// Ages 71, 72 and 73, this often.
fn three_ages(times: [usize; 3]) -> Vec<Patient> {
    let ages = [71, 72, 73].into_iter().zip(times);
    ages.flat_map(|(age, n)| patients(n, move |_| Patient { age, ..Patient::default() })).collect()
}

/// Every way in which n patients of these ages lead to these sums.
fn solutions(s: Sums) -> Vec<[u64; 3]> {
    let n = s.n as u64;
    let counts = (0..=n).flat_map(|a| (0..=n - a).map(move |b| [a, b, n - a - b]));
    let sum = |counts: &[u64; 3], power: i32| {
        counts.iter().zip([71f64, 72.0, 73.0]).map(|(n, x)| *n as f64 * x.powi(power)).sum::<f64>()
    };
    counts.filter(|c| near(sum(c, 1), s.sum) && near(sum(c, 2), s.sum_sq)).collect()
}

fn solved(cells: &[Sums], times: [u64; 3]) -> bool {
    cells.iter().any(|s| solutions(*s) == [times])
}

pub fn family() -> Family {
    let ages = Quantum::of_int_range(0, 120);
    Family::new("values in sums")
        .against(Control::ValueSpread, "a product with the flag of one patient is that patient's weight", |on| {
            let rows = thirty(|p| Patient { flag: 1.0, ..p });
            ask(&rows, on, "", "", "sum(weight * flag)", floats(0.0, 300.0)).iter().any(|s| near(s.sum, TARGETS_WEIGHT))
        })
        .against(Control::ValueSpread, "the sum of a flag counts those who have it", |on| {
            ask(&thirty(|p| Patient { flag: 1.0, ..p }), on, "", "", "sum(flag)", floats(0.0, 1.0))
                .iter()
                .any(|s| near(s.sum, 1.0))
        })
        .against(Control::ValueSpread, "the square root of a flag counts them too", |on| {
            ask(&thirty(|p| Patient { flag: 1.0, ..p }), on, "", "", "sum(sqrt(flag))", floats(0.0, 1.0))
                .iter()
                .any(|s| near(s.sum, 1.0))
        })
        .against(Control::ValueSpread, "the logarithm of what is 1 for all but one patient", |on| {
            let range = floats(0.0, 1000f64.ln());
            ask(&thirty(|p| Patient { dose: 40.0, ..p }), on, "", "", "sum(ln(dose))", range)
                .iter()
                .any(|s| near(s.sum.exp(), 40.0))
        })
        .against(Control::ValueSpread, "a filter leaves three ages, which their sums solve for", move |on| {
            let mut rows = three_ages([1, 5, 6]);
            rows.extend(twenty());
            solved(&ask(&rows, on, "age between 71 and 73", "", "mean(age)", ages), [1, 5, 6])
        })
        .against(Control::ValueSpread, "a band of three ages does it without a filter", move |on| {
            let mut rows = three_ages([1, 14, 15]);
            rows.extend(twenty());
            solved(&ask(&rows, on, "age is not null", "'cut(age, 71, 74)'", "mean(age)", ages), [1, 14, 15])
        })
        .against(Control::ValueSpread, "all weigh the same but one", |on| {
            let mut rows = patients(29, |_| Patient::default());
            rows.push(Patient { weight: Some(131.0), ..Patient::default() });
            let outlier = |s: &Sums| {
                let mean = s.sum / s.n;
                mean + ((s.sum_sq / s.n - mean * mean) * (s.n - 1.0)).sqrt()
            };
            ask(&rows, on, "", "", "mean(weight)", floats(0.0, 300.0)).iter().any(|s| (outlier(s) - 131.0).abs() < 0.1)
        })
        .against(Control::ValueSpread, "one stay is longer than all others", |on| {
            let stays = Quantum::of_int_range(-730, 730);
            ask(&thirty(|p| Patient { stay: 27, ..p }), on, "", "", "sum(days_between(admitted, discharged))", stays)
                .iter()
                .any(|s| near(s.sum - 2.0 * (s.n - 1.0), 27.0))
        })
        .against(Control::ValueSpread, "a sum beside a discovered key", |on| {
            let rows = thirty(|p| Patient { flag: 1.0, ..p });
            let outcome = answer(
                &rows,
                on,
                "",
                "table = { by = ['discovered(diagnosis)'], show = ['count', 'sum(weight * flag)'] }",
            );
            let cells = keys(&outcome).keys.iter().flat_map(|key| &key.cells);
            cells.filter_map(|cell: &CellRelease| sums(cell, floats(0.0, 300.0))).any(|s| near(s.sum, TARGETS_WEIGHT))
        })
        .against(Control::Threshold, "the mean of the one value that a cell has", |on| {
            let rows = patients(30, |i| Patient { weight: (i == 17).then_some(TARGETS_WEIGHT), ..Patient::default() });
            ask(&rows, on, "", "", "mean(weight)", floats(0.0, 300.0)).iter().any(|s| near(s.sum, TARGETS_WEIGHT))
        })
        .against(Control::Threshold, "the mean of a cohort of one", |on| {
            let filter = "age = 47";
            ask(&thirty(|p| p), on, filter, "", "mean(weight)", floats(0.0, 300.0))
                .iter()
                .any(|s| near(s.sum, TARGETS_WEIGHT))
        })
}

//! What succeeds although every control is on, because mode `exact` invites it or because what stops it is not built. `docs/PRIVACY.md` says so.

use bocage_node::custodian::Controls;
use bocage_protocol::plan::Quantum;
use bocage_protocol::release::Outcome;

use super::hospital::{Desk, Hospital};
use super::scenario::Open;
use super::ward::{Patient, counts, csv, sides, sums, table, twenty, twenty_and};

const COUNT: &str = "table = { show = ['count'] }";
const EXACT: &str = "mode `exact` has no cohort snapping";
const ONE_TABLE: &str = "the interval rule looks at one table";

fn target() -> Patient {
    Patient { area: "b", sex: "1", age: 111, weight: Some(250.0), ..Patient::default() }
}

fn with_target<T>(attack: impl FnOnce(&Desk<'_>) -> T) -> T {
    attack(&Hospital::ward(&twenty_and(target())).open(Controls::default()))
}

fn cell(outcome: &Outcome, at: usize) -> u64 {
    counts(table(outcome))[at].expect("a cell that is shown")
}

fn two_cohorts() -> bool {
    with_target(|desk| {
        let all = desk.one("", COUNT);
        let but_one = desk.one("age < 111", COUNT);
        cell(&all, 0) - cell(&but_one, 0) == 1
    })
}

fn the_weight_by_two_cohorts() -> bool {
    let weights = Quantum::of_float_range(0.0, 300.0);
    with_target(|desk| {
        let sum = |filter| {
            sums(&table(&desk.one(filter, "table = { show = ['sum(weight)'] }")).cells[0], weights).expect("sums").sum
        };
        (sum("") - sum("age < 111") - 250.0).abs() < 1e-3
    })
}

fn two_snapshots() -> bool {
    let hospital = Hospital::ward(&twenty());
    let desk = hospital.open(Controls::default());
    let before = desk.one("", COUNT);
    hospital.replace_data(&csv(&twenty_and(target())));
    hospital.refresh().expect("a snapshot");
    cell(&desk.one("", COUNT), 0) - cell(&before, 0) == 1
}

fn a_second_table() -> bool {
    with_target(|desk| {
        let by_sex = "[[analysis]]\nname = 'a'\ntable = { by = ['sex'], show = ['count'] }\n";
        let all = desk.ask("", &format!("{by_sex}[[analysis]]\nname = 'b'\n{COUNT}\n"));
        cell(&all[1], 0) - cell(&all[0], 0) == 1
    })
}

fn finer_beside_coarser() -> bool {
    with_target(|desk| {
        let fine = desk.one("area in ('a', 'b')", "table = { by = ['area'], show = ['count'], roll_up = false }");
        let coarse = desk.one(
            "area in ('a', 'b')",
            "table = { by = [\"grouped(area, 'pairs')\"], show = ['count'], roll_up = false }",
        );
        cell(&coarse, 0) - cell(&fine, 0) == 1
    })
}

fn two_conditions() -> bool {
    with_target(|desk| {
        let share = |age: u32| format!("'share(age >= {age})'");
        let outcome =
            desk.one("", &format!("table = {{ show = [{}, {}] }}", share(40), "'share(age >= 40 and age < 111)'"));
        let holds = |at: usize| {
            let mut cell = table(&outcome).cells[0].clone();
            if let bocage_protocol::release::CellRelease::Shown { measures, .. } = &mut cell {
                measures.rotate_left(at);
            }
            sides(&cell).expect("a share")[0]
        };
        holds(0) - holds(1) == 1
    })
}

fn one_large_value() -> bool {
    let mut rows: Vec<Patient> = twenty();
    rows.iter_mut().enumerate().for_each(|(i, p)| p.weight = Some(0.001 * i as f64));
    rows.push(target());
    let hospital = Hospital::ward(&rows);
    let outcome = hospital.open(Controls::default()).one("", "table = { show = ['sum(weight)'] }");
    let sums = sums(&table(&outcome).cells[0], Quantum::of_float_range(0.0, 300.0)).expect("sums");
    (sums.sum - 250.0).abs() < 1.0
}

pub fn open() -> Vec<Open> {
    let of = |name, why, attack| Open { name, why, attack };
    vec![
        of("two cohorts that differ by one patient", EXACT, two_cohorts),
        of("that patient's weight by two cohorts", EXACT, the_weight_by_two_cohorts),
        of("two snapshots that differ by one patient", EXACT, two_snapshots),
        of("a small cell by the total of a second table", ONE_TABLE, a_second_table),
        of("a small cell by a coarser table beside a finer one", ONE_TABLE, finer_beside_coarser),
        of(
            "two conditions of one table that differ by one patient",
            "no rule looks at two conditions together",
            two_conditions,
        ),
        of("one large value among twenty near zero", "no rule limits one patient's part of a sum", one_large_value),
    ]
}

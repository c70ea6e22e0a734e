//! What a site that rounds does not give away: one patient by a difference, a count by asking again, by a mean, or by a model.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::plan::Quantum;
use bocage_protocol::release::{CellRelease, MeasureRelease, Outcome};

use super::hospital::{Desk, Hospital};
use super::models::{eighty, step};
use super::scenario::{Family, Open};
use super::ward::{Patient, bins, counts, csv, keys, lines, patients, sides, sums, table, twenty, twenty_and};

const COUNT: &str = "table = { show = ['count'] }";

fn target() -> Patient {
    Patient { area: "b", sex: "1", age: 111, weight: Some(250.0), ..Patient::default() }
}

/// A hospital whose policy rounds.
fn rounding(rows: &[Patient]) -> Hospital {
    let hospital = Hospital::ward(rows);
    hospital.edit("threshold = 3", "threshold = 3\nmode = \"round\"");
    hospital
}

fn with_target<T>(on: Controls, attack: impl FnOnce(&Desk<'_>) -> T) -> T {
    attack(&rounding(&twenty_and(target())).open(on))
}

fn cell(outcome: &Outcome, at: usize) -> u64 {
    counts(table(outcome))[at].expect("a cell that is shown")
}

fn two_cohorts(on: Controls) -> bool {
    with_target(on, |desk| cell(&desk.one("", COUNT), 0) - cell(&desk.one("age < 111", COUNT), 0) == 1)
}

fn two_snapshots(on: Controls) -> bool {
    let hospital = rounding(&twenty());
    let desk = hospital.open(on);
    let before = desk.one("", COUNT);
    hospital.replace_data(&csv(&twenty_and(target())));
    hospital.refresh().expect("a snapshot");
    cell(&desk.one("", COUNT), 0) - cell(&before, 0) == 1
}

fn a_second_table(on: Controls) -> bool {
    with_target(on, |desk| {
        let by_sex = "[[analysis]]\nname = 'a'\ntable = { by = ['sex'], show = ['count'] }\n";
        let all = desk.ask("", &format!("{by_sex}[[analysis]]\nname = 'b'\n{COUNT}\n"));
        cell(&all[1], 0) - cell(&all[0], 0) == 1
    })
}

fn finer_beside_coarser(on: Controls) -> bool {
    with_target(on, |desk| {
        let by = |key: &str| {
            desk.one(
                "area in ('a', 'b')",
                &format!("table = {{ by = [\"{key}\"], show = ['count'], roll_up = false }}"),
            )
        };
        cell(&by("grouped(area, 'pairs')"), 0) - cell(&by("area"), 0) == 1
    })
}

fn two_conditions(on: Controls) -> bool {
    with_target(on, |desk| {
        let holds = |condition: &str| {
            let outcome = desk.one("", &format!("table = {{ show = ['share({condition})'] }}"));
            sides(&table(&outcome).cells[0]).expect("a share")[0]
        };
        holds("age >= 40") - holds("age >= 40 and age < 111") == 1
    })
}

fn a_bin(on: Controls) -> bool {
    with_target(on, |desk| {
        let all = |filter| {
            let outcome = desk.one(filter, "quantiles = { of = 'age', at = [0.5] }");
            bins(&outcome).bins.iter().map(|bin| bin.count.subjects).sum::<u64>()
        };
        all("") - all("age < 111") == 1
    })
}

fn a_line(on: Controls) -> bool {
    with_target(on, |desk| {
        let all = |filter| {
            let survival = "survival = { time = 'age', event = 'sick', grid = [35, 40] }";
            lines(&desk.one(filter, survival)).lines.iter().flatten().map(|bin| bin.count.subjects).sum::<u64>()
        };
        all("") - all("age < 111") == 1
    })
}

fn a_key(on: Controls) -> bool {
    with_target(on, |desk| {
        let flu = |filter| {
            let found = desk.one(filter, "table = { by = ['discovered(diagnosis)'], show = ['count'] }");
            match &keys(&found).keys[0].cells[0] {
                CellRelease::Shown { count, .. } => count.subjects,
                CellRelease::FewerThanK => panic!("a key whose cell is hidden"),
            }
        };
        flu("") - flu("age < 111") == 1
    })
}

fn their_weight(on: Controls) -> bool {
    let weights = Quantum::of_float_range(0.0, 300.0);
    with_target(on, |desk| {
        let sum = |filter| {
            sums(&table(&desk.one(filter, "table = { show = ['sum(weight)'] }")).cells[0], weights).expect("sums").sum
        };
        (sum("") - sum("age < 111") - 250.0).abs() < 1.0
    })
}

/// Whether the mean of whole numbers is one of 21 of them, and of no other number of them that would be rounded so.
fn a_mean_counts(on: Controls) -> bool {
    with_target(on, |desk| {
        let outcome = desk.one("", "table = { show = ['mean(age)'] }");
        let CellRelease::Shown { measures, .. } = &table(&outcome).cells[0] else { panic!("hidden") };
        let MeasureRelease::Number { valid, sum, .. } = &measures[0] else { panic!("hidden") };
        let whole = |n: u64| {
            let all = *sum as f64 / valid.rows as f64 * n as f64;
            (all - all.round()).abs() < 1e-6
        };
        (18..=22).filter(|n| whole(*n)).eq([21])
    })
}

/// One cohort in other words, which noise of its own for each would give away.
const WORDS: [&str; 6] =
    ["age < 50", "age <= 49", "not age >= 50", "age < 49.5", "50 > age", "age < 50 and (sex = '0' or sex = '1')"];

fn averaging(on: Controls) -> bool {
    let rows = patients(43, |i| Patient { age: 7 + i as i64, ..Patient::default() });
    let hospital = rounding(&rows);
    let desk = hospital.open(on);
    let seen: Vec<u64> = (0..30).map(|n| cell(&desk.one(WORDS[n % WORDS.len()], COUNT), 0)).collect();
    seen.iter().sum::<u64>() as f64 / seen.len() as f64 == 43.0
}

/// A total beside cells that are all rounded up or all down.
fn a_total_beside_cells(on: Controls) -> bool {
    let rows = patients(44, |i| Patient { sex: ["0", "1"][i % 2], ..Patient::default() });
    let outcome = rounding(&rows).open(on).one("", "table = { by = ['sex'], show = ['count'] }");
    let table = table(&outcome);
    let sum: u64 = counts(table).iter().flatten().sum();
    // Only cells of 22 each have the largest total of such cells.
    table.total.is_some_and(|total| total.subjects == 44 && sum >= 40)
}

/// Patients of whom a model may be asked, and the target, who is like them.
fn eighty_and_one() -> Vec<Patient> {
    let one = Patient { age: 111, weight: Some(75.0), sex: "1", sick: Some(true), ..Patient::default() };
    eighty().into_iter().chain([one]).collect()
}

fn a_model_counts(on: Controls) -> bool {
    let rows = eighty_and_one();
    step(&rounding(&rows).open(on), "", "formula = 'sick ~ sex + weight'", &[]).is_some_and(|step| step.n == 81.0)
}

fn two_models(on: Controls) -> bool {
    let hospital = rounding(&eighty_and_one());
    let desk = hospital.open(on);
    let of = |filter| step(&desk, filter, "formula = 'sick ~ sex + weight'", &[]);
    of("").zip(of("age < 111")).is_some_and(|(all, but_one)| all.score(0) - but_one.score(0) == 0.5)
}

pub fn family() -> Family {
    Family::new("rounding")
        .against(Control::Rounding, "two cohorts that differ by one patient", two_cohorts)
        .against(Control::Rounding, "two snapshots that differ by one patient", two_snapshots)
        .against(Control::Rounding, "a small cell by the total of a second table", a_second_table)
        .against(Control::Rounding, "a small cell by a coarser table beside a finer one", finer_beside_coarser)
        .against(Control::Rounding, "two conditions that differ by one patient", two_conditions)
        .against(Control::Rounding, "all bins of two cohorts that differ by one patient", a_bin)
        .against(Control::Rounding, "all lines of two cohorts that differ by one patient", a_line)
        .against(Control::Rounding, "a discovered key of two cohorts that differ by one patient", a_key)
        .against(Control::Rounding, "that patient's weight by two cohorts", their_weight)
        .against(Control::Rounding, "how many a mean of whole numbers is of", a_mean_counts)
        .against(Control::Rounding, "a count by the average over repeats in other words", averaging)
        .against(Control::Rounding, "cells by the total beside them", a_total_beside_cells)
        .against(Control::RoundModels, "a count by the size of a model", a_model_counts)
        .against(Control::RoundModels, "one patient's outcome by two models", two_models)
}

fn rounded_by_cuts() -> bool {
    // Ages that all differ: each cut moves one patient from one part to the other, and over five of them rounding cancels out.
    let rows = patients(43, |i| Patient { age: 20 + i as i64, ..Patient::default() });
    let hospital = rounding(&rows);
    let desk = hospital.open(Controls::default());
    let sum = |cut: i64| {
        let by = desk.one("age is not null", &format!("table = {{ by = ['cut(age, {cut})'], show = ['count'] }}"));
        counts(table(&by)).iter().flatten().sum::<u64>()
    };
    (35..40).map(sum).sum::<u64>() == 5 * 43
}

fn rounded_at_an_edge() -> bool {
    let rows: Vec<Patient> = patients(12, |_| Patient::default()).into_iter().chain([target()]).collect();
    let hospital = rounding(&rows);
    let desk = hospital.open(Controls::default());
    cell(&desk.one("", COUNT), 0) > cell(&desk.one("age < 111", COUNT), 0)
}

fn rounded_beside_its_margins() -> bool {
    // Four cells of 22 show as 20; a total of 88 shows as 90, which four such cells reach in one way only.
    let rows = patients(88, |i| Patient { sex: ["0", "1"][i % 2], sick: Some(i / 2 % 2 == 0), ..Patient::default() });
    let hospital = rounding(&rows);
    let desk = hospital.open(Controls::default());
    let cells = counts(table(&desk.one("", "crosstab = { rows = 'sex', columns = 'sick is true' }")));
    let all = cell(&desk.one("", COUNT), 0);
    let most: u64 = cells.iter().flatten().map(|n| n + 2).sum();
    cells.len() == 4 && all - 2 == most
}

fn nearly_their_weight() -> bool {
    let weights = Quantum::of_float_range(0.0, 300.0);
    with_target(Controls::default(), |desk| {
        let mean = |filter| {
            let of = sums(&table(&desk.one(filter, "table = { show = ['mean(weight)'] }")).cells[0], weights);
            of.map(|of| of.sum / of.n).expect("sums")
        };
        // Of 21 with them and 20 without, as somebody may know.
        (21.0 * mean("") - 20.0 * mean("age < 111") - 250.0).abs() < 10.0
    })
}

pub fn open() -> Vec<Open> {
    let of = |name, why, attack| Open { name, why, attack };
    vec![
        of(
            "in mode round, a count by parts of it that are cut in five ways",
            "each part is rounded by itself",
            rounded_by_cuts,
        ),
        of(
            "in mode round, one patient who moves a count over an edge of rounding",
            "rounding is no noise",
            rounded_at_an_edge,
        ),
        of(
            "in mode round, cells that only one sum with their rounded total",
            "the rules look at one table",
            rounded_beside_its_margins,
        ),
        of(
            "in mode round, nearly a patient's value by the means of two cohorts",
            "a mean is kept",
            nearly_their_weight,
        ),
    ]
}

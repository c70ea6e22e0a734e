//! Survival that singles a patient out: by the interval, by how they left, and by who is not there.

use bocage_node::custodian::Control;
use bocage_protocol::release::{CellRelease, LinesRelease, MeasureRelease};

use super::cells::answer;
use super::scenario::Family;
use super::ward::{Patient, lines, table, twenty, twenty_and};

/// Of ages as times, with whoever is sick as an event.
fn survival(more: &str) -> String {
    format!("survival = {{ time = 'age', event = 'sick', {more} }}")
}

fn target() -> Patient {
    Patient { age: 111, sick: Some(true), ..Patient::default() }
}

fn ones(lines: &LinesRelease) -> bool {
    lines.lines.iter().flatten().any(|bin| bin.count.subjects == 1)
}

/// Who has an event, and how many stand in each of its bins. A line of nothing known and one of who has none come first.
fn events(lines: &LinesRelease) -> Vec<(u32, u64)> {
    lines.lines[2].iter().map(|bin| (bin.upto, bin.count.subjects)).collect()
}

pub fn family() -> Family {
    Family::new("lines")
        .against(Control::Threshold, "the one patient with an event", |on| {
            ones(lines(&answer(&twenty_and(target()), on, "", &survival("grid = [120]"))))
        })
        .against(Control::Threshold, "the interval of one patient's event", |on| {
            let sick = |patient: Patient| Patient { sick: Some(true), ..patient };
            let rows: Vec<Patient> = twenty().into_iter().map(sick).chain([target()]).collect();
            let outcome = answer(&rows, on, "", &survival("grid = [110, 112, 120]"));
            events(lines(&outcome)).contains(&(2, 1))
        })
        .against(Control::Threshold, "the one patient who is beyond the grid", |on| {
            let rows = twenty_and(Patient { sick: Some(false), ..target() });
            ones(lines(&answer(&rows, on, "", &survival("grid = [40, 110]"))))
        })
        .against(Control::Threshold, "the one patient of whom nothing is known", |on| {
            let rows = twenty_and(Patient { sick: None, ..target() });
            ones(lines(&answer(&rows, on, "", &survival("grid = [120]"))))
        })
        .against(Control::Threshold, "nobody with an event is told from one", |on| {
            let of = |rows: &[Patient]| answer(rows, on, "", &survival("grid = [120]"));
            let mut without = twenty();
            without.push(Patient { sick: Some(false), ..target() });
            // The others' line would tell it, if it were not of k or more in both.
            lines(&of(&without)).lines[2] != lines(&of(&twenty_and(target()))).lines[2]
        })
        .against(Control::ConditionSides, "the rate of one patient", |on| {
            let outcome = answer(&twenty_and(target()), on, "", "rates = { time = 'age', event = 'sick' }");
            let one = |measure: &MeasureRelease| matches!(measure, MeasureRelease::Condition { holds_rows: 1, .. });
            table(&outcome).cells.iter().any(|cell| match cell {
                CellRelease::Shown { measures, .. } => measures.iter().any(one),
                CellRelease::FewerThanK => false,
            })
        })
}

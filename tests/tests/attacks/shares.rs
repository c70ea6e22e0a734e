//! Shares and percentages: either side of a condition, and who is on neither.

use bocage_node::custodian::{Control, Controls};

use super::cells::answer;
use super::hospital::{Hospital, K};
use super::scenario::Family;
use super::ward::{Patient, keys, patients, sides, table};

/// Twenty patients of whom `sick` are.
fn with(sick: usize) -> Vec<Patient> {
    patients(20, |i| Patient { age: 30 + i as i64, sick: Some(i < sick), ..Patient::default() })
}

/// The sides of a condition among these patients.
fn split(rows: &[Patient], controls: Controls, condition: &str) -> Option<[u64; 3]> {
    let outcome = answer(rows, controls, "", &format!("table = {{ show = ['count', \"share({condition})\"] }}"));
    sides(&table(&outcome).cells[0])
}

/// Whether numbers of patients below k follow from the shares of many small cohorts.
fn derives_few(controls: Controls) -> bool {
    let worlds = 40;
    let answers = [Some(true), Some(false), None];
    let size = |world: usize, side: usize| [0, 1, 2, 3, 5, 9][(world * 31 + side * 17 + world * side * 7) % 6];
    let rows: Vec<Patient> = (0..worlds)
        .flat_map(|world| (0..3).map(move |side| (world, side)))
        .flat_map(|(world, side)| {
            patients(size(world, side), move |_| Patient { world, sick: answers[side], ..Patient::default() })
        })
        .collect();
    let hospital = Hospital::ward(&rows);
    let desk = hospital.open(controls);
    (0..worlds).any(|world| {
        let outcome = desk.one(&format!("world = {world}"), "table = { show = ['count', 'share(sick)'] }");
        sides(&table(&outcome).cells[0]).is_some_and(|sides| sides.iter().any(|n| (1..K).contains(n)))
    })
}

pub fn family() -> Family {
    let one_of = |side: usize| move |sides: [u64; 3]| sides[side] == 1;
    Family::new("shares")
        .against(Control::ConditionSides, "a percentage says that one patient is sick", move |on| {
            split(&with(1), on, "sick").is_some_and(one_of(0))
        })
        .against(Control::ConditionSides, "a percentage says that one patient is not", move |on| {
            split(&with(19), on, "sick").is_some_and(one_of(1))
        })
        .against(Control::ConditionSides, "a share of one patient's age", move |on| {
            split(&with(0), on, "age = 37").is_some_and(one_of(0))
        })
        .against(Control::ConditionSides, "all of a cohort answer the same", move |on| {
            split(&with(20), on, "sick").is_some_and(|sides| sides[1] == 0)
        })
        .against(Control::ConditionNulls, "a case without else leaves one patient out", move |on| {
            split(&with(10), on, "case when age != 37 then sick end").is_some_and(one_of(2))
        })
        .against(Control::ConditionNulls, "nullif leaves one patient out", move |on| {
            split(&with(10), on, "nullif(age, 37) > 39").is_some_and(one_of(2))
        })
        .against(Control::ConditionSides, "a share in a band", |on| {
            let by = "table = { by = ['cut(age, 40)'], show = ['count', 'share(sick)'] }";
            let outcome = answer(&with(1), on, "age is not null", by);
            table(&outcome).cells.iter().filter_map(sides).any(|sides| sides[0] == 1)
        })
        .against(Control::ConditionSides, "a share beside a discovered key", |on| {
            let outcome =
                answer(&with(1), on, "", "table = { by = ['discovered(diagnosis)'], show = ['count', 'share(sick)'] }");
            keys(&outcome).keys.iter().flat_map(|key| &key.cells).filter_map(sides).any(|sides| sides[0] == 1)
        })
        .against(Control::ConditionSides, "what the shares of forty small cohorts add up to", derives_few)
        .against(Control::ConditionNulls, "whom the shares of forty small cohorts leave out", derives_few)
}

//! Small cells: by themselves, by what is beside them, and by what is left of a total.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::release::Outcome;

use super::hospital::Hospital;
use super::scenario::Family;
use super::ward::{Patient, counts, patients, rest, table, twenty, twenty_and};

/// One answer about these patients.
pub fn answer(rows: &[Patient], controls: Controls, filter: &str, analysis: &str) -> Outcome {
    Hospital::ward(rows).open(controls).one(filter, analysis)
}

fn ones(outcome: &Outcome) -> bool {
    counts(table(outcome)).contains(&Some(1))
}

fn one_is_left(outcome: &Outcome) -> bool {
    let table = table(outcome);
    let hidden = counts(table).iter().filter(|count| count.is_none()).count();
    hidden == 1 && rest(table) == Some(1)
}

fn target() -> Patient {
    Patient { area: "b", sex: "1", age: 111, ..Patient::default() }
}

pub fn family() -> Family {
    Family::new("small cells")
        .against(Control::Threshold, "the one patient of an area is counted", |on| {
            ones(&answer(&twenty_and(target()), on, "", "table = { by = ['area'], show = ['count'] }"))
        })
        .against(Control::Threshold, "a filter that one patient passes is a cohort", |on| {
            ones(&answer(&twenty_and(target()), on, "age = 111", "table = { show = ['count'] }"))
        })
        .against(Control::Threshold, "a key made for one patient by a case", |on| {
            let by = "table = { by = [\"case when age > 110 then 'old' else 'young' end\"], show = ['count'] }";
            ones(&answer(&twenty_and(target()), on, "age is not null", by))
        })
        .against(Control::Threshold, "a band around one patient's age", |on| {
            let by = "table = { by = ['cut(age, 111, 112)'], show = ['count'] }";
            ones(&answer(&twenty_and(target()), on, "age is not null", by))
        })
        .against(Control::Threshold, "an empty cell and one patient's are told apart", |on| {
            let by = "table = { by = ['area'], show = ['count'], roll_up = false }";
            let by_area = |rows: &[Patient]| answer(rows, on, "", by);
            by_area(&twenty()) != by_area(&twenty_and(target()))
        })
        .against(Control::Threshold, "a small cell where its column may not be rolled up", |on| {
            let by = "table = { by = ['area'], show = ['count'], roll_up = false }";
            ones(&answer(&twenty_and(target()), on, "", by))
        })
        .against(Control::IntervalRule, "the total less the other cell of a table", |on| {
            one_is_left(&answer(&twenty_and(target()), on, "", "table = { by = ['sex'], show = ['count'] }"))
        })
        .against(Control::IntervalRule, "the total of a crosstab less its other cells", |on| {
            let four = |i: usize| Patient { sex: ["0", "1"][i % 2], sick: Some(i % 4 < 2), ..Patient::default() };
            let mut rows = patients(16, four);
            rows.retain(|p| p.sex == "0" || p.sick == Some(true));
            rows.push(Patient { sex: "1", ..Patient::default() });
            let cross = "crosstab = { rows = 'sex', columns = 'sick is true' }";
            one_is_left(&answer(&rows, on, "", cross))
        })
        .against(Control::IntervalRule, "two hidden cells of which the total says that both are full", |on| {
            let mut rows = twenty();
            rows.extend(["b", "b", "c", "c"].map(|area| Patient { area, ..Patient::default() }));
            let of = answer(&rows, on, "", "table = { by = ['area'], show = ['count'], roll_up = false }");
            // Two cells of at most two patients each: four in all is two in each.
            rest(table(&of)) == Some(4) && counts(table(&of)).iter().flatten().count() == 1
        })
}

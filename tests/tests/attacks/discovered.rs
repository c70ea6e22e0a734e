//! Keys that the data names: the name alone can be the leak.

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::release::Outcome;

use super::cells::answer;
use super::scenario::Family;
use super::ward::{Patient, count, keys, patients, twenty, twenty_and};

const BY_DIAGNOSIS: &str = "table = { by = ['discovered(diagnosis)'], show = ['count'] }";
const BY_DIAGNOSIS_AND_SEX: &str = "table = { by = ['discovered(diagnosis)', 'sex'], show = ['count'] }";

fn rare() -> Patient {
    Patient { diagnosis: "kuru", age: 111, ..Patient::default() }
}

fn names(outcome: &Outcome, name: Option<&str>) -> bool {
    keys(outcome).keys.iter().any(|key| key.key.as_deref() == name)
}

fn asked(rows: &[Patient], controls: Controls, analysis: &str) -> Outcome {
    answer(rows, controls, "", analysis)
}

pub fn family() -> Family {
    Family::new("discovered keys")
        .against(Control::Threshold, "the diagnosis of one patient is named", |on| {
            names(&asked(&twenty_and(rare()), on, BY_DIAGNOSIS), Some("kuru"))
        })
        .against(Control::Threshold, "a diagnosis is named that is frequent in all and in no cell", |on| {
            let mut rows = twenty();
            rows.extend(patients(4, |i| Patient { sex: ["0", "1"][i % 2], ..rare() }));
            names(&asked(&rows, on, BY_DIAGNOSIS_AND_SEX), Some("kuru"))
        })
        .against(Control::Threshold, "the small cell of a diagnosis that is named", |on| {
            let mut rows = twenty();
            rows.push(Patient { sex: "1", ..Patient::default() });
            let outcome = asked(&rows, on, BY_DIAGNOSIS_AND_SEX);
            keys(&outcome).keys.iter().flat_map(|key| &key.cells).any(|cell| count(cell) == Some(1))
        })
        .against(Control::Threshold, "the one patient without a diagnosis", |on| {
            names(&asked(&twenty_and(Patient { diagnosis: "", ..Patient::default() }), on, BY_DIAGNOSIS), None)
        })
        .against(Control::Threshold, "the age of one patient is named", |on| {
            names(
                &asked(&twenty_and(rare()), on, "table = { by = ['discovered(age)'], show = ['count'] }"),
                Some("111"),
            )
        })
        .against(Control::Threshold, "one rare diagnosis and two are told apart", |on| {
            let one = asked(&twenty_and(rare()), on, BY_DIAGNOSIS);
            let mut rows = twenty_and(rare());
            rows.push(Patient { diagnosis: "yaws", ..Patient::default() });
            one != asked(&rows, on, BY_DIAGNOSIS)
        })
}

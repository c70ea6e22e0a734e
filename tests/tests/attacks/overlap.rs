//! Patients with several rows: rows are no patients, and totals say how many patients are in several cells.

use std::fmt::Write as _;

use bocage_node::custodian::{Control, Controls};
use bocage_protocol::plan::Quantum;
use bocage_protocol::release::Outcome;

use super::hospital::Hospital;
use super::scenario::Family;
use super::ward::{counts, sides, sums, table};

const VISITS: &str = r#"
id = "visits@1"
title = "Visits"
subject = "patient"
[[column]]
name = "patient"
type = "text"
required = true
[[column]]
name = "ward"
type = "code"
codes = [{ code = "a", label = "a" }, { code = "b", label = "b" }]
required = true
[[column]]
name = "cost"
type = "float"
range = [0, 1000]
[[column]]
name = "urgent"
type = "bool"
"#;

/// patient, ward, cost, urgent.
type Visit = (usize, &'static str, f64, &'static str);

fn answer(visits: &[Visit], controls: Controls, analysis: &str) -> Outcome {
    let mut csv = "patient,ward,cost,urgent\n".to_owned();
    for (patient, ward, cost, urgent) in visits {
        let _ = writeln!(csv, "p{patient},{ward},{cost},{urgent}");
    }
    Hospital::new(VISITS, &csv).open(controls).one("", analysis)
}

fn twenty() -> Vec<Visit> {
    (0..20).map(|i| (i, "a", 0.0, ["true", "false"][i % 2])).collect()
}

/// Beside twenty patients of one row each, one with these.
fn and(rows: impl IntoIterator<Item = (&'static str, f64, &'static str)>) -> Vec<Visit> {
    twenty().into_iter().chain(rows.into_iter().map(|(ward, cost, urgent)| (99, ward, cost, urgent))).collect()
}

pub fn family() -> Family {
    Family::new("several rows")
        .against(Control::OverlapTotal, "cells less the total: the one patient of two wards", |on| {
            let visits: Vec<Visit> =
                (0..40).map(|i| (i, ["a", "b"][i / 20], 0.0, "")).chain([(0, "b", 0.0, "")]).collect();
            let outcome = answer(&visits, on, "table = { by = ['ward'], show = ['count'] }");
            let table = table(&outcome);
            let cells: u64 = counts(table).iter().flatten().sum();
            table.total.is_some_and(|total| cells - total.subjects == 1)
        })
        .against(Control::Threshold, "fifty rows of one patient pass for fifty patients", |on| {
            let outcome = answer(&and([("b", 0.0, ""); 50]), on, "table = { by = ['ward'], show = ['count', 'rows'] }");
            counts(table(&outcome))[1] == Some(1)
        })
        .against(Control::ConditionSides, "five rows of one patient are a side of a share", |on| {
            let visits: Vec<Visit> =
                (0..20).map(|i| (i, "a", 0.0, "false")).chain([(0, "a", 0.0, "true"); 5]).collect();
            let outcome = answer(&visits, on, "table = { show = ['count', 'share(urgent)'] }");
            sides(&table(&outcome).cells[0]).is_some_and(|[holds, ..]| holds == 5)
        })
        .against(Control::ConditionNulls, "the rows of one patient that a condition leaves unanswered", |on| {
            let case = "share(case when cost < 500 then urgent end)";
            let visits: Vec<Visit> = and([("a", 900.0, "true"), ("a", 0.0, "true")]);
            let outcome = answer(&visits, on, &format!("table = {{ show = ['count', '{case}'] }}"));
            sides(&table(&outcome).cells[0]).is_some_and(|[.., neither]| neither == 1)
        })
        .against(Control::ValueSpread, "many different values of one patient hide nobody", |on| {
            let rows = (1..=12).map(|i| ("a", f64::from(i), ""));
            let outcome = answer(&and(rows), on, "table = { show = ['count', 'sum(cost)'] }");
            let sums = sums(&table(&outcome).cells[0], Quantum::of_float_range(0.0, 1000.0));
            sums.is_some_and(|s| (s.sum - 78.0).abs() < 1e-3)
        })
}

//! Any survival times, any formula, strata, ties, late entry, over any number of sites: a federated Cox model is the pooled one, with a stratum for each
//! site or on the times of a grid.

use std::collections::{BTreeMap, BTreeSet};

use bocage_tests::federation::{Gate, block, number};
use bocage_tests::numbers::Numbers;
use proptest::prelude::*;

use super::super::data::{self, Rows};
use super::super::pooled::hazards::{self, Patient};
use super::same;

const CONTRACT: &str = r#"
    id = "random@1"
    subject = "row"
    column = [
        { name = "x", type = "float", range = [-2, 3] },
        { name = "k", type = "int", range = [0, 10] },
        { name = "c", type = "code", codes = [{ code = "a" }, { code = "b" }, { code = "z" }] },
        { name = "d", type = "bool" },
        { name = "o", type = "float", range = [-1, 1] },
        { name = "ward", type = "code", codes = [{ code = "1" }, { code = "2" }] },
        { name = "come", type = "int", range = [0, 30] },
        { name = "leave", type = "int", range = [1, 80] },
        { name = "event", type = "bool" },
    ]
"#;

/// Terms, each with the columns that it makes.
const TERMS: [(&str, &[&str]); 5] = [
    ("x", &["x"]),
    ("c", &["c[b]", "c[z]"]),
    ("d", &["d[true]"]),
    ("x * d", &["x", "d[true]", "x:d[true]"]),
    ("poly(k, 2)", &["poly(k, 2)1", "poly(k, 2)2"]),
];

/// How the study writes a grid, and its ends.
const GRIDS: [(&str, &[f64]); 2] = [
    (", every = 5, until = 40", &[5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]),
    (", grid = [3, 8, 20, 50]", &[3.0, 8.0, 20.0, 50.0]),
];

#[derive(Debug, Clone)]
struct Case {
    terms: Vec<usize>,
    efron: bool,
    strata: bool,
    late: bool,
    offset: bool,
    /// Which of [`GRIDS`]; none: a baseline for each site.
    grid: Option<usize>,
    robust: bool,
    sites: usize,
    patients: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let terms = prop::sample::subsequence((0..TERMS.len()).collect::<Vec<_>>(), 1..=3);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let grid = prop::option::of(0..GRIDS.len());
    (terms, flags, grid, 1usize..=4, 90usize..160, any::<u64>()).prop_map(
        |(terms, flags, grid, sites, patients, seed)| {
            let (efron, strata, late, offset, robust) = flags;
            // Along a grid there are none of those who come late or have an offset.
            let robust = robust && (grid.is_none() || !(late || offset));
            Case { terms, efron, strata, late, offset, grid, robust, sites, patients, seed }
        },
    )
}

impl Case {
    fn labels(&self) -> Vec<&'static str> {
        let of: BTreeSet<&str> = self.terms.iter().flat_map(|term| TERMS[*term].1.iter().copied()).collect();
        of.into_iter().collect()
    }

    fn text(&self) -> String {
        let terms: Vec<&str> = self.terms.iter().map(|term| TERMS[*term].0).collect();
        format!(
            "[[analysis]]\nname = \"m\"\ncox = {{ formula = \"surv({}leave, event) ~ {}{}\", ties = \"{}\"{}{}{} }}",
            if self.late { "come, " } else { "" },
            terms.join(" + "),
            if self.offset { " + offset(o)" } else { "" },
            if self.efron { "efron" } else { "breslow" },
            if self.strata { ", strata = [\"ward\"]" } else { "" },
            if self.robust { ", standard_errors = \"robust\"" } else { "" },
            self.grid.map_or("", |grid| GRIDS[grid].0),
        )
    }

    /// The patients as a file has them, and those who are in the pooled fit.
    fn data(&self) -> (Rows, Vec<Patient>) {
        let (mut draw, labels) = (Numbers(self.seed), self.labels());
        let about = |draw: &mut Numbers, label: &str| {
            let about = draw.within(-0.6, 0.6);
            if label.starts_with("poly") { about / 20.0 } else { about }
        };
        let truth: Vec<f64> = labels.iter().map(|label| about(&mut draw, label)).collect();
        let (mut file, mut complete) = (Rows::new(), Vec::new());
        for i in 0..self.patients {
            let (x, k, o) = (draw.within(-2.0, 3.0), draw.below(11) as f64, draw.within(-1.0, 1.0));
            let (c, d, ward) = (["a", "b", "z"][draw.below(3)], draw.happens(0.4), draw.below(2));
            let value = |label: &str| match label {
                "x" => x,
                "c[b]" => f64::from(u8::from(c == "b")),
                "c[z]" => f64::from(u8::from(c == "z")),
                "d[true]" => f64::from(u8::from(d)),
                "poly(k, 2)1" => k,
                "poly(k, 2)2" => k * k,
                other => panic!("no column {other}"),
            };
            let row: Vec<f64> = labels.iter().map(|label| label.split(':').map(value).product()).collect();
            let eta = row.iter().zip(&truth).map(|(x, b)| x * b).sum::<f64>() + if self.offset { o } else { 0.0 };
            // One in three is there from the begin on; a few leave as they come, and are never at risk.
            let come = if draw.happens(0.3) { 0.0 } else { (draw.share() * 20.0).floor() };
            let lasts = (-draw.share().ln() * (15.0 + 10.0 * ward as f64) / eta.clamp(-3.0, 3.0).exp()).ceil();
            let until = (5.0 + draw.share() * 40.0).floor();
            let leave = (come + lasts.min(until)).clamp(1.0, 80.0);
            let leave = if draw.happens(0.03) { come.max(1.0) } else { leave };
            let (event, lacks) = (lasts <= until, draw.happens(0.05));
            let texts = [
                ("x", if lacks { String::new() } else { x.to_string() }),
                ("k", k.to_string()),
                ("c", c.to_owned()),
                ("d", d.to_string()),
                ("o", o.to_string()),
                ("ward", (ward + 1).to_string()),
                ("come", come.to_string()),
                ("leave", leave.to_string()),
                ("event", event.to_string()),
            ];
            let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text));
            file.push((String::new(), texts.collect::<BTreeMap<_, _>>()));
            let reads_x = labels.iter().any(|label| label.split(':').any(|part| part == "x"));
            let is_out = (lacks && reads_x) || (self.late && come >= leave);
            if !is_out {
                // Patients are dealt out to the sites in turn.
                let site = if self.grid.is_none() { i % self.sites } else { 0 };
                complete.push(Patient {
                    come: if self.late { come } else { -1.0 },
                    leave,
                    event,
                    stratum: 2 * site + if self.strata { ward } else { 0 },
                    x: row,
                    offset: if self.offset { o } else { 0.0 },
                });
            }
        }
        let complete = self.grid.map_or(complete.clone(), |grid| hazards::along(&complete, GRIDS[grid].1));
        (file, complete)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24 * bocage_tests::scale()) })]

    #[test]
    fn a_federated_cox_model_is_the_pooled_one(case in cases()) {
        let (file, complete) = case.data();
        let expected = hazards::fit(&complete, case.efron);
        prop_assume!(expected.is_some());
        let expected = expected.expect("a fit");
        let result = data::dealt(CONTRACT, &file, case.sites).run(&case.text(), Gate::OPEN).remove(0);
        prop_assert!(!result.block.rows.is_empty(), "{}\n{:?}", case.text(), result.notes);
        let errors = if case.robust { &expected.robust } else { &expected.errors };
        for (at, label) in case.labels().iter().enumerate() {
            same(number(&result.block, label, "estimate"), expected.estimates[at], errors[at], label)?;
            same(number(&result.block, label, "standard error"), errors[at], 0.0, label)?;
        }
        let of_fit = |quantity: &str| number(block(&result, "fit"), quantity, "value");
        same(of_fit("log-likelihood"), expected.log_likelihood, 0.0, "log-likelihood")?;
        prop_assert_eq!(of_fit("patients"), complete.len() as f64);
        prop_assert_eq!(of_fit("events"), complete.iter().filter(|of| of.event).count() as f64);
    }
}

/// What [`hazards::fit`] makes of the 228 patients of `lung2` is what statsmodels and lifelines make of them (`tests/reference/cox.py`).
#[test]
fn the_pooled_cox_model_is_that_of_statsmodels() {
    let rows = data::rows(&data::root().join("pda/lung2.csv"), None);
    let of = |name: &str, efron: bool, by: Option<&str>, late: bool, grid: Option<&[f64]>| {
        let patient = |row: &BTreeMap<String, String>| {
            let number = |column: &str| row[column].parse::<f64>().expect("a number");
            Patient {
                come: if late { (number("time") / 4.0).floor() } else { -1.0 },
                leave: number("time"),
                event: number("status") == 1.0,
                stratum: by.map_or(0, |column| row[column].bytes().map(usize::from).sum()),
                x: vec![number("age"), number("sex")],
                offset: 0.0,
            }
        };
        let patients: Vec<Patient> = rows.iter().map(patient).collect();
        let patients = grid.map_or(patients.clone(), |ends| hazards::along(&patients, ends));
        let (found, expected) = (hazards::fit(&patients, efron).expect("a fit"), data::reference_of("cox", name));
        let near = |found: f64, expected: &serde_json::Value, what: &str| {
            let expected = expected.as_f64().expect("a number");
            assert!((found - expected).abs() < 1e-7 * expected.abs(), "{name}, {what}: {found} for {expected}");
        };
        for (at, column) in ["age", "sex"].into_iter().enumerate() {
            near(found.estimates[at], &expected["estimates"][column], column);
            near(found.errors[at], &expected["errors"][column], column);
            near(found.robust[at], &expected["robust"][column], column);
        }
        near(found.log_likelihood, &expected["log_likelihood"], "log-likelihood");
    };
    let months: Vec<f64> = (1..=20).map(|month| f64::from(month) * 50.0).collect();
    of("lung2", true, None, false, None);
    of("lung2, breslow", false, None, false, None);
    of("lung2, sites", true, Some("site"), false, None);
    of("lung2, late", true, None, true, None);
    of("lung2, grid", true, None, false, Some(&months));
    of("lung2, grid, breslow", false, None, false, Some(&months));
    of("lung2, grid, late, efron", true, None, true, Some(&months));
    of("lung2, grid, late, breslow", false, None, true, Some(&months));
}

//! Any data, any formula, any number of sites: a federated fit is the pooled one.

mod hazards;
mod net;

use std::collections::{BTreeMap, BTreeSet};

use bocage_tests::federation::{Gate, number};
use bocage_tests::numbers::Numbers;
use proptest::prelude::*;

use super::data::{self, Rows};
use super::pooled::{self, Family};

const CONTRACT: &str = r#"
    id = "random@1"
    subject = "row"
    column = [
        { name = "x", type = "float", range = [-2, 3] },
        { name = "k", type = "int", range = [0, 10] },
        { name = "c", type = "code", codes = [{ code = "a" }, { code = "b" }, { code = "z" }] },
        { name = "d", type = "bool" },
        { name = "o", type = "float", range = [-1, 1] },
        { name = "w", type = "float", range = [0, 5] },
        { name = "number", type = "float", range = [-50, 50] },
        { name = "event", type = "bool" },
        { name = "times", type = "int", range = [0, 1000] },
    ]
"#;

/// Terms, each with the columns that it makes, lower terms included.
const TERMS: [(&str, &[&str]); 8] = [
    ("x", &["x"]),
    ("c", &["c[b]", "c[z]"]),
    ("d", &["d[true]"]),
    ("x * c", &["x", "c[b]", "c[z]", "x:c[b]", "x:c[z]"]),
    ("poly(k, 2)", &["poly(k, 2)1", "poly(k, 2)2"]),
    ("x * d", &["x", "d[true]", "x:d[true]"]),
    ("c * d", &["c[b]", "c[z]", "d[true]", "c[b]:d[true]", "c[z]:d[true]"]),
    ("x:o", &["x:o"]),
];

/// A model over data, by what proptest draws.
#[derive(Debug, Clone)]
struct Case {
    family: &'static str,
    /// Which of [`TERMS`].
    terms: Vec<usize>,
    offset: bool,
    weights: bool,
    sites: usize,
    patients: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let family = prop::sample::select(vec!["gaussian", "binomial", "poisson"]);
    let terms = prop::sample::subsequence((0..TERMS.len()).collect::<Vec<_>>(), 1..=4);
    (family, terms, any::<bool>(), any::<bool>(), 1usize..=5, 120usize..260, any::<u64>()).prop_map(
        |(family, terms, offset, weights, sites, patients, seed)| Case {
            family,
            terms,
            offset,
            weights,
            sites,
            patients,
            seed,
        },
    )
}

impl Case {
    fn labels(&self) -> Vec<&'static str> {
        let of: BTreeSet<&str> = self.terms.iter().flat_map(|term| TERMS[*term].1.iter().copied()).collect();
        std::iter::once("(intercept)").chain(of).collect()
    }

    fn outcome(&self) -> &'static str {
        match self.family {
            "gaussian" => "number",
            "binomial" => "event",
            _ => "times",
        }
    }

    fn formula(&self) -> String {
        let terms: Vec<&str> = self.terms.iter().map(|term| TERMS[*term].0).collect();
        let offset = if self.offset { " + offset(o)" } else { "" };
        format!("{} ~ {}{offset}", self.outcome(), terms.join(" + "))
    }

    fn text(&self) -> String {
        let weights = if self.weights { ", weights = \"w\"" } else { "" };
        format!(
            "[[analysis]]\nname = \"m\"\nmodel = {{ formula = \"{}\", family = \"{}\"{weights} }}",
            self.formula(),
            self.family
        )
    }

    /// Whether the model reads a column that some lack.
    fn reads(&self, column: &str) -> bool {
        self.labels().iter().any(|label| label.split(':').any(|part| part == column))
    }

    /// The patients as a file has them, and the complete ones as the pooled fit has them.
    fn data(&self) -> (Rows, pooled::Rows) {
        let mut draw = Numbers(self.seed);
        let labels = self.labels();
        let truth: Vec<f64> = labels
            .iter()
            .map(|label| {
                let about = draw.within(-0.5, 0.5);
                if label.starts_with("poly") { about / 20.0 } else { about }
            })
            .collect();
        let (mut file, mut complete) =
            (Rows::new(), pooled::Rows { x: vec![], y: vec![], offset: vec![], weight: vec![] });
        for _ in 0..self.patients {
            let (x, k, o, w) =
                (draw.within(-2.0, 3.0), (draw.share() * 11.0).floor(), draw.within(-1.0, 1.0), draw.within(0.0, 5.0));
            let (c, d) = (["a", "b", "z"][(draw.share() * 3.0) as usize], draw.share() < 0.4);
            let lacks = draw.share() < 0.05;
            let value = |label: &str| match label {
                "(intercept)" => 1.0,
                "x" => x,
                "o" => o,
                "c[b]" => f64::from(u8::from(c == "b")),
                "c[z]" => f64::from(u8::from(c == "z")),
                "d[true]" => f64::from(u8::from(d)),
                "poly(k, 2)1" => k,
                "poly(k, 2)2" => k * k,
                other => panic!("no column {other}"),
            };
            let row: Vec<f64> = labels.iter().map(|label| label.split(':').map(value).product()).collect();
            let eta = row.iter().zip(&truth).map(|(x, b)| x * b).sum::<f64>() + if self.offset { o } else { 0.0 };
            let y = match self.family {
                "gaussian" => ((eta + draw.within(-2.0, 2.0)) * 1000.0).round() / 1000.0,
                "binomial" => f64::from(u8::from(draw.share() < 1.0 / (1.0 + (-eta).exp()))),
                _ => (2.0 * draw.share() * eta.clamp(-3.0, 3.0).exp()).round(),
            };
            let (number, event, times) = match self.family {
                "gaussian" => (y, true, 0.0),
                "binomial" => (0.0, y > 0.5, 0.0),
                _ => (0.0, true, y),
            };
            let texts = [
                ("x", if lacks { String::new() } else { x.to_string() }),
                ("k", k.to_string()),
                ("c", c.to_owned()),
                ("d", d.to_string()),
                ("o", o.to_string()),
                ("w", w.to_string()),
                ("number", number.to_string()),
                ("event", event.to_string()),
                ("times", times.to_string()),
            ];
            let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text));
            file.push((String::new(), texts.collect::<BTreeMap<_, _>>()));
            if !(lacks && self.reads("x")) {
                complete.x.push(row);
                complete.y.push(y);
                complete.offset.push(if self.offset { o } else { 0.0 });
                complete.weight.push(if self.weights { w } else { 1.0 });
            }
        }
        (file, complete)
    }
}

fn same(found: f64, expected: f64, what: &str) -> Result<(), TestCaseError> {
    let error = (found - expected).abs() / expected.abs().max(1e-3);
    prop_assert!(error < 1e-6, "{what}: {found} for {expected}, off by {error:e}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40 * bocage_tests::scale()) })]

    #[test]
    fn a_federated_fit_is_the_pooled_one(case in cases()) {
        let (file, complete) = case.data();
        let family = match case.family {
            "gaussian" => Family::Gaussian,
            "binomial" => Family::Binomial,
            _ => Family::Poisson,
        };
        let expected = pooled::fit(family, &complete);
        prop_assume!(expected.is_some());
        let expected = expected.expect("a fit");
        let result = data::dealt(CONTRACT, &file, case.sites).run(&case.text(), Gate::OPEN).remove(0);
        prop_assert!(!result.block.rows.is_empty(), "{:?}", result.notes);
        for (at, label) in case.labels().iter().enumerate() {
            same(number(&result.block, label, "estimate"), expected.estimates[at], label)?;
            same(number(&result.block, label, "standard error"), expected.errors[at], label)?;
        }
    }
}

#[test]
fn the_pooled_fit_is_that_of_statsmodels() {
    let of = |name: &str, outcome: &str, family| {
        let mut rows = pooled::Rows { x: vec![], y: vec![], offset: vec![], weight: vec![] };
        let names =
            if outcome == "lab" { vec!["Intercept", "age", "sex"] } else { vec!["Intercept", "age", "sex", "lab"] };
        for (_, row) in data::covid() {
            let number = |column: &str| match row.get(column).map(String::as_str) {
                None => 1.0,
                Some("true") => 1.0,
                Some("false") => 0.0,
                Some(text) => text.parse().expect("a number"),
            };
            rows.x.push(names.iter().map(|column| number(column)).collect());
            rows.y.push(number(outcome));
            rows.offset.push(0.0);
            rows.weight.push(1.0);
        }
        let (found, expected) = (pooled::fit(family, &rows).expect("a fit"), data::reference(name));
        for (at, column) in names.iter().enumerate() {
            for (found, part) in [(&found.estimates, "estimates"), (&found.errors, "errors")] {
                let expected = expected[part][column].as_f64().expect("a number");
                assert!(
                    (found[at] / expected - 1.0).abs() < 1e-8,
                    "{name}, {part}, {column}: {} for {expected}",
                    found[at]
                );
            }
        }
    };
    of("covid, linear", "lab", Family::Gaussian);
    of("covid, logit", "death", Family::Binomial);
    of("covid, poisson", "los", Family::Poisson);
}

//! Models over data, as proptest draws them.

use std::collections::{BTreeMap, BTreeSet};

use bocage_tests::numbers::Numbers;
use proptest::prelude::*;

use super::super::data::Rows;
use super::super::pooled::{self, Family};

pub const CONTRACT: &str = r#"
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
        { name = "size", type = "float", range = [0.001, 2000] },
    ]
"#;

/// Terms, each with the columns that it makes, lower terms included.
const TERMS: [(&str, &[&str]); 9] = [
    ("x", &["x"]),
    ("c", &["c[b]", "c[z]"]),
    ("d", &["d[true]"]),
    ("x * c", &["x", "c[b]", "c[z]", "x:c[b]", "x:c[z]"]),
    ("poly(k, 2)", &["poly(k, 2)1", "poly(k, 2)2"]),
    ("x * d", &["x", "d[true]", "x:d[true]"]),
    ("c * d", &["c[b]", "c[z]", "d[true]", "c[b]:d[true]", "c[z]:d[true]"]),
    ("x:o", &["x:o"]),
    ("ns(o, knots = [-0.3, 0.4])", &[SPLINE[0], SPLINE[1], SPLINE[2]]),
];

const SPLINE: [&str; 3] = ["ns(o, knots = [-0.3, 0.4])1", "ns(o, knots = [-0.3, 0.4])2", "ns(o, knots = [-0.3, 0.4])3"];
const KNOTS: [f64; 4] = [-1.0, -0.3, 0.4, 1.0];

#[derive(Debug, Clone, Copy)]
pub enum Errors {
    Model,
    Hc0,
    Hc1,
    Site,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub family: Family,
    /// Which of [`TERMS`].
    pub terms: Vec<usize>,
    pub offset: bool,
    pub weights: bool,
    /// An intercept for each site.
    pub by_site: bool,
    pub ridge: Option<f64>,
    pub errors: Errors,
    pub sites: usize,
    pub patients: usize,
    pub seed: u64,
}

pub fn cases() -> impl Strategy<Value = Case> {
    let family = prop::sample::select(Family::ALL.to_vec());
    let terms = prop::sample::subsequence((0..TERMS.len()).collect::<Vec<_>>(), 1..=4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let ridge = prop::option::weighted(0.3, prop::sample::select(vec![0.5, 5.0]));
    let errors = prop::sample::select(vec![Errors::Model, Errors::Hc0, Errors::Hc1, Errors::Site]);
    (family, terms, flags, ridge, errors, 1usize..=5, 120usize..260, any::<u64>()).prop_map(
        |(family, terms, (offset, weights, by_site), ridge, errors, sites, patients, seed)| {
            // Errors by site need ten of them.
            let sites = if matches!(errors, Errors::Site) { 9 + sites } else { sites };
            Case { family, terms, offset, weights, by_site, ridge, errors, sites, patients, seed }
        },
    )
}

/// What a column is the product of.
fn factors(label: &str) -> Vec<&str> {
    match label {
        "(intercept)" => vec![],
        "poly(k, 2)1" => vec!["k"],
        "poly(k, 2)2" => vec!["k", "k"],
        label if label == SPLINE[0] => vec!["o"],
        label => label.split(':').collect(),
    }
}

/// The middle and half of the contract's range of a number.
fn range(factor: &str) -> Option<(f64, f64)> {
    match factor {
        "x" => Some((0.5, 2.5)),
        "k" => Some((5.0, 5.0)),
        "o" => Some((0.0, 1.0)),
        _ => None,
    }
}

/// The function of a natural spline that bends at knot `at`, of truncated powers: its second derivative is a hat over three knots, with an area of 1.
fn bend(at: usize, o: f64) -> f64 {
    let (a, b, c) = (KNOTS[at - 1], KNOTS[at], KNOTS[at + 1]);
    let cube = |knot: f64| (o - knot).max(0.0).powi(3);
    let differences = cube(a) / (b - a) - cube(b) * (1.0 / (b - a) + 1.0 / (c - b)) + cube(c) / (c - b);
    differences / (3.0 * (c - a))
}

/// The patients as a file has them, and the complete ones as the pooled fit has them, each with its site.
pub struct Data {
    pub file: Rows,
    pub complete: pooled::Rows,
    pub site: Vec<usize>,
    /// The rows that are complete, in the columns that bounds and penalties are of.
    scaled: Vec<Vec<f64>>,
}

impl Data {
    /// The largest coefficient of these estimates' slopes in scaled columns.
    pub fn steepest(&self, case: &Case, estimates: &[f64]) -> Option<f64> {
        let scaled = pooled::rescaled(estimates, &self.scaled, &self.complete.x)?;
        let slopes = case.labels().into_iter().zip(scaled).filter(|(label, _)| is_slope(label));
        slopes.map(|(_, slope)| slope.abs()).max_by(f64::total_cmp)
    }
}

fn is_slope(label: &str) -> bool {
    !(label == "(intercept)" || label.starts_with("site"))
}

impl Case {
    pub fn labels(&self) -> Vec<String> {
        let of: BTreeSet<&str> = self.terms.iter().flat_map(|term| TERMS[*term].1.iter().copied()).collect();
        let of_sites = if self.by_site { 1..self.sites } else { 0..0 };
        let intercepts =
            std::iter::once("(intercept)".to_owned()).chain(of_sites.map(|at| format!("site[site-{at:02}]")));
        intercepts.chain(of.into_iter().map(str::to_owned)).collect()
    }

    fn outcome(&self) -> &'static str {
        match self.family {
            Family::Gaussian => "number",
            Family::Binomial | Family::Probit | Family::Cloglog => "event",
            Family::Poisson | Family::NegativeBinomial => "times",
            Family::Gamma => "size",
        }
    }

    pub fn formula(&self) -> String {
        let terms: Vec<&str> = self.terms.iter().map(|term| TERMS[*term].0).collect();
        let site = if self.by_site { "site + " } else { "" };
        let offset = if self.offset { " + offset(o)" } else { "" };
        format!("{} ~ {site}{}{offset}", self.outcome(), terms.join(" + "))
    }

    pub fn text(&self) -> String {
        let family = match self.family {
            Family::Gaussian => "family = \"gaussian\"",
            Family::Binomial => "family = \"binomial\"",
            Family::Probit => "link = \"probit\"",
            Family::Cloglog => "link = \"cloglog\"",
            Family::Poisson => "family = \"poisson\"",
            Family::Gamma => "family = \"gamma\"",
            Family::NegativeBinomial => "family = \"negative_binomial\"",
        };
        let errors = match self.errors {
            Errors::Model => "model",
            Errors::Hc0 => "hc0",
            Errors::Hc1 => "hc1",
            Errors::Site => "site",
        };
        let weights = if self.weights { ", weights = \"w\"" } else { "" };
        let ridge = self.ridge.map(|lambda| format!(", ridge = {lambda}")).unwrap_or_default();
        let formula = self.formula();
        format!(
            "[[analysis]]\nname = \"m\"\nmodel = {{ formula = \"{formula}\", {family}, standard_errors = \"{errors}\"{weights}{ridge} }}"
        )
    }

    /// Whether the model reads a column that some lack.
    fn reads(&self, column: &str) -> bool {
        self.labels().iter().any(|label| factors(label).contains(&column))
    }

    /// Whether the columns have all that centring the numbers of this one brings in.
    fn can_centre(&self, product: &[&str], labels: &[String]) -> bool {
        let numbers: Vec<usize> = (0..product.len()).filter(|at| range(product[*at]).is_some()).collect();
        (1u32..1 << numbers.len()).all(|taken| {
            let is_taken =
                |at: &usize| numbers.iter().position(|of| of == at).is_some_and(|bit| taken & (1 << bit) != 0);
            let rest: Vec<&str> = (0..product.len()).filter(|at| !is_taken(at)).map(|at| product[at]).collect();
            labels.iter().any(|label| factors(label) == rest)
        })
    }

    /// A row of the columns that the penalty is of: each number of a product about the middle of its range, or else as it is, by the most that it can be.
    fn scaled(&self, labels: &[String], value: impl Fn(&str) -> f64) -> Vec<f64> {
        let column = |label: &String| -> f64 {
            let product = factors(label);
            let centred = self.can_centre(&product, labels);
            let factor = |of: &&str| match range(of) {
                Some((middle, half)) if centred => (value(of) - middle) / half,
                Some((middle, half)) => value(of) / (middle.abs() + half),
                None => match SPLINE.iter().position(|name| name == of) {
                    Some(at) => value(of) / bend(at, 1.0),
                    None => value(of),
                },
            };
            product.iter().map(factor).product()
        };
        labels.iter().map(column).collect()
    }

    /// An outcome whose mean this is the linear predictor of.
    fn draw(&self, eta: f64, draw: &mut Numbers) -> f64 {
        // Of shape 2 and mean 1.
        let gamma = |draw: &mut Numbers| -(draw.share().ln() + draw.share().ln()) / 2.0;
        let poisson = |mean: f64, draw: &mut Numbers| {
            // Knuth's, by a product of uniform numbers.
            let until = (-mean).exp();
            let (mut left, mut count) = (draw.share(), 0.0);
            while left > until && count < 1000.0 {
                left *= draw.share();
                count += 1.0;
            }
            count
        };
        let event = |share: f64, draw: &mut Numbers| f64::from(u8::from(draw.happens(share)));
        match self.family {
            Family::Gaussian => ((eta + draw.within(-2.0, 2.0)) * 1000.0).round() / 1000.0,
            Family::Binomial | Family::Probit | Family::Cloglog => {
                let share = self.family.mean(eta.clamp(-4.0, 1.5)).map_or(0.5, |mean| mean.0);
                event(share, draw)
            }
            Family::Poisson => poisson(eta.clamp(-3.0, 3.0).exp(), draw),
            Family::NegativeBinomial => poisson(eta.clamp(-3.0, 3.0).exp() * gamma(draw), draw),
            Family::Gamma => ((eta.clamp(-3.0, 3.0).exp() * gamma(draw)) * 1000.0).round().max(1.0) / 1000.0,
        }
    }

    pub fn data(&self) -> Data {
        let mut draw = Numbers(self.seed);
        let labels = self.labels();
        let steep = if matches!(self.family, Family::Probit | Family::Cloglog) { 0.25 } else { 0.5 };
        let about = |label: &String| {
            let about = draw.within(-steep, steep);
            if label.starts_with("poly") { about / 20.0 } else { about }
        };
        let truth: Vec<f64> = labels.iter().map(about).collect();
        let (mut file, mut complete, mut scaled, mut of_site) =
            (Rows::new(), pooled::Rows::default(), Vec::new(), Vec::new());
        for patient in 0..self.patients {
            let (x, k, o, w) =
                (draw.within(-2.0, 3.0), (draw.share() * 11.0).floor(), draw.within(-1.0, 1.0), draw.within(0.0, 5.0));
            let (c, d) = (["a", "b", "z"][draw.below(3)], draw.happens(0.4));
            // Patients are dealt out to the sites in turn.
            let site = patient % self.sites;
            let lacks = draw.happens(0.05);
            let value = |factor: &str| match factor {
                "x" => x,
                "k" => k,
                "o" => o,
                "c[b]" => f64::from(u8::from(c == "b")),
                "c[z]" => f64::from(u8::from(c == "z")),
                "d[true]" => f64::from(u8::from(d)),
                of_site if of_site.starts_with("site") => {
                    f64::from(u8::from(of_site == format!("site[site-{site:02}]")))
                }
                function => bend(SPLINE.iter().position(|name| *name == function).expect("a column"), o),
            };
            let row: Vec<f64> = labels.iter().map(|label| factors(label).into_iter().map(value).product()).collect();
            let eta = row.iter().zip(&truth).map(|(x, b)| x * b).sum::<f64>() + if self.offset { o } else { 0.0 };
            let y = self.draw(eta, &mut draw);
            let outcome = |of: &str| if self.outcome() == of { y } else { 1.0 };
            let texts = [
                ("x", if lacks { String::new() } else { x.to_string() }),
                ("k", k.to_string()),
                ("c", c.to_owned()),
                ("d", d.to_string()),
                ("o", o.to_string()),
                ("w", w.to_string()),
                ("number", outcome("number").to_string()),
                ("event", (outcome("event") > 0.5).to_string()),
                ("times", outcome("times").to_string()),
                ("size", outcome("size").to_string()),
            ];
            let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text));
            file.push((String::new(), texts.collect::<BTreeMap<_, _>>()));
            if !(lacks && self.reads("x")) {
                complete.x.push(row);
                complete.y.push(y);
                complete.offset.push(if self.offset { o } else { 0.0 });
                complete.weight.push(if self.weights { w } else { 1.0 });
                scaled.push(self.scaled(&labels, value));
                of_site.push(site);
            }
        }
        complete.penalty =
            self.ridge.and_then(|lambda| pooled::ridge(lambda, &scaled, &complete.x, |at| is_slope(&labels[at])));
        Data { file, complete, site: of_site, scaled }
    }
}

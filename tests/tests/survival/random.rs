//! Any times, any grid, any groups, any number of sites: the curves, their medians and means, the tests and the incidences are those of the pooled rows.

use std::collections::BTreeSet;

use bocage_tests::federation::{Federation, Gate, block};
use bocage_tests::numbers::Numbers;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::plain::{self, Patient};
use super::{column, covid, lung2, reference};

const CONTRACT: &str = r#"
    id = "random@1"
    subject = "row"
    column = [
        { name = "time", type = "int", range = [0, 60] },
        { name = "status", type = "code", codes = [{ code = "0" }, { code = "1" }, { code = "2" }, { code = "3" }] },
        { name = "part", type = "code", required = true, codes = [{ code = "0" }, { code = "1" }, { code = "2" }] },
    ]
"#;

/// How the study writes a grid, and its ends.
const GRIDS: [(&str, &[f64]); 3] = [
    ("every = 10, until = 50", &[10.0, 20.0, 30.0, 40.0, 50.0]),
    ("grid = [1, 2, 5, 7, 20, 60]", &[1.0, 2.0, 5.0, 7.0, 20.0, 60.0]),
    ("every = 1, until = 12", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]),
];

/// Levels of confidence, with the normal points of their intervals.
pub const CONFIDENCE: [(f64, f64); 3] =
    [(0.95, 1.959_963_984_540_054), (0.9, 1.644_853_626_951_472_2), (0.99, 2.575_829_303_548_900_4)];

#[derive(Debug, Clone)]
struct Case {
    grid: usize,
    confidence: usize,
    log_log: bool,
    competing: bool,
    /// How many groups there are; 1: no `by`.
    groups: usize,
    at: f64,
    sites: usize,
    patients: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let sorts = (0..GRIDS.len(), 0..CONFIDENCE.len(), any::<bool>(), any::<bool>(), 1usize..=3);
    (sorts, 1u8..=19, 1usize..=5, 20usize..150, any::<u64>()).prop_map(|(sorts, at, sites, patients, seed)| {
        let (grid, confidence, log_log, competing, groups) = sorts;
        Case { grid, confidence, log_log, competing, groups, at: f64::from(at) / 20.0, sites, patients, seed }
    })
}

impl Case {
    fn text(&self) -> String {
        format!(
            "[[analysis]]\nname = \"s\"\nsurvival = {{ time = \"time\", event = \"status = '1'\", {}, at = [{}], confidence = {}, band = \"{}\"{}{} }}\n",
            GRIDS[self.grid].0,
            self.at,
            CONFIDENCE[self.confidence].0,
            if self.log_log { "log_log" } else { "plain" },
            if self.competing { ", competing = { moved = \"status = '2'\", other = \"status = '3'\" }" } else { "" },
            if self.groups > 1 { ", by = [\"part\"]" } else { "" },
        )
    }

    /// The files of the sites, and the patients whose time and event are known.
    fn data(&self) -> (Vec<String>, Vec<Patient>) {
        let (mut draw, ends) = (Numbers(self.seed), GRIDS[self.grid].1);
        let mut files = vec!["time,status,part\n".to_owned(); self.sites];
        let mut known = Vec::new();
        for i in 0..self.patients {
            let (site, group) = (i % self.sites, draw.below(self.groups));
            let time = (-draw.share().ln() * (10.0 + 8.0 * group as f64)).floor().min(60.0);
            let exit = draw.below(4);
            let lacks = draw.happens(0.05);
            let told = if lacks { String::new() } else { time.to_string() };
            files[site] += &format!("{told},{exit},{group}\n");
            let exit = if exit == 1 || self.competing { exit } else { 0 };
            let interval = plain::interval(ends, time);
            let exit = if interval < ends.len() { exit } else { 0 };
            if !lacks {
                known.push(Patient { interval, exit, group, site });
            }
        }
        (files, known)
    }
}

fn same(found: Option<f64>, expected: Option<f64>, what: &str) -> TestCaseResult {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-3);
    let holds = found.zip(expected).map_or(found.is_none() && expected.is_none(), |(a, b)| near(a, b));
    prop_assert!(holds, "{what}: {found:?} for {expected:?}");
    Ok(())
}

/// A column, number by number.
fn all_same(found: &[Option<f64>], expected: impl Iterator<Item = Option<f64>>, what: &str) -> TestCaseResult {
    let expected: Vec<Option<f64>> = expected.collect();
    prop_assert_eq!(found.len(), expected.len(), "{}", what);
    (0..found.len()).try_for_each(|at| same(found[at], expected[at], &format!("{what} {at}")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48 * bocage_tests::scale()) })]

    #[test]
    fn survival_over_sites_is_that_of_the_pooled_rows(case in cases()) {
        let (files, patients) = case.data();
        let (ends, z) = (GRIDS[case.grid].1, CONFIDENCE[case.confidence].1);
        let sites: Vec<String> = (0..files.len()).map(|site| format!("site-{site}")).collect();
        let sites: Vec<(&str, String)> = sites.iter().map(String::as_str).zip(files).collect();
        let result = Federation::new(CONTRACT, &sites).run(&case.text(), Gate::OPEN).remove(0);
        for group in 0..case.groups {
            let own: Vec<Patient> = patients.iter().filter(|of| of.group == group).copied().collect();
            let name = if case.groups > 1 { group.to_string() } else { String::new() };
            let (found, curve) = (|column_: &str| column(&result.block, &name, column_), plain::curve(&own, ends.len()));
            let intervals: Vec<_> = curve.iter().map(|step| step.interval(z, case.log_log)).collect();
            all_same(&found("survival"), curve.iter().map(|step| Some(step.survival)), "survival")?;
            all_same(&found("at_risk"), curve.iter().map(|step| Some(step.at_risk)), "at risk")?;
            all_same(&found("censored"), curve.iter().map(|step| Some(step.censored)), "censored")?;
            all_same(&found("lower"), intervals.iter().map(|of| of.map(|of| of.0)), "lower")?;
            all_same(&found("upper"), intervals.iter().map(|of| of.map(|of| of.1)), "upper")?;
            let of = |title: &str, column_: &str| column(block(&result, title), &name, column_);
            let median = plain::quantile(ends, curve.iter().map(|step| step.survival), case.at);
            all_same(&of("quantiles", "to"), std::iter::once(median), "quantile")?;
            let upper = plain::quantile(ends, intervals.iter().map(|of| of.map_or(1.0, |of| of.1)), case.at);
            all_same(&of("quantiles", "upper"), std::iter::once(upper), "upper end of the quantile")?;
            let (mean, error) = plain::restricted_mean(ends, &curve);
            all_same(&of("restricted mean", "restricted_mean"), std::iter::once(Some(mean)), "mean")?;
            all_same(&of("restricted mean", "se"), std::iter::once(Some(error)), "error of the mean")?;
            if case.competing {
                let expected: Vec<_> = (1..=3).flat_map(|exit| plain::incidence(&own, exit, ends.len())).collect();
                all_same(&of("cumulative incidence", "incidence"), expected.iter().map(|of| Some(of.0)), "incidence")?;
                all_same(&of("cumulative incidence", "se"), expected.iter().map(|of| Some(of.1)), "error of incidence")?;
            }
        }
        if case.groups > 1 {
            let test = |title: &str| column(block(&result, title), "", "value")[0];
            let pooled = plain::log_rank(&patients, case.groups, ends.len(), |_| 0);
            same(test("log-rank test"), pooled, "log-rank test")?;
            let strata = plain::log_rank(&patients, case.groups, ends.len(), |of| of.site);
            same(test("log-rank test, stratified by site"), strata, "log-rank test by site")?;
        }
    }
}

/// The patients of a file, along a grid.
pub fn known(patients: &[super::Patient], ends: &[f64]) -> Vec<Patient> {
    let sites: BTreeSet<&str> = patients.iter().map(|of| of.site.as_str()).collect();
    let patient = |of: &super::Patient| {
        let interval = plain::interval(ends, f64::from(of.time));
        Patient {
            interval,
            exit: if interval < ends.len() { of.status.into() } else { 0 },
            group: of.part.into(),
            site: sites.iter().position(|site| *site == of.site).expect("a site"),
        }
    };
    patients.iter().map(patient).collect()
}

/// What `plain` makes of the data in the repository is what lifelines and statsmodels make of them (`tests/reference/survival.py`).
#[test]
fn plain_survival_is_that_of_lifelines_and_statsmodels() {
    let near = |found: f64, expected: &serde_json::Value, what: &str| {
        // What has no value in a package's curve is nothing that it says.
        if let Some(expected) = expected.as_f64() {
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{what}: {found} for {expected}");
        }
    };
    let case = &reference()["lung2"];
    let ends: Vec<f64> = (1..=30).map(|month| f64::from(month) * 30.0).collect();
    let patients = known(&lung2(), &ends);
    for (group, theirs) in ["0.0", "1.0"].into_iter().enumerate() {
        let own: Vec<Patient> = patients.iter().filter(|of| of.group == group).copied().collect();
        let (curve, theirs) = (plain::curve(&own, ends.len()), &case["groups"][theirs]);
        for (at, step) in curve.iter().enumerate() {
            near(step.survival, &theirs["survival"][at], "survival");
            near(step.at_risk, &theirs["at_risk"][at], "at risk");
            let (lower, upper) = step.interval(CONFIDENCE[0].1, true).unwrap_or((0.0, 0.0));
            if step.survival > 0.0 {
                near(lower, &theirs["lower"][at], "lower");
                near(upper, &theirs["upper"][at], "upper");
            }
        }
        let (mean, error) = plain::restricted_mean(&ends, &curve);
        near(mean, &theirs["mean"], "mean");
        near(error, &theirs["mean_se"], "error of the mean");
    }
    near(plain::log_rank(&patients, 2, ends.len(), |_| 0).expect("a test"), &case["logrank"]["chi2"], "log-rank");
    let by_site = plain::log_rank(&patients, 2, ends.len(), |of| of.site).expect("a test");
    near(by_site, &case["stratified"]["chi2"], "log-rank by site");
    let case = &reference()["covid"];
    let days: Vec<f64> = (1..=21).map(f64::from).collect();
    let patients = known(&covid(), &days);
    for (exit, kind) in [(1, "1"), (2, "2")] {
        for (at, (value, error)) in plain::incidence(&patients, exit, days.len()).into_iter().enumerate() {
            near(value, &case[kind]["incidence"][at], "incidence");
            near(error, &case[kind]["se"][at], "error of incidence");
        }
    }
}

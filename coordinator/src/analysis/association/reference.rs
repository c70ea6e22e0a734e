//! What scipy and statsmodels say of the pooled rows: `tests/reference/association.json`, made by the script beside it.

use std::sync::OnceLock;

use serde_json::Value;

use super::means::Group;
use super::strata::Stratum;
use super::{Estimate, Test};

/// An entry, by its names with dots between.
pub(in crate::analysis) fn entry(path: &str) -> &'static Value {
    static ALL: OnceLock<Value> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let text = include_str!("../../../../tests/reference/association.json");
        serde_json::from_str(text).unwrap()
    });
    let (group, name) = path.split_once('.').unwrap();
    let found = &all[group][name];
    assert!(!found.is_null(), "there is no {path}");
    found
}

pub(in crate::analysis) fn number(path: &str) -> f64 {
    entry(path).as_f64().unwrap()
}

/// To ten digits, or to 1e-13 of nothing.
#[track_caller]
pub(in crate::analysis) fn assert_near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-10 * wanted.abs() + 1e-13, "{found} is not {wanted}");
}

#[track_caller]
pub(in crate::analysis) fn assert_estimate(found: Option<Estimate>, path: &str) {
    let found = found.unwrap();
    let wanted: Vec<f64> = entry(path).as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    for (found, wanted) in [found.value, found.from, found.to].into_iter().zip(wanted) {
        assert_near(found, wanted);
    }
}

#[track_caller]
pub(in crate::analysis) fn assert_test(found: Option<Test>, path: &str) {
    let (found, wanted) = (found.unwrap(), entry(path));
    assert_near(found.statistic, wanted["statistic"].as_f64().unwrap());
    assert_near(found.p, wanted["p"].as_f64().unwrap());
    for (found, wanted) in [(found.df, &wanted["df"]), (found.df_2, &wanted["df_2"])] {
        assert_eq!(found.is_some(), wanted.is_number());
        assert_near(found.unwrap_or_default(), wanted.as_f64().unwrap_or_default());
    }
}

pub(in crate::analysis) fn counts(path: &str) -> Vec<Vec<u64>> {
    serde_json::from_value(entry(path).clone()).unwrap()
}

pub(in crate::analysis) fn strata(path: &str) -> Vec<Stratum> {
    serde_json::from_value(entry(path).clone()).unwrap()
}

/// Groups by their number, mean and standard deviation.
pub(in crate::analysis) fn groups(path: &str) -> Vec<Group> {
    let rows: Vec<(u64, f64, f64)> = serde_json::from_value(entry(path).clone()).unwrap();
    rows.into_iter().map(|(n, mean, sd)| Group { n, mean, sd }).collect()
}

//! `survival = { time, event, competing, by, grid | every + until, at, confidence, band, least_intervals }`: time to an event over a declared grid.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Binding;
use super::table::label;
use crate::analysis::{Band, Key, Spec, SurvivalSpec};
use crate::limits;
use crate::plan::TypeProblem;
use crate::settings::join;

/// The median.
const DEFAULT_AT: [f64; 1] = [0.5];
const DEFAULT_CONFIDENCE: f64 = 0.95;

#[derive(Deserialize)]
pub(super) struct RawSurvival {
    time: String,
    event: String,
    #[serde(default)]
    competing: BTreeMap<String, String>,
    #[serde(default)]
    by: Vec<String>,
    grid: Option<Vec<f64>>,
    every: Option<f64>,
    until: Option<f64>,
    at: Option<Vec<f64>>,
    confidence: Option<f64>,
    band: Option<Band>,
    least_intervals: Option<u32>,
}

impl Binding<'_> {
    pub(super) fn survival(&mut self, key: &str, raw: &RawSurvival) -> Option<Spec> {
        let key = &join(key, "survival");
        let time = self.key(&join(key, "time"), &raw.time);
        let mut event = |place: &str, name: &str, text: &str| {
            let condition = self.condition(&join(key, place), text)?;
            Some(Key { label: name.to_owned(), key: condition })
        };
        let wanted = event("event", &label(&raw.event), &raw.event);
        let competing: Option<Vec<Key>> = raw
            .competing
            .iter()
            .map(|(name, text)| event(&format!("competing.{name}"), &label(name), text))
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        let by = self.keys(&join(key, "by"), &raw.by);
        let grid = self.grid(key, &raw.grid, raw.every, raw.until);
        let spec = SurvivalSpec {
            time: time?,
            event: wanted?,
            competing: competing?,
            by: by?,
            grid: grid?,
            at: raw.at.clone().unwrap_or_else(|| DEFAULT_AT.to_vec()),
            confidence: raw.confidence.unwrap_or(DEFAULT_CONFIDENCE),
            band: raw.band.unwrap_or(Band::LogLog),
            least_intervals: raw.least_intervals,
        };
        match spec.problem() {
            Some((place, problem)) => {
                let hint = "e.g. survival = { time = \"days\", event = \"died\", grid = [90, 180, 365], at = [0.5], confidence = 0.95 }";
                self.refuse(&join(key, place), TypeProblem::new(problem).hint(hint))
            }
            None => Some(Spec::Survival(spec)),
        }
    }

    /// The ends of the intervals, written one by one or as steps.
    pub(super) fn grid(
        &mut self,
        key: &str,
        grid: &Option<Vec<f64>>,
        every: Option<f64>,
        until: Option<f64>,
    ) -> Option<Vec<f64>> {
        let hint = "e.g. grid = [90, 180, 365], or every = 30 and until = 360";
        match (grid, every, until) {
            (Some(grid), None, None) => Some(grid.clone()),
            (None, Some(every), Some(until)) if every > 0.0 && until >= every && until.is_finite() => {
                let steps = (until / every).round();
                if (steps * every - until).abs() > 1e-9 * until || steps > limits::BREAKS as f64 {
                    let most = limits::BREAKS;
                    let problem =
                        TypeProblem::new(format!("`until` is no whole number of steps of `every`, up to {most}"));
                    return self.refuse(&join(key, "until"), problem.hint(hint));
                }
                Some((1..=steps as u32).map(|step| f64::from(step) * every).collect())
            }
            _ => {
                let problem = TypeProblem::new("the intervals are a `grid`, or `every` and `until`, both above 0");
                self.refuse(&join(key, "grid"), problem.hint(hint))
            }
        }
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(spec: &SurvivalSpec, place: &str) -> String {
    let keys = spec.by.len();
    match place {
        "of" => "survival.time".to_owned(),
        "edges" => "survival.grid".to_owned(),
        // The way of leaving, and the interval, stand behind the groups.
        _ if place == format!("by[{keys}]") => "survival.event".to_owned(),
        _ if place == format!("by[{}]", keys + 1) => "survival.grid".to_owned(),
        _ => format!("survival.{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;
    use crate::plan::Expr;

    #[test]
    fn a_grid_is_written_end_by_end_or_in_steps() {
        let Ok(Spec::Survival(spec)) = one("survival = { time = 'chol', event = 'disease', every = 30, until = 90 }")
        else {
            panic!("a survival")
        };
        assert_eq!((spec.grid, spec.at, spec.confidence), (vec![30.0, 60.0, 90.0], vec![0.5], 0.95));
        assert_eq!((spec.time.label.as_str(), spec.event.label.as_str(), spec.band), ("chol", "disease", Band::LogLog));
        assert!(matches!(spec.time.key, Expr::Column(_)));
        let text = "survival = { time = 'chol', event = 'disease', grid = [1, 2.5], by = ['sex'], band = 'plain', \
                    competing = { old = 'age > 80' }, at = [0.1, 0.5], confidence = 0.9 }";
        let Ok(Spec::Survival(spec)) = one(text) else { panic!("a survival") };
        assert_eq!((spec.grid, spec.competing[0].label.as_str(), spec.band), (vec![1.0, 2.5], "old", Band::Plain));
    }

    #[test]
    fn what_is_no_survival_says_where() {
        for (rest, wanted) in [
            ("", "survival.grid: the intervals are a `grid`, or `every` and `until`"),
            (", every = 30", "survival.grid: the intervals are a `grid`, or `every` and `until`"),
            (", every = 30, until = 100", "survival.until: `until` is no whole number of steps"),
            (", every = 1, until = 1001", "survival.until: `until` is no whole number of steps of `every`, up to 1000"),
            (", grid = [0, 1]", "survival.grid: a grid has 1 to 1000 ascending ends above 0"),
            (", grid = [2, 1]", "survival.grid: a grid has 1 to 1000 ascending ends above 0"),
            (", grid = [60, 60.1]", "survival.time: the intervals of `chol` are narrower than a thousandth"),
            (", grid = [60], confidence = 1", "survival.confidence: a level of confidence is 0.5 or more"),
            (
                ", grid = [60, 90], least_intervals = 0",
                "survival.least_intervals: a site keeps from 1 to all 2 intervals",
            ),
            (", grid = [60], at = [1.5]", "survival.at: `at` has 1 to 100 ascending shares"),
            (", grid = [60], by = ['chol']", "survival.by[0]: a number has no declared levels"),
            (", grid = [60], competing = { old = 'age' }", "survival.competing.old: expected a condition"),
        ] {
            let problems = one(&format!("survival = {{ time = 'chol', event = 'disease'{rest} }}")).unwrap_err();
            assert!(problems.contains(wanted), "{rest}: {problems}");
        }
        let problems = one("survival = { time = 'sex', event = 'age', grid = [1] }").unwrap_err();
        assert!(problems.contains("survival.event: expected a condition"), "{problems}");
    }
}

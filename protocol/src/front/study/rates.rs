//! `rates = { time, event, by, per, confidence }`: events by time under observation.

use serde::Deserialize;

use super::Binding;
use super::table::label;
use crate::analysis::{Key, RatesSpec, Show, Shown, Spec};
use crate::plan::{Measure, TypeProblem};
use crate::settings::join;

const DEFAULT_CONFIDENCE: f64 = 0.95;

#[derive(Deserialize)]
pub(super) struct RawRates {
    time: String,
    event: String,
    #[serde(default)]
    by: Vec<String>,
    per: Option<f64>,
    confidence: Option<f64>,
}

impl Binding<'_> {
    pub(super) fn rates(&mut self, key: &str, raw: &RawRates) -> Option<Spec> {
        let key = &join(key, "rates");
        let place = join(key, "time");
        let time = match self.show(&place, &format!("sum({})", raw.time)) {
            Some(show @ Show::Sum(Measure::Column(_) | Measure::Days { .. })) => Some(show),
            Some(_) => self.refuse(
                &place,
                TypeProblem::new(format!("`{}` is no time", raw.time))
                    .hint("name a number column, or days_between(from, to) of two date columns"),
            ),
            None => None,
        };
        let event = self.condition(&join(key, "event"), &raw.event);
        let by = self.keys(&join(key, "by"), &raw.by);
        let spec = RatesSpec {
            time: Shown { label: label(&raw.time), show: time? },
            event: Key { label: label(&raw.event), key: event? },
            by: by?,
            per: raw.per.unwrap_or(1.0),
            confidence: raw.confidence.unwrap_or(DEFAULT_CONFIDENCE),
        };
        match spec.problem() {
            Some((place, problem)) => {
                let hint = "e.g. rates = { time = \"days\", event = \"died\", per = 1000, confidence = 0.95 }";
                self.refuse(&join(key, place), TypeProblem::new(problem).hint(hint))
            }
            None => Some(Spec::Rates(spec)),
        }
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(place: &str) -> String {
    match place {
        "measures[0]" => "rates.time".to_owned(),
        "measures[1]" | "filter" => "rates.event".to_owned(),
        _ => format!("rates.{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn rates_are_of_a_time_and_a_condition() {
        let Ok(Spec::Rates(spec)) = one("rates = { time = 'age', event = 'disease', by = ['sex'], per = 1000 }") else {
            panic!("rates")
        };
        assert_eq!((spec.time.label.as_str(), spec.per, spec.confidence), ("age", 1000.0, 0.95));
        let table = spec.table();
        assert_eq!(table.headings().collect::<Vec<_>>(), ["sex", "count", "age", "events"]);
    }

    #[test]
    fn what_is_no_rate_says_where() {
        for (text, wanted) in [
            ("time = 'sex', event = 'disease'", "rates.time: `sex` is a code"),
            ("time = 'ln(chol)', event = 'disease'", "rates.time: `ln(chol)` is no time"),
            ("time = 'age', event = 'age'", "rates.event: expected a condition"),
            ("time = 'age', event = 'disease', per = 0", "rates.per: a rate is per so much time"),
            ("time = 'age', event = 'disease', confidence = 95", "rates.confidence: a level of confidence"),
            ("time = 'age', event = 'disease', by = ['chol']", "rates.by[0]: a number has no declared levels"),
        ] {
            let problems = one(&format!("rates = {{ {text} }}")).unwrap_err();
            assert!(problems.contains(wanted), "{text}: {problems}");
        }
    }
}

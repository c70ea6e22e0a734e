//! `histogram = { of, bins, by, roll_up }`: counts over declared bins.

use serde::Deserialize;

use super::Binding;
use crate::analysis::{HistogramSpec, Spec};
use crate::limits;
use crate::plan::{Columns, TypeProblem, type_of};
use crate::settings::join;

#[derive(Deserialize)]
pub(super) struct RawHistogram {
    of: String,
    bins: Vec<f64>,
    #[serde(default)]
    by: Vec<String>,
    roll_up: Option<bool>,
}

impl Binding<'_> {
    pub(super) fn histogram(&mut self, key: &str, raw: &RawHistogram) -> Option<Spec> {
        let of = self.key(&join(key, "histogram.of"), &raw.of);
        if let Some(found) = of.as_ref().and_then(|of| type_of(&of.key, Columns::Contract(self.contract())).ok())
            && !found.is_number()
        {
            let problem = TypeProblem::new(format!("expected a number, found {}", found.name()));
            let hint = "count what is no number by its levels: table = { by = [\"…\"], show = [\"count\"] }";
            self.refuse::<()>(&join(key, "histogram.of"), problem.hint(hint));
        }
        let ascending = raw.bins.windows(2).all(|w| w[0] < w[1]) && raw.bins.iter().all(|b| b.is_finite());
        if !ascending || !(1..=limits::BREAKS).contains(&raw.bins.len()) {
            let problem = TypeProblem::new(format!("a histogram has 1 to {} ascending edges", limits::BREAKS));
            let hint = "e.g. bins = [100, 150, 200]: below 100, [100, 150), [150, 200), 200 and above";
            self.refuse::<()>(&join(key, "histogram.bins"), problem.hint(hint));
        }
        let by = self.keys(&join(key, "histogram.by"), &raw.by);
        let spec = HistogramSpec { of: of?, bins: raw.bins.clone(), by: by?, roll_up: raw.roll_up.unwrap_or(true) };
        Some(Spec::Histogram(spec))
    }
}

/// Where the text says what the plan's check found at `place`.
pub(super) fn text_place(spec: &HistogramSpec, place: &str) -> String {
    if place == format!("by[{}]", spec.by.len()) { "histogram.of".to_owned() } else { format!("histogram.{place}") }
}

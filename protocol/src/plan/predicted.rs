//! What may be asked of a prediction. As a key, a condition or over a grid it is an expression like others; a sum of it is not: a steep one is a
//! count of those whom it singles out, and such a sum could be of fewer than k.

use super::typing::TypeProblem;
use super::{Derived, Measure, Query, Statistic};
use crate::ids::ColumnName;

/// What is wrong with the use of predictions, with its place in the plan. `measures` are those that an engine computes.
pub(super) fn misused(query: &Query, statistic: &Statistic, measures: &[Measure]) -> Vec<(String, TypeProblem)> {
    let is = |name: &ColumnName| {
        let made = query.features.iter().find(|feature| feature.name == *name);
        made.is_some_and(|feature| matches!(feature.of, Derived::Predicted(_)))
    };
    let in_model = matches!(statistic, Statistic::Model(_));
    let mut found = Vec::new();
    for (at, measure) in measures.iter().enumerate() {
        let allowed = matches!(measure, Measure::Condition(_)) || (in_model && matches!(measure, Measure::Column(_)));
        if !allowed && measure.columns().into_iter().any(is) {
            let problem = match in_model {
                true => TypeProblem::new("a prediction stands in a model as it is, with no function of it")
                    .hint("linear(MODEL) is the linear predictor"),
                false => TypeProblem::new("a prediction is not summed")
                    .hint("count patients by its bands: cut(predict(MODEL), 0.1, 0.2); evaluate a model's predictions by a model"),
            };
            let place = if in_model { "columns".to_owned() } else { format!("measures[{at}]") };
            found.push((place, problem));
        }
    }
    found
}

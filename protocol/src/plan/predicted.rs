//! What may be asked of a prediction. As a key, a condition or over a grid it is an expression like others; a sum of it is not: a steep one is a
//! count of those whom it singles out, and such a sum could be of fewer than k. Nor is it described: beside another column it would be that of one
//! patient, and no outcome's weights are looked at there.

use std::collections::HashSet;

use super::typing::TypeProblem;
use super::{Derived, Explains, Factor, Measure, Query, Statistic};
use crate::ids::{ColumnName, TableName};

/// What is wrong with the use of predictions, with its place in the plan. `measures` are those that an engine computes.
pub(super) fn misused(query: &Query, statistic: &Statistic, measures: &[Measure]) -> Vec<(String, TypeProblem)> {
    let is = |name: &ColumnName| {
        let made = query.features.iter().find(|feature| feature.name == *name);
        made.is_some_and(|feature| matches!(feature.of, Derived::Predicted(_)))
    };
    let in_model = matches!(statistic, Statistic::Model(_));
    let mut found = described(query, statistic);
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

/// The columns without an outcome that are made of predictions.
fn described(query: &Query, statistic: &Statistic) -> Vec<(String, TypeProblem)> {
    let Statistic::Model(model) = statistic else { return vec![] };
    if !matches!(model.explains, Explains::Moments | Explains::Clusters(_)) {
        return vec![];
    }
    let mut made: HashSet<(Option<&TableName>, &ColumnName)> = HashSet::new();
    for feature in &query.features {
        let is = matches!(feature.of, Derived::Predicted(_));
        if is || feature.reads().iter().any(|read| made.contains(read)) {
            made.insert((feature.on.as_ref(), &feature.name));
        }
    }
    let reads = |factor: &Factor| factor.columns().into_iter().any(|name| made.contains(&(None, name)));
    let columns = model.columns.iter().enumerate().filter(|(_, product)| product.iter().any(reads));
    let refused = |(at, _)| {
        let problem = TypeProblem::new("a prediction is not described by components or clusters");
        (format!("columns[{at}]"), problem.hint("name the columns that it is made of"))
    };
    columns.map(refused).collect()
}

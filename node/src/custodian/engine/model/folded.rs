//! The sums of a step that leaves some out of further fits ([`bocage_protocol::plan::Folds`]): of all, and then of each fit, at its coefficients, of
//! those whom it is fitted to and of those who are left out.

use bocage_protocol::plan::{LeftOut, Model, ModelLayout, Response};

use super::design::{Cases, Design};
use super::facts::Facts;
use super::sums;
use crate::custodian::gate::CountedModel;

/// The blocks of a step's sums, with what the gate must know of each. `own` is the site's own intercept, where it has one.
pub fn at(
    design: &Design,
    (model, response): (&Model, &Response),
    layout: &ModelLayout,
    own: Option<f64>,
) -> CountedModel {
    let of =
        |cases: &[&Cases], facts: Facts, beta: &[f64]| sums::of((cases, facts), (model, response), beta, layout, own);
    let all: Vec<&Cases> = design.parts.iter().collect();
    let mut whole = of(&all, design.facts.clone(), &model.at.beta);
    let Some(folds) = &model.folds else { return whole };
    for (left_out, beta) in folds.at.iter().enumerate() {
        match folds.by {
            LeftOut::Site => whole.folds.push(of(&all, design.facts.clone(), beta)),
            LeftOut::Fold(_) => {
                let (out, rest): (Vec<&Cases>, Vec<&Cases>) = all.iter().partition(|cases| cases.fold == left_out);
                let Some(facts) = design.of_folds.get(left_out) else { continue };
                whole.folds.push(of(&rest, others(&design.of_folds, left_out), beta));
                whole.folds.push(of(&out, facts.clone(), beta));
            }
        }
    }
    whole
}

/// What is known of everybody outside a fold.
fn others(folds: &[Facts], left_out: usize) -> Facts {
    let mut others = folds.iter().enumerate().filter(|(fold, _)| *fold != left_out).map(|(_, facts)| facts);
    let mut all = others.next().cloned().unwrap_or_else(|| folds[left_out].clone());
    others.for_each(|facts| all.absorb(facts));
    all
}

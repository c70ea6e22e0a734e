//! Of a design it is not enough that k have moved: its sums tell apart who stands on which side of each column, and of two answers' differences so do
//! those of the few who have moved there. So **of all that a model's sums tell apart nobody has moved, or as many as the gate asks of the model**.
//!
//! It must say yes or no, and never where: that would be said of those few.

use bocage_protocol::plan::ModelLayout;

use super::super::model::CountedModel;
use super::super::{Rules, columns, cox, described};

/// Whether sums over designs with these patients and without them may be subtracted, whatever the sums are of.
pub(in super::super) fn is_settled(moved: &CountedModel, layout: &ModelLayout, rules: Rules) -> bool {
    let k = rules.threshold;
    let enough = |n: u64| n >= u64::from(k);
    moved.n == 0
        || (enough(moved.n)
            && (moved.summed() == 0 || enough(moved.summed()))
            && columns::are_empty_or_enough(moved, layout, rules)
            && moved.predictions.iter().all(|(_, shares)| shares.are_even(k))
            && moved.risk.as_ref().is_none_or(|risk| cox::are_empty_or_enough(risk, k))
            && moved.described.as_ref().is_none_or(|described| described::are_empty_or_enough(described, k)))
}

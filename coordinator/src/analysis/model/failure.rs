//! Why a fit has no end, in words for those who can change the study.

use bocage_protocol::limits;

/// Why a fit has no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// This column, or site, is made of others.
    Collinear(usize),
    /// This coefficient grows beyond all bounds.
    Separated(usize),
    /// The data fill next to nothing of this column's range.
    Wide(usize),
    /// Steps that lead nowhere.
    Steps,
    /// More steps than there are rounds.
    Rounds,
}

impl Failure {
    /// In words. `label` names a column.
    pub(super) fn words<'a>(&self, label: impl Fn(usize) -> &'a str) -> String {
        match self {
            Failure::Collinear(at) => {
                let name = label(*at);
                format!("no fit: `{name}` is made of the columns before it, or never varies: leave it out")
            }
            Failure::Separated(at) => format!(
                "no fit: the coefficient of `{}` goes beyond {} for each half of its contract's range. It may tell the outcome apart completely (separation): leave it out, group it, or (of a `model`) use ridge; or the range is much wider than the data: say where its numbers lie, by plausible(COLUMN, LEAST, GREATEST)",
                label(*at),
                limits::MODEL_SLOPE
            ),
            Failure::Wide(at) => {
                let name = label(*at);
                format!(
                    "no fit: the range of `{name}` is wide against what it holds: say where its numbers lie, by plausible(COLUMN, LEAST, GREATEST)"
                )
            }
            Failure::Steps => {
                "no fit: the steps do not come to an end. Fewer terms, or (of a `model`) ridge, may help".to_owned()
            }
            Failure::Rounds => format!(
                "no fit: it has not converged in the {} rounds that a fit has, and what it came to is not told. Fewer terms, or (of a `model`) ridge, may help, and so may leaving out sites that do not answer every round",
                limits::MODEL_ROUNDS
            ),
        }
    }
}

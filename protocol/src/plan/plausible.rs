//! Numbers that a study holds to a narrower range than the contract's. Who has none is then chosen, as by a condition: what is counted of them must be
//! counted in patients, since k is.

use super::typing::{Columns, TypeProblem};
use super::{Derived, Measure, Query};
use crate::contract::{Contract, Kind};
use crate::ids::ColumnName;

/// Whether a column can be held to a narrower range. It must be narrower: a wider one would say of the data what the contract does not.
pub(super) fn narrows(column: &ColumnName, (lo, hi): (f64, f64), base: &Contract) -> Result<(), TypeProblem> {
    let found = Columns::Contract(base).type_of(column)?;
    let (least, most, whole) = match base.column(column.as_str()).map(|column| &column.kind) {
        Some(Kind::Int { lo, hi }) => (*lo as f64, *hi as f64, true),
        Some(Kind::Float { lo, hi }) => (*lo, *hi, false),
        _ => return Err(TypeProblem::new(format!("expected a number, found {}", found.name()))),
    };
    let hint = "the least plausible value comes first, e.g. plausible(systolic, 40, 300)";
    if !(lo.is_finite() && hi.is_finite() && lo < hi) {
        return Err(TypeProblem::new(format!("no number lies from {lo} to {hi}")).hint(hint));
    }
    if whole && (lo.fract() != 0.0 || hi.fract() != 0.0) {
        let problem = format!("whole numbers do not lie from {lo} to {hi}");
        return Err(TypeProblem::new(problem).hint(format!("write {} and {}", lo.ceil(), hi.floor())));
    }
    if lo < least || hi > most {
        let problem = format!("{lo} to {hi} reaches beyond the number's own range, {least} to {most}");
        return Err(TypeProblem::new(problem).hint("a study narrows a range; a contract widens it"));
    }
    Ok(())
}

/// The sums that would say of how many rows a number is not plausible where it is one of rows and not of patients, with their places in the plan. How
/// many rows have a value leaves beside a sum, and a patient's row too many is a patient who is alone.
pub(super) fn of_rows(query: &Query, base: &Contract, measures: &[Measure]) -> Vec<(String, TypeProblem)> {
    let sums = |measure: &Measure| !base.one_row_per_subject() && !matches!(measure, Measure::Condition(_));
    let measures = measures.iter().enumerate().filter(|(_, measure)| sums(measure));
    let wrong = measures.filter(|(_, measure)| measure.columns().into_iter().any(|name| is_of_rows(name, query)));
    let refused = |(at, _)| {
        let problem =
            TypeProblem::new("a table does not sum plausible numbers of rows where a patient may have several");
        let hint = "count the patients' own table, and pick the number of each: plausible(last(TABLE.COLUMN), LEAST, GREATEST)";
        (format!("measures[{at}]"), problem.hint(hint))
    };
    wrong.map(refused).collect()
}

/// Whether a column is a plausible number of which a patient's rows may have different ones.
fn is_of_rows(name: &ColumnName, query: &Query) -> bool {
    let made = |name: &ColumnName| query.features.iter().position(|of| of.on.is_none() && of.name == *name);
    let Some(mut at) = made(name) else { return false };
    let Derived::Plausible { column, .. } = &query.features[at].of else { return false };
    let mut column = column;
    // Each feature reads earlier ones only.
    while let Some(next) = made(column).filter(|next| *next < at) {
        match &query.features[next].of {
            Derived::Plausible { column: of, .. } => (at, column) = (next, of),
            Derived::Pick { .. } | Derived::Sum { .. } | Derived::Value { .. } => return false,
            _ => return true,
        }
    }
    true
}

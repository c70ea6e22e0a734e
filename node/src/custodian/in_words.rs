//! What a study asks in all of its rounds, in words: the same for who decides about it and for who reads in the ledger what was decided.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::AnalysisSpec;
use bocage_protocol::plan::{RowsOf, ValidPlan};

use super::authority::{Authorised, first_round, later_rounds};
use super::ledger::bodies::desk::Asks;

/// The whole study, analysis by analysis, whatever part of it a coordinator asks first. `rows` are for the estimate of time alone.
///
/// # Errors
/// `study_invalid`.
pub(super) fn asks(authorised: &Authorised<'_>, rows: RowsOf<'_>) -> Result<Vec<Asks>, PublicError> {
    let (datasets, study) = (authorised.datasets(), &authorised.study);
    let asks = |(analysis, plan): (&AnalysisSpec, ValidPlan)| {
        let explain = |plan: &ValidPlan| plan.explain(datasets.contracts_of(plan), Some(rows));
        let later = later_rounds(analysis, study, &datasets)?;
        let explained = later.iter().fold(explain(&plan), |all, (n, plan)| all.followed_by(*n, &explain(plan)));
        let (cells, numbers) = (explained.cells, explained.numbers);
        let beyond: String = analysis.spec.beyond_the_first_round().map(|said| format!("{said}.\n")).collect();
        let explained = explained.plainly() + &study.origins(plan.plan()) + &beyond;
        Ok(Asks { analysis: analysis.name.clone(), cells, numbers, explained })
    };
    let plans = first_round(study, &datasets)?;
    study.analyses.iter().zip(plans).map(asks).collect()
}

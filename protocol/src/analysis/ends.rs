//! Analyses that read what another one of the same study fits: they wait until its fit has ended, and a round then brings the coefficients along, beside
//! what it asks. A node fills them into the study's own features, and so derives the plan by itself.
//!
//! ```text
//! study: [0] model `treated`   [1] model, weighted by ipw(treated)
//! rounds 0 … 4 ─▶ 0: a fit     round 5 ─▶ 0: Ended { round: 4, beta }, 1: First     round 6 ─▶ 0: the same, 1: At(…)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{AnalysisSpec, Named, RoundState, Spec, Term, plan_for};
use crate::error::{ErrorCode, PublicError};
use crate::ids::{AnalysisName, ColumnName};
use crate::plan::{Derived, Expr, Feature, Fit, Measure, Plan, Prediction, Query};
use crate::trust::Study;

/// The fits of a study that have ended, by their positions in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ends(BTreeMap<u16, End>);

/// Where a fit ended.
#[derive(Debug, Clone, PartialEq)]
struct End {
    round: u16,
    beta: Vec<f64>,
}

impl Ends {
    /// Those that the steps of a round bring along: each with its position in the study.
    pub fn of<'a>(steps: impl Iterator<Item = (u16, &'a RoundState)>) -> Self {
        let end = |(analysis, state): (u16, &RoundState)| match state {
            RoundState::Ended { round, beta } => Some((analysis, End { round: *round, beta: beta.clone() })),
            _ => None,
        };
        Self(steps.filter_map(end).collect())
    }

    /// Notes that a fit ended with a round, at these coefficients of its columns as they stand.
    pub fn add(&mut self, analysis: u16, round: u16, beta: Vec<f64>) {
        self.0.insert(analysis, End { round, beta });
    }

    /// Whether all of these have ended.
    pub fn have(&self, analyses: &BTreeSet<u16>) -> bool {
        analyses.iter().all(|analysis| self.0.contains_key(analysis))
    }

    /// What a round that asks those who wait for these brings along, by position.
    pub fn said_of(&self, analyses: &BTreeSet<u16>) -> BTreeMap<u16, RoundState> {
        let said = |(analysis, End { round, beta }): (&u16, &End)| {
            (*analysis, RoundState::Ended { round: *round, beta: beta.clone() })
        };
        self.0.iter().filter(|(analysis, _)| analyses.contains(analysis)).map(said).collect()
    }
}

/// The plan of an analysis' part in a round of the study.
///
/// # Errors
/// As of [`plan_for`]; `round_invalid` where the round does not say at what the analysis waits for ended, `study_invalid` where it waits for what has no end.
pub fn plan_of(study: &Study, analysis: u16, round: u16, state: &RoundState, ends: &Ends) -> Result<Plan, PublicError> {
    let spec = &at(study, analysis)?.spec;
    let awaited = awaits(study, analysis)?;
    let Some(begun) = ends.0.iter().filter(|(of, _)| awaited.contains(of)).map(|(_, end)| end.round).max() else {
        return if awaited.is_empty() { plan_for(spec, study.query(), round, state) } else { Err(unsaid()) };
    };
    if !ends.have(&awaited) {
        return Err(unsaid());
    }
    let Some(own) = round.checked_sub(begun).and_then(|rounds| rounds.checked_sub(1)) else {
        let message = "an analysis begins in a round after those that it waits for have ended";
        return Err(PublicError::new(ErrorCode::RoundInvalid, message));
    };
    let mut query = study.query();
    for feature in &mut query.features {
        if let Derived::Predicted(of) = &mut feature.of
            && let Some(end) = of.from.as_ref().and_then(|name| position(study, name)).and_then(|at| ends.0.get(&at))
        {
            **of = Prediction { from: None, beta: end.beta.clone(), ..(**of).clone() };
        }
    }
    plan_for(spec, query, own, state)
}

/// Which analyses of the study this one reads coefficients of, by position: all stand above it.
///
/// # Errors
/// `study_invalid` where one of them fits no such model.
pub fn awaits(study: &Study, analysis: u16) -> Result<BTreeSet<u16>, PublicError> {
    let own = at(study, analysis)?;
    let invalid = |message: String| PublicError::new(ErrorCode::StudyInvalid, message);
    if !study.features.iter().any(|feature| origin(feature).is_some()) {
        return Ok(BTreeSet::new());
    }
    let plan = plan_for(&own.spec, study.query(), 0, &RoundState::First)?;
    let mut found = BTreeSet::new();
    for (name, of) in read(&plan.query, plan.statistic.columns()) {
        let Some(above) = position(study, name).filter(|position| *position < analysis) else {
            let message = format!("`{}` reads the fit of `{name}`, which does not stand above it", own.name);
            return Err(invalid(message).hint("put the analysis that fits the model first; a cohort can read none"));
        };
        let fits = fitted(&at(study, above)?.spec)
            .is_some_and(|own| own.fit == of.fit && own.columns().map(|column| &column.of).eq(&of.columns));
        if !fits {
            return Err(invalid(format!("`{}` reads a fit of `{name}` that it is not", own.name)));
        }
        found.insert(above);
    }
    Ok(found)
}

/// A fit whose coefficients alone say what it expects.
#[derive(Debug, Clone, Copy)]
pub struct Predictor<'a> {
    /// What it is of.
    pub fit: Fit,
    /// Its terms.
    pub terms: &'a [Term],
    /// Its outcome, where that is a condition of which it gives the probability.
    pub outcome: Option<&'a Expr>,
}

impl<'a> Predictor<'a> {
    /// Its columns, term by term.
    pub fn columns(self) -> impl Iterator<Item = &'a Named> {
        self.terms.iter().flat_map(|term| &term.columns)
    }
}

/// The fit of an analysis, where its coefficients alone say what it expects.
pub fn fitted(spec: &Spec) -> Option<Predictor<'_>> {
    let model = match spec {
        Spec::Model(model) => model,
        Spec::ElasticNet(net) => &net.model,
        Spec::Cox(cox) => {
            let alone = cox.two_stage.is_none() && cox.hazard.offset.is_none();
            return alone.then_some(Predictor { fit: Fit::ProportionalHazards, terms: &cox.terms, outcome: None });
        }
        _ => return None,
    };
    let outcome = match &model.response.of {
        Measure::Condition(condition) => Some(condition),
        _ => None,
    };
    let alone = model.two_stage.is_none() && !model.by_site && model.response.offset.is_none();
    alone.then_some(Predictor { fit: Fit::Mean(model.response.family), terms: &model.terms, outcome })
}

/// The predictions by fits of the same study that filter, statistic and the features among them read.
fn read<'a>(query: &'a Query, columns: Vec<&ColumnName>) -> Vec<(&'a AnalysisName, &'a Prediction)> {
    let filter = query.filter.iter().flat_map(|filter| filter.columns());
    let mut names: BTreeSet<ColumnName> = columns.into_iter().chain(filter).cloned().collect();
    let mut found = Vec::new();
    for feature in query.features.iter().rev() {
        // A feature of another table's rows is looked at wherever it stands: it is read by that table's conditions.
        if feature.on.is_some() || names.contains(&feature.name) {
            names.extend(feature.reads().into_iter().map(|(_, name)| name.clone()));
            found.extend(origin(feature));
        }
    }
    found
}

fn origin(feature: &Feature) -> Option<(&AnalysisName, &Prediction)> {
    let Derived::Predicted(of) = &feature.of else { return None };
    of.from.as_ref().map(|name| (name, of.as_ref()))
}

fn at(study: &Study, analysis: u16) -> Result<&AnalysisSpec, PublicError> {
    study.analyses.get(usize::from(analysis)).ok_or_else(|| {
        PublicError::new(ErrorCode::RoundInvalid, "the round asks an analysis that the study does not have")
    })
}

fn position(study: &Study, name: &AnalysisName) -> Option<u16> {
    let found = study.analyses.iter().position(|analysis| analysis.name == *name)?;
    u16::try_from(found).ok()
}

fn unsaid() -> PublicError {
    let message = "the round does not say where the fits ended that an analysis waits for";
    PublicError::new(ErrorCode::RoundInvalid, message)
}

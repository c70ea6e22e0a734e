//! The questions of a study, and how a node derives each round's plan from them.

mod accuracy;
mod attrition;
mod compare;
mod confidence;
mod correlation;
mod cox;
mod cross_validation;
mod crosstab;
mod discovered;
mod elastic_net;
mod ends;
mod histogram;
mod hypotheses;
mod kmeans;
mod model;
mod pca;
mod quantiles;
mod rates;
mod roc;
mod rounds;
mod scored;
mod standardised;
mod survival;
mod table;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorCode, PublicError};
use crate::ids::{AnalysisName, ColumnName};
use crate::plan::{Centroids, Derived, LeftOut, Plan, Position, Query};

pub use accuracy::AccuracySpec;
pub use attrition::{AttritionSpec, AttritionStep};
pub use compare::{CompareSpec, Outcome};
pub use confidence::Confidence;
pub use correlation::{CorrelationSpec, Pair};
pub use cox::{CoxSpec, Pattern};
pub use cross_validation::CrossValidationSpec;
pub use crosstab::CrosstabSpec;
pub use discovered::DiscoveredSpec;
pub use elastic_net::{Choice, ElasticNetSpec};
pub use ends::{Ends, Predictor, awaits, fitted, plan_of};
pub use histogram::HistogramSpec;
pub use hypotheses::{Contrast, Nested, Weighted, balances_sites};
pub use kmeans::{KmeansSpec, Metric};
pub use model::{ModelSpec, Named, Pooling, StandardErrors, Term};
pub use pca::{PcaScale, PcaSpec};
pub use quantiles::QuantilesSpec;
pub use rates::RatesSpec;
pub use roc::{Class, RocSpec};
pub use rounds::most_later_rounds;
pub use scored::ScoredSpec;
pub use standardised::{Standard, StandardisedSpec};
pub use survival::{Band, Exit, SurvivalSpec};
pub use table::{Key, Show, Shown, TableSpec};

/// A named question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisSpec {
    /// Its name within the study.
    pub name: AnalysisName,
    /// The question.
    pub spec: Spec,
    /// The summary that it is a part of. Says how to show it and nothing else; a node never looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<SummaryPart>,
}

/// A summary is written as one analysis and signed as several, so that every plan stays the plan of one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SummaryPart {
    /// The summary's name in the text.
    pub of: AnalysisName,
    /// The column that this part is about.
    pub column: ColumnName,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Whole::is_summary")]
    pub whole: Whole,
}

/// What is written as one analysis and signed as several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whole {
    /// A summary: every column by itself.
    #[default]
    Summary,
    /// Correlations: every pair of columns.
    Correlation,
    /// A table one: every column by group.
    TableOne,
    /// An evaluation of a score.
    Evaluation,
}

impl Whole {
    /// The kind's name in study texts and results.
    pub fn kind(self) -> &'static str {
        match self {
            Whole::Summary => "summary",
            Whole::Correlation => "correlation",
            Whole::TableOne => "table_one",
            Whole::Evaluation => "evaluate",
        }
    }

    fn is_summary(&self) -> bool {
        *self == Whole::Summary
    }
}

/// The kinds of question. A closed list that later analyses extend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spec {
    /// A dense table.
    Table(TableSpec),
    /// Counts over declared bins.
    Histogram(HistogramSpec),
    /// Counts by two keys.
    Crosstab(CrosstabSpec),
    /// Quantiles of a number.
    Quantiles(QuantilesSpec),
    /// A flow of inclusion steps.
    Attrition(AttritionSpec),
    /// A table by a key that is found in the data.
    Discovered(DiscoveredSpec),
    /// A regression, fitted in several rounds.
    Model(ModelSpec),
    /// A test held against the truth.
    Accuracy(AccuracySpec),
    /// Groups compared by an outcome.
    Compare(CompareSpec),
    /// How two columns go together.
    Correlation(CorrelationSpec),
    /// Rates made comparable by a standard population.
    Standardised(StandardisedSpec),
    /// Events by time under observation.
    Rates(RatesSpec),
    /// Time to an event over a grid.
    Survival(SurvivalSpec),
    /// Proportional hazards, fitted in several rounds.
    Cox(CoxSpec),
    /// The directions in which columns vary most.
    Pca(PcaSpec),
    /// Groups of patients who are like each other, found in several rounds.
    Kmeans(KmeansSpec),
    /// A score held against the truth along a grid.
    Roc(RocSpec),
    /// A model's probabilities held against the truth.
    Scored(ScoredSpec),
    /// A regression held against those who were left out of it.
    CrossValidation(CrossValidationSpec),
    /// A regression whose coefficients are held small, along a path of penalties.
    ElasticNet(ElasticNetSpec),
}

impl Spec {
    /// The kind's name in study texts and results.
    pub fn kind(&self) -> &'static str {
        match self {
            // One kind to who writes and reads it.
            Spec::Table(_) | Spec::Discovered(_) => "table",
            Spec::Histogram(_) => "histogram",
            Spec::Crosstab(_) => "crosstab",
            Spec::Quantiles(_) => "quantiles",
            Spec::Attrition(_) => "attrition",
            Spec::Model(_) => "model",
            Spec::Accuracy(_) => "accuracy",
            Spec::Compare(_) => "compare",
            Spec::Correlation(_) => "correlation",
            Spec::Standardised(_) => "standardised",
            Spec::Rates(_) => "rates",
            Spec::Survival(_) => "survival",
            Spec::Cox(_) => "cox",
            Spec::Pca(_) => "pca",
            Spec::Kmeans(_) => "kmeans",
            Spec::Roc(_) => "roc",
            Spec::Scored(_) => "scored",
            Spec::CrossValidation(_) => "cross_validation",
            Spec::ElasticNet(_) => "elastic_net",
        }
    }

    /// Every heading that the question brings along, as the researcher wrote it.
    pub fn headings(&self) -> Vec<&str> {
        match self {
            Spec::Table(table) => table.headings().collect(),
            Spec::Discovered(spec) => [spec.label.as_str()].into_iter().chain(spec.table.headings()).collect(),
            Spec::Histogram(histogram) => {
                [&histogram.of].into_iter().chain(&histogram.by).map(|k| k.label.as_str()).collect()
            }
            Spec::Crosstab(crosstab) => vec![&crosstab.rows.label, &crosstab.columns.label],
            Spec::Quantiles(_) => vec![],
            Spec::Model(model) => model.headings(),
            Spec::CrossValidation(spec) => spec.model.headings(),
            Spec::ElasticNet(spec) => spec.model.headings(),
            Spec::Rates(rates) => rates.headings().collect(),
            Spec::Survival(survival) => survival.headings().collect(),
            Spec::Cox(cox) => cox.headings(),
            Spec::Pca(pca) => pca.headings(),
            Spec::Kmeans(kmeans) => kmeans.headings(),
            Spec::Roc(roc) => vec![&roc.score.label, &roc.truth.label],
            Spec::Scored(scored) => vec![&scored.truth.label],
            Spec::Attrition(attrition) => attrition.steps.iter().map(|step| step.label.as_str()).collect(),
            Spec::Accuracy(accuracy) => vec![&accuracy.test.label, &accuracy.truth.label],
            Spec::Compare(compare) => vec![&compare.by.label, compare.outcome.label()],
            Spec::Correlation(correlation) => correlation.labels().to_vec(),
            Spec::Standardised(spec) => {
                spec.by.iter().chain(&spec.over).chain([&spec.events]).map(|key| key.label.as_str()).collect()
            }
        }
    }

    /// Whether its answer has results of single sites, which a site's policy must allow.
    pub fn is_per_site(&self) -> bool {
        match self {
            Spec::Model(model) => model.two_stage.is_some(),
            Spec::Cox(cox) => cox.two_stage.is_some(),
            Spec::CrossValidation(spec) => spec.left_out == LeftOut::Site,
            Spec::ElasticNet(spec) => spec.left_out == Some(LeftOut::Site),
            _ => false,
        }
    }

    /// What a person who decides about it should know beside the plan of its first round, in words.
    pub fn beyond_the_first_round(&self) -> impl Iterator<Item = &'static str> {
        let alone = "What is said of this site alone, as a model's fit here, is published";
        let intercept = "An intercept of this site alone is published: with its number of patients it tells what their outcomes add up to";
        let by_site = matches!(self, Spec::Model(spec) if spec.by_site);
        let curve = "At the end those who have the outcome, and those who have it not, are counted along a grid of what fits that did not know them expect";
        let has_curve = matches!(self, Spec::CrossValidation(spec) if spec.curve.is_some());
        let by_fold = "In one round more this is done for each fold of patients by itself";
        let has_areas = matches!(self, Spec::CrossValidation(spec) if spec.fold_areas);
        [(self.is_per_site(), alone), (by_site, intercept), (has_curve, curve), (has_areas, by_fold)]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, said)| said)
    }

    /// The dense table that answers the question, where one alone does.
    pub fn table(&self) -> Option<TableSpec> {
        match self {
            Spec::Table(table) => Some(table.clone()),
            Spec::Histogram(histogram) => Some(histogram.table()),
            Spec::Crosstab(crosstab) => Some(crosstab.table()),
            Spec::Accuracy(accuracy) => Some(accuracy.table()),
            Spec::Compare(compare) => Some(compare.table()),
            Spec::Correlation(correlation) => correlation.table(),
            Spec::Standardised(standardised) => Some(standardised.table()),
            Spec::Rates(rates) => Some(rates.table()),
            Spec::Quantiles(_)
            | Spec::Attrition(_)
            | Spec::Discovered(_)
            | Spec::Model(_)
            | Spec::Cox(_)
            | Spec::Pca(_)
            | Spec::Kmeans(_)
            | Spec::Roc(_)
            | Spec::Scored(_)
            | Spec::CrossValidation(_)
            | Spec::ElasticNet(_)
            | Spec::Survival(_) => None,
        }
    }
}

/// What a coordinator may add to a study from round to round: numbers that are bounded by shape and range, nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundState {
    /// The first round needs nothing.
    First,
    /// Where the fit of a model is.
    At(Position),
    /// Where the centroids of a clustering are.
    Centroids(Centroids),
    /// The same of hazards with one baseline, along the ends of the declared grid that stay.
    Along {
        /// Where the fit is.
        at: Position,
        /// Which ends stay, ascending, the last included.
        stay: Vec<u32>,
    },
    /// Where the fit of a model is, and where those are that leave some out.
    Folds {
        /// That on all patients.
        at: Position,
        /// The coefficients of each of the others.
        folds: Vec<Vec<f64>>,
    },
    /// At the end of fits that leave some out: the coefficients of each, of the columns as they stand. One alone is that of a site.
    LeftOut(Vec<Vec<f64>>),
    /// Nothing is asked of the analysis any more; it is said for those that read its coefficients.
    Ended {
        /// The last round in which it was asked.
        round: u16,
        /// The coefficients of its columns as they stand.
        beta: Vec<f64>,
    },
    /// As [`RoundState::LeftOut`], for lines of each fold by itself.
    LeftOutByFold(Vec<Vec<f64>>),
}

/// The plan of a round, derived from the signed study and the round's state alone. An analysis of several rounds begins with the first state,
/// and may begin with it again in any of them.
///
/// # Errors
/// `round_invalid` where the analysis has no such round, `study_invalid` where its numbers are out of bounds.
pub fn plan_for(spec: &Spec, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
    let one_round = !matches!(
        spec,
        Spec::Model(_) | Spec::Cox(_) | Spec::Kmeans(_) | Spec::CrossValidation(_) | Spec::ElasticNet(_)
    );
    // What takes several rounds may begin again in each of them.
    let again = *state == RoundState::First && (1..=spec.further_rounds()).contains(&round);
    let round = if again { 0 } else { round };
    if one_round && (round, state) != (0, &RoundState::First) {
        return Err(PublicError::new(ErrorCode::RoundInvalid, format!("a {} has one round only", spec.kind())));
    }
    if matches!(state, RoundState::Ended { .. }) {
        return Err(PublicError::new(ErrorCode::RoundInvalid, "an analysis that has ended asks nothing"));
    }
    if query.features.iter().any(|feature| matches!(&feature.of, Derived::Predicted(of) if !of.folds.is_empty())) {
        let message = "coefficients by fold are a round's, and stand in no study";
        return Err(PublicError::new(ErrorCode::StudyInvalid, message));
    }
    match spec {
        Spec::Table(table) => Ok(table.plan(query)),
        Spec::Histogram(histogram) => Ok(histogram.table().plan(query)),
        Spec::Crosstab(crosstab) => Ok(crosstab.table().plan(query)),
        Spec::Quantiles(quantiles) => quantiles.plan(query),
        Spec::Attrition(attrition) => Ok(attrition.plan(query)),
        Spec::Discovered(discovered) => discovered.plan(query),
        Spec::Model(model) => model.plan(query, round, state),
        Spec::Accuracy(accuracy) => Ok(accuracy.table().plan(query)),
        Spec::Compare(compare) => compare.plan(query),
        Spec::Correlation(correlation) => Ok(correlation.plan(query)),
        Spec::Standardised(standardised) => standardised.plan(query),
        Spec::Rates(rates) => rates.plan(query),
        Spec::Survival(survival) => survival.plan(query),
        Spec::Cox(cox) => cox.plan(query, round, state),
        Spec::Pca(pca) => Ok(pca.plan(query)),
        Spec::Kmeans(kmeans) => kmeans.plan(query, round, state),
        Spec::Roc(roc) => roc.plan(query),
        Spec::Scored(scored) => scored.plan(query),
        Spec::CrossValidation(spec) => spec.plan(query, round, state),
        Spec::ElasticNet(spec) => spec.plan(query, round, state),
    }
}

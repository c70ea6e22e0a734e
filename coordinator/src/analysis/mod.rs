//! One driver per analysis: what the sites released goes in, the next round or the combined answer comes out.
//!
//! A driver is sans-IO and deterministic: the same releases in any order give the same bits, so that a restarted coordinator replays the
//! stored releases and goes on where it was. It never asks a node for anything; `dispatch` does.
//!
//! ```text
//!            ┌──────────── Next::Round(state) ◀───────────┐
//!            ▼                                            │
//! Driver::first() ─▶ every site's release of the round ─▶ Driver::step ─▶ Next::Publish(AnalysisResult)
//! ```

mod accuracy;
mod as_asked;
mod association;
mod attrition;
mod binned;
mod block;
mod compare;
mod correlation;
mod coverage;
mod crosstab;
mod cumulative;
mod discovered;
mod estimates;
mod evaluation;
mod histogram;
mod independence;
mod kmeans;
mod model;
mod moments;
mod notes;
mod pca;
mod pool;
mod quantiles;
mod rates;
mod roc;
mod rounded;
mod same_sites;
mod standardised;
mod summary;
mod survival;
mod table;
mod table_one;

use std::collections::BTreeMap;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{AnalysisSpec, RoundState, Spec, fitted};
use bocage_protocol::contract::Contract;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{AnalysisName, SiteId};
use bocage_protocol::limits;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::{BinsRelease, DiscoveredRelease, LinesRelease, ModelRelease, TableRelease};

use crate::api::types::{AnalysisResult, Block, Value};
pub use accuracy::AccuracyDriver;
pub use attrition::AttritionDriver;
pub use compare::CompareDriver;
pub use correlation::CorrelationDriver;
pub use crosstab::CrosstabDriver;
pub use discovered::DiscoveredDriver;
pub use histogram::HistogramDriver;
pub use kmeans::KmeansDriver;
pub use model::{
    CoxByItselfDriver, CoxDriver, CrossValidationDriver, ElasticNetDriver, ModelDriver, ScoredDriver, TwoStageDriver,
};
pub use pca::PcaDriver;
pub use quantiles::QuantilesDriver;
pub use rates::RatesDriver;
pub use roc::RocDriver;
pub use standardised::StandardisedDriver;
pub use summary::summarise;
pub use survival::SurvivalDriver;
pub use table::TableDriver;

/// What came of a round at one site. Every site of the study has one, in any order.
#[derive(Debug, Clone, Copy)]
pub struct SiteAnswer<'a> {
    /// The site.
    pub site: &'a SiteId,
    /// What it released, verified and of the layout's shape, or why there is nothing.
    pub answer: Answer<'a>,
}

/// What came of a round of an analysis at one site.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// A table.
    Table(&'a TableRelease),
    /// Bins.
    Bins(&'a BinsRelease),
    /// Discovered keys.
    Discovered(&'a DiscoveredRelease),
    /// The sums of a model's step.
    Model(&'a ModelRelease),
    /// Lines along a declared grid.
    Lines(&'a LinesRelease),
    /// It said no, to the study or to this analysis.
    Refused(&'a PublicError),
    /// It did not answer in time.
    Missing,
}

/// What a driver wants after a round.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Another round with these numbers.
    Round(RoundState),
    /// Another round in which every site has numbers of its own.
    Each(BTreeMap<SiteId, RoundState>),
    /// Nothing more: this is the answer.
    Publish(Box<AnalysisResult>),
}

/// The driver of one analysis. A closed list that later analyses extend.
#[derive(Debug)]
pub enum Driver {
    /// One round, one table.
    Table(TableDriver),
    /// A table over bins.
    Histogram(HistogramDriver),
    /// A table of two keys, and its test.
    Crosstab(CrosstabDriver),
    /// Bins of all sites, and the quantiles that they leave possible.
    Quantiles(QuantilesDriver),
    /// Bins of all sites over the steps of a flow.
    Attrition(AttritionDriver),
    /// Tables of the keys that enough sites name.
    Discovered(DiscoveredDriver),
    /// A fit over several rounds.
    Model(Box<ModelDriver>),
    /// Fits of every site by itself, over several rounds.
    TwoStage(Box<TwoStageDriver>),
    /// A table of test and truth, and its measures.
    Accuracy(AccuracyDriver),
    /// A table of groups, and how they differ.
    Compare(CompareDriver),
    /// A table of a pair, and its correlation.
    Correlation(CorrelationDriver),
    /// A table of strata, and its rates.
    Standardised(StandardisedDriver),
    /// A table of time and events, and the rates that follow from it.
    Rates(RatesDriver),
    /// Lines of all sites, and the curves and tests that follow from them.
    Survival(SurvivalDriver),
    /// A fit of hazards over several rounds.
    Cox(Box<CoxDriver>),
    /// The same of every site by itself.
    CoxByItself(Box<CoxByItselfDriver>),
    /// Moments of all sites, and the directions in which they vary.
    Pca(Box<PcaDriver>),
    /// Centroids that move over several rounds.
    Kmeans(Box<KmeansDriver>),
    /// Lines of two classes, and their curve.
    Roc(RocDriver),
    /// The sums of one step, and the scores that they are.
    Scored(ScoredDriver),
    /// Fits that leave some out, over several rounds.
    CrossValidation(Box<CrossValidationDriver>),
    /// A path of penalties, over a round or several.
    ElasticNet(Box<ElasticNetDriver>),
}

/// What every driver works under.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    name: AnalysisName,
    kind: &'static str,
    /// A patient is in one row, so that the patients of two cells are different ones.
    one_row_per_subject: bool,
    /// A combined number needs so many sites.
    min_sites: u32,
}

impl Setting {
    fn result(&self, block: Block, notes: Vec<String>) -> AnalysisResult {
        let (name, kind) = (self.name.clone(), self.kind.to_owned());
        AnalysisResult { name, kind, block, notes, rolled_up: None, also: vec![], absent: vec![] }
    }
}

impl Driver {
    /// The driver of `spec`, whose first round's plan is `plan`. A combined cell needs `min_sites` sites.
    ///
    /// # Errors
    /// `study_invalid` where a column of the answer asks of its measure what that cannot give.
    pub fn new(
        spec: &AnalysisSpec,
        plan: &ValidPlan,
        contract: &Contract,
        min_sites: u32,
    ) -> Result<Self, PublicError> {
        let setting = Setting {
            name: spec.name.clone(),
            kind: spec.spec.kind(),
            one_row_per_subject: contract.one_row_per_subject(),
            min_sites,
        };
        Ok(match &spec.spec {
            Spec::Table(table) => Driver::Table(TableDriver::new(setting, table.clone(), plan)?),
            Spec::Histogram(spec) => Driver::Histogram(HistogramDriver::new(setting, spec, plan)?),
            Spec::Crosstab(spec) => Driver::Crosstab(CrosstabDriver::new(setting, spec, plan)?),
            Spec::Quantiles(spec) => Driver::Quantiles(QuantilesDriver::new(setting, spec, plan)?),
            Spec::Attrition(spec) => Driver::Attrition(AttritionDriver::new(setting, spec, plan)?),
            Spec::Discovered(spec) => Driver::Discovered(DiscoveredDriver::new(setting, spec, plan)?),
            Spec::Model(spec) if let Some(pooling) = spec.two_stage => {
                Driver::TwoStage(Box::new(TwoStageDriver::new(setting, spec, pooling, plan)?))
            }
            Spec::Model(spec) => Driver::Model(Box::new(ModelDriver::new(setting, spec, plan)?)),
            Spec::Accuracy(spec) => Driver::Accuracy(AccuracyDriver::new(setting, spec, plan)?),
            Spec::Compare(spec) => Driver::Compare(CompareDriver::new(setting, spec, plan)?),
            Spec::Correlation(spec) => Driver::Correlation(CorrelationDriver::new(setting, spec, plan)?),
            Spec::Standardised(spec) => Driver::Standardised(StandardisedDriver::new(setting, spec, plan)?),
            Spec::Rates(spec) => Driver::Rates(RatesDriver::new(setting, spec, plan)?),
            Spec::Survival(spec) => Driver::Survival(SurvivalDriver::new(setting, spec, plan)?),
            Spec::Cox(spec) if let Some(pooling) = spec.two_stage => {
                Driver::CoxByItself(Box::new(CoxByItselfDriver::new(setting, spec, pooling, plan)?))
            }
            Spec::Cox(spec) => Driver::Cox(Box::new(CoxDriver::new(setting, spec, plan)?)),
            Spec::Pca(spec) => Driver::Pca(Box::new(PcaDriver::new(setting, spec, plan)?)),
            Spec::Kmeans(spec) => Driver::Kmeans(Box::new(KmeansDriver::new(setting, spec, plan)?)),
            Spec::Roc(spec) => Driver::Roc(RocDriver::new(setting, spec, plan)?),
            Spec::Scored(spec) => Driver::Scored(ScoredDriver::new(setting, spec, plan)?),
            Spec::CrossValidation(spec) => {
                Driver::CrossValidation(Box::new(CrossValidationDriver::new(setting, spec, plan)?))
            }
            Spec::ElasticNet(spec) => Driver::ElasticNet(Box::new(ElasticNetDriver::new(setting, spec, plan)?)),
        })
    }

    /// The numbers of the first round.
    pub fn first(&self) -> RoundState {
        RoundState::First
    }

    /// Takes in a finished round.
    pub fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let next = match self {
            Driver::Table(table) => published(table.publish(answers)),
            Driver::Histogram(histogram) => published(histogram.publish(answers)),
            Driver::Crosstab(crosstab) => published(crosstab.publish(answers)),
            Driver::Quantiles(quantiles) => published(quantiles.publish(answers)),
            Driver::Attrition(attrition) => published(attrition.publish(answers)),
            Driver::Discovered(discovered) => published(discovered.publish(answers)),
            Driver::Model(model) => model.step(answers),
            // A site whose fit has ended may leave: it says itself who is in its answer.
            Driver::TwoStage(model) => return model.step(answers),
            Driver::Accuracy(accuracy) => published(accuracy.publish(answers)),
            Driver::Compare(compare) => published(compare.publish(answers)),
            Driver::Correlation(correlation) => published(correlation.publish(answers)),
            Driver::Standardised(standardised) => published(standardised.publish(answers)),
            Driver::Rates(rates) => published(rates.publish(answers)),
            Driver::Survival(survival) => published(survival.publish(answers)),
            Driver::Cox(cox) => cox.step(answers),
            Driver::CoxByItself(cox) => return cox.step(answers),
            Driver::Pca(pca) => published(pca.publish(answers)),
            Driver::Kmeans(kmeans) => kmeans.step(answers),
            Driver::Roc(roc) => published(roc.publish(answers)),
            Driver::Scored(scored) => published(scored.publish(answers)),
            Driver::CrossValidation(model) => model.step(answers),
            // A path ends where a site leaves, and is of those that were there until then.
            Driver::ElasticNet(model) => return model.step(answers),
        };
        match next {
            Next::Publish(mut result) => {
                result.absent.extend(absent(answers));
                result.absent.sort();
                result.absent.dedup();
                Next::Publish(result)
            }
            round => round,
        }
    }
}

/// The coefficients of a fit that later analyses of the study may read, of its columns as they stand; nothing where there is none.
pub fn coefficients(spec: &Spec, result: &AnalysisResult) -> Option<Vec<f64>> {
    let model = fitted(spec)?;
    let at = result.block.columns.iter().position(|column| column == model::COLUMNS[1])?;
    let of = |label: &str| {
        let row = result.block.rows.iter().find(|row| row.first() == Some(&Value::Text(label.to_owned())))?;
        match row.get(at) {
            Some(Value::Number(estimate)) if estimate.is_finite() => Some(*estimate),
            _ => None,
        }
    };
    model.columns().map(|column| of(&column.label)).collect()
}

/// The answer to a question that could not be asked.
pub fn unanswered(spec: &AnalysisSpec, note: String, absent: Vec<SiteId>) -> AnalysisResult {
    let block = Block { columns: answer_columns(&spec.spec), ..Block::default() };
    let (name, kind) = (spec.name.clone(), spec.spec.kind().to_owned());
    AnalysisResult { name, kind, block, notes: vec![note], rolled_up: None, also: vec![], absent }
}

/// The headings of the answer to a question, as far as they are known before it is answered: a cross-tabulation has a column a level.
pub fn answer_columns(spec: &Spec) -> Vec<String> {
    let texts = |columns: &[&str]| columns.iter().map(|column| (*column).to_owned()).collect();
    match spec {
        Spec::Quantiles(_) => texts(&quantiles::COLUMNS),
        Spec::Model(_) | Spec::Cox(_) => texts(&model::COLUMNS),
        Spec::Pca(_) => texts(&pca::COLUMNS),
        Spec::Kmeans(spec) => kmeans::columns(spec),
        Spec::Roc(_) | Spec::CrossValidation(_) => texts(&roc::COLUMNS),
        Spec::ElasticNet(_) => texts(&model::PENALISED),
        Spec::Scored(_) => texts(&model::QUANTITIES),
        Spec::Attrition(_) => texts(&attrition::COLUMNS),
        Spec::Survival(spec) => survival::columns(spec),
        Spec::Rates(spec) => rates::columns(spec),
        Spec::Crosstab(crosstab) => vec![crosstab.rows.label.clone(), crosstab.columns.label.clone()],
        Spec::Accuracy(_) | Spec::Compare(_) | Spec::Correlation(_) | Spec::Standardised(_) | Spec::Discovered(_) => {
            spec.headings().into_iter().map(str::to_owned).collect()
        }
        Spec::Table(_) | Spec::Histogram(_) => {
            let table = spec.table();
            let keys = table.iter().flat_map(|table| &table.by).map(|key| key.label.clone());
            keys.chain(table.iter().flat_map(|table| &table.show).map(|shown| shown.label.clone())).collect()
        }
    }
}

/// What a person should know of a question before it is asked.
pub fn warnings(spec: &Spec, plan: &ValidPlan) -> Vec<String> {
    match (spec, plan.grid()) {
        (Spec::Quantiles(spec), Some(grid)) => quantiles::warning(spec, grid).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The most values that the published answer to a question has, asked of so many sites: rows times columns, twice where sites may roll up.
pub fn answer_values(spec: &Spec, plan: &ValidPlan, sites: usize) -> usize {
    match spec {
        Spec::Model(model) => return model::values(model, sites),
        Spec::Cox(cox) => {
            let risk = plan.model().and_then(|(_, layout)| layout.risk.as_ref()).and_then(|risk| risk.shared.as_ref());
            return model::cox_values(cox, risk.map_or(1, |shared| shared.strata), sites);
        }
        Spec::Pca(pca) => return pca::values(pca, sites),
        Spec::Kmeans(kmeans) => return kmeans::values(kmeans, sites),
        Spec::Scored(_) => return 14 + 2 * sites,
        Spec::CrossValidation(spec) => return model::left_out_values(spec, sites),
        Spec::ElasticNet(spec) => return model::penalised_values(spec, sites),
        _ => {}
    }
    let rows = match spec {
        Spec::Discovered(discovered) => plan.layout().cells_at(0).saturating_mul(discovered.top as usize),
        _ => plan.layout().cells_at(0),
    };
    let blocks = plan.layout().steps().min(2);
    rows.saturating_mul(answer_columns(spec).len()).saturating_mul(blocks)
}

/// Whether the published answers of a study may be held as a whole. `values` are those of its analyses.
///
/// # Errors
/// `too_large`.
pub fn check_values(values: impl Iterator<Item = usize>) -> Result<(), PublicError> {
    let all = values.fold(0, usize::saturating_add);
    if all <= limits::RESULT_VALUES {
        return Ok(());
    }
    let message = format!("the answer would have {all} values, where a study may have {}", limits::RESULT_VALUES);
    Err(PublicError::new(ErrorCode::TooLarge, message).hint("ask for fewer cells or columns, or in several studies"))
}

fn published(result: AnalysisResult) -> Next {
    Next::Publish(Box::new(result))
}

/// The sites that gave nothing in a round.
fn absent<'a>(answers: &'a [SiteAnswer<'_>]) -> impl Iterator<Item = SiteId> + 'a {
    let gave_nothing = |answer: &&SiteAnswer<'_>| matches!(answer.answer, Answer::Refused(_) | Answer::Missing);
    answers.iter().filter(gave_nothing).map(|answer| answer.site.clone())
}

/// The answers in the order of their sites.
fn sorted<'a>(answers: &[SiteAnswer<'a>]) -> Vec<SiteAnswer<'a>> {
    let mut answers = answers.to_vec();
    answers.sort_by_key(|a| a.site);
    answers
}

#[cfg(test)]
mod tests;

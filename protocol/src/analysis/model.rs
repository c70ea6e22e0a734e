//! A regression: a linear or generalised linear model, fitted by Fisher scoring over several rounds.

use serde::{Deserialize, Serialize};

use super::{Contrast, Nested, RoundState};
use crate::error::{ErrorCode, PublicError};
use crate::limits;
use crate::plan::{Explains, Folds, LeftOut, Measure, Model, Plan, Position, Product, Query, Response, Statistic};

/// A model as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// As the researcher wrote it.
    pub formula: String,
    /// What is explained.
    pub response: Response,
    /// By what.
    pub terms: Vec<Term>,
    /// Whether every site has an intercept of its own.
    pub by_site: bool,
    /// What the standard errors are made of.
    pub standard_errors: StandardErrors,
    /// The coverage of confidence intervals, above 0 and below 1.
    pub confidence: f64,
    /// What is added to the information of each slope, by the square of its column's scale: λ of a ridge penalty λ/2 · Σβ² on scaled columns.
    pub ridge: f64,
    /// Where every site is fitted by itself: how their estimates are put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_stage: Option<Pooling>,
    /// Smaller models that it is held against by their likelihoods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likelihood_ratio: Vec<Nested>,
    /// Combinations of its coefficients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contrasts: Vec<Contrast>,
}

/// How the estimates of sites that were fitted by themselves become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// By their inverse variances: the sites have one truth.
    Fixed,
    /// The sites' truths vary about a mean (DerSimonian, Laird 1986).
    DersimonianLaird,
    /// The same, with errors by how the sites differ (Hartung, Knapp 2001).
    HartungKnapp,
}

impl Pooling {
    /// Every way, as it stands in study texts.
    pub const ALL: [(&str, Pooling); 3] = [
        ("fixed", Pooling::Fixed),
        ("dersimonian_laird", Pooling::DersimonianLaird),
        ("hartung_knapp", Pooling::HartungKnapp),
    ];
}

/// A term of a formula: columns that are tested together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// As the researcher wrote it.
    pub label: String,
    /// Its columns.
    pub columns: Vec<Named>,
}

/// A design column with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// E.g. `sex[1]:age`.
    pub label: String,
    /// What it is.
    pub of: Product,
}

/// What standard errors are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandardErrors {
    /// The model's expected information.
    Model,
    /// Huber's and White's sandwich (White 1980).
    Hc0,
    /// The same, times n / (n − parameters) (MacKinnon, White 1985).
    Hc1,
    /// The sandwich of the sites' scores, times G / (G − 1), with t of G − 1 degrees of freedom (Liang, Zeger 1986). Needs 10 sites.
    Site,
}

impl ModelSpec {
    /// Its columns, term by term.
    pub fn columns(&self) -> impl Iterator<Item = &Named> {
        self.terms.iter().flat_map(|term| &term.columns)
    }

    /// Every text of the researcher that the answer repeats.
    pub fn headings(&self) -> Vec<&str> {
        let labels = self.columns().map(|column| column.label.as_str());
        let terms = self.terms.iter().map(|term| term.label.as_str());
        let nested = self.likelihood_ratio.iter().map(|nested| nested.label.as_str());
        let contrasts = self.contrasts.iter().map(|contrast| contrast.label.as_str());
        std::iter::once(self.formula.as_str()).chain(terms).chain(labels).chain(nested).chain(contrasts).collect()
    }

    /// Whether its outcome is events that can be counted.
    pub fn counts_events(&self) -> bool {
        matches!(self.response.of, Measure::Condition(_)) && self.response.weight.is_none()
    }

    /// Where the fit begins.
    pub fn start(&self) -> Position {
        let robust = matches!(self.standard_errors, StandardErrors::Hc0 | StandardErrors::Hc1);
        Position { robust, ..Position::start(self.columns().count(), self.response.family) }
    }

    pub(super) fn plan(&self, query: Query, round: u16, state: &RoundState) -> Result<Plan, PublicError> {
        let refuse = |code, message: String| Err(PublicError::new(code, message));
        let at = match state {
            RoundState::First if round == 0 => self.start(),
            RoundState::At(at) if round > 0 && round < limits::MODEL_ROUNDS => at.clone(),
            _ => {
                let most = limits::MODEL_ROUNDS;
                return refuse(
                    ErrorCode::RoundInvalid,
                    format!("a model has {most} rounds, each but the first with numbers"),
                );
            }
        };
        if !(0.0 < self.confidence && self.confidence < 1.0) {
            return refuse(ErrorCode::StudyInvalid, "`confidence` is above 0 and below 1".to_owned());
        }
        if !(0.0..=1e12).contains(&self.ridge) {
            return refuse(ErrorCode::StudyInvalid, "`ridge` is 0 or more".to_owned());
        }
        let columns: Vec<&Product> = self.columns().map(|column| &column.of).collect();
        let most = limits::MODEL_COLUMNS;
        let asked = self.likelihood_ratio.len() <= most
            && self.contrasts.len() <= most
            && self.likelihood_ratio.iter().all(|nested| nested.fits(columns.len(), self.by_site))
            && self.contrasts.iter().all(|contrast| contrast.fits(columns.len(), self.by_site));
        let alone = self.likelihood_ratio.is_empty() && self.contrasts.is_empty() && self.ridge == 0.0 && !self.by_site;
        if self.two_stage.is_some() && !(alone && self.standard_errors != StandardErrors::Site) {
            return refuse(ErrorCode::StudyInvalid, "a model in two stages is that of each site by itself".to_owned());
        }
        if !asked {
            return refuse(
                ErrorCode::StudyInvalid,
                "a comparison or contrast is of no columns of the model".to_owned(),
            );
        }
        Ok(Plan { query, statistic: Statistic::Model(self.at(at, None)) })
    }

    fn at(&self, at: Position, folds: Option<Folds>) -> Model {
        let columns = self.columns().map(|column| column.of.clone()).collect();
        Model {
            explains: Explains::Mean(self.response.clone()),
            columns,
            by_site: self.by_site,
            at,
            folds: folds.map(Box::new),
        }
    }

    /// A round of fits of which each but one leaves some out, in less than `rounds`. Where those are a site's, the sums of the first are every fit's.
    pub(super) fn plan_of_folds(
        &self,
        query: Query,
        left_out: Option<LeftOut>,
        (round, rounds): (u16, u16),
        state: &RoundState,
    ) -> Result<Plan, PublicError> {
        let invalid = |message: &str| Err(PublicError::new(ErrorCode::StudyInvalid, message));
        let plain = self.two_stage.is_none() && self.likelihood_ratio.is_empty() && self.contrasts.is_empty();
        if !plain || !(0.0..=1e12).contains(&self.ridge) || !left_out.is_none_or(LeftOut::is_allowed) {
            return invalid("what is fitted again and again is a model by itself, with folds that there are");
        }
        let later = (1..rounds).contains(&round);
        let (at, folds) = match (state, left_out) {
            (RoundState::First, Some(LeftOut::Fold(count))) if round == 0 => {
                (self.start(), Some(vec![self.start().beta; usize::from(count)]))
            }
            (RoundState::First, _) if round == 0 => (self.start(), None),
            (RoundState::At(at), None) if later => (at.clone(), None),
            (RoundState::Folds { at, folds }, Some(_)) if later => (at.clone(), Some(folds.clone())),
            _ => {
                let message = format!("there are {rounds} rounds of such fits, each but the first with numbers");
                return Err(PublicError::new(ErrorCode::RoundInvalid, message));
            }
        };
        let folds = left_out.zip(folds).map(|(by, at)| Folds { by, at });
        Ok(Plan { query, statistic: Statistic::Model(self.at(at, folds)) })
    }
}

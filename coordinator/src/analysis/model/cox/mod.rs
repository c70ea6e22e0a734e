//! The fit of a Cox model over sites, each with a baseline of its own or all with one along a grid: Newton's method on the partial likelihood, from
//! coefficients of 0. Of a grid the sites are first asked which of its ends can stay at each; the fit is along those that all of them keep. When it has come to its end the sites are asked once more, there, for what only the end needs;
//! and for robust errors along a grid once more, at twice its coefficients.

mod baseline;
mod published;
mod sandwich;
mod shared;

use std::collections::BTreeMap;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{CoxSpec, RoundState};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{CoxSums, ModelLayout, Position, Sums, ValidPlan};
use bocage_protocol::release::ModelRelease;
use nalgebra::{DMatrix, DVector};

use self::sandwich::Powers;
use self::shared::Along;
use super::failure::Failure;
use super::fit::{Fit, Merged, Verdict, add_triangle, inverse};
use super::published::counted;
use super::{Answer, COLUMNS, Next, Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block, NamedBlock};

/// The driver of one Cox model.
#[derive(Debug)]
pub struct CoxDriver {
    setting: Setting,
    spec: CoxSpec,
    layout: ModelLayout,
    fit: Fit,
    first: Option<First>,
    /// The end of the fit, where the sites are asked for the last time.
    closing: Option<Position>,
    /// Along a grid, which of its ends stay.
    stay: Option<Vec<u32>>,
    /// How many each site could let stay.
    kept: Vec<(SiteId, usize)>,
    /// Sites that were in the fit and did not answer a later round, and why. They stay out, or a site that refuses the end alone would be asked for ever.
    gone: BTreeMap<SiteId, String>,
    /// Sites that keep fewer intervals than are asked of each. Later rounds are along ends that they do not keep: what they answer to these is nothing.
    few: BTreeMap<SiteId, String>,
    /// For robust errors along a grid.
    powers: Powers,
    /// How often the sites have answered.
    rounds: u16,
}

/// What comes after a round.
pub(in crate::analysis::model) enum Step {
    /// Another one.
    Round(RoundState),
    /// The fit, and what is to be said of it.
    End(Box<End>, Vec<String>),
    /// Of whom it would have been, as far as that may be told, and why there is none.
    Nothing(Vec<NamedBlock>, Vec<String>),
}

/// The sums at coefficients of 0.
#[derive(Debug)]
struct First {
    sites: Vec<(SiteId, u64)>,
    log_likelihood: f64,
    /// sᵀ I⁻¹ s, where there is one.
    score_test: Option<f64>,
}

/// What the sites answer at the end of a fit.
#[derive(Debug)]
pub(in crate::analysis::model) struct End {
    pub merged: Merged,
    beta: DVector<f64>,
    inverse: DMatrix<f64>,
    /// All numbers, added up.
    pub sums: Vec<f64>,
    shape: CoxSums,
    /// Along a grid, those who leave in its intervals.
    along: Option<Along>,
    pub rounds: u32,
}

impl End {
    /// Of robust errors that there are not.
    fn without_squares(&mut self) {
        self.merged.squares.fill(f64::NAN);
    }
}

impl CoxDriver {
    pub(in crate::analysis) fn new(setting: Setting, spec: &CoxSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let layout = plan.model().map(|(_, layout)| layout).filter(|layout| layout.risk.is_some());
        let Some(layout) = layout.cloned() else {
            let message = format!("analysis `{}`: its plan is no Cox model", setting.name);
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        };
        let fit = Fit::new(0.0, vec![true; layout.columns.len()], false, spec.start());
        Ok(Self {
            setting,
            spec: spec.clone(),
            layout,
            fit,
            first: None,
            closing: None,
            stay: None,
            kept: Vec::new(),
            gone: BTreeMap::new(),
            few: BTreeMap::new(),
            powers: Powers::default(),
            rounds: 0,
        })
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(in crate::analysis) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        match self.advance(answers) {
            Step::Round(state) => Next::Round(state),
            Step::End(end, notes) => self.publish(self.published(&end, notes)),
            Step::Nothing(counted, notes) => self.nothing(counted, notes),
        }
    }

    /// The same, before anything is put in words.
    pub(in crate::analysis::model) fn advance(&mut self, answers: &[SiteAnswer<'_>]) -> Step {
        self.rounds += 1;
        self.take_in(answers)
    }

    fn take_in(&mut self, answers: &[SiteAnswer<'_>]) -> Step {
        let (asked, mut answers) = (answers.len(), sorted(answers));
        if self.stay.is_none() {
            self.few = self.keeping_few(&answers);
        }
        answers.retain(|answer| !self.few.contains_key(answer.site));
        let releases: Vec<(&SiteId, &ModelRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Model(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        if let Some((end, notes)) = self.powers.answered(&releases, self.along(false)) {
            return Step::End(end, notes);
        }
        let silent = self.fit.sites().filter(|site| !releases.iter().any(|(other, _)| other == site));
        for site in silent {
            let answer = answers.iter().find(|answer| answer.site == site).map(|answer| answer.answer);
            let why = match answer {
                Some(Answer::Refused(error)) => {
                    format!("refused a round of the fit: {} ({})", error.message, error.code)
                }
                _ => "did not answer an earlier round of the fit".to_owned(),
            };
            self.gone.entry(site.clone()).or_insert(why);
        }
        let (gone, releases): (Vec<_>, Vec<_>) =
            releases.into_iter().partition(|(site, _)| self.gone.contains_key(*site));
        let mut notes = notes::of_own_fits(&answers, asked, releases.len(), self.setting.min_sites);
        let left_out = |(site, why): (&SiteId, &String)| format!("{site} is left out: it {why}");
        notes.extend(gone.iter().map(|(site, _)| left_out((site, &self.gone[*site]))));
        notes.extend(self.few.iter().map(left_out));
        if releases.len() < self.setting.min_sites as usize || releases.is_empty() {
            return Step::Nothing(vec![], notes);
        }
        if self.spec.hazard.grid.is_some() && self.stay.is_none() {
            let first = self.along_what_stays(&releases);
            return match self.blind() {
                Some(why) => {
                    notes.push(why);
                    Step::Nothing(vec![], notes)
                }
                None => Step::Round(first),
            };
        }
        let last = self.rounds >= limits::MODEL_ROUNDS;
        let shape = CoxSums { closing: self.closing.is_some(), ..self.shape() };
        let (sums, along) = match self.along(shape.closing) {
            Some(grid) => {
                let along = Along::of(grid, added(&releases, grid.values()), self.spec.hazard.ties);
                (along.sums(shape, |interval| self.clock(interval)), Some(along))
            }
            None => (added(&releases, shape.values()), None),
        };
        let merged = merged(&releases, &sums, shape);
        let counted = counted(&merged, Some(sums[CoxSums::EVENTS]), u32::from(self.rounds));
        if sums[CoxSums::EVENTS] == 0.0 {
            notes.push("no fit: nobody has the event".to_owned());
            return Step::Nothing(counted, notes);
        }
        if let Some(at) = self.closing.take() {
            match self.end(merged.clone(), sums.clone(), shape, along, &at) {
                Ok(mut end) if self.is_robust_along() && last => {
                    end.without_squares();
                    notes.push("no robust errors: they need a round more than a fit has".to_owned());
                    return Step::End(Box::new(end), notes);
                }
                Ok(end) if self.is_robust_along() => {
                    return match self.powers.ask(Box::new(end), notes) {
                        Ok(position) => Step::Round(self.at(position)),
                        Err((end, notes)) => Step::End(end, notes),
                    };
                }
                Ok(end) => return Step::End(Box::new(end), notes),
                // Others answer than those of whom this is the end: the fit goes on from here with them.
                Err(Some(failure)) => {
                    notes.push(failure.words(|at| self.label(at)));
                    return Step::Nothing(counted, notes);
                }
                Err(None) => self.fit.resume(at.beta),
            }
        }
        if self.first.is_none() {
            if let Some(grid) = self.along(false).filter(|_| self.is_robust_along()) {
                self.powers.at_zero(&releases, grid);
            }
            let test = inverse(&merged.information).ok();
            let score_test = test.map(|inverse| (merged.score.transpose() * inverse * &merged.score)[(0, 0)]);
            let log_likelihood = sums[CoxSums::LOG_LIKELIHOOD];
            self.first = Some(First { sites: merged.sites.clone(), log_likelihood, score_test });
        }
        let failure = match self.fit.step(merged) {
            Verdict::Failed(failure) => failure,
            _ if last => Failure::Rounds,
            Verdict::Go(position) => return Step::Round(self.at(position)),
            Verdict::Done(fitted) => {
                let beta = fitted.beta.iter().copied().collect();
                let at = Position { beta, robust: true, ..self.spec.start() };
                self.closing = Some(at.clone());
                return Step::Round(self.at(at));
            }
        };
        notes.push(failure.words(|at| self.label(at)));
        Step::Nothing(counted, notes)
    }

    /// Where the sums stand on the way.
    fn shape(&self) -> CoxSums {
        let hazard = &self.spec.hazard;
        let (robust, timed) = (hazard.robust, hazard.proportionality.is_some());
        CoxSums { width: self.layout.columns.len(), closing: false, robust, timed }
    }

    /// Nothing where other sites answer than before.
    fn end(
        &self,
        merged: Merged,
        sums: Vec<f64>,
        shape: CoxSums,
        along: Option<Along>,
        at: &Position,
    ) -> Result<End, Option<Failure>> {
        if !merged.sites.iter().map(|(site, _)| site).eq(self.fit.sites()) {
            return Err(None);
        }
        let inverse = inverse(&merged.information).map_err(|column| Some(Failure::Collinear(column)))?;
        let beta = DVector::from_column_slice(&at.beta);
        Ok(End { merged, beta, inverse, sums, shape, along, rounds: self.fit.steps() + 1 })
    }

    /// A later round's numbers.
    fn at(&self, at: Position) -> RoundState {
        match &self.stay {
            Some(stay) => RoundState::Along { at, stay: stay.clone() },
            None => RoundState::At(at),
        }
    }

    fn label(&self, at: usize) -> &str {
        self.spec.columns().nth(at).map_or("a column", |column| &column.label)
    }

    /// No fit, and of whom it would have been, as far as that may be told.
    fn nothing(&self, counted: Vec<NamedBlock>, notes: Vec<String>) -> Next {
        let block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
        self.publish(AnalysisResult { also: counted, ..self.setting.result(block, notes) })
    }

    /// Who is gone or left out is in nothing, even if it answers again.
    fn publish(&self, result: AnalysisResult) -> Next {
        let absent = self.gone.keys().chain(self.few.keys()).cloned().collect();
        Next::Publish(Box::new(AnalysisResult { absent, ..result }))
    }
}

/// The sites' numbers, one by one. Sites are added in the order of their names.
fn added(releases: &[(&SiteId, &ModelRelease)], values: usize) -> Vec<f64> {
    let mut sums = vec![0.0; values];
    for (_, release) in releases {
        sums.iter_mut().zip(&release.sums).for_each(|(all, own)| *all += own);
    }
    sums
}

/// What a step of the fit needs.
fn merged(releases: &[(&SiteId, &ModelRelease)], sums: &[f64], shape: CoxSums) -> Merged {
    let sites: Vec<(SiteId, u64)> = releases.iter().map(|(site, release)| ((*site).clone(), release.n)).collect();
    Merged {
        n: sites.iter().map(|(_, n)| n).sum(),
        sites,
        objective: -2.0 * sums[CoxSums::LOG_LIKELIHOOD],
        scalars: [0.0; Sums::SCALARS],
        score: DVector::from_column_slice(&sums[shape.score()]),
        information: square(&sums[shape.information()], shape.width),
        squares: square(&sums[shape.squares()], shape.width),
        scores: Vec::new(),
    }
}

/// The symmetric matrix of a lower triangle; of zeros where there is none.
fn square(triangle: &[f64], width: usize) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(width, width);
    add_triangle(&mut matrix, triangle, width, |column| column);
    matrix
}

/// How many values an answer has at most.
pub(in crate::analysis) fn values(spec: &CoxSpec, strata: usize, sites: usize) -> usize {
    let terms = spec.columns().count();
    if spec.two_stage.is_some() {
        return super::two_stage::values(terms, sites);
    }
    let slots = spec.hazard.grid.as_ref().map_or(0, |grid| grid.ends.len()) * strata;
    let asked = (COLUMNS.len() + 3) * spec.contrasts.len();
    terms * (COLUMNS.len() + 12 + terms) + asked + 200 + 2 * sites + slots * (6 + 7 * spec.patterns.len())
}

//! The driver of a cross-validation: a fit on all and one without each fold, or each site, step by step together; then how well each expects what came
//! of those who were left out of it.
//!
//! A fit that is at its end stays there until all are. The rounds are those of [`bocage_protocol::analysis::CrossValidationSpec`].

mod areas;
mod blocks;
mod calibration;
mod published;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{CrossValidationSpec, RoundState};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{Family, LeftOut, Link, ModelLayout, Position, Sums, ValidPlan};
use bocage_protocol::release::ModelRelease;

use self::areas::Areas;
pub(super) use self::blocks::Blocks;
use self::calibration::Calibration;
pub(in crate::analysis) use self::published::values;
use super::fit::{Fit, Fitted, Merged, Verdict};
use super::published::counted;
use super::{Answer, Next, Setting, SiteAnswer, notes, sorted};
use crate::analysis::roc::{COLUMNS, RocDriver};
use crate::api::types::{AnalysisResult, Block};

/// The driver of one cross-validation.
#[derive(Debug)]
pub struct CrossValidationDriver {
    setting: Setting,
    spec: CrossValidationSpec,
    layout: ModelLayout,
    /// The one on all, then those without some.
    fits: Vec<OneFit>,
    /// Where those are a site's: whose.
    sites: Vec<SiteId>,
    phase: Phase,
    rounds: u16,
    /// Of those who are left out of each, at each site, the single sums at the start, which say how the outcome varies by itself.
    first: Vec<Vec<(SiteId, [f64; Sums::SCALARS])>>,
    /// The same at the ends of the fits.
    out: Vec<Merged>,
    /// All patients, in the last step of the fits.
    whole: Option<Merged>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct OneFit {
    fit: Fit,
    end: Option<Box<Fitted>>,
}

#[derive(Debug)]
enum Phase {
    /// The first round says who there is.
    Begin,
    Fitting,
    /// All fits are at their ends, and all that is only asked there is.
    Closing,
    Calibrating(Calibration),
    Curve(Option<Calibration>),
    /// The curve is known, and that of each fold is asked.
    Areas(Option<Calibration>, Box<AnalysisResult>),
}

impl OneFit {
    fn beta(&self) -> Vec<f64> {
        match &self.end {
            Some(fitted) => fitted.beta.iter().copied().collect(),
            None => self.fit.position().beta.clone(),
        }
    }
}

impl CrossValidationDriver {
    pub(in crate::analysis) fn new(
        setting: Setting,
        spec: &CrossValidationSpec,
        plan: &ValidPlan,
    ) -> Result<Self, PublicError> {
        let (_, layout) = plan.model().ok_or_else(|| {
            PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: its plan is no model", setting.name))
        })?;
        let (spec, layout) = (spec.clone(), layout.clone());
        let (fits, sites, first, out, notes) = (vec![], vec![], vec![], vec![], vec![]);
        Ok(Self { setting, spec, layout, fits, sites, phase: Phase::Begin, rounds: 0, first, out, whole: None, notes })
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(in crate::analysis) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let answers = sorted(answers);
        self.rounds += 1;
        match std::mem::replace(&mut self.phase, Phase::Fitting) {
            Phase::Curve(calibration) => return self.with_curve(calibration, &answers),
            Phase::Areas(calibration, curve) => {
                let areas = self
                    .spec
                    .curve
                    .as_ref()
                    .map(|spec| areas::of_folds(&self.setting, spec, self.fits.len() - 1, &answers));
                return self.publish(calibration.as_ref(), Some(*curve), areas);
            }
            phase => self.phase = phase,
        }
        let releases: Vec<(&SiteId, &ModelRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Model(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        self.notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        let least = (self.setting.min_sites as usize).max(1) + usize::from(self.spec.left_out == LeftOut::Site);
        if releases.len() < least {
            return self.nothing(format!("no cross-validation: each fit needs {}", sites(self.setting.min_sites)));
        }
        if matches!(self.phase, Phase::Begin)
            && let Err(why) = self.begin(&releases)
        {
            return self.nothing(why);
        }
        self.go_on(&releases, &answers)
    }

    fn begin(&mut self, releases: &[(&SiteId, &ModelRelease)]) -> Result<(), String> {
        let fits = match self.spec.left_out {
            LeftOut::Fold(count) => usize::from(count),
            LeftOut::Site if releases.len() > limits::FITS => {
                let most = limits::FITS;
                return Err(format!("no cross-validation: at most {most} sites are left out one by one: use folds"));
            }
            LeftOut::Site => {
                self.sites = releases.iter().map(|(site, _)| (*site).clone()).collect();
                self.sites.len()
            }
        };
        let model = &self.spec.model;
        let slopes: Vec<bool> = model.columns().map(|column| !column.of.is_empty()).collect();
        let fit = || Fit::new(model.ridge, slopes.clone(), false, model.start()).of_family(model.response.family);
        self.fits = (0..=fits).map(|_| OneFit { fit: fit(), end: None }).collect();
        let of_site = |fit: usize, own: &[(&SiteId, &ModelRelease)]| {
            let scalars = self.blocks(own, self.first_fits(), false).out(fit).scalars;
            own.iter().map(move |(site, _)| ((*site).clone(), scalars)).collect::<Vec<_>>()
        };
        self.first = (0..fits).map(|fit| releases.chunks(1).flat_map(|own| of_site(fit, own)).collect()).collect();
        self.phase = Phase::Fitting;
        Ok(())
    }

    /// Of how many fits the first round has sums of their own.
    fn first_fits(&self) -> usize {
        match self.spec.left_out {
            LeftOut::Fold(count) => usize::from(count),
            LeftOut::Site => 0,
        }
    }

    fn blocks<'a>(&'a self, releases: &'a [(&'a SiteId, &'a ModelRelease)], fits: usize, robust: bool) -> Blocks<'a> {
        let (family, columns) = (self.spec.model.response.family, self.layout.columns.len());
        Blocks { releases, left_out: self.spec.left_out, sites: &self.sites, fits, family, columns, robust }
    }

    fn go_on(&mut self, releases: &[(&SiteId, &ModelRelease)], answers: &[SiteAnswer<'_>]) -> Next {
        let others = self.fits.len() - 1;
        match std::mem::replace(&mut self.phase, Phase::Fitting) {
            Phase::Begin | Phase::Fitting => {
                let fits = if self.rounds == 1 { self.first_fits() } else { others };
                if let Err(why) = self.fit(releases, fits) {
                    return self.nothing(why);
                }
                let done = self.fits.iter().all(|fit| fit.end.is_some());
                if self.rounds >= limits::MODEL_ROUNDS {
                    return self.nothing("no cross-validation: the fits leave no round for the evaluation".to_owned());
                }
                if done {
                    self.phase = Phase::Closing;
                }
                self.round(done && self.has_brier(), self.fits[1..].iter().map(OneFit::beta).collect())
            }
            Phase::Closing => {
                let blocks = self.blocks(releases, others, self.has_brier());
                self.out = (0..others).map(|fit| blocks.out(fit)).collect();
                let response = &self.spec.model.response;
                let straight = response.family == Family::Binomial(Link::Logit) && response.offset.is_none();
                let intercept = self.spec.model.columns().position(|column| column.of.is_empty());
                let Some(intercept) = intercept.filter(|_| straight) else { return self.curve(None, answers) };
                let beta = self.fits[1..].iter().map(OneFit::beta).collect();
                let mut calibration = Calibration::new(beta, intercept);
                calibration.step(&self.out);
                self.calibrate(calibration, answers)
            }
            Phase::Calibrating(mut calibration) => {
                let blocks = self.blocks(releases, others, false);
                let out: Vec<Merged> = (0..others).map(|fit| blocks.out(fit)).collect();
                match calibration.step(&out) {
                    true => self.curve(Some(calibration), answers),
                    false => self.calibrate(calibration, answers),
                }
            }
            Phase::Curve(_) | Phase::Areas(..) => {
                self.nothing("no cross-validation: the round is of a curve".to_owned())
            }
        }
    }

    /// Whether scores are made of the residuals of a probability. Of a number the deviance has their squares.
    fn has_brier(&self) -> bool {
        self.spec.model.response.family == Family::Binomial(Link::Logit)
    }

    /// A step of each fit that is not at its end.
    fn fit(&mut self, releases: &[(&SiteId, &ModelRelease)], fits: usize) -> Result<(), String> {
        let blocks = self.blocks(releases, fits, false);
        let merged: Vec<Merged> =
            std::iter::once(blocks.whole()).chain((0..self.fits.len() - 1).map(|fit| blocks.fitted(fit))).collect();
        self.whole = merged.first().cloned();
        for (at, (one, merged)) in
            self.fits.iter_mut().zip(merged).enumerate().filter(|(_, (one, _))| one.end.is_none())
        {
            match one.fit.step(merged) {
                Verdict::Go(_) => {}
                Verdict::Done(fitted) => one.end = Some(fitted),
                Verdict::Failed(failure) => {
                    let label =
                        |at: usize| self.spec.model.columns().nth(at).map_or("a column", |column| &column.label);
                    let of = if at == 0 { "on all".to_owned() } else { format!("without fold {at}") };
                    return Err(format!("no cross-validation: {of}: {}", failure.words(label)));
                }
            }
        }
        Ok(())
    }

    fn round(&self, robust: bool, folds: Vec<Vec<f64>>) -> Next {
        let at = Position { beta: self.fits[0].beta(), robust, ..self.spec.model.start() };
        Next::Round(RoundState::Folds { at, folds })
    }

    /// Another round of the calibration, or the next phase where it has no further one.
    fn calibrate(&mut self, calibration: Calibration, answers: &[SiteAnswer<'_>]) -> Next {
        let position = calibration.position().filter(|_| self.rounds + 1 < limits::MODEL_ROUNDS);
        match position {
            Some(position) => {
                self.phase = Phase::Calibrating(calibration);
                self.round(false, position)
            }
            None => {
                self.notes.push("the calibration has no slope: it leaves the bounds of a fit".to_owned());
                self.curve(None, answers)
            }
        }
    }

    /// The last round, where there is a curve.
    fn curve(&mut self, calibration: Option<Calibration>, answers: &[SiteAnswer<'_>]) -> Next {
        if self.spec.curve.is_none() || self.rounds >= limits::MODEL_ROUNDS {
            return self.publish(calibration.as_ref(), None, None);
        }
        self.phase = Phase::Curve(calibration);
        let beta: Vec<Vec<f64>> = self.fits.iter().map(|fit| self.as_asked(&fit.beta())).collect();
        match self.spec.left_out {
            LeftOut::Fold(_) => Next::Round(RoundState::LeftOut(beta[1..].to_vec())),
            LeftOut::Site => {
                // Who was not there when the fits began is in none of them.
                let own = |site: &SiteId| self.sites.iter().position(|known| known == site).map_or(0, |at| at + 1);
                let state = |site: &SiteId| RoundState::LeftOut(vec![beta[own(site)].clone()]);
                Next::Each(answers.iter().map(|answer| (answer.site.clone(), state(answer.site))).collect())
            }
        }
    }

    /// Coefficients of the columns as they stand.
    fn as_asked(&self, beta: &[f64]) -> Vec<f64> {
        let rows = self.layout.transform.rows().iter().take(beta.len());
        rows.map(|row| row.iter().zip(beta).map(|(t, beta)| t * beta).sum()).collect()
    }

    /// With the curve's lines; then those of each fold, where they are asked and a round is left.
    fn with_curve(&mut self, calibration: Option<Calibration>, answers: &[SiteAnswer<'_>]) -> Next {
        let Some(spec) = &self.spec.curve else { return self.publish(calibration.as_ref(), None, None) };
        let known = |answer: &&SiteAnswer<'_>| self.sites.is_empty() || self.sites.contains(answer.site);
        let answers: Vec<SiteAnswer<'_>> = answers.iter().filter(known).copied().collect();
        let curve = RocDriver::of(self.setting.clone(), spec).publish(&answers);
        if !self.sites.is_empty() {
            let areas = areas::of_sites(&self.setting, spec, &self.sites, &answers);
            return self.publish(calibration.as_ref(), Some(curve), Some(areas));
        }
        if !self.spec.fold_areas || self.rounds >= limits::MODEL_ROUNDS {
            return self.publish(calibration.as_ref(), Some(curve), None);
        }
        let beta = self.fits[1..].iter().map(|fit| self.as_asked(&fit.beta())).collect();
        self.phase = Phase::Areas(calibration, Box::new(curve));
        Next::Round(RoundState::LeftOutByFold(beta))
    }

    fn publish(&self, calibration: Option<&Calibration>, curve: Option<AnalysisResult>, areas: Option<Areas>) -> Next {
        Next::Publish(Box::new(published::result(self, calibration, curve, areas.as_ref())))
    }

    fn nothing(&self, why: String) -> Next {
        let mut notes = self.notes.clone();
        notes.push(why);
        let block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
        let events = |of: &Merged| self.spec.model.counts_events().then_some(of.scalars[Sums::OUTCOME]);
        let also = self.whole.iter().flat_map(|of| counted(of, events(of), u32::from(self.rounds))).collect();
        Next::Publish(Box::new(AnalysisResult { also, ..self.setting.result(block, notes) }))
    }
}

fn sites(count: u32) -> String {
    if count <= 1 { "a site".to_owned() } else { format!("{count} sites") }
}

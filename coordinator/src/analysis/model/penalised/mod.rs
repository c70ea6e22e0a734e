//! The driver of an elastic net. A linear one needs one round: the sums at coefficients of 0 are those of any penalty, also of each fold. A logistic one
//! walks down the path, all fits a step in each round; the sums of those who are left out, which come along, say what is lost on them.

mod basis;
mod descent;
mod losses;
mod published;
mod walk;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{ElasticNetSpec, RoundState};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{Family, LeftOut, ModelLayout, Position, Sums, ValidPlan};
use bocage_protocol::release::ModelRelease;
use nalgebra::DVector;

use self::basis::Basis;
use self::descent::{Penalty, Quadratic};
use self::losses::Losses;
pub(in crate::analysis) use self::published::{COLUMNS as PENALISED, values};
use self::walk::{Path, Walk};
use super::fit::Merged;
use super::left_out::Blocks;
use super::published::counted;
use super::{Answer, Next, Setting, SiteAnswer, notes, sorted};
use crate::api::types::AnalysisResult;

/// The least penalty of a path that is found, beside the largest (scikit-learn's `eps`).
const SHARE: f64 = 1e-3;

/// The driver of one elastic net.
#[derive(Debug)]
pub struct ElasticNetDriver {
    setting: Setting,
    spec: ElasticNetSpec,
    layout: ModelLayout,
    path: Path,
    /// The one on all, then those without some.
    walks: Vec<Walk>,
    /// The sites of the first round with their patients, and the sums of all there.
    first: Option<Merged>,
    /// Of whom each fold is, where it is a site.
    sites: Vec<SiteId>,
    losses: Losses,
    /// Twice the log-likelihood that each penalty is short of.
    deviances: Vec<f64>,
    rounds: u16,
    /// All sites of the study.
    asked: Vec<SiteId>,
    notes: Vec<String>,
}

impl ElasticNetDriver {
    pub(in crate::analysis) fn new(
        setting: Setting,
        spec: &ElasticNetSpec,
        plan: &ValidPlan,
    ) -> Result<Self, PublicError> {
        let invalid =
            |what: &str| PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: {what}", setting.name));
        let (_, layout) = plan.model().ok_or_else(|| invalid("its plan is no model"))?;
        let intercept = spec.model.columns().position(|column| column.of.is_empty());
        let intercept = intercept.ok_or_else(|| invalid("its model has no intercept"))?;
        let basis = Basis::of(layout, intercept).ok_or_else(|| invalid("its columns have no scale"))?;
        let path = Path { lambdas: spec.lambdas.clone(), mix: spec.mix, basis };
        Ok(Self {
            spec: spec.clone(),
            layout: layout.clone(),
            setting,
            path,
            walks: Vec::new(),
            first: None,
            sites: Vec::new(),
            losses: Losses::default(),
            deviances: Vec::new(),
            rounds: 0,
            asked: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(in crate::analysis) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let answers = sorted(answers);
        let releases: Vec<(&SiteId, &ModelRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Model(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        self.rounds += 1;
        self.asked = answers.iter().map(|answer| answer.site.clone()).collect();
        self.notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        let by_site = self.spec.left_out == Some(LeftOut::Site);
        let least = (self.setting.min_sites as usize).max(1) + usize::from(by_site);
        if releases.len() < least {
            self.notes.push("no more is fitted: there are too few sites".to_owned());
            return self.end();
        }
        if self.first.is_none() && by_site {
            if releases.len() > limits::FITS {
                let most = limits::FITS;
                return self.nothing(format!("no fit: at most {most} sites are left out one by one: use folds"));
            }
            self.sites = releases.iter().map(|(site, _)| (*site).clone()).collect();
        }
        let others = self.others();
        // The sums of a first round are every fit's where those leave a site out.
        let fits = if self.first.is_none() && by_site { 0 } else { others };
        let blocks = Blocks {
            releases: &releases,
            left_out: self.spec.left_out.unwrap_or(LeftOut::Site),
            sites: &self.sites,
            fits,
            family: self.spec.model.response.family,
            columns: self.layout.columns.len(),
            robust: false,
        };
        let fitted = std::iter::once(blocks.whole()).chain((0..others).map(|fit| blocks.fitted(fit)));
        let fitted: Vec<Merged> = fitted.map(|of| self.path.basis.sums(of)).collect();
        let out: Vec<Merged> = (0..others).map(|fit| self.path.basis.sums(blocks.out(fit))).collect();
        match self.spec.model.response.family {
            Family::Gaussian => self.linear(fitted, &out),
            _ => self.logistic(fitted, &out),
        }
    }

    fn intercept(&self) -> usize {
        self.path.basis.intercept
    }

    /// How many fits leave some out.
    fn others(&self) -> usize {
        match self.spec.left_out {
            None => 0,
            Some(LeftOut::Site) => self.sites.len(),
            Some(LeftOut::Fold(count)) => usize::from(count),
        }
    }

    /// The whole path from one round's sums.
    fn linear(&mut self, mut fitted: Vec<Merged>, out: &[Merged]) -> Next {
        // In the outcome's own unit: the two penalties have different ones.
        let half = self.layout.outcome_scale.half;
        fitted.iter_mut().for_each(|merged| merged.score *= half);
        let zero = DVector::zeros(self.layout.columns.len());
        self.first = fitted.first().cloned();
        let mut all: Vec<Vec<DVector<f64>>> = Vec::new();
        for merged in &fitted {
            let (score, information, n) = (&merged.score, &merged.information, merged.n as f64);
            let of = Quadratic { at: &zero, score, information, n, intercept: self.intercept() };
            if let Some(column) = of.constant() {
                return self.nothing(self.constant(column));
            }
            let deviation = |j: usize| if j == self.intercept() { 1.0 } else { of.variance(j).sqrt() };
            let deviations: Vec<f64> = (0..zero.len()).map(deviation).collect();
            if self.path.lambdas.is_empty() {
                self.path.lambdas = points(of.largest(&deviations, self.spec.mix), self.spec.points);
            }
            let at = |lambda: &f64| of.least(&deviations, Penalty { lambda: *lambda, mix: self.spec.mix });
            let Some(path) = self.path.lambdas.iter().map(at).collect::<Option<Vec<_>>>() else {
                return self.nothing("no fit: the columns are nearly made of each other: leave one out".to_owned());
            };
            all.push(path);
        }
        let lost = |merged: &Merged, score: &DVector<f64>, beta: &DVector<f64>| {
            let squares = merged.scalars[Sums::DEVIANCE] * half * half;
            (squares - 2.0 * beta.dot(score) + beta.dot(&(&merged.information * beta))).max(0.0)
        };
        self.deviances = all[0].iter().map(|beta| lost(&fitted[0], &fitted[0].score, beta)).collect();
        let of_penalty = |at: usize| {
            let folds = out.iter().zip(&all[1..]).map(|(merged, path)| {
                let n = merged.n as f64;
                (n, lost(merged, &(&merged.score * half), &path[at]) / n)
            });
            folds.collect()
        };
        let left_out = !out.is_empty();
        self.losses.of = (0..self.path.lambdas.len()).filter(|_| left_out).map(of_penalty).collect();
        let path = all.swap_remove(0);
        self.publish(published::result(self, &path))
    }

    /// A step of every fit down its path.
    fn logistic(&mut self, fitted: Vec<Merged>, out: &[Merged]) -> Next {
        let Some(first) = &self.first else {
            let begun: Result<Vec<Walk>, usize> =
                fitted.iter().map(|merged| Walk::begin(merged, self.intercept())).collect();
            self.first = fitted.into_iter().next();
            self.walks = match begun {
                Ok(walks) => walks,
                Err(column) => return self.nothing(self.constant(column)),
            };
            if let Some(why) = self.walks.iter().find_map(|walk| walk.stopped) {
                return self.nothing(format!("no fit: {why}"));
            }
            return self.round();
        };
        if first.sites != fitted[0].sites {
            self.notes.push("the path ends where the patients were no longer the same".to_owned());
            return self.end();
        }
        if self.path.lambdas.is_empty() {
            let largest = self.walks[0].largest(&fitted[0], self.spec.mix, self.intercept());
            self.path.lambdas = points(largest, self.spec.points);
        }
        self.look(&fitted[0], out);
        for (walk, merged) in self.walks.iter_mut().zip(&fitted) {
            walk.step(merged, &self.path);
        }
        let done = self.walks.iter().all(|walk| walk.is_done(&self.path));
        let looked = self.deviances.len() == self.walks[0].done.len()
            && self.walks[1..].iter().zip(0..).all(|(walk, fold)| self.seen(fold) == walk.done.len());
        if done && looked {
            return self.end();
        }
        if self.rounds >= limits::PATH_ROUNDS {
            self.notes
                .push(format!("the path ends after {} rounds: name fewer `lambdas`, or fewer `points`", self.rounds));
            return self.end();
        }
        self.round()
    }

    /// How many penalties the study asks for.
    fn asked_for(&self) -> usize {
        if self.spec.lambdas.is_empty() { usize::from(self.spec.points) } else { self.spec.lambdas.len() }
    }

    /// Of how many penalties it is known what is lost on a fold.
    fn seen(&self, fold: usize) -> usize {
        self.losses.of.iter().filter(|folds| folds.get(fold).is_some_and(|(n, _)| *n > 0.0)).count()
    }

    /// What these sums say of the penalties whose coefficients the sites were asked at.
    fn look(&mut self, whole: &Merged, out: &[Merged]) {
        let at_end = |walk: &Walk| walk.done.last() == Some(&walk.at);
        if at_end(&self.walks[0]) && self.deviances.len() + 1 == self.walks[0].done.len() {
            self.deviances.push(whole.scalars[Sums::DEVIANCE]);
        }
        for (fold, merged) in out.iter().enumerate() {
            let walk = &self.walks[1 + fold];
            let penalty = walk.done.len();
            if at_end(walk) && self.seen(fold) + 1 == penalty {
                self.losses.of.resize(self.losses.of.len().max(penalty), vec![(0.0, 0.0); out.len()]);
                let n = merged.n as f64;
                self.losses.of[penalty - 1][fold] = (n, merged.scalars[Sums::DEVIANCE] / n);
            }
        }
    }

    fn round(&self) -> Next {
        let beta = |walk: &Walk| -> Vec<f64> { self.path.basis.scaled(&walk.at).iter().copied().collect() };
        let at = Position { beta: beta(&self.walks[0]), ..self.spec.model.start() };
        let folds: Vec<Vec<f64>> = self.walks[1..].iter().map(beta).collect();
        Next::Round(if folds.is_empty() { RoundState::At(at) } else { RoundState::Folds { at, folds } })
    }

    /// Publishes the penalties that all fits have come to.
    fn end(&mut self) -> Next {
        let all = self.walks.iter().map(|walk| walk.done.len()).min().unwrap_or_default();
        let seen = (0..self.walks.len().saturating_sub(1)).map(|fold| self.seen(fold)).min().unwrap_or(all);
        let whole = all.min(seen).min(self.deviances.len());
        if let Some(why) = self.walks.iter().find_map(|walk| walk.stopped) {
            self.notes.push(format!("the path ends after {whole} penalties: {why}"));
        }
        if whole == 0 {
            return self.nothing("no fit: no penalty's coefficients were found".to_owned());
        }
        self.path.lambdas.truncate(whole);
        self.losses.of.truncate(if self.walks.len() > 1 { whole } else { 0 });
        let path: Vec<DVector<f64>> = self.walks[0].done[..whole].to_vec();
        self.publish(published::result(self, &path))
    }

    fn constant(&self, column: usize) -> String {
        let label = self.spec.model.columns().nth(column).map_or("a column", |column| column.label.as_str());
        format!("no fit: `{label}` never varies, in all or without some: leave it out")
    }

    fn nothing(&self, why: String) -> Next {
        let mut notes = self.notes.clone();
        notes.push(why);
        let events = |of: &Merged| self.spec.model.counts_events().then_some(of.scalars[Sums::OUTCOME]);
        let also = self.first.iter().flat_map(|of| counted(of, events(of), u32::from(self.rounds))).collect();
        self.publish(AnalysisResult { also, ..self.setting.result(super::headed(&PENALISED), notes) })
    }

    /// All of it is of the sites of the first round.
    fn publish(&self, result: AnalysisResult) -> Next {
        let is_in = |site: &SiteId| self.first.iter().flat_map(|first| &first.sites).any(|(of, _)| of == site);
        let absent = self.asked.iter().filter(|site| !is_in(site)).cloned().collect();
        Next::Publish(Box::new(AnalysisResult { absent, ..result }))
    }
}

/// So many penalties from the largest down, each the same share of the one before it.
fn points(largest: f64, count: u16) -> Vec<f64> {
    let last = f64::from(count.max(2) - 1);
    (0..count).map(|at| largest * SHARE.powf(f64::from(at) / last)).collect()
}

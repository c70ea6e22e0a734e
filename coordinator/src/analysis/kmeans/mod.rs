//! The driver of k-means: moments of all sites in, starts out; then, round by round, who lies about the centroids of all starts in, and where they
//! move out. The best of those that come to rest is published.
//!
//! A site answers a start anew only where no few patients would show; else its last answer stays, as if its patients had not moved. A start of which
//! a site has said nothing at all is given up, so that every start that is left is of all patients.

mod published;
mod starts;
mod tries;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{KmeansSpec, Metric, RoundState};
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::plan::{Centroids, Described, ModelLayout, ValidPlan};
use bocage_protocol::release::ModelRelease;

use self::tries::{Round, Try};
use super::as_asked::AsAsked;
use super::moments::Moments;
use super::pca::{described, releases};
use super::{Next, Setting, SiteAnswer, notes, sorted};
use crate::api::types::Block;

/// The headings of an answer, before those of the columns.
pub(super) const COLUMNS: [&str; 3] = ["cluster", "patients", "share"];

/// The driver of one analysis.
#[derive(Debug)]
pub struct KmeansDriver {
    setting: Setting,
    spec: KmeansSpec,
    order: AsAsked,
    layout: ModelLayout,
    begun: Option<Begun>,
}

/// What is known after the first round.
#[derive(Debug)]
struct Begun {
    moments: Moments,
    weights: Vec<f64>,
    tries: Vec<Try>,
    /// Rounds with centroids.
    rounds: u16,
    /// The sites of the last round, each with its patients.
    sites: Vec<(SiteId, u64)>,
}

impl KmeansDriver {
    pub(super) fn new(setting: Setting, spec: &KmeansSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let (order, _, layout) = described(&setting, plan)?;
        Ok(Self { setting, spec: spec.clone(), order, layout, begun: None })
    }

    /// Takes in a round. The same for any order of `answers`.
    pub(super) fn step(&mut self, answers: &[SiteAnswer<'_>]) -> Next {
        let answers = sorted(answers);
        let releases = releases(&answers);
        let mut notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        if releases.is_empty() || releases.len() < self.setting.min_sites as usize {
            return self.nothing(notes);
        }
        let releases = self.order.releases(&releases, self.answered());
        let Some(begun) = &mut self.begun else {
            return match begin(&self.spec, &releases, &self.layout) {
                Ok(begun) => {
                    let next = begun.ask(&self.order);
                    self.begun = Some(begun);
                    Next::Round(next)
                }
                Err(why) => {
                    notes.push(why);
                    self.nothing(notes)
                }
            };
        };
        begun.take(&releases);
        let ended = begun.rounds >= self.spec.iterations || begun.rounds + 1 >= limits::CLUSTER_ROUNDS;
        if begun.tries.iter().any(Try::is_on_its_way) && !ended {
            return Next::Round(begun.ask(&self.order));
        }
        let Some(begun) = &self.begun else { return self.nothing(notes) };
        match best(&begun.tries) {
            Some(best) => Next::Publish(Box::new(published::result(&self.setting, &self.spec, begun, best, notes))),
            None => {
                let why = "no clusters: of every start some site has too few patients about the centroids, or too few that differ from an earlier answer";
                notes.push(format!("{why}; fewer clusters may help, or more starts"));
                self.nothing(notes)
            }
        }
    }

    /// What sites say in this round.
    fn answered(&self) -> Described {
        let (width, clusters) = (self.spec.columns.len(), self.spec.clusters as usize);
        let asked = |begun: &Begun| begun.tries.iter().filter(|of| of.is_on_its_way()).count();
        match &self.begun {
            None => Described::Moments { width },
            Some(begun) => Described::Clusters { width, starts: asked(begun), clusters },
        }
    }

    fn nothing(&self, notes: Vec<String>) -> Next {
        let block = Block { columns: columns(&self.spec), ..Block::default() };
        Next::Publish(Box::new(self.setting.result(block, notes)))
    }
}

impl Begun {
    /// The centroids of all starts that are on their way.
    fn ask(&self, order: &AsAsked) -> RoundState {
        let starts = self.tries.iter().filter(|of| of.is_on_its_way()).map(|of| of.centroids.clone()).collect();
        RoundState::Centroids(order.asked(&Centroids { weights: self.weights.clone(), starts }))
    }

    fn take(&mut self, releases: &[(&SiteId, ModelRelease)]) {
        self.rounds += 1;
        let asked: Vec<usize> = (0..self.tries.len()).filter(|at| self.tries[*at].is_on_its_way()).collect();
        let sites: Vec<(SiteId, u64)> = releases.iter().map(|(site, release)| ((*site).clone(), release.n)).collect();
        if sites != self.sites {
            // Of other sites, or other patients, nothing can be compared.
            self.tries.iter_mut().for_each(Try::resume);
            self.sites = sites;
        }
        for (position, at) in asked.into_iter().enumerate() {
            let round = Round { releases, position, weights: &self.weights };
            self.tries[at].take(&round);
        }
    }
}

/// The first round: what distances are measured in, and where starts are.
fn begin(spec: &KmeansSpec, releases: &[(&SiteId, ModelRelease)], layout: &ModelLayout) -> Result<Begun, String> {
    let moments = Moments::of(releases, layout);
    if moments.n < u64::from(spec.clusters) || moments.n < 2 {
        return Err(format!("no clusters: there are fewer patients than the {} clusters", spec.clusters));
    }
    let weights = weights(spec, &moments)?;
    let starts = starts::drawn(&moments, &weights, spec).ok_or("no clusters: the columns' moments are not finite")?;
    let sites = moments.sites.clone();
    let tries = starts.into_iter().map(Try::new).collect();
    Ok(Begun { moments, weights, tries, rounds: 0, sites })
}

/// What a squared difference in each scaled column is multiplied with; the largest is 1.
fn weights(spec: &KmeansSpec, moments: &Moments) -> Result<Vec<f64>, String> {
    let weight = |(at, named): (usize, &bocage_protocol::analysis::Named)| match spec.scale {
        Metric::Sd => match moments.scaled_sd(at) {
            Some(sd) => Ok(sd.powi(-2)),
            None => {
                Err(format!("no clusters: `{}` does not vary: leave it out, or use scale = \"range\"", named.label))
            }
        },
        Metric::Range => Ok(1.0),
        Metric::None => Ok(moments.scales[at].half.powi(2)),
    };
    let raw: Vec<f64> = spec.columns.iter().enumerate().map(weight).collect::<Result<_, String>>()?;
    let largest = raw.iter().copied().fold(0.0, f64::max);
    let weights: Vec<f64> = raw.iter().map(|weight| weight / largest).collect();
    match weights.iter().position(|weight| !limits::CLUSTER_WEIGHT.contains(weight)) {
        Some(at) => Err(format!(
            "no clusters: differences in `{}` are nothing beside those in other columns: use scale = \"sd\", or the column's logarithm",
            spec.columns[at].label
        )),
        None => Ok(weights),
    }
}

/// The start whose patients lie nearest to their means; of equal ones the first.
fn best(tries: &[Try]) -> Option<&Try> {
    let whole = tries.iter().filter_map(|of| Some((of.found()?.within, of)));
    whole.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, of)| of)
}

pub(super) fn columns(spec: &KmeansSpec) -> Vec<String> {
    let headings = spec.columns.iter().map(|column| column.label.clone());
    COLUMNS.iter().map(|column| (*column).to_owned()).chain(headings).collect()
}

/// How many values an answer has at most.
pub(super) fn values(spec: &KmeansSpec, sites: usize) -> usize {
    let (clusters, columns) = (spec.clusters as usize, spec.columns.len());
    clusters * (COLUMNS.len() + columns + 3 * columns) + 3 * columns + 30 + 4 * spec.starts as usize + 2 * sites
}

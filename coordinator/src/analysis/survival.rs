//! The driver of a survival: lines of all sites in; curves, quantiles, means, incidences and tests out.
//!
//! Everything follows from counts that are published, of sites that show all events of a group: where a needed one is not exact, a number is given
//! as the interval that the others leave it, or not at all. It is never estimated.

mod blocks;
mod curve;
mod equality;
mod groups;
mod incidence;
mod logrank;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::SurvivalSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::plan::{MISSING, ValidPlan};
use statrs::distribution::{ContinuousCDF as _, Normal};

use self::blocks::Writer;
use self::curve::exact_edges;
use self::groups::{Group, SiteLines, Uncounted};
use super::{Answer, Setting, SiteAnswer, notes, sorted};
use crate::api::types::AnalysisResult;

pub(super) use blocks::columns;
pub(super) use groups::{Line, along};

/// The driver of one survival.
#[derive(Debug)]
pub struct SurvivalDriver {
    setting: Setting,
    spec: SurvivalSpec,
    /// The levels of each group's keys, and whether one of them stands for missing values.
    groups: Vec<(Vec<String>, bool)>,
    /// The point of the normal distribution that the confidence makes.
    z: f64,
}

impl SurvivalDriver {
    pub(super) fn new(setting: Setting, spec: &SurvivalSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let misfit = |what: &str| {
            PublicError::new(ErrorCode::StudyInvalid, format!("analysis `{}`: its plan has {what}", setting.name))
        };
        let (layout, exits) = (plan.layout(), spec.exits().len());
        let cells = plan.grid().map(|grid| grid.cells()).filter(|cells| *cells == spec.grid.len() + 1);
        let cells = cells.ok_or_else(|| misfit("another grid"))?;
        let keys = layout.keys_at(0);
        if keys.len() != spec.by.len() + 2 || keys[spec.by.len()].labels.len() != exits {
            return Err(misfit("other groups"));
        }
        let group = |at: usize| {
            let mut labels = layout.labels(0, at * exits * cells);
            labels.truncate(spec.by.len());
            let missing = labels.iter().zip(&keys).any(|(label, key)| key.missing && label == MISSING);
            (labels, missing)
        };
        let groups = (0..layout.cells_at(0) / (exits * cells)).map(group).collect();
        let z = Normal::standard().inverse_cdf(f64::midpoint(1.0, spec.confidence));
        Ok(Self { setting, spec: spec.clone(), groups, z })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let sites: Vec<SiteLines<'_>> = answers
            .iter()
            .filter_map(|a| match a.answer {
                Answer::Lines(release) => Some((a.site, release)),
                _ => None,
            })
            .collect();
        let exits = self.spec.exits().len();
        let groups: Vec<Group<'_>> = self
            .groups
            .iter()
            .enumerate()
            .map(|(at, labels)| Group::new(labels.clone(), &self.spec, at * exits, &sites, self.setting.min_sites))
            .collect();
        let mut notes = notes::of_lines(&answers, sites.len(), self.setting.min_sites);
        notes.extend(groups.iter().flat_map(|group| self.left_out(group)));
        notes.extend(groups.iter().filter_map(|group| self.rounded(group)));
        let rounded = sites.iter().any(|(_, release)| release.rounded);
        let min_sites = self.setting.min_sites;
        let writer = Writer { spec: &self.spec, groups: &groups, z: self.z, min_sites, rounded };
        let mut result = self.setting.result(writer.curves(), notes);
        result.also = vec![writer.patients(), writer.quantiles(), writer.means()];
        if !self.spec.competing.is_empty() {
            result.also.push(writer.incidences());
        }
        if groups.len() > 1 {
            let (blocks, notes) = equality::tests(&self.spec, &groups, &sites, self.setting.min_sites);
            result.also.extend(blocks);
            result.notes.extend(notes);
        }
        result
    }

    /// That a curve is over fewer intervals than were asked for, in words.
    fn rounded(&self, group: &Group<'_>) -> Option<String> {
        let events = Line::sum(&group.events, group.free.least.len());
        let (kept, asked) = (exact_edges(&events, &group.free).len().saturating_sub(1), self.spec.grid.len());
        let shown = group.counted.len() >= self.setting.min_sites as usize;
        (shown && kept < asked).then(|| {
            let of = self.of(group);
            format!("the curve{of} is over {kept} intervals that all its sites share, of {asked}: `least` and `most` hold that over all")
        })
    }

    /// Which group, in words.
    fn of(&self, group: &Group<'_>) -> String {
        let levels: Vec<String> =
            self.spec.by.iter().zip(&group.labels).map(|(key, label)| format!("{} = {label}", key.label)).collect();
        if levels.is_empty() { String::new() } else { format!(" of {}", levels.join(", ")) }
    }

    /// Which sites are not counted in a group, in words.
    fn left_out(&self, group: &Group<'_>) -> Vec<String> {
        let of = self.of(group);
        let events = if self.spec.competing.is_empty() { "an event" } else { "one of the events" };
        let note = |(site, why): &(_, Uncounted)| match why {
            Uncounted::Few(k) => format!("{site} is not in the curve{of}: fewer than {k} patients there have {events}"),
            Uncounted::Keeps(kept) => {
                let (all, least) = (self.spec.grid.len(), self.spec.least_intervals.unwrap_or_default());
                format!(
                    "{site} is not in the curve{of}: it keeps {kept} of {all} intervals, and `least_intervals` is {least}"
                )
            }
        };
        group.silent.iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests;

//! The driver of a flow of inclusion steps: bins of all sites over the steps in, how many enter, leave and pass each step out.
//!
//! A site that would tell fewer than k patients apart by a step shows it merged with its neighbours; the step's numbers are then intervals.
//! Who leaves at a step follows from who enters and who passes it: a third independent number would give single sites away by subtraction.

use std::collections::BTreeMap;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::AttritionSpec;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::rounding;

use super::binned::{Binned, Parts, bins};
use super::pool::off_of;
use super::{Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block, HiddenReason, Interval, Value};

/// The headings of an answer.
pub(super) const COLUMNS: [&str; 4] = ["step", "entered", "excluded", "kept"];

/// The driver of one flow.
#[derive(Debug)]
pub struct AttritionDriver {
    setting: Setting,
    labels: Vec<String>,
}

/// Where a number lies, or why nothing of it shows.
type Shown = Result<Interval, HiddenReason>;

impl AttritionDriver {
    pub(super) fn new(setting: Setting, spec: &AttritionSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        if plan.grid().map(|grid| grid.cells()) != Some(spec.steps.len() + 1) {
            let message = format!("analysis `{}`: its plan has other steps", setting.name);
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        Ok(Self { setting, labels: spec.steps.iter().map(|step| step.label.clone()).collect() })
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let binned = Binned::new(&answers);
        let mut notes = notes::of_bins(&answers, &binned, self.setting.min_sites);
        notes.extend(self.merged(&binned));
        for (site, release) in &binned.silent {
            if !release.held_back {
                notes.push(format!("{site} has fewer than {} patients in all", release.threshold));
            }
        }
        self.setting.result(self.block(&binned), notes)
    }

    fn block(&self, binned: &Binned<'_>) -> Block {
        let cohort = binned.cohort(false, self.setting.min_sites);
        let mut block = Block { columns: COLUMNS.map(str::to_owned).to_vec(), ..Block::default() };
        let left: Vec<Parts> = (0..=self.labels.len()).map(|edge| left_at(binned, edge)).collect();
        let sure = binned.silent.is_empty() && left.iter().all(|parts| parts.bounding == 0);
        let inexact = if sure { HiddenReason::Rounded } else { HiddenReason::FewerThanK };
        let shown: Vec<Shown> = left.iter().map(|parts| parts.interval(self.setting.min_sites)).collect();
        for (row, label) in self.labels.iter().enumerate() {
            let excluded = self.excluded(binned, row, &shown);
            let numbers = [shown[row], excluded, shown[row + 1]];
            let mut values = vec![Value::Text(label.clone())];
            for (column, number) in numbers.into_iter().enumerate() {
                values.push(block.count_or_hidden((row, column + 1), number, inexact, cohort));
            }
            block.rows.push(values);
        }
        block
    }

    /// Who leaves at a step. Where the same sites know who enters and who passes, their part is the difference; else the intervals' is.
    fn excluded(&self, binned: &Binned<'_>, step: usize, left: &[Shown]) -> Shown {
        let (entered, kept) = (left[step]?, left[step + 1]?);
        if let Some(parts) = leaving(binned, step) {
            return parts.interval(self.setting.min_sites);
        }
        let least = kept.1.map_or(0, |kept| entered.0.saturating_sub(kept));
        Ok(Interval(least, entered.1.map(|entered| entered.saturating_sub(kept.0))))
    }

    /// Which steps some sites show together, in words.
    fn merged(&self, binned: &Binned<'_>) -> Vec<String> {
        let mut merged: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (_, release) in &binned.shown {
            bins(release)
                .filter(|bin| bin.to - bin.from > 1)
                .for_each(|bin| *merged.entry((bin.from, bin.to)).or_default() += 1);
        }
        let sites = |n: usize| format!("{n} of {} sites {}", binned.shown.len(), if n == 1 { "shows" } else { "show" });
        let note = |((from, to), n): ((usize, usize), usize)| {
            let steps: Vec<String> =
                self.labels[from..to.min(self.labels.len())].iter().map(|label| format!("`{label}`")).collect();
            let (what, verb) =
                if steps.len() == 1 { ("who leaves at", "it") } else { ("who leaves at the steps", "one") };
            let rest = if to > self.labels.len() { " and who passes all steps" } else { "" };
            format!(
                "{} {what} {}{rest} merged into one number: apart, {verb} would show fewer than k patients",
                sites(n),
                steps.join(", ")
            )
        };
        merged.into_iter().map(note).collect()
    }
}

/// How far the difference of two counts of a site can be from the true one.
fn off_between(rounded: bool) -> u64 {
    if rounded { rounding::OFF_BETWEEN } else { 0 }
}

/// Who is left before step `edge`: who fails none of the steps below it.
fn left_at(binned: &Binned<'_>, edge: usize) -> Parts {
    let mut parts = Parts::default();
    for (_, release) in &binned.shown {
        let after: u64 = bins(release).filter(|bin| bin.from >= edge).map(|bin| bin.count).sum();
        match bins(release).find(|bin| bin.from < edge && edge < bin.to) {
            Some(across) => parts.add_bounds(after, after + across.count),
            None => parts.add(after),
        }
        // All less those below the edge: at edge 0 one rounded number, else the difference of two.
        parts.off += if edge == 0 { off_of(release.rounded) } else { off_between(release.rounded) };
    }
    parts.silent = binned.most_silent();
    parts
}

/// Who leaves at a step, if each site knows both who enters and who passes it, or neither.
fn leaving(binned: &Binned<'_>, step: usize) -> Option<Parts> {
    let mut parts = Parts::default();
    for (_, release) in &binned.shown {
        let bin = bins(release).find(|bin| bin.from <= step && step < bin.to)?;
        match (bin.from == step, bin.to == step + 1) {
            (true, true) => parts.add(bin.count),
            (false, false) => parts.add_bounds(0, bin.count),
            _ => return None,
        }
        parts.off += off_between(release.rounded);
    }
    parts.silent = binned.most_silent();
    Some(parts)
}

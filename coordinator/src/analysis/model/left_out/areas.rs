//! The area under the curve of each fold's patients, or each site's: of their own lines, with what these leave open.

use bocage_protocol::analysis::{Class, RocSpec};
use bocage_protocol::ids::SiteId;
use bocage_protocol::release::LinesRelease;

use super::{Setting, SiteAnswer};
use crate::analysis::Answer;
use crate::analysis::roc::RocDriver;
use crate::api::types::Value;

/// Of each fold: the area, and the least and the most that it can be.
pub(super) type Areas = Vec<[Value; 3]>;

/// Of lines by class and fold, of all sites.
pub(super) fn of_folds(setting: &Setting, spec: &RocSpec, folds: usize, answers: &[SiteAnswer<'_>]) -> Areas {
    let one = |fold: usize| {
        let own: Vec<(&SiteId, LinesRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Lines(lines) => Some((answer.site, of_fold(lines, folds, fold))),
                _ => None,
            })
            .collect();
        let answers: Vec<SiteAnswer<'_>> =
            own.iter().map(|(site, lines)| SiteAnswer { site, answer: Answer::Lines(lines) }).collect();
        area(setting.clone(), spec, &answers)
    };
    (0..folds).map(one).collect()
}

/// Of each site by itself, by its own lines.
pub(super) fn of_sites(setting: &Setting, spec: &RocSpec, sites: &[SiteId], answers: &[SiteAnswer<'_>]) -> Areas {
    let alone = Setting { min_sites: 1, ..setting.clone() };
    let one = |site: &SiteId| {
        let own: Vec<SiteAnswer<'_>> = answers.iter().filter(|answer| answer.site == site).copied().collect();
        area(alone.clone(), spec, &own)
    };
    sites.iter().map(one).collect()
}

/// A class's lines stand together, one for each fold.
fn of_fold(release: &LinesRelease, folds: usize, fold: usize) -> LinesRelease {
    let line = |class: usize| release.lines.get(class * folds + fold).cloned().unwrap_or_default();
    LinesRelease { lines: (0..Class::ALL.len()).map(line).collect(), ..*release }
}

fn area(setting: Setting, spec: &RocSpec, answers: &[SiteAnswer<'_>]) -> [Value; 3] {
    let found = RocDriver::of(setting, spec).publish(answers);
    let row = found.block.rows.first();
    [1, 4, 5].map(|at| row.and_then(|row| row.get(at)).cloned().unwrap_or(Value::Null))
}

//! The area under the curve of each fold's patients, or each site's: of their own lines, with what these leave open.

use bocage_protocol::analysis::{Class, RocSpec};
use bocage_protocol::ids::SiteId;
use bocage_protocol::release::LinesRelease;

use super::{Setting, SiteAnswer};
use crate::analysis::Answer;
use crate::analysis::roc::RocDriver;
use crate::api::types::{Coverage, Value};

/// Of each fold.
pub(super) type Areas = Vec<Area>;

/// The area, and the least and the most that it can be.
pub(super) struct Area {
    pub values: [Value; 3],
    /// Of how many it is, where a site is left out.
    pub covered: Option<Coverage>,
}

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

fn area(setting: Setting, spec: &RocSpec, answers: &[SiteAnswer<'_>]) -> Area {
    let found = RocDriver::of(setting, spec).publish(answers);
    let row = found.block.rows.first();
    let values = [1, 4, 5].map(|at| row.and_then(|row| row.get(at)).cloned().unwrap_or(Value::Null));
    Area { values, covered: found.block.coverage_of(0, 1).cloned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::roc::fixture;

    #[test]
    fn the_area_of_a_fold_that_a_site_hides_says_of_whom_it_is() {
        let ((setting, spec), sites) = (fixture::asked(), fixture::sites());
        // Of each class a line for each of two folds.
        let (unknown, without) = ([0; 3], [30, 20, 11]);
        let release = |with: [u64; 3]| fixture::release(&[unknown, unknown, without, without, [11, 20, 30], with]);
        let (shows, hides) = (release([11, 20, 30]), release([0, 0, 12]));
        let answers = sites.iter().zip([&shows, &shows, &hides]);
        let answers: Vec<_> = answers.map(|(site, of)| SiteAnswer { site, answer: Answer::Lines(of) }).collect();
        let areas = of_folds(&setting, &spec, 2, &answers);
        assert!(areas.iter().all(|area| matches!(area.values[0], Value::Number(_))));
        let covered: Vec<Option<u64>> = areas.iter().map(|area| area.covered.as_ref().map(|of| of.n)).collect();
        assert_eq!(covered, [None, Some(244)]);
    }
}

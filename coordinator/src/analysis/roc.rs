//! The driver of a score held against the truth: lines of who has it and of who has not in; the receiver operating characteristic and its area out.
//!
//! The area (Hanley, McNeil 1982: the share of pairs of one who has it and one who has not in which the first one's score is higher, half of them
//! where both are alike) grows where those who have it move up, and where the others move down. So what the sites' bins leave open at each edge gives
//! a least and a most, and the pooled rows' own area lies between them. It is one number of all sites; a point of the curve is published only as far as
//! enough sites keep its edge, as survival does it.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{Class, RocSpec};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::LinesRelease;
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::estimates::Statistics;
use super::pool::off_of;
use super::survival::{Line, along};
use super::{Answer, Setting, SiteAnswer, notes, sorted};
use crate::api::types::{AnalysisResult, Block, Coverage, HiddenReason, NamedBlock, Value};

/// The headings of the answer.
pub(super) const COLUMNS: [&str; 6] = ["measure", "value", "from", "to", "least", "most"];
/// Those of the curve.
const CURVE: [&str; 7] = [
    "score from",
    "sensitivity",
    "sensitivity least",
    "sensitivity most",
    "specificity",
    "specificity least",
    "specificity most",
];

/// The driver of one score.
#[derive(Debug)]
pub struct RocDriver {
    setting: Setting,
    spec: RocSpec,
    z: f64,
}

/// The area, with what bounds it and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    value: f64,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

/// What is said where any area is possible.
const NOTHING: &str = "no area: anything from 0 to 1 is possible, since at no edge of the grid is it known who lies above it (a site with few patients makes one bin of all); a grid of fewer edges, of which each class has k patients between any two, may help";

impl Area {
    /// Whether not every area is as possible.
    fn says_something(&self) -> bool {
        self.least > 0.0 || self.most < 1.0
    }
}

impl RocDriver {
    pub(super) fn new(setting: Setting, spec: &RocSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let cells = plan.grid().map(|grid| grid.cells());
        let lines = cells.map(|cells| plan.layout().cells_at(0) / cells);
        if cells != Some(spec.grid.len() + 1) || lines != Some(Class::ALL.len()) {
            let message = format!("analysis `{}`: its plan has other lines", setting.name);
            return Err(PublicError::new(ErrorCode::StudyInvalid, message));
        }
        Ok(Self::of(setting, spec))
    }

    /// That of lines of which it is known that they are the score's.
    pub(super) fn of(setting: Setting, spec: &RocSpec) -> Self {
        let z = Normal::standard().inverse_cdf(f64::midpoint(1.0, spec.confidence.share()));
        Self { setting, spec: spec.clone(), z }
    }

    /// The combined answer. The same for any order of `answers`.
    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let answers = sorted(answers);
        let sites: Vec<(&SiteId, &LinesRelease)> = answers
            .iter()
            .filter_map(|answer| match answer.answer {
                Answer::Lines(release) => Some((answer.site, release)),
                _ => None,
            })
            .collect();
        let mut notes = notes::of_lines(&answers, sites.len(), self.setting.min_sites);
        let shows = |(_, release): &(&SiteId, &LinesRelease)| {
            release.threshold <= 1 || release.lines[1..].iter().flatten().all(|bin| bin.count.subjects > 0)
        };
        let (counted, silent): (Vec<_>, Vec<_>) = sites.into_iter().partition(shows);
        notes.extend(silent.iter().map(|(site, release)| {
            format!("{site} is left out: it has fewer than {} who have it, or who have it not", release.threshold)
        }));
        let enough = counted.len() >= self.setting.min_sites as usize && !counted.is_empty();
        let lines = [Class::Without, Class::With].map(|class| self.line(&counted, class));
        let open = [Class::Without, Class::With].map(|class| self.open(&counted, class));
        let area = if enough { area(&open, self.z) } else { None };
        let told = area.filter(Area::says_something);
        if area.is_some() && told.is_none() {
            notes.push(NOTHING.to_owned());
        }
        let reason = if enough { HiddenReason::NotAllExact } else { HiddenReason::TooFewSites };
        let mut block = Statistics::new(COLUMNS);
        let of = |number: fn(&Area) -> f64| told.as_ref().map(number);
        let numbers = [of(|a| a.value), of(|a| a.from), of(|a| a.to), of(|a| a.least), of(|a| a.most)];
        block.row(&["area under the curve"], &numbers, reason);
        let covered = Coverage::of_some_sites(open.iter().map(|line| line.least[0]).sum());
        let covered = Some(&covered).filter(|_| !silent.is_empty());
        block.covered(covered);
        let mut result = self.setting.result(block.block(), notes);
        let curve = if enough { self.curve(&lines) } else { Block::default() };
        result.also = [("patients", patients(&lines, enough)), ("curve", curve)]
            .map(|(title, block)| NamedBlock { title: title.to_owned(), block })
            .to_vec();
        for NamedBlock { block, .. } in &mut result.also {
            (0..block.rows.len()).for_each(|row| block.cover(row, 1..block.columns.len(), covered));
        }
        result.also.retain(|named| !named.block.rows.is_empty());
        result
    }

    /// How many of a class are at each edge or above it: who is in a bin that goes over it may be or not.
    fn open(&self, sites: &[(&SiteId, &LinesRelease)], class: Class) -> Line {
        let edges = self.spec.grid.len() + 1;
        let mut line = Line { least: vec![0; edges], most: vec![Some(0); edges] };
        for (_, release) in sites {
            let mut from = 0;
            for bin in &release.lines[place(class)] {
                let (upto, n) = (bin.upto as usize, bin.count.subjects);
                line.least[..=from].iter_mut().for_each(|least| *least += n);
                line.most[..upto.min(edges)].iter_mut().flatten().for_each(|most| *most += n);
                from = upto.min(edges - 1);
            }
            let off = off_of(release.rounded);
            line.least.iter_mut().for_each(|least| *least = least.saturating_sub(off));
            line.most.iter_mut().flatten().for_each(|most| *most += off);
        }
        line
    }

    fn line(&self, sites: &[(&SiteId, &LinesRelease)], class: Class) -> Line {
        let releases = sites.iter().map(|(_, release)| *release);
        along(releases, place(class), self.spec.grid.len(), self.setting.min_sites)
    }

    /// At each edge, who of either class is on the right side of it: exactly, or between two numbers.
    fn curve(&self, [without, with]: &[Line; 2]) -> Block {
        let mut block = Block { columns: CURVE.map(str::to_owned).to_vec(), ..Block::default() };
        let (Some(all_with), Some(all_without)) = (with.exact(0), without.exact(0)) else { return block };
        for (at, edge) in self.spec.grid.iter().enumerate() {
            let ends = |line: &Line| Some((line.least[at + 1], line.most[at + 1]?));
            let (Some(above), Some(false_above)) = (ends(with), ends(without)) else { continue };
            let share = |n: u64, all: u64| n as f64 / all as f64;
            let sensitivity = (share(above.0, all_with), share(above.1, all_with));
            let specificity = (1.0 - share(false_above.1, all_without), 1.0 - share(false_above.0, all_without));
            let mut row = vec![Value::Text(edge.to_string())];
            for (least, most) in [sensitivity, specificity] {
                let exact = (least == most).then_some(least);
                row.push(exact.map_or(Value::Null, Value::Number));
                row.extend([least, most].map(Value::Number));
            }
            block.rows.push(row);
        }
        block
    }
}

/// The line of a class.
fn place(class: Class) -> usize {
    Class::ALL.iter().position(|other| *other == class).unwrap_or_default()
}

fn patients([without, with]: &[Line; 2], enough: bool) -> Block {
    let mut block = Block { columns: ["group", "patients"].map(str::to_owned).to_vec(), ..Block::default() };
    for (name, line) in [("with", with), ("without", without)] {
        if let Some(n) = line.exact(0).filter(|_| enough) {
            block.rows.push(vec![Value::Text(name.to_owned()), Value::Count(n)]);
        }
    }
    block
}

/// The area under the curve of two lines; none where somebody's class is open, or a class has nobody.
fn area([without, with]: &[Line; 2], z: f64) -> Option<Area> {
    let (n, m) = (with.exact(0)? as f64, without.exact(0)? as f64);
    if n < 1.0 || m < 1.0 {
        return None;
    }
    let most = |line: &Line| line.most.iter().copied().collect::<Option<Vec<u64>>>();
    let (high, low) = (most(with)?, most(without)?);
    // Those who have it as low as can be, the others as high, and the other way round; who is in one cell is alike, or in the order that is worse or better.
    let pairs = |with: &[u64], without: &[u64], alike: f64| {
        let within = |line: &[u64], at: usize| (line[at] - line.get(at + 1).copied().unwrap_or_default()) as f64;
        let below = |at: usize| m - without[at] as f64;
        let cell = |at: usize| within(with, at) * (below(at) + alike * within(without, at));
        (0..with.len()).map(cell).sum::<f64>() / (n * m)
    };
    let least = pairs(&with.least, &low, 0.0);
    let upmost = pairs(&high, &without.least, 1.0);
    let value = f64::midpoint(pairs(&with.least, &low, 0.5), pairs(&high, &without.least, 0.5));
    let half = |area: f64| z * error(area, n, m);
    Some(Area {
        value,
        least,
        most: upmost,
        from: (least - half(least)).max(0.0),
        to: (upmost + half(upmost)).min(1.0),
    })
}

/// The standard error of an area (Hanley, McNeil 1982, equation 1 with Q₁ = A / (2 − A), Q₂ = 2A² / (1 + A)).
fn error(area: f64, n: f64, m: f64) -> f64 {
    let (one, two) = (area / (2.0 - area), 2.0 * area * area / (1.0 + area));
    let variance = area * (1.0 - area) + (n - 1.0) * (one - area * area) + (m - 1.0) * (two - area * area);
    (variance / (n * m)).max(0.0).sqrt()
}

#[cfg(test)]
pub(super) mod fixture {
    use bocage_protocol::analysis::{Confidence, Key};
    use bocage_protocol::plan::{Expr, Literal};
    use bocage_protocol::release::{BinRelease, Count};

    use super::*;

    /// Two ages that a score is cut at, asked of two sites or more.
    pub fn asked() -> (Setting, RocSpec) {
        let key = |label: &str| Key { label: label.to_owned(), key: Expr::Literal(Literal::Bool(true)) };
        let confidence = Confidence::default();
        let spec = RocSpec { score: key("age"), truth: key("sick"), grid: vec![50.0, 60.0], confidence };
        (Setting { name: "a".parse().unwrap(), kind: "roc", one_row_per_subject: true, min_sites: 2 }, spec)
    }

    /// Lines behind a threshold, of so many patients in each of the three bins.
    pub fn release(counts: &[[u64; 3]]) -> LinesRelease {
        let bin = |(at, n): (usize, u64)| BinRelease { upto: at as u32 + 1, count: Count { subjects: n, rows: n } };
        let lines = counts.iter().map(|counts| counts.iter().copied().enumerate().map(bin).collect()).collect();
        LinesRelease { threshold: 11, lines, held_back: false, rounded: false }
    }

    pub fn sites() -> [SiteId; 3] {
        ["aa", "bb", "cc"].map(|id| id.parse().unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Interval;

    fn line(counts: &[u64]) -> Line {
        let least: Vec<u64> = (0..counts.len()).map(|at| counts[at..].iter().sum()).collect();
        Line { most: least.iter().copied().map(Some).collect(), least }
    }

    #[test]
    fn the_area_of_the_rating_data_is_the_published_one_and_ties_bound_it() {
        // Hanley, McNeil (1982), table I: 58 normal and 51 abnormal readings in five ratings; area 0.893, standard error 0.032.
        let lines = [line(&[33, 6, 6, 11, 2]), line(&[3, 2, 2, 11, 33])];
        let found = area(&lines, 1.0).unwrap();
        assert!((found.value - 0.893).abs() < 5e-4, "{found:?}");
        assert!((error(found.value, 51.0, 58.0) - 0.032).abs() < 1e-3);
        let ties = (3.0 * 33.0 + 12.0 + 12.0 + 121.0 + 66.0) / (51.0 * 58.0);
        assert!((found.most - found.least - ties).abs() < 1e-12);
    }

    #[test]
    fn what_lines_leave_open_holds_the_area_of_whatever_is_behind_them() {
        let (without, with) = (line(&[4, 3, 2, 1]), line(&[1, 2, 3, 4]));
        let exact = area(&[without.clone(), with.clone()], 1.0).unwrap();
        // Of the two inner edges only bounds are known.
        let open = |of: &Line| {
            let (mut least, mut most) = (of.least.clone(), of.most.clone());
            (least[1], least[2]) = (of.least[3], of.least[3]);
            (most[1], most[2]) = (of.most[0], of.most[0]);
            Line { least, most }
        };
        let found = area(&[open(&without), open(&with)], 1.0).unwrap();
        assert!(found.says_something());
        assert!(found.least <= exact.least && exact.most <= found.most && found.least < found.most);
        assert_eq!(area(&[without, line(&[0, 0, 0, 0])], 1.0), None);
    }

    #[test]
    fn an_area_without_a_site_says_so() {
        let ((setting, spec), sites) = (fixture::asked(), fixture::sites());
        let release = |with: [u64; 3]| fixture::release(&[[0; 3], [30, 20, 11], with]);
        let (shows, hides) = (release([11, 20, 30]), release([0, 0, 12]));
        let published = |last: &LinesRelease| {
            let of = [&shows, &shows, last];
            let answers = sites.iter().zip(of).map(|(site, of)| SiteAnswer { site, answer: Answer::Lines(of) });
            RocDriver::of(setting.clone(), &spec).publish(&answers.collect::<Vec<_>>())
        };
        let all = published(&shows);
        assert!(
            std::iter::once(&all.block).chain(all.also.iter().map(|of| &of.block)).all(|of| of.coverage.is_empty())
        );
        let some = published(&hides);
        assert_eq!(some.also.iter().map(|of| of.title.as_str()).collect::<Vec<_>>(), ["patients", "curve"]);
        assert!(
            some.also.iter().all(|of| of.block.unmarked(1).is_empty() && !of.block.coverage.is_empty()),
            "{some:?}"
        );
        let block = some.block;
        assert!(matches!(block.rows[0][1], Value::Number(_)), "{block:?}");
        assert!(block.coverage.len() == 5 && block.coverage.iter().all(|c| (c.n, c.of) == (244, Interval(244, None))));
    }

    #[test]
    fn one_bin_of_all_says_nothing_of_an_area() {
        let one = |n: u64| Line { least: vec![n, 0, 0], most: vec![Some(n); 3] };
        let found = area(&[one(40), one(30)], 1.0).unwrap();
        assert_eq!((found.least, found.most, found.says_something()), (0.0, 1.0, false));
    }
}

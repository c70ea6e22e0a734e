//! The driver of one pair's correlation, and the matrix of all pairs.
//!
//! Numbers are those of the sites that show what they need; the sums themselves are never published, only r and how many patients it covers. Two numbers that no
//! table sums beside each other come as moments, by the rules of components.

use std::ops::Range;

use bocage_protocol::PublicError;
use bocage_protocol::analysis::{AnalysisSpec, CorrelationSpec, Pair, Spec};
use bocage_protocol::ids::AnalysisName;
use bocage_protocol::plan::{Described, MeasureLayout, ModelLayout, Quantum, ValidPlan};
use bocage_protocol::release::{CellRelease, MeasureRelease, TableRelease};

use super::as_asked::AsAsked;
use super::association::correlation::{Sums, interval, pearson, test};
use super::association::ranks::spearman;
use super::crosstab::{Published, counts};
use super::estimates::independent;
use super::moments::Moments;
use super::table::{TableDriver, releases};
use super::{Setting, SiteAnswer, notes, pca, sorted};
use crate::api::types::{AnalysisResult, Block, Coverage, HiddenReason, NamedBlock, Value};

/// The headings of Pearson's correlations.
pub(super) const PEARSON: [&str; 7] = ["first", "second", "n", "r", "from", "to", "p"];
/// The headings of Spearman's.
pub(super) const SPEARMAN: [&str; 7] = ["first", "second", "n", "rho", "least", "most", "p"];

/// The driver of one pair.
#[derive(Debug)]
pub struct CorrelationDriver {
    of: Counted,
    spec: CorrelationSpec,
}

/// How sites count it.
#[derive(Debug)]
enum Counted {
    Table(Box<TableDriver>),
    Moments(Box<PairMoments>),
}

/// How many patients, and the statistic with its ends and p; or why there is none.
type Found = Result<(u64, Option<[f64; 3]>, Option<f64>), HiddenReason>;

/// Behind the two labels.
const NUMBERS: Range<usize> = 2..PEARSON.len();
/// Where the coefficient stands.
const COEFFICIENT: usize = 3;

impl CorrelationDriver {
    pub(super) fn new(setting: Setting, spec: &CorrelationSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        independent(&setting)?;
        let of = match spec.table() {
            Some(table) => Counted::Table(Box::new(TableDriver::new(setting, table, plan)?)),
            None => Counted::Moments(Box::new(PairMoments::new(setting, plan)?)),
        };
        Ok(Self { of, spec: spec.clone() })
    }

    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let (mut result, headings, found) = match &self.of {
            Counted::Moments(of) => {
                let (result, found) = of.publish(answers, self.spec.confidence.share(), self.spec.labels());
                (result, PEARSON, found)
            }
            Counted::Table(table) => {
                let mut result = table.publish(answers);
                let (headings, found) = match &self.spec.pair {
                    Pair::Ordered(..) => (SPEARMAN, self.ordered(table, &result.block, &mut result.notes)),
                    Pair::Numbers(..) | Pair::Moments(..) => {
                        (PEARSON, self.numbers(table, &releases(&sorted(answers)), &mut result.notes))
                    }
                };
                (result, headings, found)
            }
        };
        let mut block = Block { columns: headings.map(str::to_owned).to_vec(), ..Block::default() };
        let mut row: Vec<Value> = self.spec.labels().map(|label| Value::Text(label.to_owned())).to_vec();
        match found {
            Ok((n, estimate, p)) => {
                row.push(Value::Count(n));
                let numbers = estimate.map_or([None; 3], |numbers| numbers.map(|x| Some(x).filter(|x| x.is_finite())));
                for number in numbers.into_iter().chain([p]) {
                    let value = block.value_or_hidden(0, row.len(), number, HiddenReason::TooFewValues);
                    row.push(value);
                }
            }
            Err(reason) => {
                for column in NUMBERS {
                    let value = block.value_or_hidden(0, column, None, reason);
                    row.push(value);
                }
            }
        }
        block.rows.push(row);
        // Of a table every patient counts, whose numbers a site may hide.
        let n = match block.rows[0][NUMBERS.start] {
            Value::Count(n) => n,
            _ => 0,
        };
        let covered = result.block.coverage.first().map(|of| Coverage { n, ..of.clone() });
        block.cover(0, NUMBERS, covered.as_ref());
        result.block = block;
        result
    }

    /// r over the sites that show all of both means, both spreads and the mean product.
    fn numbers(&self, table: &TableDriver, releases: &[&TableRelease], notes: &mut Vec<String>) -> Found {
        let shown: Vec<[Part; 3]> = releases.iter().filter_map(|release| parts(release)).collect();
        let [a, b] = self.spec.labels();
        if shown.len() < releases.len() {
            notes.push(format!(
                "{a} and {b}: {} of {} sites count, the others hide or round the sums of who has both",
                shown.len(),
                releases.len()
            ));
        }
        if shown.len() < table.setting().min_sites as usize {
            let rounded = releases.iter().any(|release| release.rounded);
            return Err(if rounded { HiddenReason::Rounded } else { HiddenReason::TooFewSites });
        }
        let all = shown.iter().fold([Part::default(); 3], |all, part| [0, 1, 2].map(|i| all[i].plus(part[i])));
        let quanta: Vec<Quantum> = table.layout().measures().iter().filter_map(number).collect();
        let (n, [x, y, xy], [q_x, q_y, q_xy]) = (all[0].n, all, quanta.as_slice()) else {
            return Err(HiddenReason::NotAllExact);
        };
        if n < 2 {
            return Ok((n, None, None));
        }
        let sd = |quantum: &Quantum, part: Part| quantum.variance(n, part.sum, part.sum_sq).sqrt();
        let (mean_x, mean_y) = (q_x.mean(n, x.sum), q_y.mean(n, y.sum));
        let (sd_x, sd_y, mean_xy) = (sd(q_x, x), sd(q_y, y), q_xy.mean(n, xy.sum));
        let r = pearson(&Sums { n, mean_x, sd_x, mean_y, sd_y, mean_xy });
        let Some(r) = r else { return Ok((n, None, None)) };
        Ok(estimated(r, n, self.spec.confidence.share()))
    }

    fn ordered(&self, table: &TableDriver, shown: &Block, notes: &mut Vec<String>) -> Found {
        let keys = table.layout().keys_at(0);
        let known = |at: usize| keys.get(at).map_or(0, |key| key.labels.len() - usize::from(key.missing));
        let width = keys.get(1).map_or(1, |key| key.labels.len().max(1));
        let cells = counts(shown);
        let row = |row: &[Published]| row.iter().take(known(1)).map(Published::exact).collect::<Option<Vec<u64>>>();
        let exact: Option<Vec<Vec<u64>>> = cells.chunks(width).take(known(0)).map(row).collect();
        let Some(exact) = exact else {
            let [a, b] = self.spec.labels();
            notes.push(format!("{a} and {b}: no correlation, which needs every cell exactly; use wider bands"));
            return Err(HiddenReason::NotAllExact);
        };
        let n = exact.iter().flatten().sum();
        let found = spearman(&exact);
        let p = found.and_then(|found| test(found.value, n)).map(|test| test.p);
        notes.push(
            "rho is of the bands, values within one taken as equal; whatever the values are, theirs lies from least to most"
                .into(),
        );
        Ok((n, found.map(|f| [f.value, f.least, f.most]), p))
    }
}

/// r with its interval and p.
fn estimated(r: f64, n: u64, confidence: f64) -> (u64, Option<[f64; 3]>, Option<f64>) {
    let ends = interval(r, n, confidence);
    let estimate = ends.map_or([r, f64::NAN, f64::NAN], |e| [e.value, e.from, e.to]);
    (n, Some(estimate), test(r, n).map(|test| test.p))
}

/// The driver of two numbers by their moments.
#[derive(Debug)]
struct PairMoments {
    setting: Setting,
    order: AsAsked,
    described: Described,
    layout: ModelLayout,
}

impl PairMoments {
    fn new(setting: Setting, plan: &ValidPlan) -> Result<Self, PublicError> {
        let (order, described, layout) = pca::described(&setting, plan)?;
        Ok(Self { setting, order, described, layout })
    }

    fn publish(&self, answers: &[SiteAnswer<'_>], confidence: f64, labels: [&str; 2]) -> (AnalysisResult, Found) {
        let answers = sorted(answers);
        let releases = pca::releases(&answers);
        let mut notes = notes::of_model(&answers, releases.len(), self.setting.min_sites);
        let enough = !releases.is_empty() && releases.len() >= self.setting.min_sites as usize;
        let found = match enough {
            true => {
                let moments = Moments::of(&self.order.releases(&releases, self.described), &self.layout);
                let steady: Vec<&str> = (0..2).filter(|at| !moments.is_told(*at)).map(|at| labels[at]).collect();
                if !steady.is_empty() {
                    notes.push(format!(
                        "{} and {}: no correlation, since {} varies too little within its range; give it a narrower one, by plausible",
                        labels[0], labels[1], steady.join(" and ")
                    ));
                }
                let spread = moments.scaled_sd(0).zip(moments.scaled_sd(1));
                let r = moments.scaled_covariance().zip(spread).map(|(of, (x, y))| of[(0, 1)] / (x * y));
                let r = r.filter(|r| steady.is_empty() && moments.n > 2 && r.is_finite()).map(|r| r.clamp(-1.0, 1.0));
                Ok(r.map_or((moments.n, None, None), |r| estimated(r, moments.n, confidence)))
            }
            false => Err(HiddenReason::TooFewSites),
        };
        (self.setting.result(Block::default(), notes), found)
    }
}

/// A measure's sums at some sites.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    n: u64,
    sum: i128,
    sum_sq: i128,
}

impl Part {
    fn plus(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum, sum_sq: self.sum_sq + other.sum_sq }
    }
}

fn number(layout: &MeasureLayout) -> Option<Quantum> {
    match layout {
        MeasureLayout::Number(quantum) => Some(*quantum),
        MeasureLayout::Condition => None,
    }
}

/// What a site shows of the three measures, where it shows all.
fn parts(release: &TableRelease) -> Option<[Part; 3]> {
    // Sums of a rounded count make no r that could be told from another.
    let Some(CellRelease::Shown { measures, .. }) = release.cells.first().filter(|_| !release.rounded) else {
        return None;
    };
    let part = |measure: &MeasureRelease| match measure {
        MeasureRelease::Number { valid, sum, sum_sq } => Some(Part { n: valid.rows, sum: *sum, sum_sq: *sum_sq }),
        _ => None,
    };
    let parts: Option<Vec<Part>> = measures.iter().map(part).collect();
    // All three are of the patients who have both.
    parts?.try_into().ok().filter(|parts: &[Part; 3]| parts.iter().all(|part| part.n == parts[0].n))
}

/// Puts the pairs of one analysis together: a row a pair, and the matrix.
pub(super) fn put_together<'a>(
    name: &AnalysisName,
    parts: impl Iterator<Item = &'a (&'a AnalysisSpec, AnalysisResult)>,
) -> AnalysisResult {
    let parts: Vec<_> = parts.collect();
    let mut block = Block::default();
    let mut notes: Vec<String> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (spec, result) in &parts {
        block.columns.clone_from(&result.block.columns);
        let row = block.rows.len();
        let values = (0..block.columns.len()).map(|column| block.copy(row, column, &result.block, (0, column)));
        let values = values.collect();
        block.rows.push(values);
        let new: Vec<String> = result.notes.iter().filter(|note| !notes.contains(note)).cloned().collect();
        notes.extend(new);
        if let Spec::Correlation(correlation) = &spec.spec {
            for label in correlation.labels() {
                if !names.contains(&label) {
                    names.push(label);
                }
            }
        }
    }
    let also = vec![NamedBlock { title: "matrix".to_owned(), block: square(&names, &block) }];
    AnalysisResult {
        name: name.clone(),
        kind: "correlation".to_owned(),
        block,
        notes,
        rolled_up: None,
        also,
        absent: vec![],
    }
}

fn square(names: &[&str], pairs: &Block) -> Block {
    let columns = [""].iter().chain(names).map(|name| (*name).to_owned()).collect();
    let mut square = Block { columns, ..Block::default() };
    let at = |a: &str, b: &str| {
        let is = |value: &Value, name: &str| *value == Value::Text(name.to_owned());
        pairs.rows.iter().position(|row| (is(&row[0], a) && is(&row[1], b)) || (is(&row[0], b) && is(&row[1], a)))
    };
    for (row, a) in names.iter().enumerate() {
        let mut values = vec![Value::Text((*a).to_owned())];
        for (column, b) in names.iter().enumerate() {
            values.push(match at(a, b) {
                Some(pair) => square.copy(row, column + 1, pairs, (pair, COEFFICIENT)),
                // With itself.
                None => Value::Number(1.0),
            });
        }
        square.rows.push(values);
    }
    square
}

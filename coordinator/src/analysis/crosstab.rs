//! The driver of a cross-tabulation: a table of two keys as a matrix with totals, and whether its rows and columns are independent.
//!
//! Totals, expected counts and the test follow from published counts alone. Expected counts and the test are given only where every cell is
//! exact: from intervals they would be guesses.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::CrosstabSpec;
use bocage_protocol::plan::{KeyLevels, ValidPlan};

use super::table::TableDriver;
use super::{Setting, SiteAnswer, independence};
use crate::api::types::{AnalysisResult, Block, Hidden, HiddenReason, Interval, NamedBlock, Value};

/// The heading of the totals.
pub(super) const TOTAL: &str = "total";

/// The driver of one cross-tabulation.
#[derive(Debug)]
pub struct CrosstabDriver {
    table: TableDriver,
    /// Of its rows, and of its columns.
    headings: [String; 2],
}

/// A count as published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    pub interval: Option<Interval>,
    /// Why it is not exact.
    pub hidden: Option<HiddenReason>,
}

impl CrosstabDriver {
    pub(super) fn new(setting: Setting, spec: &CrosstabSpec, plan: &ValidPlan) -> Result<Self, PublicError> {
        let headings = [&spec.rows, &spec.columns].map(|key| key.label.clone());
        Ok(Self { table: TableDriver::new(setting, spec.table(), plan)?, headings })
    }

    pub(super) fn publish(&self, answers: &[SiteAnswer<'_>]) -> AnalysisResult {
        let with_totals = self.table.setting().one_row_per_subject;
        let mut result = self.table.publish_as(answers, |block, step| {
            let [rows, columns] = self.levels(step);
            matrix(&self.heading(step), &rows.labels, &columns.labels, &counts(&block), with_totals)
        });
        let (also, notes) = self.test(&result.block);
        result.also = also;
        result.notes.extend(notes);
        result
    }

    /// Names a key that stands in coarser groups at this step as such.
    fn heading(&self, step: usize) -> String {
        let (asked, levels) = (self.levels(0), self.levels(step));
        let coarser = |key: usize| if asked[key].labels == levels[key].labels { "" } else { " (coarser)" };
        format!("{}{} by {}{}", self.headings[0], coarser(0), self.headings[1], coarser(1))
    }

    fn levels(&self, step: usize) -> [KeyLevels; 2] {
        let mut keys = self.table.layout().keys_at(step).into_iter();
        let none = || KeyLevels { labels: vec![], missing: false };
        [keys.next().unwrap_or_else(none), keys.next().unwrap_or_else(none)]
    }

    /// Expected counts and the test, over all levels but the missing ones.
    fn test(&self, block: &Block) -> (Vec<NamedBlock>, Vec<String>) {
        let levels = self.levels(0);
        let [rows, columns] = levels.each_ref().map(|key| &key.labels[..key.labels.len() - usize::from(key.missing)]);
        let exact = exact(block, rows.len(), columns.len());
        let mut notes = Vec::new();
        let counts = match exact {
            _ if !self.table.setting().one_row_per_subject => {
                notes.push(
                    "no totals and no test: a patient can have several rows, so that cells share patients".into(),
                );
                None
            }
            None => {
                notes.push("no test: it needs every cell exactly, neither hidden nor rounded; wider groups have fewer hidden cells".into());
                None
            }
            counts => counts,
        };
        if counts.is_some() && levels.iter().any(|key| key.missing) {
            notes.push("expected counts and the test leave out who has a missing value".into());
        }
        let test = counts.as_ref().and_then(|counts| independence::test(counts));
        if counts.is_some() && test.is_none() {
            notes.push("no test: it needs two rows and two columns that hold anybody".into());
        }
        if test.as_ref().is_some_and(|test| test.small_expected > 0.2) {
            notes.push("more than a fifth of the expected counts are below 5: p is rough (Cochran 1954)".into());
        }
        let expected = expected_block(&self.heading(0), rows, columns, counts.as_deref());
        let also = vec![
            NamedBlock { title: "expected counts if rows and columns were independent".into(), block: expected },
            NamedBlock { title: "test of independence".into(), block: test_block(test.as_ref(), counts.is_some()) },
        ];
        (also, notes)
    }
}

/// The counts that a block's last column shows, row by row.
pub(super) fn counts(block: &Block) -> Vec<Published> {
    let of = |(at, row): (usize, &Vec<Value>)| match row.last() {
        Some(Value::Count(n)) => Published { interval: Some(Interval(*n, Some(*n))), hidden: None },
        _ => {
            let hidden = block.hidden.iter().find(|hidden| hidden.row == at);
            let reason = hidden.map_or(HiddenReason::TooFewSites, |hidden| hidden.reason);
            Published { interval: hidden.and_then(|hidden| hidden.interval), hidden: Some(reason) }
        }
    };
    block.rows.iter().enumerate().map(of).collect()
}

impl Published {
    /// The count, where it is exact.
    pub(super) fn exact(&self) -> Option<u64> {
        match self {
            Published { interval: Some(Interval(n, _)), hidden: None } => Some(*n),
            Published { .. } => None,
        }
    }
}

impl Block {
    /// A count at a place of the row that is being made, or a null whose reason is recorded.
    pub(super) fn published(&mut self, row: usize, column: usize, count: Published) -> Value {
        count.exact().map_or_else(
            || {
                let reason = count.hidden.unwrap_or(HiddenReason::TooFewSites);
                self.hidden.push(Hidden { row, column, interval: count.interval, reason });
                Value::Null
            },
            Value::Count,
        )
    }
}

/// The sum of counts, as exact as they are.
pub(super) fn sum<'a>(counts: impl Iterator<Item = &'a Published>) -> Published {
    let none = Published { interval: Some(Interval(0, Some(0))), hidden: None };
    counts.fold(none, |all, count| {
        let interval =
            all.interval.zip(count.interval).map(|(a, b)| Interval(a.0 + b.0, a.1.zip(b.1).map(|(x, y)| x + y)));
        let both = [all.hidden, count.hidden];
        let worst = [HiddenReason::TooFewSites, HiddenReason::FewerThanK].map(Some);
        let hidden = worst.into_iter().find(|reason| both.contains(reason)).unwrap_or(all.hidden.or(count.hidden));
        Published { interval, hidden }
    })
}

/// The most that all cells hold together, where it is known: the bound of a cell that too few sites show is that of all, of which it is one.
fn most_in_all(counts: &[Published]) -> Option<u64> {
    let few = counts.iter().filter(|count| count.hidden == Some(HiddenReason::TooFewSites));
    few.filter_map(|count| count.interval?.1).min()
}

/// A part of `all`, which are `most` together at most: it is no more than what the others leave. Where they leave one number alone, it stays as
/// wide as it is: a number that too few sites stand behind is not published as an interval either.
fn within_all(part: Published, all: Published, most: Option<u64>) -> Published {
    let narrowed = |own: Interval| {
        let others = all.interval.map_or(0, |all| all.0 - own.0);
        let left = most.map(|most| most.saturating_sub(others)).filter(|left| *left > own.0);
        Interval(own.0, own.1.into_iter().chain(left).min())
    };
    Published { interval: part.interval.map(narrowed), ..part }
}

/// Counts, row by row, as a matrix. Its totals are of patients each of whom is in one cell.
pub(super) fn matrix(
    heading: &str,
    rows: &[String],
    columns: &[String],
    counts: &[Published],
    with_totals: bool,
) -> Block {
    let mut lines: Vec<(String, Vec<Published>)> =
        rows.iter().cloned().zip(counts.chunks(columns.len().max(1)).map(<[Published]>::to_vec)).collect();
    let mut headings: Vec<String> = [heading].into_iter().map(str::to_owned).chain(columns.iter().cloned()).collect();
    if with_totals {
        headings.push(TOTAL.to_owned());
        let (all, most) = (sum(counts.iter()), most_in_all(counts));
        let total = |part: Published| within_all(part, all, most);
        let totals: Vec<_> = (0..columns.len()).map(|at| sum(lines.iter().map(|(_, line)| &line[at]))).collect();
        lines.iter_mut().for_each(|(_, line)| line.push(total(sum(line.iter()))));
        lines.push((TOTAL.to_owned(), totals.into_iter().chain([all]).map(total).collect()));
    }
    let mut block = Block { columns: headings, ..Block::default() };
    for (row, (label, line)) in lines.into_iter().enumerate() {
        let mut values = vec![Value::Text(label)];
        for (column, count) in line.into_iter().enumerate() {
            let value = block.published(row, column + 1, count);
            values.push(value);
        }
        block.rows.push(values);
    }
    block
}

/// The first rows and columns of a matrix, if all are exact.
fn exact(matrix: &Block, rows: usize, columns: usize) -> Option<Vec<Vec<u64>>> {
    let count = |value: &Value| match value {
        Value::Count(n) => Some(*n),
        _ => None,
    };
    matrix.rows.iter().take(rows).map(|row| row.iter().skip(1).take(columns).map(count).collect()).collect()
}

fn expected_block(heading: &str, rows: &[String], columns: &[String], counts: Option<&[Vec<u64>]>) -> Block {
    let headings = [heading.to_owned()].into_iter().chain(columns.iter().cloned()).collect();
    let mut block = Block { columns: headings, ..Block::default() };
    let expected = counts.filter(|counts| counts.iter().flatten().any(|n| *n > 0)).map(independence::expected);
    for (row, label) in rows.iter().enumerate() {
        let mut values = vec![Value::Text(label.clone())];
        for column in 0..columns.len() {
            let value = expected.as_ref().map(|expected| expected[row][column]);
            values.push(block.value_or_hidden(row, column + 1, value, HiddenReason::NotAllExact));
        }
        block.rows.push(values);
    }
    block
}

fn test_block(test: Option<&independence::Independence>, exact: bool) -> Block {
    let mut block = Block { columns: ["statistic", "value"].map(str::to_owned).to_vec(), ..Block::default() };
    let reason = if exact { HiddenReason::TooFewValues } else { HiddenReason::NotAllExact };
    let statistics = [
        ("chi2", test.map(|test| test.chi2)),
        ("df", test.map(|test| test.df as f64)),
        ("p", test.map(|test| test.p)),
        ("cramers_v", test.map(|test| test.cramers_v)),
    ];
    for (row, (name, value)) in statistics.into_iter().enumerate() {
        let value = block.value_or_hidden(row, 1, value, reason);
        block.rows.push(vec![Value::Text(name.to_owned()), value]);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(counts: &[Published]) -> Vec<Option<Interval>> {
        let names = |names: [&str; 2]| names.map(str::to_owned);
        let block = matrix("a by b", &names(["x", "y"]), &names(["0", "1"]), counts, true);
        let of = |(row, column): (usize, usize)| match block.rows[row][column] {
            Value::Count(n) => Some(Interval(n, Some(n))),
            _ => block.hidden.iter().find(|hidden| (hidden.row, hidden.column) == (row, column))?.interval,
        };
        [(0, 3), (1, 3), (2, 1), (2, 2), (2, 3)].map(of).to_vec()
    }

    fn of(lo: u64, hi: Option<u64>, hidden: Option<HiddenReason>) -> Published {
        Published { interval: Some(Interval(lo, hi)), hidden }
    }

    #[test]
    fn totals_are_no_more_than_what_all_cells_hold_less_what_the_others_have() {
        let few = || of(0, Some(1024), Some(HiddenReason::TooFewSites));
        let below = of(100, Some(110), Some(HiddenReason::FewerThanK));
        let counts = [few(), few(), of(300, Some(300), None), below];
        let wanted = [(0, 624), (400, 410), (300, 924), (100, 724), (400, 1024)];
        assert_eq!(totals(&counts), wanted.map(|(lo, hi)| Some(Interval(lo, Some(hi)))));
    }

    #[test]
    fn totals_of_cells_that_enough_sites_show_are_their_sums() {
        let below = || of(5, None, Some(HiddenReason::FewerThanK));
        let between = of(3, Some(9), Some(HiddenReason::FewerThanK));
        let sums = totals(&[below(), of(7, Some(7), None), of(2, Some(2), None), between]);
        assert_eq!(sums[0], Some(Interval(12, None)));
        assert_eq!((sums[1], sums[4]), (Some(Interval(5, Some(11))), Some(Interval(17, None))));
    }
}

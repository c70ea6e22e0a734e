//! Which pictures fit a block, as data: bars, lines along time, ranges or steps. Drawing them is the business of `draw`, and the same numbers stand beside each as a table.
//!
//! A picture is chosen by the block's headings, so that a new kind of analysis with an estimate and its interval has one without a line here. What is
//! hidden is never drawn as a number: a count in an interval is a pale bar over the interval, anything else is said to be hidden.

mod along;
mod bars;
mod draw;
mod ranges;
mod scale;
mod steps;

use std::collections::BTreeMap;

use self::along::Along;
use self::bars::Bars;
use self::ranges::Ranges;
use self::steps::Steps;
use crate::api::types::{Block, Hidden, Value};
use crate::report::block::key_columns;

pub(super) use draw::svg;

/// A picture with more lines than this is not read.
const MOST_LINES: usize = 60;
/// Curves or panels of one picture that can be told apart.
const MOST_CURVES: usize = 6;

/// More pictures of one table are not looked at.
const MOST_NUMBERS: usize = 4;

/// A picture of a block.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Figure {
    Along(Along),
    Bars(Bars),
    Ranges(Ranges),
    Steps(Steps),
}

/// What is drawn of a block.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Drawn {
    /// Nothing that a picture would tell.
    Nothing,
    /// There is too much for one.
    TooMuch,
    /// These, one a number.
    Pictures(Vec<Figure>),
}

/// The pictures of a block: of the answer to an analysis of this kind, or of a further block with this title.
pub(super) fn figure(kind: &str, title: Option<&str>, block: &Block) -> Drawn {
    let view = View::of(block);
    if block.rows.is_empty() {
        return Drawn::Nothing;
    }
    if let Some(steps) = steps::steps(&view) {
        return fitting(steps.curves.len() <= MOST_CURVES, Figure::Steps(steps));
    }
    if title.is_none() && kind == "table" {
        return tabled(&view);
    }
    let counted = match title {
        None => matches!(kind, "histogram" | "crosstab" | "attrition" | "pca" | "kmeans"),
        Some(title) => title == "shares",
    };
    if counted {
        return bars::bars(kind, &view)
            .filter(Bars::tells)
            .map_or(Drawn::Nothing, |bars| fitting(bars.fits(), Figure::Bars(bars)));
    }
    match ranges::loadings(&view)
        .or_else(|| ranges::ranges(&view).filter(|_| matches!(title, None | Some("forest" | "calibration"))))
    {
        Some(ranges) => fitting(ranges.rows.len() <= MOST_LINES, Figure::Ranges(ranges)),
        None => Drawn::Nothing,
    }
}

fn fitting(fits: bool, figure: Figure) -> Drawn {
    if fits { Drawn::Pictures(vec![figure]) } else { Drawn::TooMuch }
}

/// A picture for each number of a table: along time where a key says when.
fn tabled(view: &View<'_>) -> Drawn {
    let time = along::time_key(view);
    let of = |column: usize| match time {
        Some(key) => {
            let along = along::along(view, key, column);
            along.tells().then_some((along.lines.len() <= MOST_CURVES, Figure::Along(along)))
        }
        None => {
            let bars = bars::of_column(view, column).filter(Bars::tells)?;
            Some((bars.fits(), Figure::Bars(bars)))
        }
    };
    let figures: Vec<(bool, Figure)> = numbers(view).into_iter().filter_map(of).take(MOST_NUMBERS).collect();
    match figures.iter().all(|(fits, _)| *fits) {
        _ if figures.is_empty() => Drawn::Nothing,
        true => Drawn::Pictures(figures.into_iter().map(|(_, figure)| figure).collect()),
        false => Drawn::TooMuch,
    }
}

/// The columns of a table's numbers: sums, who is counted, other statistics, rows. How far numbers are spread is nothing without their mean.
fn numbers(view: &View<'_>) -> Vec<usize> {
    let rank = |column: &usize| match view.heading(*column) {
        heading if heading.starts_with("sum(") => 0,
        "count" => 1,
        "rows" => 3,
        _ => 2,
    };
    let drawn = |column: &usize| !view.heading(*column).starts_with("sd(");
    let mut columns: Vec<usize> = (view.keys..view.block.columns.len()).filter(drawn).collect();
    columns.sort_by_key(rank);
    columns
}

impl Figure {
    /// What it is a picture of, in a line.
    pub(super) fn title(&self) -> String {
        match self {
            Figure::Along(along) => along.title(),
            Figure::Bars(bars) => bars.title(),
            Figure::Ranges(ranges) => ranges.title(),
            Figure::Steps(steps) => steps.title(),
        }
    }

    /// The same in words, for those who do not see it.
    pub(super) fn description(&self) -> String {
        match self {
            Figure::Along(along) => along.description(),
            Figure::Bars(bars) => bars.description(),
            Figure::Ranges(ranges) => ranges.description(),
            Figure::Steps(steps) => steps.description(),
        }
    }
}

/// A block with what is looked up in it.
struct View<'a> {
    block: &'a Block,
    keys: usize,
    hidden: BTreeMap<(usize, usize), &'a Hidden>,
}

impl<'a> View<'a> {
    fn of(block: &'a Block) -> Self {
        let hidden = block.hidden.iter().map(|hidden| ((hidden.row, hidden.column), hidden)).collect();
        Self { block, keys: key_columns(block), hidden }
    }

    fn column(&self, heading: &str) -> Option<usize> {
        self.block.columns.iter().position(|column| column == heading)
    }

    fn heading(&self, column: usize) -> &'a str {
        self.block.columns.get(column).map_or("", String::as_str)
    }

    fn number(&self, row: usize, column: usize) -> Option<f64> {
        match self.block.rows.get(row)?.get(column)? {
            Value::Count(n) => Some(*n as f64),
            Value::Number(x) => Some(*x).filter(|x| x.is_finite()),
            Value::Text(_) | Value::Null => None,
        }
    }

    /// The texts of a row's first columns in one.
    fn label(&self, row: usize, keys: usize) -> String {
        let texts = self.block.rows[row].iter().take(keys).filter_map(|value| match value {
            Value::Text(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// Where a hidden number lies, as far as anything is said of that.
    fn between(&self, row: usize, column: usize) -> Option<(f64, Option<f64>)> {
        let interval = self.hidden.get(&(row, column))?.interval?;
        Some((interval.0 as f64, interval.1.map(|hi| hi as f64)))
    }
}

/// The first of these sentences, and how many there are more.
fn listed(sentences: impl ExactSizeIterator<Item = String>) -> String {
    const SAID: usize = 20;
    let all = sentences.len();
    let mut said: Vec<String> = sentences.take(SAID).collect();
    if all > SAID {
        said.push(format!("and {} more, which the table has", all - SAID));
    }
    said.join("; ") + "."
}

#[cfg(test)]
mod tests;

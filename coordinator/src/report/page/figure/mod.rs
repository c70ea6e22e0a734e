//! Which pictures fit a block, as data: bars, lines along time, ranges, steps or a square. Drawing them is the business of `draw`, and the same numbers stand beside each as a table.
//!
//! A picture is chosen by the block's headings, so that a new kind of analysis with an estimate and its interval has one without a line here. What is
//! hidden is never drawn as a number: a count in an interval is a pale bar over the interval, anything else is said to be hidden. What has no room in one
//! picture stands in several, and what stands in none is said.

mod along;
mod bars;
mod draw;
mod fitting;
mod measures;
mod most;
mod parts;
mod path;
mod ranges;
mod scale;
mod square;
mod steps;
mod view;

use self::along::Along;
use self::bars::Bars;
use self::fitting::Fitting;
use self::ranges::Ranges;
use self::square::Square;
use self::steps::Steps;
use self::view::View;
use crate::api::types::Block;

pub(super) use draw::svg;

/// Numbers of one table that have a picture.
const MOST_NUMBERS: usize = 4;

/// A picture of a block, or of a part of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    shape: Shape,
    /// Which part of the block it shows; empty where that is all.
    part: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Along(Along),
    Bars(Bars),
    Ranges(Ranges),
    Square(Square),
    Steps(Steps),
}

/// The pictures of a block.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pictures {
    pub figures: Vec<Figure>,
    /// The headings of numbers that could have one as well, beyond as many as are drawn.
    pub without: Vec<String>,
}

/// The pictures of the answer to an analysis of this kind, or of a further block with this title. None where a picture would tell nothing.
pub(super) fn pictures(kind: &str, title: Option<&str>, block: &Block) -> Pictures {
    let view = View::of(block);
    match Fitting::of(kind, title, &view) {
        Fitting::Numbers => tabled(&view),
        fitting => Pictures { figures: fitting.drawn(kind, &view), without: Vec::new() },
    }
}

fn each<T>(parts: Vec<(T, String)>, shape: fn(T) -> Shape) -> Vec<Figure> {
    parts.into_iter().map(|(of, part)| Figure { shape: shape(of), part }).collect()
}

/// Pictures for the first numbers of a table: along time where a key says when, or along bands where there are many.
fn tabled(view: &View<'_>) -> Pictures {
    let chosen = most::chosen(view);
    let order = along::time_key(view).or_else(|| along::band_key(view).filter(|_| !chosen.said.is_empty()));
    let of = |column: usize| match order {
        Some(key) => {
            let along = along::along(view, key, column);
            if along.tells() { each(along.parts(), Shape::Along) } else { Vec::new() }
        }
        None => {
            let mut figures = match bars::of_column(view, &chosen.rows, column) {
                Some(bars) if bars.tells() => each(bars.parts(), Shape::Bars),
                Some(_) => Vec::new(),
                None => each(ranges::points(view, &chosen.rows, column).parts(), Shape::Ranges),
            };
            for figure in figures.iter_mut().filter(|_| !chosen.said.is_empty()) {
                figure.part = chosen.said.clone();
            }
            figures
        }
    };
    let told = numbers(view).into_iter().map(|column| (column, of(column))).filter(|(_, figures)| !figures.is_empty());
    let mut told: Vec<(usize, Vec<Figure>)> = told.collect();
    let beyond = told.split_off(told.len().min(MOST_NUMBERS));
    Pictures {
        figures: told.into_iter().flat_map(|(_, figures)| figures).collect(),
        without: beyond.into_iter().map(|(column, _)| view.heading(column).to_owned()).collect(),
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
    fn whole(shape: Shape) -> Self {
        Self { shape, part: String::new() }
    }

    /// What it is a picture of, in a line.
    pub(super) fn title(&self) -> String {
        let title = match &self.shape {
            Shape::Along(along) => along.title(),
            Shape::Bars(bars) => bars.title(),
            Shape::Ranges(ranges) => ranges.title(),
            Shape::Square(square) => square.title(),
            Shape::Steps(steps) => steps.title(),
        };
        if self.part.is_empty() { title } else { format!("{title}; {}", self.part) }
    }

    /// The same in words, for those who do not see it.
    pub(super) fn description(&self) -> String {
        match &self.shape {
            Shape::Along(along) => along.description(),
            Shape::Bars(bars) => bars.description(),
            Shape::Ranges(ranges) => ranges.description(),
            Shape::Square(square) => square.description(),
            Shape::Steps(steps) => steps.description(),
        }
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
mod every;
#[cfg(test)]
mod gallery;
#[cfg(test)]
mod tests;

//! Measures that stand in one table and have scales of their own: ratios about 1, differences about 0, shares. Each scale is a picture, with an axis for
//! what can be held against each other.

use super::ranges::{Range, Ranges};
use super::view::{View, label};

/// What a measure is measured on.
#[derive(Debug, Clone, PartialEq)]
enum Scale {
    Ratio,
    /// By its name: a difference of means and one of standard deviations are nothing to each other.
    Difference(String),
    /// How often one of a group is above one of another: as often as not where both are alike.
    Superiority,
    Share,
}

impl Scale {
    /// None of a test's statistic.
    fn of(measure: &str) -> Option<Self> {
        match measure {
            "u" | "z" | "p" => None,
            "superiority" => Some(Scale::Superiority),
            _ if measure.ends_with("_ratio") || measure.starts_with("lr_") => Some(Scale::Ratio),
            _ if measure.ends_with("_difference") => Some(Scale::Difference(measure.to_owned())),
            _ => Some(Scale::Share),
        }
    }

    fn axis(&self) -> &str {
        match self {
            Scale::Ratio => "ratio",
            Scale::Difference(name) => name,
            Scale::Superiority => "superiority",
            Scale::Share => "share",
        }
    }

    /// What "no difference" is.
    fn reference(&self) -> Option<f64> {
        match self {
            Scale::Ratio => Some(1.0),
            Scale::Difference(_) => Some(0.0),
            Scale::Superiority => Some(0.5),
            Scale::Share => None,
        }
    }

    /// Whether the axis says all that the measure's name does.
    fn is_named(&self) -> bool {
        matches!(self, Scale::Difference(_) | Scale::Superiority)
    }
}

/// The ranges of measures with their intervals, in the order in which their scales come.
pub(super) fn measures(view: &View<'_>) -> Vec<Ranges> {
    let Some(value) = view.column("value").filter(|value| *value > 0 && view.block.columns.len() > value + 2) else {
        return Vec::new();
    };
    let named = value - 1;
    let mut scales: Vec<(Scale, Vec<Range>)> = Vec::new();
    for row in view.rows() {
        let Some(scale) = Scale::of(view.text(row, named).unwrap_or_default()) else { continue };
        let label = label(&view.group(row, (0..view.keys).filter(|c| *c != named || !scale.is_named() || named == 0)));
        let number = |column| view.number(row, column).filter(|x| scale != Scale::Ratio || *x > 0.0);
        let range = Range { label, value: number(value), ends: number(value + 1).zip(number(value + 2)) };
        match scales.iter_mut().find(|(of, _)| *of == scale) {
            Some((_, ranges)) => ranges.push(range),
            None => scales.push((scale, vec![range])),
        }
    }
    let ranges = scales.into_iter().map(|(scale, rows)| Ranges::new(scale.axis(), scale.reference(), rows));
    ranges.filter(|ranges| ranges.tells() && !is_one_point(ranges)).collect()
}

/// A point without an interval is compared with nothing.
fn is_one_point(ranges: &Ranges) -> bool {
    ranges.rows.len() == 1 && ranges.rows[0].ends.is_none()
}

/// What was lost on each part that was left out, one picture a measure. Who they are is none.
pub(super) fn folds(view: &View<'_>) -> Vec<Ranges> {
    let of = |column: usize| {
        let ends = ["least", "most"].map(|end| view.column(&format!("area {end}")));
        let range = |row: usize| Range {
            label: view.label(row, view.keys),
            value: view.number(row, column),
            ends: ends[0]
                .zip(ends[1])
                .filter(|(least, _)| column + 1 == *least)
                .and_then(|(least, most)| view.number(row, least).zip(view.number(row, most))),
        };
        Ranges::new(view.heading(column), None, view.rows().into_iter().map(range).collect())
    };
    let is_measure =
        |column: &usize| !matches!(view.heading(*column), "patients" | "events" | "area least" | "area most");
    let columns = (view.keys..view.block.columns.len()).filter(is_measure);
    let mut all: Vec<Ranges> = columns.map(of).filter(Ranges::tells).collect();
    // The deviance of a number is its squared error.
    all.dedup_by(|next, before| next.rows == before.rows);
    all
}

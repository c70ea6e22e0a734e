//! Numbers with their intervals: a line each, the label before, the numbers behind.

use super::canvas::{COLOURS, Canvas, INK, RULE, SOFT, Side};
use super::{Drawing, WIDTH, short};
use crate::report::page::figure::ranges::Ranges;
use crate::report::page::figure::scale::Scale;

/// From one line to the next.
const ROW: i32 = 26;
/// Where the axis begins; labels stand before.
const LEFT: i32 = 230;
/// Where it ends; numbers stand behind.
const RIGHT: i32 = 530;

pub(super) fn height(ranges: &Ranges) -> i32 {
    ROW * ranges.rows.len() as i32 + 8 + 48
}

pub(super) fn draw(ranges: &Ranges, canvas: &Canvas<'_>) -> Drawing {
    let scale = Scale::roomy(ranges.domain(), ranges.log, (LEFT, RIGHT));
    let bottom = 8 + ROW * ranges.rows.len() as i32;
    for (x, text) in scale.ticks() {
        canvas.line(vec![(scale.at(x), 4), (scale.at(x), bottom)], RULE, 1)?;
        canvas.text(&text, (scale.at(x), bottom + 14), Side::Middle, SOFT)?;
    }
    if let Some(reference) = ranges.reference {
        canvas.line(vec![(scale.at(reference), 4), (scale.at(reference), bottom)], SOFT, 2)?;
    }
    let of = if ranges.log { format!("{} (log)", ranges.axis) } else { ranges.axis.clone() };
    canvas.text(&short(&of), (i32::midpoint(LEFT, RIGHT), bottom + 34), Side::Middle, SOFT)?;
    for (at, row) in ranges.rows.iter().enumerate() {
        let y = 8 + ROW * at as i32 + ROW / 2;
        canvas.text(&short(&row.label), (LEFT - 10, y), Side::Right, INK)?;
        if let Some((lo, hi)) = row.ends {
            let (from, to) = (scale.at(lo), scale.at(hi));
            canvas.line(vec![(from, y), (to, y)], COLOURS[0], 2)?;
            for end in [from, to] {
                canvas.line(vec![(end, y - 4), (end, y + 4)], COLOURS[0], 2)?;
            }
        }
        if let Some(value) = row.value {
            canvas.point((scale.at(value), y), COLOURS[0])?;
        }
        canvas.text(&row.said(), (WIDTH - 4, y), Side::Right, if row.value.is_some() { INK } else { SOFT })?;
    }
    canvas.line(vec![(LEFT, bottom), (RIGHT, bottom)], INK, 1)
}

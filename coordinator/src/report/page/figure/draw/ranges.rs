//! Numbers with their intervals: a line each, the label before, the numbers behind.

use super::axis::{self, BELOW};
use super::canvas::{COLOURS, Canvas, INK, SOFT, Side};
use super::words::{fit, widest};
use super::{Drawing, WIDTH};
use crate::report::page::figure::ranges::Ranges;
use crate::report::page::figure::scale::Scale;

/// From one line to the next.
const ROW: i32 = 26;
/// Labels have no more room than this.
const LABELS: i32 = 250;
/// Above the first line.
const TOP: i32 = 8;

pub(super) fn height(ranges: &Ranges) -> i32 {
    ROW * ranges.rows.len() as i32 + TOP + BELOW
}

pub(super) fn draw(ranges: &Ranges, canvas: &Canvas<'_>) -> Drawing {
    let said = |at: usize| ranges.rows[at].said(ranges.log);
    let labels = fit(&ranges.rows.iter().map(|row| row.label.as_str()).collect::<Vec<_>>(), LABELS);
    let left = widest(labels.iter()) + 18;
    let right = WIDTH - 16 - widest((0..ranges.rows.len()).map(said));
    let scale = Scale::roomy(ranges.domain, ranges.log, (left, right));
    let bottom = TOP + ROW * ranges.rows.len() as i32;
    let of = if ranges.log { format!("{} (log)", ranges.axis) } else { ranges.axis.clone() };
    axis::below(&scale, (left, right), (TOP - 4, bottom), &of, canvas)?;
    if let Some(reference) = ranges.reference {
        canvas.line(vec![(scale.at(reference), TOP - 4), (scale.at(reference), bottom)], SOFT, 2)?;
    }
    for (at, (row, label)) in ranges.rows.iter().zip(&labels).enumerate() {
        let y = TOP + ROW * at as i32 + ROW / 2;
        canvas.text(label, (left - 14, y), Side::Right, INK)?;
        if let Some((lo, hi)) = row.ends {
            canvas.line(vec![(scale.at(lo), y), (scale.at(hi), y)], COLOURS[0], 2)?;
            for (end, beyond, out) in [(lo, lo < ranges.domain.0, -1), (hi, hi > ranges.domain.1, 1)] {
                let x = scale.at(end);
                match beyond {
                    true => canvas.line(vec![(x - 6 * out, y - 5), (x, y), (x - 6 * out, y + 5)], COLOURS[0], 2)?,
                    false => canvas.line(vec![(x, y - 4), (x, y + 4)], COLOURS[0], 2)?,
                }
            }
        }
        if let Some(value) = row.value {
            canvas.point((scale.at(value), y), COLOURS[0])?;
        }
        canvas.text(&said(at), (WIDTH - 4, y), Side::Right, if row.value.is_some() { INK } else { SOFT })?;
    }
    canvas.line(vec![(left, bottom), (right, bottom)], INK, 1)
}

//! Lines along periods or bands, with gaps where a number is hidden, and the names of the groups above.

use plotters::style::RGBColor;

use super::axis::{self, BELOW};
use super::canvas::{COLOURS, Canvas, INK, Side, of_text};
use super::words::fit;
use super::{Drawing, WIDTH};
use crate::report::page::figure::along::{Along, Line};
use crate::report::page::figure::scale::Scale;

/// Where it ends.
const RIGHT: i32 = WIDTH - 12;
/// Names of groups stand side by side, so many in a line.
const NAMES: usize = 3;
/// From one line of names to the next.
const NAME: i32 = 20;
/// How high the picture is, without its texts.
const PANEL: i32 = 200;
/// Above it.
const HEAD: i32 = 14;

/// The highest number's place, below the names.
fn roof(along: &Along) -> i32 {
    let named = along.lines.iter().any(|line| !line.group.is_empty());
    HEAD + if named { along.lines.len().div_ceil(NAMES) as i32 * NAME } else { 0 }
}

pub(super) fn height(along: &Along) -> i32 {
    roof(along) + PANEL + BELOW
}

pub(super) fn draw(along: &Along, canvas: &Canvas<'_>) -> Drawing {
    let roof = roof(along);
    let (ground, (least, most)) = (roof + PANEL, along.domain);
    let scale = match least < 0.0 {
        true => Scale::roomy((least, most), false, (ground, roof)),
        false => Scale::from_zero(most, (ground, roof)),
    };
    let left = axis::beside_room(&scale);
    axis::beside(&scale, (left, RIGHT), canvas)?;
    axis::places(along.periods.iter().map(String::as_str), (left, RIGHT), ground, canvas)?;
    axis::called(&format!("{}, by {}", along.axis, along.time), (left, RIGHT), ground, canvas)?;
    let count = along.periods.len().max(1) as i32;
    let edge = |at: i32| left + (RIGHT - left) * at / count;
    let name = (RIGHT - left) / NAMES as i32;
    let groups = fit(&along.lines.iter().map(|line| line.group.as_str()).collect::<Vec<_>>(), name - 28);
    for (at, ((line, group), colour)) in along.lines.iter().zip(&groups).zip(COLOURS).enumerate() {
        if !group.is_empty() {
            let place = (left + (at % NAMES) as i32 * name, HEAD / 2 + 2 + (at / NAMES) as i32 * NAME);
            canvas.line(vec![place, (place.0 + 14, place.1)], colour, 3)?;
            canvas.text(group, (place.0 + 19, place.1), Side::Left, of_text(colour))?;
        }
        one((line, most), colour, &scale, &edge, canvas)?;
    }
    canvas.line(vec![(left, roof), (left, ground), (RIGHT, ground)], INK, 1)
}

fn one(
    (line, most): (&Line, f64),
    colour: RGBColor,
    scale: &Scale,
    edge: &impl Fn(i32) -> i32,
    canvas: &Canvas<'_>,
) -> Drawing {
    let mut pieces: Vec<Vec<(i32, i32)>> = vec![vec![]];
    for (at, point) in line.points.iter().enumerate() {
        let (left, right) = (edge(at as i32), edge(at as i32 + 1));
        let Some(value) = point.value else {
            if let Some((lo, hi)) = point.drawn(most) {
                // So high at least that it is seen.
                let (low, high) = (scale.at(lo) + 1, scale.at(hi) - 1);
                canvas.pale(vec![(left, low), (left, high), (right, high), (right, low)], colour)?;
            }
            pieces.push(vec![]);
            continue;
        };
        if let Some(piece) = pieces.last_mut() {
            piece.push((i32::midpoint(left, right), scale.at(value)));
        }
    }
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        match piece.as_slice() {
            [alone] => canvas.point(*alone, colour)?,
            _ => canvas.line(piece, colour, 2)?,
        }
    }
    Ok(())
}

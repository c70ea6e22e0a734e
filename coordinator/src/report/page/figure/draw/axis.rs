//! Axes: round numbers along a side of a picture, with a pale line through it from each, as many as have room.

use super::canvas::{Canvas, INK, RULE, SOFT, Side};
use super::words::{cut, widest, width};
use super::{Drawing, WIDTH};
use crate::report::page::figure::scale::Scale;

/// What an axis below a picture takes: its numbers, and what they are.
pub(super) const BELOW: i32 = 48;
/// Between a number and its axis.
const GAP: i32 = 8;

/// The axis below a picture between these heights, with what it measures.
pub(super) fn below(
    scale: &Scale,
    ends: (i32, i32),
    (roof, ground): (i32, i32),
    name: &str,
    canvas: &Canvas<'_>,
) -> Drawing {
    let ticks = scale.ticks();
    let room = widest(ticks.iter().map(|(_, text)| text)) + GAP;
    let mut free = i32::MIN;
    for (x, text) in &ticks {
        let x = scale.at(*x);
        canvas.line(vec![(x, roof), (x, ground)], RULE, 1)?;
        if x >= free {
            canvas.text(text, (x, ground + 14), Side::Middle, SOFT)?;
            free = x + room;
        }
    }
    called(name, ends, ground, canvas)
}

/// What an axis measures, below its middle.
pub(super) fn called(name: &str, (left, right): (i32, i32), ground: i32, canvas: &Canvas<'_>) -> Drawing {
    let middle = i32::midpoint(left, right);
    let name = cut(name, 2 * (WIDTH - middle).min(middle) - GAP);
    canvas.text(&name, (middle, ground + 34), Side::Middle, SOFT)
}

/// How much room the numbers of an upright axis take, at least and at most.
pub(super) fn beside_room(scale: &Scale) -> i32 {
    widest(scale.ticks().iter().map(|(_, text)| text)) + 2 * GAP
}

/// The axis before a picture between these sides.
pub(super) fn beside(scale: &Scale, (left, right): (i32, i32), canvas: &Canvas<'_>) -> Drawing {
    for (y, text) in scale.ticks() {
        canvas.line(vec![(left, scale.at(y)), (right, scale.at(y))], RULE, 1)?;
        canvas.text(&text, (left - GAP, scale.at(y)), Side::Right, SOFT)?;
    }
    Ok(())
}

/// Names of places side by side, each so wide: as many as have room, from the first on.
pub(super) fn places<'a>(
    names: impl ExactSizeIterator<Item = &'a str>,
    (left, right): (i32, i32),
    ground: i32,
    canvas: &Canvas<'_>,
) -> Drawing {
    let count = names.len().max(1) as i32;
    let room = (right - left) / 3;
    let mut free = left - GAP;
    for (at, name) in names.enumerate() {
        let x = left + (right - left) * (2 * at as i32 + 1) / (2 * count);
        let name = cut(name, room);
        let half = width(&name) / 2;
        // At both ends a name may stand out as far as the picture goes.
        if x - half < free || x + half > WIDTH {
            continue;
        }
        canvas.line(vec![(x, ground), (x, ground + 4)], INK, 1)?;
        canvas.text(&name, (x, ground + 15), Side::Middle, SOFT)?;
        free = x + half + GAP;
    }
    Ok(())
}

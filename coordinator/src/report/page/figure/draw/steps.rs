//! Steps over time, with what they may be as a pale band, their names at their ends, and who is at risk below.

use plotters::style::RGBColor;

use super::canvas::{COLOURS, Canvas, INK, RULE, SOFT, Side};
use super::{Drawing, short};
use crate::report::page::figure::scale::Scale;
use crate::report::page::figure::steps::{Curve, Point, Steps};
use crate::report::short_number;

/// Where time begins; the names of the groups at risk stand before.
const LEFT: i32 = 150;
/// Where it ends; the names of the curves stand behind.
const RIGHT: i32 = 590;
/// The highest share.
const ROOF: i32 = 12;
/// The lowest share.
const GROUND: i32 = 300;
/// Below it: the numbers of the axis, and what they are.
const AXIS: i32 = 46;
/// From one line of the table at risk to the next.
const ROW: i32 = 20;
/// So many times have room at the axis, with the numbers at risk below them.
const MOST_TIMES: usize = 7;
/// Between two names at the ends of curves.
const NAMES_APART: i32 = 16;

pub(super) fn height(steps: &Steps) -> i32 {
    let lines = if steps.at_risk() { steps.curves.len() as i32 + 1 } else { 0 };
    GROUND + AXIS + ROW * lines + 6
}

pub(super) fn draw(steps: &Steps, canvas: &Canvas<'_>) -> Drawing {
    let time = Scale::from_zero(steps.until(), (LEFT, RIGHT));
    let share = Scale::from_zero(steps.most(), (GROUND, ROOF));
    for (y, text) in share.ticks() {
        canvas.line(vec![(LEFT, share.at(y)), (RIGHT, share.at(y))], RULE, 1)?;
        canvas.text(&text, (LEFT - 8, share.at(y)), Side::Right, SOFT)?;
    }
    let edges = edges(steps);
    for x in &edges {
        canvas.line(vec![(time.at(*x), GROUND), (time.at(*x), GROUND + 5)], INK, 1)?;
        canvas.text(&short_number(*x), (time.at(*x), GROUND + 16), Side::Middle, SOFT)?;
    }
    canvas.text(&format!("time ({})", steps.axis), (i32::midpoint(LEFT, RIGHT), GROUND + 36), Side::Middle, SOFT)?;
    for (curve, colour) in steps.curves.iter().zip(COLOURS) {
        band(curve, colour, &time, &share, canvas)?;
    }
    for (curve, colour) in steps.curves.iter().zip(COLOURS) {
        for points in lines(steps, curve, &time, &share) {
            canvas.line(points, colour, 2)?;
        }
    }
    names(steps, &share, canvas)?;
    canvas.line(vec![(LEFT, ROOF), (LEFT, GROUND), (RIGHT, GROUND)], INK, 1)?;
    if steps.at_risk() { at_risk(steps, &edges, &time, canvas) } else { Ok(()) }
}

/// Where an interval begins: where the one before ends, if it is not told.
fn begins(curve: &Curve, at: usize) -> f64 {
    let before = || at.checked_sub(1).map_or(0.0, |before| curve.points[before].to);
    curve.points[at].from.unwrap_or_else(before)
}

/// What the share may be in each interval.
fn band(curve: &Curve, colour: RGBColor, time: &Scale, share: &Scale, canvas: &Canvas<'_>) -> Drawing {
    for (at, Point { to, ends, .. }) in curve.points.iter().enumerate() {
        let Some((lo, hi)) = ends else { continue };
        let (left, right) = (time.at(begins(curve, at)), time.at(*to));
        let (low, high) = (share.at(*lo), share.at(*hi));
        canvas.pale(vec![(left, high), (right, high), (right, low), (left, low)], colour)?;
    }
    Ok(())
}

/// The stepped line, in as many pieces as it has gaps. Times are rounded to the grid: within an interval the share is what it is at the end, as if
/// all that happens in it happened at its begin.
fn lines(steps: &Steps, curve: &Curve, time: &Scale, share: &Scale) -> Vec<Vec<(i32, i32)>> {
    let mut pieces = Vec::new();
    let mut piece = vec![(time.at(0.0), share.at(steps.start))];
    for (at, point) in curve.points.iter().enumerate() {
        match point.value {
            Some(value) => {
                let y = share.at(value);
                piece.extend([(time.at(begins(curve, at)), y), (time.at(point.to), y)]);
            }
            None if piece.is_empty() => {}
            None => pieces.push(std::mem::take(&mut piece)),
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

/// Each curve's name at its end, none upon another.
fn names(steps: &Steps, share: &Scale, canvas: &Canvas<'_>) -> Drawing {
    let end = |curve: &Curve| curve.points.iter().rev().find_map(|point| point.value.or(point.ends.map(|ends| ends.0)));
    let curves = steps.curves.iter().zip(steps.names()).zip(COLOURS);
    let mut places: Vec<(i32, String, RGBColor)> = curves
        .filter(|((_, name), _)| !name.is_empty())
        .map(|((curve, name), colour)| (share.at(end(curve).unwrap_or(0.0)), name, colour))
        .collect();
    places.sort_by_key(|place| place.0);
    let mut free = i32::MIN;
    for (y, name, colour) in places {
        let y = y.max(free);
        free = y + NAMES_APART;
        canvas.text(&short(&name), (RIGHT + 8, y), Side::Left, colour)?;
    }
    Ok(())
}

/// The times that are written: begins of intervals, at which it is known who is at risk, as many as have room, and the end.
fn edges(steps: &Steps) -> Vec<f64> {
    let Some(first) = steps.curves.first() else { return Vec::new() };
    let all: Vec<f64> = (0..first.points.len()).map(|at| begins(first, at)).collect();
    let (every, until) = (all.len().div_ceil(MOST_TIMES).max(1), steps.until());
    // So near to the end there is no room for another number.
    let room = until - until / (2 * MOST_TIMES) as f64;
    all.into_iter().step_by(every).filter(|begin| *begin < room).chain([until]).collect()
}

/// How many are at risk at these times.
fn at_risk(steps: &Steps, times: &[f64], time: &Scale, canvas: &Canvas<'_>) -> Drawing {
    let top = GROUND + AXIS + ROW / 2;
    canvas.text("at risk", (LEFT - 20, top), Side::Right, SOFT)?;
    for (line, (curve, colour)) in steps.curves.iter().zip(COLOURS).enumerate() {
        let y = top + ROW * (line as i32 + 1);
        let name = if curve.group.is_empty() { "all" } else { &curve.group };
        let name: String = name.chars().take(16).collect();
        canvas.text(&name, (LEFT - 20, y), Side::Right, colour)?;
        for (at, point) in curve.points.iter().enumerate() {
            let begin = begins(curve, at);
            if let Some(at_risk) = point.at_risk.as_ref().filter(|_| times.contains(&begin)) {
                canvas.text(at_risk, (time.at(begin), y), Side::Middle, INK)?;
            }
        }
    }
    Ok(())
}

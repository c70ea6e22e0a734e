//! Steps over time, with what they may be as a pale band, their names at their ends, and who is at risk below.

use plotters::style::RGBColor;

use super::axis;
use super::canvas::{COLOURS, Canvas, INK, SOFT, Side, of_text};
use super::words::{LINE, fit, widest, width};
use super::{Drawing, WIDTH};
use crate::report::page::figure::scale::Scale;
use crate::report::page::figure::steps::{Curve, Point, Steps};
use crate::report::page::number::brief;

/// Names of groups have no more room than this, behind the curves and before the numbers at risk.
const NAMES: i32 = 150;
/// The highest share, below what is shown.
const ROOF: i32 = 30;
/// The lowest share.
const GROUND: i32 = 310;
/// Below it: the numbers of the axis, and what they are.
const AXIS: i32 = 46;
/// From one line of the table at risk to the next.
const ROW: i32 = 20;
/// Above that table.
const AT_RISK: &str = "at risk";

/// Where time begins and ends, and how the curves are called beside it.
struct Frame {
    left: i32,
    right: i32,
    /// Where names before the numbers at risk end.
    before: i32,
    names: Vec<String>,
}

impl Frame {
    fn of(steps: &Steps) -> Self {
        let names = fit(&steps.curves.iter().map(|curve| curve.name.as_str()).collect::<Vec<_>>(), NAMES);
        let room = widest(names.iter());
        let before = room.max(width(AT_RISK)) + 4;
        let first = widest(steps.curves.iter().filter_map(|curve| curve.points.first()?.at_risk.as_deref())) / 2;
        let left = if steps.at_risk() { before + first + 10 } else { 0 };
        Self { left: left.max(48), right: WIDTH - (room + 14).max(24), before: left.max(48) - first - 10, names }
    }
}

pub(super) fn height(steps: &Steps) -> i32 {
    let lines = if steps.at_risk() { steps.curves.len() as i32 + 1 } else { 0 };
    GROUND + AXIS + ROW * lines + 6
}

pub(super) fn draw(steps: &Steps, canvas: &Canvas<'_>) -> Drawing {
    let frame = Frame::of(steps);
    let Frame { left, right, .. } = frame;
    let time = Scale::from_zero(steps.until, (left, right));
    let share = Scale::from_zero(steps.most, (GROUND, ROOF));
    axis::beside(&share, (left, right), canvas)?;
    canvas.text(&steps.axis, (left - 36, ROOF - 18), Side::Left, SOFT)?;
    let edges = edges(steps, right - left);
    for x in &edges {
        canvas.line(vec![(time.at(*x), GROUND), (time.at(*x), GROUND + 5)], INK, 1)?;
        canvas.text(&brief(*x), (time.at(*x), GROUND + 16), Side::Middle, SOFT)?;
    }
    axis::called("time", (left, right), GROUND + 2, canvas)?;
    for (curve, colour) in steps.curves.iter().zip(COLOURS) {
        band(curve, colour, &time, &share, canvas)?;
    }
    for (curve, colour) in steps.curves.iter().zip(COLOURS) {
        for points in lines(steps, curve, &time, &share) {
            canvas.line(points, colour, 2)?;
        }
    }
    names(steps, &frame, &share, canvas)?;
    canvas.line(vec![(left, ROOF), (left, GROUND), (right, GROUND)], INK, 1)?;
    if steps.at_risk() { at_risk(steps, &frame, &edges, &time, canvas) } else { Ok(()) }
}

/// Where an interval begins: where the one before ends, if it is not told.
fn begins(curve: &Curve, at: usize) -> f64 {
    let before = || at.checked_sub(1).map_or(0.0, |before| curve.points[before].to);
    curve.points[at].from.unwrap_or_else(before)
}

/// What the share may be in each interval.
fn band(curve: &Curve, colour: RGBColor, time: &Scale, share: &Scale, canvas: &Canvas<'_>) -> Drawing {
    for (at, Point { to, ends, .. }) in curve.points.iter().enumerate() {
        // That it lies between none and all says nothing.
        let Some((lo, hi)) = ends.filter(|(lo, hi)| *lo > 0.0 || *hi < 1.0) else { continue };
        let (left, right) = (time.at(begins(curve, at)), time.at(*to));
        let (low, high) = (share.at(lo), share.at(hi));
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

/// Each curve's name at its end, none upon another and none below the ground.
fn names(steps: &Steps, frame: &Frame, share: &Scale, canvas: &Canvas<'_>) -> Drawing {
    let end = |curve: &Curve| curve.points.iter().rev().find_map(|point| point.value.or(point.ends.map(|ends| ends.0)));
    let curves = steps.curves.iter().zip(&frame.names).zip(COLOURS);
    let mut places: Vec<(i32, &str, RGBColor)> = curves
        .filter(|((_, name), _)| !name.is_empty())
        .map(|((curve, name), colour)| (share.at(end(curve).unwrap_or(0.0)), name.as_str(), colour))
        .collect();
    places.sort_by_key(|place| place.0);
    let mut free = GROUND;
    for place in places.iter_mut().rev() {
        place.0 = place.0.min(free);
        free = place.0 - LINE;
    }
    let mut free = i32::MIN;
    for (y, name, colour) in places {
        let y = y.max(free);
        free = y + LINE;
        canvas.text(name, (frame.right + 8, y), Side::Left, of_text(colour))?;
    }
    Ok(())
}

/// The times that are written: begins of intervals, at which it is known who is at risk, as many as have room, and the end.
fn edges(steps: &Steps, room: i32) -> Vec<f64> {
    let Some(first) = steps.curves.first() else { return Vec::new() };
    let all: Vec<f64> = (0..first.points.len()).map(|at| begins(first, at)).collect();
    let numbers = steps.curves.iter().flat_map(|curve| &curve.points).filter_map(|point| point.at_risk.as_deref());
    let wide = widest(numbers).max(width(&brief(steps.until))) + 10;
    // Between two times, as a share of the axis.
    let apart = steps.until * f64::from(wide) / f64::from(room.max(1));
    let mut written: Vec<f64> = Vec::new();
    for begin in all {
        if begin <= steps.until - apart && written.last().is_none_or(|last| begin - last >= apart) {
            written.push(begin);
        }
    }
    written.push(steps.until);
    written
}

/// How many are at risk at these times.
fn at_risk(steps: &Steps, frame: &Frame, times: &[f64], time: &Scale, canvas: &Canvas<'_>) -> Drawing {
    let top = GROUND + AXIS + ROW / 2;
    canvas.text(AT_RISK, (frame.before, top), Side::Right, SOFT)?;
    for (line, ((curve, name), colour)) in steps.curves.iter().zip(&frame.names).zip(COLOURS).enumerate() {
        let y = top + ROW * (line as i32 + 1);
        let name = if name.is_empty() { "all" } else { name };
        canvas.text(name, (frame.before, y), Side::Right, of_text(colour))?;
        for (at, point) in curve.points.iter().enumerate() {
            let begin = begins(curve, at);
            if let Some(at_risk) = point.at_risk.as_ref().filter(|_| times.contains(&begin)) {
                canvas.text(at_risk, (time.at(begin), y), Side::Middle, INK)?;
            }
        }
    }
    Ok(())
}

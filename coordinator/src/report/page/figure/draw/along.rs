//! Lines along calendar periods, with gaps where a number is hidden, and the names of the groups above.

use plotters::style::RGBColor;

use super::canvas::{COLOURS, Canvas, INK, RULE, SOFT, Side};
use super::{Drawing, WIDTH, short};
use crate::report::page::figure::along::{Along, Line};
use crate::report::page::figure::scale::Scale;

/// Where time begins.
const LEFT: i32 = 84;
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
/// Below it: the periods, and what they are.
const AXIS: i32 = 48;

/// The highest number's place, below the names.
fn roof(along: &Along) -> i32 {
    let named = along.lines.iter().any(|line| !line.group.is_empty());
    HEAD + if named { along.lines.len().div_ceil(NAMES) as i32 * NAME } else { 0 }
}

pub(super) fn height(along: &Along) -> i32 {
    roof(along) + PANEL + AXIS
}

pub(super) fn draw(along: &Along, canvas: &Canvas<'_>) -> Drawing {
    let (roof, count) = (roof(along), along.periods.len().max(1) as i32);
    let ground = roof + PANEL;
    let (least, most) = along.domain();
    let scale = match least < 0.0 {
        true => Scale::roomy((least, most), false, (ground, roof)),
        false => Scale::from_zero(most, (ground, roof)),
    };
    for (y, text) in scale.ticks() {
        canvas.line(vec![(LEFT, scale.at(y)), (RIGHT, scale.at(y))], RULE, 1)?;
        canvas.text(&text, (LEFT - 8, scale.at(y)), Side::Right, SOFT)?;
    }
    let edge = |at: i32| LEFT + (RIGHT - LEFT) * at / count;
    // A label takes some 8 units a character; where there is no room for all, every second or third stands.
    let longest = along.periods.iter().map(|period| period.chars().count()).max().unwrap_or(1) as i32;
    let every = ((longest * 8 + 8) * count).div_euclid(RIGHT - LEFT) as usize + 1;
    for (at, period) in along.periods.iter().enumerate().step_by(every) {
        let x = i32::midpoint(edge(at as i32), edge(at as i32 + 1));
        canvas.line(vec![(x, ground), (x, ground + 4)], INK, 1)?;
        canvas.text(period, (x, ground + 15), Side::Middle, SOFT)?;
    }
    let named = format!("{}, by {}", along.axis, along.time);
    canvas.text(&named, (i32::midpoint(LEFT, RIGHT), ground + 36), Side::Middle, SOFT)?;
    for (at, (line, colour)) in along.lines.iter().zip(COLOURS).enumerate() {
        if !line.group.is_empty() {
            let place = (LEFT + (at % NAMES) as i32 * 210, HEAD / 2 + 2 + (at / NAMES) as i32 * NAME);
            canvas.text(&short(&line.group), place, Side::Left, colour)?;
        }
        one(line, colour, &scale, &edge, canvas)?;
    }
    canvas.line(vec![(LEFT, roof), (LEFT, ground), (RIGHT, ground)], INK, 1)
}

fn one(line: &Line, colour: RGBColor, scale: &Scale, edge: &impl Fn(i32) -> i32, canvas: &Canvas<'_>) -> Drawing {
    let mut pieces: Vec<Vec<(i32, i32)>> = vec![vec![]];
    for (at, point) in line.points.iter().enumerate() {
        let (left, right) = (edge(at as i32), edge(at as i32 + 1));
        let Some(value) = point.value else {
            if let Some((lo, hi)) = point.between {
                let (low, high) = (scale.at(lo), scale.at(hi.unwrap_or(f64::INFINITY)));
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

//! Bars: lying, one a row, with the number at the end; or standing, one a bin.

use super::canvas::{COLOURS, Canvas, INK, RULE, SOFT, Side};
use super::{Drawing, WIDTH, short};
use crate::report::page::figure::bars::{Bar, Bars, Panel};
use crate::report::page::figure::scale::Scale;
use crate::report::short_number;

/// From one lying bar to the next.
const ROW: i32 = 24;
/// Where lying bars begin; their labels stand before.
const LEFT: i32 = 230;
/// Where the longest ends; its number stands behind.
const RIGHT: i32 = 550;
/// The axis below, with what it measures.
const AXIS: i32 = 48;
/// How high a panel of standing bars is, without its texts.
const PANEL: i32 = 200;
/// Above a panel: whose it is, and what stands above a bar.
const HEAD: i32 = 40;
/// Where standing bars begin.
const UPRIGHT_LEFT: i32 = 64;

pub(super) fn height(bars: &Bars) -> i32 {
    let panels = bars.panels.len() as i32;
    match bars.upright {
        true => panels * (HEAD + PANEL + AXIS),
        false => bars.panels.iter().map(|panel| panel.bars.len() as i32).sum::<i32>() * ROW + 8 + AXIS,
    }
}

pub(super) fn draw(bars: &Bars, canvas: &Canvas<'_>) -> Drawing {
    if bars.upright {
        return bars
            .panels
            .iter()
            .enumerate()
            .try_for_each(|(at, panel)| upright(bars, panel, at as i32 * (HEAD + PANEL + AXIS), canvas));
    }
    let lying: Vec<&Bar> = bars.panels.iter().flat_map(|panel| &panel.bars).collect();
    let (scale, bottom) = (Scale::from_zero(bars.most(), (LEFT, RIGHT)), 8 + ROW * lying.len() as i32);
    for (x, text) in scale.ticks() {
        canvas.line(vec![(scale.at(x), 4), (scale.at(x), bottom)], RULE, 1)?;
        canvas.text(&text, (scale.at(x), bottom + 14), Side::Middle, SOFT)?;
    }
    canvas.text(&short(&bars.axis), ((LEFT + RIGHT) / 2, bottom + 34), Side::Middle, SOFT)?;
    for (at, bar) in lying.into_iter().enumerate() {
        let (top, under) = (8 + ROW * at as i32 + 4, 8 + ROW * (at as i32 + 1) - 4);
        let middle = i32::midpoint(top, under);
        canvas.text(&short(&bar.label), (LEFT - 10, middle), Side::Right, INK)?;
        let end = match (bar.value, bar.between) {
            (Some(value), _) => {
                canvas.bar([(LEFT, top), (scale.at(value), under)], COLOURS[0])?;
                scale.at(value)
            }
            (None, Some((lo, hi))) => {
                let ends = (scale.at(lo), hi.map_or(RIGHT, |hi| scale.at(hi)));
                canvas.at_least([(LEFT, top), (ends.0, under)], COLOURS[0])?;
                canvas.pale(vec![(ends.0, top), (ends.1, top), (ends.1, under), (ends.0, under)], COLOURS[0])?;
                ends.1
            }
            (None, None) => LEFT,
        };
        let colour = if bar.value.is_some() { INK } else { SOFT };
        canvas.text(&bar.said(), (end + 8, middle), Side::Left, colour)?;
    }
    canvas.line(vec![(LEFT, 4), (LEFT, bottom)], INK, 1)
}

/// One panel of standing bars, all of one width: an open bin has none of its own.
fn upright(bars: &Bars, panel: &Panel, top: i32, canvas: &Canvas<'_>) -> Drawing {
    let (roof, ground) = (top + HEAD, top + HEAD + PANEL);
    let scale = Scale::from_zero(bars.most(), (ground, roof));
    let right = WIDTH - 10;
    for (y, text) in scale.ticks() {
        canvas.line(vec![(UPRIGHT_LEFT, scale.at(y)), (right, scale.at(y))], RULE, 1)?;
        canvas.text(&text, (UPRIGHT_LEFT - 8, scale.at(y)), Side::Right, SOFT)?;
    }
    if !panel.group.is_empty() {
        canvas.text(&short(&panel.group), (UPRIGHT_LEFT, top + 10), Side::Left, INK)?;
    }
    let count = panel.bars.len().max(1) as i32;
    let place = |at: i32| UPRIGHT_LEFT + 4 + (right - UPRIGHT_LEFT - 4) * at / count;
    // A label takes some 8 units a character; where there is no room for all, every second or third stands.
    let longest = panel.bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(1) as i32;
    let every = (longest * 8 + 8).div_euclid((place(1) - place(0)).max(1)) + 1;
    for (at, bar) in panel.bars.iter().enumerate() {
        let (left, end) = (place(at as i32) + 1, place(at as i32 + 1) - 1);
        let middle = i32::midpoint(left, end);
        match (bar.value, bar.between) {
            (Some(value), _) => canvas.bar([(left, scale.at(value)), (end, ground)], COLOURS[0])?,
            (None, Some((lo, hi))) => {
                let ends = (scale.at(lo), hi.map_or(roof, |hi| scale.at(hi)));
                canvas.at_least([(left, ends.0), (end, ground)], COLOURS[0])?;
                canvas.pale(vec![(left, ends.0), (left, ends.1), (end, ends.1), (end, ends.0)], COLOURS[0])?;
                canvas.text("?", (middle, ends.1 - 8), Side::Middle, SOFT)?;
            }
            (None, None) => canvas.text("?", (middle, ground - 8), Side::Middle, SOFT)?,
        }
        if at as i32 % every == 0 {
            canvas.text(&short(&bar.label), (middle, ground + 14), Side::Middle, SOFT)?;
        }
    }
    canvas.text(&short(&bars.axis), (i32::midpoint(UPRIGHT_LEFT, right), ground + 34), Side::Middle, SOFT)?;
    canvas.text(&short_number(0.0), (UPRIGHT_LEFT - 8, ground), Side::Right, SOFT)?;
    canvas.line(vec![(UPRIGHT_LEFT, ground), (right, ground)], INK, 1)
}

//! Bars: lying, one a row, with the number at the end; or standing, one a bin.

use super::axis::{self, BELOW};
use super::canvas::{COLOURS, Canvas, INK, NOTHING, SOFT, Side};
use super::words::{cut, fit, widest};
use super::{Drawing, WIDTH};
use crate::report::page::figure::bars::{Bar, Bars, Panel};
use crate::report::page::figure::scale::Scale;

/// From one lying bar to the next.
const ROW: i32 = 24;
/// Labels before lying bars have no more room than this.
const LABELS: i32 = 250;
/// Above lying bars.
const TOP: i32 = 8;
/// How high a panel of standing bars is, without its texts.
const PANEL: i32 = 200;
/// Above a panel: whose it is.
const HEAD: i32 = 38;
/// Where standing bars end.
const RIGHT: i32 = WIDTH - 10;
/// A bin that is so wide has room for a mark.
const MARKED: i32 = 12;

pub(super) fn height(bars: &Bars) -> i32 {
    match bars.upright {
        true => bars.panels.len() as i32 * (HEAD + PANEL + BELOW),
        false => bars.panels.iter().map(|panel| panel.bars.len() as i32).sum::<i32>() * ROW + TOP + BELOW,
    }
}

pub(super) fn draw(bars: &Bars, canvas: &Canvas<'_>) -> Drawing {
    match bars.upright {
        true => {
            let top = |at: usize| at as i32 * (HEAD + PANEL + BELOW);
            bars.panels.iter().enumerate().try_for_each(|(at, panel)| upright(bars, panel, top(at), canvas))
        }
        false => lying(bars, canvas),
    }
}

fn lying(bars: &Bars, canvas: &Canvas<'_>) -> Drawing {
    let all: Vec<&Bar> = bars.panels.iter().flat_map(|panel| &panel.bars).collect();
    let labels = fit(&all.iter().map(|bar| bar.label.as_str()).collect::<Vec<_>>(), LABELS);
    let left = widest(labels.iter()) + 14;
    let right = WIDTH - 12 - widest(all.iter().map(|bar| bar.said()));
    let (scale, bottom) = (Scale::from_zero(bars.most, (left, right)), TOP + ROW * all.len() as i32);
    axis::below(&scale, (left, right), (TOP - 4, bottom), &bars.axis, canvas)?;
    for (at, (bar, label)) in all.into_iter().zip(&labels).enumerate() {
        let (top, under) = (TOP + ROW * at as i32 + 4, TOP + ROW * (at as i32 + 1) - 4);
        let middle = i32::midpoint(top, under);
        canvas.text(label, (left - 10, middle), Side::Right, INK)?;
        let end = match bar.drawn(bars.most) {
            Some((lo, hi)) if lo == hi => {
                canvas.bar([(left, top), (scale.at(lo), under)], COLOURS[0])?;
                scale.at(lo)
            }
            Some((lo, hi)) => {
                let (lo, hi) = (scale.at(lo), scale.at(hi));
                canvas.at_least([(left, top), (lo, under)], COLOURS[0])?;
                canvas.pale(vec![(lo, top), (hi, top), (hi, under), (lo, under)], COLOURS[0])?;
                hi
            }
            None => left,
        };
        let colour = if bar.value.is_some() { INK } else { SOFT };
        canvas.text(&bar.said(), (end + 8, middle), Side::Left, colour)?;
    }
    canvas.line(vec![(left, TOP - 4), (left, bottom)], INK, 1)
}

/// One panel of standing bars, all of one width: an open bin has none of its own.
fn upright(bars: &Bars, panel: &Panel, top: i32, canvas: &Canvas<'_>) -> Drawing {
    let (roof, ground) = (top + HEAD, top + HEAD + PANEL);
    let scale = Scale::from_zero(bars.most, (ground, roof));
    let left = axis::beside_room(&scale);
    axis::beside(&scale, (left, RIGHT), canvas)?;
    if !panel.group.is_empty() {
        canvas.text(&cut(&panel.group, RIGHT - left), (left, top + 10), Side::Left, INK)?;
    }
    let count = panel.bars.len().max(1) as i32;
    let place = |at: i32| left + (RIGHT - left) * at / count;
    let apart = i32::from(place(1) - place(0) > 3);
    for (at, bar) in panel.bars.iter().enumerate() {
        let (from, to) = (place(at as i32) + apart, (place(at as i32 + 1) - apart).max(place(at as i32) + 1));
        let mark = |y: i32| match to - from >= MARKED {
            true => canvas.text("?", (i32::midpoint(from, to), y - 9), Side::Middle, SOFT),
            false => Ok(()),
        };
        match bar.drawn(bars.most) {
            Some((lo, hi)) if lo == hi => canvas.bar([(from, scale.at(lo)), (to, ground)], COLOURS[0])?,
            Some((lo, hi)) => {
                let (lo, hi) = (scale.at(lo), scale.at(hi));
                canvas.at_least([(from, lo), (to, ground)], COLOURS[0])?;
                canvas.pale(vec![(from, lo), (from, hi), (to, hi), (to, lo)], COLOURS[0])?;
                mark(hi)?;
            }
            None => {
                canvas.bar([(from, ground - 5), (to, ground)], NOTHING)?;
                mark(ground - 5)?;
            }
        }
    }
    axis::places(panel.bars.iter().map(|bar| bar.label.as_str()), (left, RIGHT), ground, canvas)?;
    let name = format!("{}{}", bars.axis, bars.by);
    axis::called(&name, (left, RIGHT), ground, canvas)?;
    canvas.line(vec![(left, ground), (RIGHT, ground)], INK, 1)
}

//! A square with its diagonal: points joined by a line where they are exact, boxes where they are not; or points with their intervals over bands.

use super::Drawing;
use std::collections::BTreeSet;

use super::axis::{self, BELOW};
use super::canvas::{COLOURS, Canvas, INK, SOFT, Side};
use crate::report::page::figure::scale::Scale;
use crate::report::page::figure::square::{Spot, Square, What};

/// Its side.
const SIDE: i32 = 340;
/// Where it begins: in the middle of the picture.
const LEFT: i32 = 190;
/// Its top, below what goes up.
const ROOF: i32 = 28;
/// Points that have room on a line; of more the line alone is drawn.
const MOST_POINTS: usize = 24;

pub(super) const HEIGHT: i32 = ROOF + SIDE + BELOW;

pub(super) fn draw(square: &Square, canvas: &Canvas<'_>) -> Drawing {
    let (right, ground) = (LEFT + SIDE, ROOF + SIDE);
    let (across, up) = (Scale::from_zero(1.0, (LEFT, right)), Scale::from_zero(1.0, (ground, ROOF)));
    let [along, upward] = square.axes();
    axis::below(&across, (LEFT, right), (ROOF, ground), along, canvas)?;
    axis::beside(&up, (LEFT, right), canvas)?;
    canvas.text(upward, (LEFT, ROOF - 16), Side::Left, SOFT)?;
    canvas.line(vec![(LEFT, ground), (right, ROOF)], SOFT, 1)?;
    let at = |(x, y): (f64, f64)| (across.at(x), up.at(y));
    let colour = COLOURS[0];
    match square.what {
        What::Characteristic => {
            // Many scores may have one box, which is drawn once; and each is so wide and high at least that it is seen.
            let corners = |spot: &Spot| (at((spot.x.0, spot.y.1)), at((spot.x.1, spot.y.0)));
            let boxes: BTreeSet<_> = square.spots.iter().filter(|spot| spot.at.is_none()).map(corners).collect();
            for ((l, t), (r, b)) in boxes {
                let (l, t, r, b) = (l - 2, t - 2, r + 2, b + 2);
                canvas.pale(vec![(l, t), (r, t), (r, b), (l, b)], colour)?;
            }
            let exact: Vec<(i32, i32)> = square.spots.iter().filter_map(|spot| spot.at).map(at).collect();
            // Everybody and nobody are found at the ends, whatever the score.
            let ends = [at((0.0, 0.0)), at((1.0, 1.0))];
            let whole = exact.len() == square.spots.len();
            if whole {
                let line = ends[..1].iter().chain(&exact).chain(&ends[1..]).copied().collect();
                canvas.line(line, colour, 2)?;
            }
            for point in exact.iter().filter(|_| !whole || exact.len() <= MOST_POINTS) {
                canvas.point(*point, colour)?;
            }
        }
        What::Calibration => {
            for spot in &square.spots {
                let Some(place) = spot.at.map(at) else { continue };
                canvas.line(vec![(across.at(spot.x.0), place.1), (across.at(spot.x.1), place.1)], colour, 1)?;
                let (low, high) = (up.at(spot.y.0), up.at(spot.y.1));
                canvas.line(vec![(place.0, low), (place.0, high)], colour, 2)?;
                for y in [low, high] {
                    canvas.line(vec![(place.0 - 4, y), (place.0 + 4, y)], colour, 2)?;
                }
                canvas.point(place, colour)?;
            }
        }
    }
    canvas.line(vec![(LEFT, ROOF), (LEFT, ground), (right, ground)], INK, 1)
}

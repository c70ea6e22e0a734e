//! Draws a figure as SVG that stands within a page: no style of its own, nothing fetched, a title and a description for those who do not see it.
//!
//! Sizes are in units of the picture, which the page shows as wide as there is room. Every text passes through plotters, which escapes it.

mod along;
mod axis;
mod bars;
mod canvas;
mod ranges;
mod square;
mod steps;
mod words;

use maud::{Markup, PreEscaped, html};

use self::canvas::Canvas;
#[cfg(test)]
pub(super) use self::words::width;
use super::{Figure, Shape};

/// How wide every picture is.
const WIDTH: i32 = 720;

/// Why a picture could not be drawn. Drawing into memory does not fail; if it ever does, the page says so.
type Drawing = Result<(), canvas::Failed>;

/// The picture, as a part of a page in which `id` is used by nothing else.
pub(in super::super) fn svg(figure: &Figure, id: &str) -> Markup {
    let height = match &figure.shape {
        Shape::Along(along) => along::height(along),
        Shape::Bars(bars) => bars::height(bars),
        Shape::Ranges(ranges) => ranges::height(ranges),
        Shape::Square(_) => square::HEIGHT,
        Shape::Steps(steps) => steps::height(steps),
    };
    let drawn = Canvas::draw((WIDTH, height), |canvas| match &figure.shape {
        Shape::Along(along) => along::draw(along, canvas),
        Shape::Bars(bars) => bars::draw(bars, canvas),
        Shape::Ranges(ranges) => ranges::draw(ranges, canvas),
        Shape::Square(square) => square::draw(square, canvas),
        Shape::Steps(steps) => steps::draw(steps, canvas),
    });
    let Some(drawn) = drawn else {
        return html! { p.soft { "This picture could not be drawn; the table has its numbers." } };
    };
    let (title, description) = (format!("{id}-t"), format!("{id}-d"));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (figure.title()) }
            desc id=(description) { (figure.description()) }
            (PreEscaped(drawn))
        }
    }
}

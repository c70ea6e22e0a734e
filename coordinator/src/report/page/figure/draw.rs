//! Draws a figure as SVG that stands within a page: no style of its own, nothing fetched, a title and a description for those who do not see it.
//!
//! Sizes are in units of the picture, which the page shows as wide as there is room. Every text passes through plotters, which escapes it.

mod along;
mod bars;
mod canvas;
mod ranges;
mod steps;

use maud::{Markup, PreEscaped, html};

use self::canvas::Canvas;
use super::Figure;

/// How wide every picture is.
const WIDTH: i32 = 720;
/// The characters of a label that have room beside a picture; the table has all of it.
const LABEL: usize = 30;

/// Why a picture could not be drawn. Drawing into memory does not fail; if it ever does, the page says so.
type Drawing = Result<(), canvas::Failed>;

/// The picture, as a part of a page in which `id` is used by nothing else.
pub(in super::super) fn svg(figure: &Figure, id: &str) -> Markup {
    let height = match figure {
        Figure::Along(along) => along::height(along),
        Figure::Bars(bars) => bars::height(bars),
        Figure::Ranges(ranges) => ranges::height(ranges),
        Figure::Steps(steps) => steps::height(steps),
    };
    let drawn = Canvas::draw((WIDTH, height), |canvas| match figure {
        Figure::Along(along) => along::draw(along, canvas),
        Figure::Bars(bars) => bars::draw(bars, canvas),
        Figure::Ranges(ranges) => ranges::draw(ranges, canvas),
        Figure::Steps(steps) => steps::draw(steps, canvas),
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

/// A label that has room.
fn short(label: &str) -> String {
    if label.chars().count() <= LABEL {
        return label.to_owned();
    }
    let begin: String = label.chars().take(LABEL - 1).collect();
    format!("{}…", begin.trim_end())
}

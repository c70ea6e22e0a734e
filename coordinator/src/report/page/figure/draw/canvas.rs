//! What pictures are drawn on: lines, bars, points and texts, by plotters. It knows nothing of studies.

use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};

/// Why it cannot be drawn.
pub(super) type Failed = DrawingAreaErrorKind<std::io::Error>;

/// Texts and axes.
pub(super) const INK: RGBColor = RGBColor(28, 36, 48);
/// What is less important.
pub(super) const SOFT: RGBColor = RGBColor(90, 102, 117);
/// Lines behind.
pub(super) const RULE: RGBColor = RGBColor(217, 223, 230);
/// Numbers: colours that are told apart with any eyes (Okabe and Ito 2008).
pub(super) const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(148, 80, 130),
    RGBColor(40, 40, 40),
    RGBColor(86, 150, 203),
];

/// Where a number stands of which nothing is known.
pub(super) const NOTHING: RGBColor = RGBColor(180, 188, 198);

/// A number's colour for texts, which need more contrast than lines do.
pub(super) fn of_text(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let darker = |part: u8| (u16::from(part) * 7 / 10) as u8;
    RGBColor(darker(red), darker(green), darker(blue))
}

/// Plotters writes 1.24 times smaller than it is told.
const FONT: f64 = 13.0 * 1.24;

/// Which side of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// A picture that is being drawn.
pub(super) struct Canvas<'a>(DrawingArea<SVGBackend<'a>, Shift>);

impl Canvas<'_> {
    /// What stands within the `svg` element of a picture of this size; none where drawing fails.
    pub(super) fn draw(
        (width, height): (i32, i32),
        draw: impl FnOnce(&Canvas<'_>) -> Result<(), Failed>,
    ) -> Option<String> {
        let mut text = String::new();
        let size = (width.unsigned_abs(), height.unsigned_abs());
        let canvas = Canvas(SVGBackend::with_string(&mut text, size).into_drawing_area());
        let drawn = draw(&canvas).and_then(|()| canvas.0.present());
        drop(canvas);
        drawn.ok()?;
        // The page has an `svg` element of its own, with words.
        let (_, rest) = text.split_once('>')?;
        Some(rest.trim_end().strip_suffix("</svg>")?.to_owned())
    }

    pub(super) fn line(&self, points: Vec<(i32, i32)>, colour: RGBColor, width: u32) -> Result<(), Failed> {
        self.0.draw(&PathElement::new(points, colour.stroke_width(width)))
    }

    /// A filled rectangle.
    pub(super) fn bar(&self, corners: [(i32, i32); 2], colour: RGBColor) -> Result<(), Failed> {
        self.0.draw(&Rectangle::new(corners, colour.filled()))
    }

    /// What a hidden number is at least: between both.
    pub(super) fn at_least(&self, corners: [(i32, i32); 2], colour: RGBColor) -> Result<(), Failed> {
        self.0.draw(&Rectangle::new(corners, colour.mix(0.45).filled()))
    }

    /// What is possible, not known: pale.
    pub(super) fn pale(&self, corners: Vec<(i32, i32)>, colour: RGBColor) -> Result<(), Failed> {
        self.0.draw(&Polygon::new(corners, colour.mix(0.18)))
    }

    pub(super) fn point(&self, at: (i32, i32), colour: RGBColor) -> Result<(), Failed> {
        self.0.draw(&Circle::new(at, 4, colour.filled()))
    }

    pub(super) fn text(&self, text: &str, at: (i32, i32), side: Side, colour: RGBColor) -> Result<(), Failed> {
        let side = match side {
            Side::Left => HPos::Left,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Right,
        };
        let font = FontDesc::new(FontFamily::SansSerif, FONT, FontStyle::Normal);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Center));
        self.0.draw(&Text::new(text.to_owned(), at, style))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much a colour stands out from white (WCAG 2.2, contrast ratio).
    fn contrast(RGBColor(red, green, blue): RGBColor) -> f64 {
        let part = |part: u8| match f64::from(part) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            light => ((light + 0.055) / 1.055).powf(2.4),
        };
        1.05 / (0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue) + 0.05)
    }

    #[test]
    fn texts_and_lines_stand_out_from_the_page() {
        let texts = [INK, SOFT].into_iter().chain(COLOURS.map(of_text));
        assert!(texts.map(contrast).all(|ratio| ratio >= 4.5));
        assert!(COLOURS.map(contrast).into_iter().all(|ratio| ratio >= 3.0));
        assert!(contrast(COLOURS[1]) < 4.5, "a line's own colour is too pale for a text");
    }
}

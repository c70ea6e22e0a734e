//! What people and their tools read: results and listings as text, CSV and JSON, and the files of a report. Pure: values in, texts and bytes out.
//!
//! It must never show a hidden value as a number: in text it is `hidden`, in CSV an empty field, in JSON null.

mod block;
mod estimate;
pub mod folder;
mod grid;
mod listing;
mod offers;
mod page;
mod result;
mod standing;

pub use estimate::estimate;
pub use grid::Grid;
pub use listing::{contract, datasets, sites, status, studies};
pub use offers::{looks, offers};
pub use result::{csv, text};
pub use standing::Standing;

use serde::Serialize;

use crate::api::types::StudyResult;

/// The widest line of a text for people, where its content allows it.
const WIDTH: usize = 100;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: aligned, at most six significant digits.
    #[default]
    Text,
    /// For programs: everything, in full precision.
    Json,
    /// For spreadsheets: one table an analysis, in full precision.
    Csv,
}

/// A study's result in the wanted form.
pub fn result(result: &StudyResult, format: Format) -> String {
    match format {
        Format::Text => text(result),
        Format::Csv => csv(result),
        Format::Json => json(result),
    }
}

/// Any answer of the interface as indented JSON.
pub fn json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}

/// `x` with at most six significant digits; digits before the point are never dropped.
pub fn short_number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let magnitude = x.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{x:.5e}");
    }
    let decimals = (5.0 - magnitude).max(0.0) as usize;
    let text = format!("{x:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `text` in lines of at most [`WIDTH`] characters, where its words allow it; all but the first are indented.
fn wrap(text: &str) -> String {
    let mut words = text.split(' ');
    let mut out = words.next().unwrap_or_default().to_owned();
    let mut width = out.chars().count();
    for word in words {
        let length = word.chars().count();
        if width + 1 + length > WIDTH {
            out.push_str("\n  ");
            width = 2;
        } else {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
    out
}

/// `text` without characters that could steer a terminal, or that nobody sees.
pub fn plain(text: &str) -> String {
    bocage_protocol::marks::one_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_six_significant_digits_and_all_before_the_point() {
        let cases = [
            (0.0, "0"),
            (246.133_333, "246.133"),
            (0.5, "0.5"),
            (-0.012_345_678, "-0.0123457"),
            (1_234_567.8, "1234568"),
            (303.0, "303"),
            (999_999.9, "1000000"),
            (1.5e-9, "1.50000e-9"),
            (2.0e20, "2.00000e20"),
        ];
        for (x, wanted) in cases {
            assert_eq!(short_number(x), wanted);
        }
    }

    #[test]
    fn a_long_note_goes_on_in_indented_lines() {
        let text = wrap(&"word ".repeat(45));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches("\n  word").count(), 2);
        assert_eq!(wrap("short"), "short\n");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{202e}"), "a [2Jb  ");
    }
}

//! How the report says things: times, purposes, kinds of columns. No numbers are made here.

use bocage_protocol::contract::{Column, Kind};
use bocage_protocol::env::Timestamp;
use bocage_protocol::front::dates::date_text;
use bocage_protocol::trust::Purpose;
use maud::{Markup, html};

use crate::custodian::ledger::account::moment;

/// A moment, to the minute.
pub(super) fn when(at: Timestamp) -> Markup {
    let text = at.to_string();
    let day = text.get(..10).unwrap_or(&text);
    let minute = text.get(11..16).unwrap_or_default();
    html! { time datetime=(text) { (day) " " (minute) } }
}

/// The day of a moment.
pub(super) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..10).map_or(text.clone(), str::to_owned)
}

/// A number with its thousands apart; four digits stay together, as on a study's own page.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && digits.len() > 4 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A sum with ten significant digits: what was summed was rounded to a part of its range before, which shows beyond them. The tables have all.
pub(super) fn sum(of: f64) -> String {
    if of == 0.0 || !of.is_finite() {
        return of.to_string();
    }
    let magnitude = of.abs().log10().floor();
    let decimals = (9.0 - magnitude).clamp(0.0, 30.0) as usize;
    let text = format!("{of:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A purpose as the regulation words it, shortened.
pub(super) fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::PublicInterest => {
            "Public or occupational health, protection against cross-border threats, surveillance"
        }
        Purpose::PolicyMaking => "Policy making and regulatory activities of public bodies",
        Purpose::Statistics => "Official statistics",
        Purpose::Education => "Education or teaching at vocational or higher level",
        Purpose::ScientificResearch => "Scientific research on health or care",
        Purpose::CareImprovement => "Improving the delivery of care, treatment optimisation",
    }
}

/// What values a column may hold.
pub(super) fn domain(column: &Column) -> String {
    let unit = column.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    match &column.kind {
        Kind::Int { lo, hi } => format!("{lo} to {hi}{unit}"),
        Kind::Float { lo, hi } => format!("{lo} to {hi}{unit}"),
        Kind::Code { codes, .. } if codes.len() <= 8 => {
            codes.iter().map(|code| code.label.as_str()).collect::<Vec<_>>().join(", ")
        }
        Kind::Code { codes, .. } => format!("{} codes", number(codes.len() as u64)),
        Kind::Date { lo, hi } => format!("{} to {}", date_text(*lo), date_text(*hi)),
        Kind::Datetime { lo, hi } => format!("{} to {}", day(Timestamp(*lo)), day(Timestamp(*hi))),
        Kind::Bool => "yes, no".to_owned(),
        Kind::Text => "any text".to_owned(),
    }
}

/// What a kind of column is called.
pub(super) fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int { .. } => "whole number",
        Kind::Float { .. } => "number",
        Kind::Code { .. } => "code",
        Kind::Date { .. } => "date",
        Kind::Datetime { .. } => "date and time",
        Kind::Bool => "yes or no",
        Kind::Text => "text",
    }
}

/// A record's body of whatever form, as name and value.
pub(super) fn fields(body: &serde_json::Value) -> Markup {
    match body {
        serde_json::Value::Object(fields) => html! {
            dl.facts { @for (name, value) in fields { @if !value.is_null() { dt { (name) } dd { (named(name, value)) } } } }
        },
        other => fields_of(other),
    }
}

fn named(name: &str, value: &serde_json::Value) -> Markup {
    match moment(name, value) {
        Some(at) => when(at),
        None => fields_of(value),
    }
}

fn fields_of(value: &serde_json::Value) -> Markup {
    match value {
        serde_json::Value::String(text) => html! { (text) },
        serde_json::Value::Object(_) => fields(value),
        serde_json::Value::Array(items) => html! { @for item in items { div { (fields_of(item)) } } },
        other => html! { (other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        let sums = [
            (5483.000000054017, "5483"),
            (0.1, "0.1"),
            (-12.5, "-12.5"),
            (1e12, "1000000000000"),
            (2.5e-7, "0.00000025"),
        ];
        for (of, text) in sums {
            assert_eq!(sum(of), text);
        }
        assert_eq!(number(7), "7");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(when(Timestamp(0)).0, "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00</time>");
    }
}

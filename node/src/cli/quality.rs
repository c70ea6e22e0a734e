//! How good a dataset's data is, by the words of Kahn and others (2016): conformance, completeness, plausibility, column by column, and what the
//! contract's rules found. For the hospital's own eyes: nothing of it leaves.

use std::io::{self, Write};

use bocage_protocol::contract::OnFail;

use crate::custodian::source::{ColumnReport, Report, RuleReport};

const PAD: &str = "             ";

/// Shares of one column's values.
struct Shares {
    /// Of all rows, those with a value.
    complete: Option<f64>,
    /// Of the values, those of the column's type, or known codes.
    conform: Option<f64>,
    /// Of those, the ones within the plausible range.
    plausible: Option<f64>,
}

impl Shares {
    fn of(column: &ColumnReport) -> Self {
        let ColumnReport {
            valid,
            missing,
            wrong_type,
            unknown_code,
            out_of_range,
            null_by_rule,
            partial: _,
            inexact: _,
        } = *column;
        let typed = valid + out_of_range;
        let present = typed + wrong_type + unknown_code;
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        Self {
            complete: share(present, present + missing + null_by_rule),
            conform: share(typed, present),
            plausible: share(valid, typed),
        }
    }

    fn perfect(&self) -> bool {
        [self.complete, self.conform, self.plausible].iter().all(|share| *share == Some(1.0))
    }
}

/// Prints what is short of perfect: columns, then rules with the rows that fail.
///
/// # Errors
/// Where `out` fails.
pub(super) fn print(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let shares = report.columns.iter().map(|(name, column)| (name, Shares::of(column)));
    let short: Vec<_> = shares.filter(|(_, shares)| !shares.perfect()).collect();
    let width = short.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or_default().max("the others".len());
    if !short.is_empty() {
        writeln!(out, "{PAD}{:<width$}  complete  conform  plausible", "quality")?;
    }
    for (name, Shares { complete, conform, plausible }) in &short {
        let (complete, conform, plausible) = (percent(*complete), percent(*conform), percent(*plausible));
        writeln!(out, "{PAD}{:<width$}  {complete:>8}  {conform:>7}  {plausible:>9}", name.as_str())?;
    }
    if !short.is_empty() && short.len() < report.columns.len() {
        writeln!(out, "{PAD}{:<width$}  {1:>8}  {1:>7}  {1:>9}", "the others", "100 %")?;
    }
    let damaged = &report.bad_lines.damaged;
    if let Some(sentence) = damaged.sentence() {
        writeln!(out, "{PAD}{sentence}")?;
    }
    for file in &damaged.first {
        writeln!(out, "{PAD}  {}: {}", file.file, file.reason)?;
    }
    for (name, rule) in &report.rules {
        writeln!(out, "{PAD}rule {name}: {}", found(rule))?;
    }
    Ok(())
}

fn found(rule: &RuleReport) -> String {
    if let Some(why) = &rule.unheld {
        return format!("not looked at ({}): {why}", rule.check);
    }
    let count = rule.failed.count;
    if count == 0 {
        return format!("every row passes ({})", rule.check);
    }
    let rows = match (count, rule.on_fail) {
        (1, OnFail::Keep) => "1 row fails and is kept",
        (1, OnFail::Null) => "1 row fails and is kept without the value",
        (1, OnFail::Reject) => "1 row fails and is left out",
        (_, OnFail::Keep) => "rows fail and are kept",
        (_, OnFail::Null) => "rows fail and are kept without the value",
        (_, OnFail::Reject) => "rows fail and are left out",
    };
    let rows = if count == 1 { rows.to_owned() } else { format!("{count} {rows}") };
    let first: Vec<String> = rule.failed.first.iter().map(u64::to_string).collect();
    let more = if count > rule.failed.first.len() as u64 { ", …" } else { "" };
    format!("{rows} ({}): row {}{more} of the source", rule.check, first.join(", "))
}

/// A share that is not everything is never shown as everything, nor one that is something as nothing.
fn percent(share: Option<f64>) -> String {
    match share {
        None => "-".to_owned(),
        Some(1.0) => "100 %".to_owned(),
        Some(0.0) => "0 %".to_owned(),
        Some(share) => format!("{:.1} %", (share * 100.0).clamp(0.1, 99.9)),
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::ids::ColumnName;

    use super::*;
    use crate::custodian::source::Lines;

    fn said(report: &Report) -> String {
        let mut out = Vec::new();
        print(&mut out, report).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_columns_short_of_perfect_are_listed_and_nearly_all_is_not_all() {
        let name = |name: &str| name.parse::<ColumnName>().unwrap();
        let mut report = Report::default();
        report.columns.insert(name("age"), ColumnReport { valid: 100_000, ..ColumnReport::default() });
        assert_eq!(said(&report), "");
        let chol =
            ColumnReport { valid: 99_996, missing: 1, wrong_type: 1, out_of_range: 2, ..ColumnReport::default() };
        report.columns.insert(name("chol"), chol);
        report.columns.insert(name("none"), ColumnReport { missing: 9, ..ColumnReport::default() });
        let text = said(&report);
        assert!(text.contains("chol          99.9 %   99.9 %     99.9 %\n"), "{text}");
        assert!(text.contains("none             0 %        -          -\n"), "{text}");
        assert!(text.contains("the others     100 %    100 %      100 %\n") && !text.contains("age"), "{text}");
    }

    #[test]
    fn a_rule_tells_how_many_rows_fail_and_which_are_the_first() {
        let rule = |count, first: &[u64], on_fail| RuleReport {
            check: "born <= died".to_owned(),
            on_fail,
            failed: Lines { count, first: first.to_vec() },
            unheld: None,
        };
        assert_eq!(found(&rule(0, &[], OnFail::Keep)), "every row passes (born <= died)");
        let one = found(&rule(1, &[7], OnFail::Null));
        assert_eq!(one, "1 row fails and is kept without the value (born <= died): row 7 of the source");
        let many = found(&rule(3, &[1, 2], OnFail::Reject));
        assert_eq!(many, "3 rows fail and are left out (born <= died): row 1, 2, … of the source");
        let unheld = RuleReport { unheld: Some("no people".to_owned()), ..rule(0, &[], OnFail::Keep) };
        assert_eq!(found(&unheld), "not looked at (born <= died): no people");
    }
}

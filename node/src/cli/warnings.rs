//! What a person should know of a snapshot that was taken: that rows are missing from it which they may have counted on.

use crate::custodian::snapshot::Manifest;
use crate::custodian::source::{Reason, Report};

/// One row of so many may be left out without a word beyond the report.
const TOLERATED: u64 = 20;

/// Each warning, with what to do about it.
pub(super) fn of(manifest: &Manifest) -> Vec<(String, Option<String>)> {
    of_report(&manifest.dataset, &manifest.report)
}

fn of_report(dataset: &str, report: &Report) -> Vec<(String, Option<String>)> {
    let lines = &report.bad_lines;
    let found: u64 = lines.found.iter().filter(|found| found.left_out).map(|found| found.count).sum();
    let bad = lines.wrong_field_count.count + lines.not_utf8.count + lines.zero_bytes.count + found;
    let rejected: u64 = report.rows_rejected.iter().map(|r| r.rows).sum();
    let (left_out, all) = (bad + rejected, bad + rejected + report.rows_kept);
    let repeated: u64 =
        report.rows_rejected.iter().filter(|r| r.reason == Reason::RepeatedSubject).map(|r| r.rows).sum();
    let mut warnings = Vec::new();
    if left_out.saturating_mul(TOLERATED) > all {
        let why = reasons(report).join("; ");
        let hint = (lines.not_utf8.count > 0).then(|| "save the file as UTF-8 and refresh again".to_owned());
        warnings.push((format!("{left_out} of {all} rows of {dataset} were left out: {why}"), hint));
    }
    if repeated > 0 {
        let what =
            format!("{repeated} of {all} rows of {dataset} name a patient who has a row already, and were left out");
        let hint =
            "the contract has one row a patient: give the file one, or see that its patient column is the right one";
        warnings.push((what, Some(hint.to_owned())));
    }
    warnings
}

fn reasons(report: &Report) -> Vec<String> {
    let lines = &report.bad_lines;
    let found = lines.found.iter().filter(|found| found.left_out);
    let found = found.map(|found| format!("{} × {}", found.count, found.what.trim_end_matches(": left out")));
    let lines = [
        (lines.wrong_field_count.count, "with another number of fields"),
        (lines.not_utf8.count, "that are not UTF-8"),
        (lines.zero_bytes.count, "with zero bytes"),
    ];
    let lines = lines.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let rows = report.rows_rejected.iter().map(|rejected| format!("{} where {}", rejected.rows, why(&rejected.reason)));
    lines.chain(found).chain(rows).collect()
}

/// Why a row was left out.
pub(super) fn why(reason: &Reason) -> String {
    match reason {
        Reason::Invalid(column) => format!("{column} is not valid"),
        Reason::Required(column) => format!("{column} is missing"),
        Reason::NoSubject => "they name no patient".to_owned(),
        Reason::RepeatedSubject => "the patient has a row already".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custodian::source::Rejected;

    fn report(kept: u64, not_utf8: u64, rejected: &[(Reason, u64)]) -> Report {
        let mut report = Report { rows_kept: kept, ..Report::default() };
        report.bad_lines.not_utf8.count = not_utf8;
        report.rows_rejected =
            rejected.iter().map(|(reason, rows)| Rejected { reason: reason.clone(), rows: *rows }).collect();
        report
    }

    #[test]
    fn more_than_one_row_in_twenty_left_out_is_told_with_the_reasons() {
        assert_eq!(of_report("heart", &report(95, 5, &[])), []);
        let age = Reason::Required("age".parse().unwrap());
        let warnings = of_report("heart", &report(94, 5, &[(age.clone(), 1)]));
        let told = "6 of 100 rows of heart were left out: 5 that are not UTF-8; 1 where age is missing";
        assert_eq!(warnings, [(told.to_owned(), Some("save the file as UTF-8 and refresh again".to_owned()))]);
        assert_eq!(of_report("heart", &report(9, 0, &[(age, 1)]))[0].1, None);
        assert_eq!(of_report("heart", &report(0, 0, &[])), []);
    }

    #[test]
    fn a_single_repeated_patient_is_told() {
        let warnings = of_report("heart", &report(999, 0, &[(Reason::RepeatedSubject, 1)]));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].0.starts_with("1 of 1000 rows of heart name a patient who has a row already"));
    }
}

//! What a person should know of a node that is sound: that it is told to answer nothing, that opt-outs come late or soon cannot be hidden, and that rows or
//! values are missing from a snapshot which they may have counted on. Counts alone, for the hospital's own eyes: nothing of it leaves.

use bocage_protocol::contract::OnFail;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::trust::SecretKey;

use super::check_policy::Stopped;
use crate::config::environment::read_release_key;
use crate::config::{Config, Dataset};
use crate::custodian::data::usable;
use crate::custodian::ledger::Ledger;
use crate::custodian::optout::nearly_used_up;
use crate::custodian::snapshot::Manifest;
use crate::custodian::source::{ColumnReport, FEW, Reason, Report};

/// One row of so many may be left out without a word beyond the report.
const TOLERATED: u64 = 20;
/// One value of so many of a column may be lost on its way without a word beyond the report.
const LOST: u64 = 4;

/// What is wrong, and what to do about it.
pub(super) type Warning = (String, Option<String>);

/// The warnings of a node, and of all snapshots in use.
pub(super) fn of_config(config: &Config) -> Vec<Warning> {
    let custodian = config.custodian();
    let mut warnings = Vec::new();
    if let Ok(key) = read_release_key(&config.release_key_file) {
        let said = stopped(config, &key).in_words().into_iter().chain(nearly_used_up(&custodian, &key));
        warnings.extend(said.map(|(what, hint)| (what, Some(hint))));
    }
    warnings.extend(config.datasets.values().filter_map(late_optouts));
    let manifests = config.datasets.values().filter_map(|dataset| usable(&custodian, dataset).ok());
    warnings.extend(manifests.flat_map(|manifest| of(&manifest)));
    warnings
}

/// A ledger that is not there yet stops nothing, and one that cannot be read is told as a problem.
fn stopped(config: &Config, key: &SecretKey) -> Stopped {
    let ledger = Ledger::open_read_only(&config.state.ledger());
    ledger.and_then(|ledger| Stopped::of(&ledger, key)).unwrap_or_default()
}

/// A patient's no that stands in the source changes nothing before the next snapshot.
fn late_optouts(dataset: &Dataset) -> Option<Warning> {
    let name = &dataset.name;
    (dataset.spec.flags().is_some() && dataset.refresh.secs().is_none()).then(|| {
        let what = format!(
            "{name}: who opts out by its `optout` is in all answers until somebody takes a new snapshot by hand"
        );
        (what, Some(format!("refresh = \"1d\" in [dataset.{name}]; or no `epoch_days = 0`: it is then read daily")))
    })
}

/// Each warning, with what to do about it.
pub(super) fn of(manifest: &Manifest) -> Vec<Warning> {
    of_report(&manifest.dataset, &manifest.report)
}

fn of_report(dataset: &str, report: &Report) -> Vec<Warning> {
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
    if let Some(damaged) = lines.damaged.sentence() {
        let hint = "what they hold nobody can tell, so rows of any patient may be missing: copy them again and refresh"
            .to_owned();
        warnings.push((format!("of the source of {dataset} {damaged}"), Some(hint)));
    }
    let looked_up = lines.looked_up;
    if let Some(not_found) =
        looked_up.sentence().filter(|_| looked_up.nowhere.saturating_mul(TOLERATED) > looked_up.rows)
    {
        let hint = "have the server export Medication too, into the same folder, and refresh again".to_owned();
        warnings.push((format!("of {dataset} {not_found}"), Some(hint)));
    }
    if repeated > 0 {
        let what =
            format!("{repeated} of {all} rows of {dataset} name a patient who has a row already, and were left out");
        let hint =
            "the contract has one row a patient: give the file one, or see that its patient column is the right one";
        warnings.push((what, Some(hint.to_owned())));
    }
    for (name, column) in &report.columns {
        warnings.extend(unfit(dataset, name, column).or_else(|| lost(dataset, name, column)));
        warnings.extend(inexact(dataset, name, column));
    }
    for (name, rule) in &report.rules {
        let failed = rule.failed.count;
        if rule.on_fail == OnFail::Null && failed >= FEW && failed.saturating_mul(LOST) > report.source_rows {
            let what = format!("rule {name} takes a value from {failed} of {} rows of {dataset}", report.source_rows);
            warnings.push((what, Some("see whether the rule fits what the source writes".to_owned())));
        }
    }
    for (name, fallen) in &report.fallen {
        let valid = report.columns.get(name).map_or(0, |column| column.valid);
        let (rows, before) = (report.source_rows, fallen);
        let what = format!(
            "{dataset}.{name} has {valid} values in {rows} rows; in the snapshot before it had {} in {}",
            before.valid, before.rows
        );
        let hint = "see whether the export has changed, or the mapping; the next snapshot is compared with this one";
        warnings.push((what, Some(hint.to_owned())));
    }
    warnings
}

/// A column of which many values are lost between the source and the snapshot.
fn lost(dataset: &str, name: &ColumnName, column: &ColumnReport) -> Option<Warning> {
    let found = [
        (column.null_by_rule, "made missing by the mapping"),
        (column.wrong_type, "of another type"),
        (column.unknown_code, "not among the codes"),
        (column.out_of_range, "out of range"),
    ];
    let lost: u64 = found.iter().map(|(values, _)| values).sum();
    let all = column.valid + lost;
    if lost < FEW || lost.saturating_mul(LOST) <= all {
        return None;
    }
    let why: Vec<String> =
        found.iter().filter(|(values, _)| *values > 0).map(|(values, what)| format!("{values} {what}")).collect();
    let hint = format!("where that is not meant, look at [dataset.{dataset}.map] {name} and at the contract's column");
    Some((format!("{lost} of the {all} values of {dataset}.{name} are lost: {}", why.join(", ")), Some(hint)))
}

/// A column of whole numbers that meets some which are no measure of anything.
fn inexact(dataset: &str, name: &ColumnName, column: &ColumnReport) -> Option<Warning> {
    let what = format!("{} whole numbers of {dataset}.{name} are beyond ±2⁵³, and lost", column.inexact);
    let hint = "numbers that name people, rows or things are texts: have the contract declare the column as text";
    (column.inexact > 0).then(|| (what, Some(hint.to_owned())))
}

/// A column that has values, none of which fits: its type, its codes or its range are most likely not what the source writes.
fn unfit(dataset: &str, name: &ColumnName, column: &ColumnReport) -> Option<Warning> {
    let found = [
        (column.wrong_type, "of another type"),
        (column.unknown_code, "not among the codes"),
        (column.out_of_range, "out of range"),
    ];
    let values: u64 = found.iter().map(|(values, _)| values).sum();
    if column.valid > 0 || values == 0 {
        return None;
    }
    let why: Vec<String> =
        found.iter().filter(|(values, _)| *values > 0).map(|(values, what)| format!("{values} {what}")).collect();
    let hint = format!(
        "compare what the source writes with the contract, or map it: [dataset.{dataset}.map] {name} = \"…\"; `date_formats` is for dates like \
         31.12.2020, `decimal_comma` for numbers like 3,5; the snapshot goes without these values"
    );
    Some((format!("none of the {values} values of {dataset}.{name} fits the contract: {}", why.join(", ")), Some(hint)))
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
        Reason::Rule(rule) => format!("rule {rule} fails"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custodian::ledger::bodies::desk::{Pause, Person};
    use crate::custodian::ledger::{Entry, Kind};
    use crate::custodian::source::{Lines, LookedUp, Rejected, RuleReport};

    fn report(kept: u64, not_utf8: u64, rejected: &[(Reason, u64)]) -> Report {
        let mut report = Report { rows_kept: kept, ..Report::default() };
        report.bad_lines.not_utf8.count = not_utf8;
        report.rows_rejected =
            rejected.iter().map(|(reason, rows)| Rejected { reason: reason.clone(), rows: *rows }).collect();
        report
    }

    #[test]
    fn opt_outs_that_wait_for_a_snapshot_by_hand_are_told() {
        let site = crate::fixture::Site::new();
        let told = |more: &str| {
            site.write_config(more);
            of_config(&Config::load(&site.origin()).unwrap())
        };
        let by_hand = told("optout = \"age > 100\"\n[snapshots]\nepoch_days = 0");
        assert!(by_hand[0].0.starts_with("heart: who opts out by its `optout` is in all answers until"), "{by_hand:?}");
        assert_eq!(told("optout = \"false\"\n[snapshots]\nepoch_days = 0"), []);
        assert_eq!(told("optout = \"age > 100\""), []);
        assert_eq!(told(""), []);
    }

    #[test]
    fn a_pause_is_told_with_who_began_it_and_what_ends_it() {
        let site = crate::fixture::Site::new();
        let config = Config::load(&site.origin()).unwrap();
        std::fs::create_dir_all(&config.state.0).unwrap();
        assert_eq!(of_config(&config), []);
        let by = Person { uid: 7, user: "eva".to_owned() };
        let entry = Entry::of_site(Kind::Pause, &Pause { by, reason: Some("an incident".to_owned()) });
        Ledger::open(&config.state.ledger()).unwrap().append(crate::fixture::NOW, &[entry]).unwrap();
        let warned = of_config(&config);
        assert!(
            warned[0].0.starts_with("all answers are paused since 2026-")
                && warned[0].0.contains("eva (user 7): an incident")
        );
        assert_eq!(warned[0].1.as_deref(), Some("`bocage node resume` ends it"));
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
    fn a_column_whose_values_all_do_not_fit_is_told_and_one_without_values_is_not() {
        let mut report = report(9, 0, &[]);
        let column = |valid, wrong_type, out_of_range, missing| ColumnReport {
            valid,
            wrong_type,
            out_of_range,
            missing,
            ..ColumnReport::default()
        };
        let columns = [("died", column(0, 7, 2, 0)), ("age", column(1, 8, 0, 0)), ("chol", column(0, 0, 0, 9))];
        report.columns = columns.into_iter().map(|(name, column)| (name.parse().unwrap(), column)).collect();
        let warnings = of_report("heart", &report);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(
            warnings[0].0,
            "none of the 9 values of heart.died fits the contract: 7 of another type, 2 out of range"
        );
        assert!(warnings[0].1.as_ref().unwrap().contains("[dataset.heart.map] died = "), "{warnings:?}");
    }

    #[test]
    fn numbers_that_are_names_are_told_and_what_is_merely_out_of_range_is_not() {
        let warned = |inexact| {
            let mut report = report(100, 0, &[]);
            let column = ColumnReport { valid: 98, out_of_range: 2, inexact, ..ColumnReport::default() };
            report.columns.insert("patient".parse().unwrap(), column);
            of_report("heart", &report)
        };
        assert_eq!(warned(0), []);
        let (what, hint) = warned(1).remove(0);
        assert_eq!(what, "1 whole numbers of heart.patient are beyond ±2⁵³, and lost");
        assert!(hint.unwrap().ends_with("have the contract declare the column as text"));
    }

    #[test]
    fn prescriptions_whose_medication_is_not_read_are_told_and_a_few_are_not() {
        let warned = |nowhere| {
            let mut report = report(100, 0, &[]);
            report.bad_lines.looked_up = LookedUp { rows: 100, nowhere };
            of_report("orders", &report)
        };
        assert_eq!(warned(5), []);
        let (what, hint) = warned(6).remove(0);
        let told = "of orders 6 of 100 rows that only refer to a Medication name one that was not read: their codes are missing";
        assert_eq!(what, told);
        assert!(hint.unwrap().starts_with("have the server export Medication too"));
    }

    #[test]
    fn a_column_of_which_more_than_a_quarter_is_lost_is_told_and_a_few_values_are_not() {
        let warned = |column: ColumnReport| {
            let mut report = report(100, 0, &[]);
            report.columns.insert("chol".parse().unwrap(), column);
            of_report("heart", &report).into_iter().map(|(what, _)| what).collect::<Vec<_>>()
        };
        let half = ColumnReport { valid: 50, null_by_rule: 45, out_of_range: 5, missing: 7, ..ColumnReport::default() };
        let told = "50 of the 100 values of heart.chol are lost: 45 made missing by the mapping, 5 out of range";
        assert_eq!(warned(half), [told]);
        assert_eq!(warned(ColumnReport { valid: 75, null_by_rule: 25, ..ColumnReport::default() }), [""; 0]);
        assert_eq!(warned(ColumnReport { valid: 1, null_by_rule: 19, ..ColumnReport::default() }), [""; 0]);
        assert_eq!(warned(ColumnReport { valid: 1, missing: 99, ..ColumnReport::default() }), [""; 0]);
        assert_eq!(warned(ColumnReport { null_by_rule: 99, ..ColumnReport::default() }).len(), 1);
    }

    #[test]
    fn a_rule_that_takes_values_from_many_rows_is_told() {
        let mut report = Report { source_rows: 100, ..report(100, 0, &[]) };
        let mut rule = |on_fail, count| {
            let failed = Lines { count, ..Lines::default() };
            let rule = RuleReport { check: "a rule".to_owned(), on_fail, failed, unheld: None };
            report.rules = [("late".parse().unwrap(), rule)].into();
            of_report("heart", &report).into_iter().map(|(what, _)| what).collect::<Vec<_>>()
        };
        assert_eq!(rule(OnFail::Null, 26), ["rule late takes a value from 26 of 100 rows of heart"]);
        assert_eq!(rule(OnFail::Null, 25), [""; 0]);
        assert_eq!(rule(OnFail::Keep, 26), [""; 0], "nothing is lost by it");
    }

    #[test]
    fn a_single_repeated_patient_is_told() {
        let warnings = of_report("heart", &report(999, 0, &[(Reason::RepeatedSubject, 1)]));
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].0.starts_with("1 of 1000 rows of heart name a patient who has a row already"));
    }
}

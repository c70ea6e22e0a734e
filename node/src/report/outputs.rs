//! Safe outputs: how the gate is set, what was refused, and every cell that left.

use std::collections::BTreeMap;
use std::io::Write;

use bocage_protocol::release::rounding;
use maud::{Markup, PreEscaped, html};

use super::words::{number, sum, when};
use super::{Report, ReportError, link, study, table};
use crate::custodian::ledger::Kind;
use crate::custodian::ledger::account::{Account, On};
use crate::custodian::ledger::bodies::Refusal;
use crate::custodian::ledger::show::{Left, Reader, Shown, ShownCell, ShownMeasure};

/// With so many studies their tables are open when the page is; beyond, a click opens one. Paper has all.
const OPEN_STUDIES: usize = 10;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> Result<(), ReportError> {
    let head = html! {
        (PreEscaped("<section id=\"outputs\">"))
        h2 { "5 Safe outputs" small { "Does what left give nobody away?" } }
        dl.facts {
            dt { "Threshold" } dd { "No count of 1 to " (report.config.policy.threshold.saturating_sub(1)) " patients leaves, and none of 0 either: both are shown as “fewer than " (report.config.policy.threshold) "”. A study below states the threshold under which it was answered." }
            dt { "Modes in use" } dd { (modes(report)) }
        }
        h3 { "What was refused" }
        (refused(report))
        h3 { "What left" }
    };
    out.write_all(head.0.as_bytes())?;
    let released: Vec<&Account> = report.accounts.studies.iter().filter(|study| !study.releases.is_empty()).collect();
    if released.is_empty() {
        out.write_all(html! { p { "Nothing left in this time." } }.0.as_bytes())?;
    }
    let mut reader = Reader::over(report.ledger, &report.config.contracts)?;
    let open = released.len() <= OPEN_STUDIES;
    for study in released {
        let releases = left(report, &mut reader, study)?;
        out.write_all(study::article(report, study, &releases, open).0.as_bytes())?;
    }
    let nothing = |study: &&Account| study.releases.is_empty() && study.about.is_some();
    let others: Vec<&Account> = report.accounts.studies.iter().filter(nothing).collect();
    if !others.is_empty() {
        out.write_all(html! { h3 { "Of which nothing left" } }.0.as_bytes())?;
    }
    for study in others {
        out.write_all(study::article(report, study, &[], false).0.as_bytes())?;
    }
    Ok(out.write_all(b"</section>")?)
}

fn modes(report: &Report<'_>) -> String {
    let decisions = report.accounts.studies.iter().flat_map(|study| &study.decisions);
    let mut modes: Vec<&str> = decisions.map(|on| on.says.mode.as_str()).collect();
    modes.sort_unstable();
    modes.dedup();
    match modes.as_slice() {
        [] => "none in this time".to_owned(),
        modes => modes.join(", "),
    }
}

/// The releases of a study with what they say. One study at a time: tables are large.
fn left(report: &Report<'_>, reader: &mut Reader<'_>, study: &Account) -> Result<Vec<Shown>, ReportError> {
    let Ok(id) = study.study.parse() else { return Ok(Vec::new()) };
    reader.forget();
    let mut found = Vec::new();
    report.ledger.records(Some(&id), |record| {
        let wanted = record.kind() == Some(Kind::Release) && report.window.has(record.at);
        let shown = reader.show(record);
        if wanted {
            found.push(shown);
        }
    })?;
    Ok(found)
}

type Told<'a> = (&'a Account, &'a On<Refusal>);

fn refused(report: &Report<'_>) -> Markup {
    let studies = &report.accounts.studies;
    let refused: Vec<Told<'_>> = studies.iter().flat_map(|study| study.refused().map(move |on| (study, on))).collect();
    let waited: Vec<Told<'_>> = studies.iter().flat_map(|study| study.waited().map(move |on| (study, on))).collect();
    html! {
        @if refused.is_empty() { p { "No request was refused in this time." } }
        @else { (told(&refused, "refusals")) }
        @if !waited.is_empty() {
            h3 { "What waited" }
            p.soft { "Told to come again later, or answered when it did: nothing was refused for good." }
            (told(&waited, "delays"))
        }
    }
}

fn told(all: &[Told<'_>], what: &str) -> Markup {
    let mut codes: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, on) in all {
        *codes.entry(on.says.error.code.as_str()).or_default() += 1;
    }
    let lines = html! { table {
        thead { tr { th scope="col" { "When" } th scope="col" { "Study" } th scope="col" { "Who" } th scope="col" { "Code" } th scope="col" { "Why" } } }
        tbody { @for (study, on) in all { tr {
            td.t { (when(on.at)) } td { (link(study)) }
            td { @match &study.about { Some(about) => { (about.researcher) ": " (about.title) }, None => span.soft { "not believed" } } }
            td { code { (on.says.error.code) } } td { (on.says.error.message) }
        } } }
    } };
    html! {
        p { @for (i, (code, count)) in codes.iter().enumerate() { @if i > 0 { ", " } (number(*count)) " × " code { (code) } } "." }
        (table(all.len(), what, &lines))
    }
}

pub(super) fn answer(study: &Account, release: &Shown, open: bool) -> Markup {
    let round = release.round.unwrap_or_default();
    html! {
        @if let Some(at) = &release.dropped {
            p.soft { "Record " (release.seq) ": the exact bytes were dropped on " (at.get(..10).unwrap_or(at)) ", after the period that the site set. Their hash is in the ledger." }
        } @else {
            details open[open] {
                summary { "Everything that left " (release.at.get(..16).unwrap_or(&release.at).replace('T', " ")) " (record " (release.seq) ", round " (round) ")" }
                @if release.left.is_empty() { p { "The bytes of this record cannot be read: see `bocage node ledger verify`." } }
                @for (at, left) in release.left.iter().enumerate() { (analysis(left, study.left_before(release.seq, at))) }
            }
        }
    }
}

fn analysis(left: &Left, again: Option<i64>) -> Markup {
    // By their places: two conditions on one column have one name.
    let mut measures: Vec<&ShownMeasure> = Vec::new();
    for cell in &left.cells {
        for (at, measure) in cell.measures.iter().enumerate() {
            match measures.get_mut(at) {
                // One that is shown somewhere tells what kind it is.
                Some(known) if known.valid.is_none() => *known = measure,
                Some(_) => {}
                None => measures.push(measure),
            }
        }
    }
    let keys = keys(&left.cells);
    let names = keys.len().max(1);
    html! {
        h4 { (left.analysis) }
        @if let Some(record) = again { p.soft { "Again: the same answer left with record " (record) ", and is counted there." } }
        @if let Some(refused) = &left.refused { p { "Nothing left: " (refused) } }
        @else {
            @if left.rounded { p.soft { "Every count was rounded to a multiple of " (rounding::BASE) ", and each sum is of so many with the mean that it had." } }
            @if let Some(total) = left.total { p.soft { "Cohort of " (number(total.subjects)) " patients in " (number(total.rows)) " rows." } }
            div.scroll role="group" tabindex="0" aria-label="Table" { table {
                thead {
                    @if !measures.is_empty() { tr {
                        td colspan=(names + 2) {}
                        @for measure in &measures { th.over colspan="2" scope="colgroup" { (measure.measure) } }
                    } }
                    tr {
                        @if keys.is_empty() { th scope="col" { "Cell" } }
                        @for key in &keys { th scope="col" { (key.trim_end_matches(IS)) } }
                        th.n scope="col" { "Patients" } th.n scope="col" { "Rows" }
                        @for measure in &measures {
                            th.n scope="col" { "with a value" } th.n scope="col" { @if measure.holds_rows.is_some() { "true in" } @else { "sum" } }
                        }
                    }
                }
                tbody { @for one in &left.cells { (cell(one, &keys, measures.len(), left)) } }
            } }
        }
    }
}

/// What stands between a key and its value.
const IS: &str = " = ";

/// The beginnings that the names of all cells share, key by key: then each key is a column. None where they do not.
fn keys(cells: &[ShownCell]) -> Vec<&str> {
    let Some(first) = cells.first() else { return Vec::new() };
    let shared = |(at, name): (usize, &'_ String)| {
        let ends = name.rmatch_indices(IS).map(|(found, _)| found + IS.len());
        let all = |end: &usize| {
            cells.iter().all(|cell| cell.cell.len() == first.cell.len() && cell.cell[at].starts_with(&name[..*end]))
        };
        ends.into_iter().find(all)
    };
    let ends: Option<Vec<usize>> = first.cell.iter().enumerate().map(shared).collect();
    let ends = ends.unwrap_or_default();
    first.cell.iter().zip(ends).map(|(name, end)| &name[..end]).collect()
}

fn cell(cell: &ShownCell, keys: &[&str], measures: usize, of: &Left) -> Markup {
    let names: Vec<String> = match cell.cell.as_slice() {
        [] => vec!["all".to_owned()],
        names if keys.is_empty() => vec![names.join(", ")],
        names => names.iter().zip(keys).map(|(name, key)| name.get(key.len()..).unwrap_or(name).to_owned()).collect(),
    };
    let Some(count) = cell.count else {
        return html! { tr.hidden {
            @for name in &names { td { (name) } }
            td.n { (of.hidden()) } td colspan=(1 + 2 * measures) {}
        } };
    };
    html! { tr {
        @for name in &names { td { (name) } }
        td.n { (number(count.subjects)) } td.n { (number(count.rows)) }
        @for measure in &cell.measures {
            @match measure.valid {
                None => { td.n { "hidden" } td.n {} },
                Some(valid) => { td.n { (number(valid.rows)) } td.n { (value(measure)) } },
            }
        }
    } }
}

/// The sum, or how many rows hold.
fn value(measure: &ShownMeasure) -> String {
    match (measure.sum, measure.holds_rows) {
        (Some(of), _) => sum(of),
        (None, Some(holds)) => number(holds),
        (None, None) => String::new(),
    }
}

//! Safe data: which datasets are offered, what their contracts say of every column, and which snapshots were taken.

use bocage_protocol::contract::{Contract, Subject};
use maud::{Markup, html};

use super::Report;
use super::words::{domain, kind, when};
use crate::config::Dataset;

pub(super) fn section(report: &Report<'_>) -> Markup {
    html! {
        section #data {
            h2 { "4 Safe data" small { "What is in the data, and what of it can be asked?" } }
            @if report.config.datasets.is_empty() { p { "The site offers no dataset at present." } }
            @for dataset in report.config.datasets.values() { (offered(report, dataset)) }
            (others(report))
        }
    }
}

fn offered(report: &Report<'_>, dataset: &Dataset) -> Markup {
    let contract = &dataset.contract;
    html! {
        h3 { (title(contract)) " " span.id { (contract.id()) } }
        p.soft {
            "Offered as " code { (dataset.name) } ". " (subject(contract))
            " The contract's hash is " span.id { (contract.hash()) } "."
        }
        div.scroll role="group" tabindex="0" aria-label="Table" { table {
            thead { tr { th scope="col" { "Column" } th scope="col" { "Meaning" } th scope="col" { "Kind" } th scope="col" { "Values" } th scope="col" { "Asked about" } } }
            tbody { @for column in contract.columns() { tr {
                td { span.id { (column.name) } } td { (column.label) } td { (kind(&column.kind)) } td { (domain(column)) }
                td {
                    @if contract.is_subject(column.name.as_str()) { "never: it names the patient" }
                    @else if contract.names_a_row(column.name.as_str()) { "never: it names a row" }
                    @else if dataset.spec.absent.contains(&column.name) { "no: not collected here" }
                    @else { "yes" }
                }
            } } }
        } }
        (taken(report, &dataset.name))
    }
}

pub(super) fn title(contract: &Contract) -> String {
    match contract.title() {
        "" => contract.id().to_string(),
        title => title.to_owned(),
    }
}

fn subject(contract: &Contract) -> String {
    match contract.subject() {
        Subject::Row => "One row is one patient; no column names them.".to_owned(),
        Subject::Column(column) => format!("Patients are told apart by the column {column}, which no study can read."),
    }
}

fn taken(report: &Report<'_>, dataset: &str) -> Markup {
    let taken: Vec<_> = report.accounts.snapshots.iter().filter(|taken| taken.says.dataset == dataset).collect();
    html! {
        h4 { "Snapshots" }
        @if taken.is_empty() { p { "None was taken in this time." } }
        @else { div.scroll role="group" tabindex="0" aria-label="Table" { table {
            thead { tr { th scope="col" { "Taken" } th scope="col" { "Why" } th scope="col" { "Content" } th.n scope="col" { "Studies" } } }
            tbody { @for taken in taken { tr {
                td.t { (when(taken.at)) } td { (taken.says.why) } td { span.id { (taken.says.content.short()) } }
                td.n { (report.accounts.studies.iter().filter(|study| study.snapshots.contains(&taken.says.content)).count()) }
            } } }
        } } }
    }
}

/// Snapshots of datasets that are not offered any more.
fn others(report: &Report<'_>) -> Markup {
    let offered = |name: &String| report.config.datasets.contains_key(name);
    let mut names: Vec<&String> = report.accounts.snapshots.iter().map(|taken| &taken.says.dataset).collect();
    names.retain(|name| !offered(name));
    names.sort_unstable();
    names.dedup();
    html! { @for name in names { h3 { (name) " (not offered any more)" } (taken(report, name)) } }
}

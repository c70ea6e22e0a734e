//! Safe projects: what was asked, for which purpose, under which permit.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::words::{number, purpose, when};
use super::{Report, link, state};
use crate::custodian::ledger::account::{Account, Cells};

pub(super) fn section(report: &Report<'_>) -> Markup {
    let known: Vec<&Account> = report.accounts.studies.iter().filter(|study| study.about.is_some()).collect();
    html! {
        section #projects {
            h2 { "1 Safe projects" small { "Is this an appropriate use of the data?" } }
            @if known.is_empty() { p { "No study that could be believed was put to this site in this time." } }
            @else {
                (purposes(&known))
                (super::permits::section(report, &known))
                h3 { "Studies" }
                (super::table(known.len(), "studies", &table(&known)))
            }
        }
    }
}

/// How many of `studies` each value of `of` has.
fn tally<'a, K: Ord>(
    studies: &[&'a Account],
    of: impl Fn(&'a Account) -> Option<K>,
) -> BTreeMap<Option<K>, Vec<&'a Account>> {
    let mut found: BTreeMap<Option<K>, Vec<&Account>> = BTreeMap::new();
    for study in studies {
        found.entry(of(study)).or_default().push(study);
    }
    found
}

fn purposes(studies: &[&Account]) -> Markup {
    let found = tally(studies, |study| study.about.as_ref().map(|about| purpose(about.purpose)));
    html! {
        h3 { "Purposes" }
        div.scroll role="group" tabindex="0" aria-label="Table" { table {
            thead { tr { th scope="col" { "Purpose (Regulation (EU) 2025/327, article 53)" } th.n scope="col" { "Studies" } } }
            tbody { @for (purpose, studies) in &found {
                tr { td { (purpose.unwrap_or("not known")) } td.n { (number(studies.len() as u64)) } }
            } }
        } }
    }
}

fn table(studies: &[&Account]) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { "First asked" } th scope="col" { "Study" } th scope="col" { "Title" } th scope="col" { "Who" } th scope="col" { "Dataset" } th scope="col" { "Permit" }
                th.n scope="col" { "Left" } th.n scope="col" { "Hidden" } th.n scope="col" { "Again" } th scope="col" { "State" }
            } }
            tbody { @for study in studies { @if let Some(about) = &study.about {
                @let Cells { shown, hidden, again } = study.cells();
                tr {
                    td.t { (when(study.first)) } td { (link(study)) } td { (about.title) } td { (about.researcher) }
                    td { span.id { (about.datasets()) } } td { span.id { (study.permit.as_deref().unwrap_or("–")) } }
                    td.n { (number(shown)) } td.n { (number(hidden)) } td.n { (number(again)) } td { (state(study)) }
                }
            } } }
        }
    }
}

//! The permits that studies relied on: what each allows, what was used of it, and whether it was taken back.

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ContractId, Digest};
use maud::{Markup, html};

use super::Report;
use super::words::{day, number, when};
use crate::custodian::ledger::account::Account;
use crate::custodian::ledger::bodies;

/// A permit and a dataset: the permit's cap counts for each dataset by itself.
type Use<'a> = (Option<Digest>, &'a ContractId);

pub(super) fn section(report: &Report<'_>, studies: &[&Account]) -> Markup {
    let mut found: BTreeMap<Use<'_>, Vec<&Account>> = BTreeMap::new();
    for study in studies {
        if let Some(about) = &study.about {
            for dataset in std::iter::once(&about.dataset).chain(&about.related) {
                found.entry((study.permit_digest, dataset)).or_default().push(study);
            }
        }
    }
    html! {
        h3 { "Permits" }
        div.scroll role="group" tabindex="0" aria-label="Table" { table {
            thead { tr {
                th scope="col" { "Permit" } th scope="col" { "Digest" } th scope="col" { "Title" } th scope="col" { "Holder" } th scope="col" { "Dataset" } th scope="col" { "Valid" }
                th.n scope="col" { "Cells used of" } th.n scope="col" { "Studies" } th scope="col" { "Last used" }
            } }
            tbody { @for ((digest, dataset), studies) in &found { (line(report, *digest, dataset, studies)) } }
        } }
    }
}

fn line(report: &Report<'_>, digest: Option<Digest>, dataset: &ContractId, studies: &[&Account]) -> Markup {
    let permit = digest.and_then(|digest| report.accounts.permits.get(&digest));
    let revoked = digest.and_then(|digest| report.accounts.revoked.get(&digest));
    let id = studies.iter().find_map(|study| study.permit.as_deref());
    let last = studies.iter().map(|study| study.last).max();
    html! { tr {
        td { @match id { Some(id) => span.id { (id) }, None => "none named" } }
        td { @if let Some(digest) = digest { span.id { (digest.short()) } } }
        td { @if let Some(permit) = permit { (permit.title) } }
        td {
            @match permit {
                Some(permit) => { (permit.holder.name) ", " (permit.holder.organisation) },
                None => (people(studies)),
            }
        }
        td { span.id { (dataset) } }
        td {
            @if let Some(permit) = permit { (day(permit.valid_from)) " to " (day(permit.valid_to)) }
            @if let Some(revoked) = revoked { " " strong { "taken back on " (when(revoked.at)) } }
        }
        td.n { (number(used(report, dataset, studies))) @if let Some(permit) = permit { " of " (number(permit.max_cells)) } }
        td.n { (number(studies.len() as u64)) }
        td.t { @if let Some(last) = last { (when(last)) } }
    } }
}

/// The cells that left, or may have, since the ledger began: a cap counts over the permit's whole life.
fn used(report: &Report<'_>, dataset: &ContractId, studies: &[&Account]) -> u64 {
    let mut accounts: Vec<bodies::Account> = Vec::new();
    for about in studies.iter().filter_map(|study| study.about.as_ref()) {
        let permit = about.permit.as_ref().map(|permit| permit.digest);
        // A permit has one account; without one each researcher has their own.
        if !accounts.iter().any(|known| permit.is_some() || known.researcher == about.key) {
            accounts.push(bodies::Account {
                permit,
                access_body: None,
                researcher: about.key,
                purpose: about.purpose,
                dataset: dataset.clone(),
                related: vec![],
                expires_at: Timestamp(0),
            });
        }
    }
    let spent = report.ledger.books(|books| accounts.iter().map(|account| books.spent(account, dataset)).sum());
    // The ledger was read to its end before this: what cannot be read now was said then.
    spent.unwrap_or_default()
}

/// The people behind studies, each once.
fn people(studies: &[&Account]) -> String {
    let mut names: Vec<&str> =
        studies.iter().filter_map(|s| s.about.as_ref()).map(|about| about.researcher.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

//! Safe people: who may ask, who did, and who decided.

use bocage_protocol::ids::ContractId;
use bocage_protocol::trust::PublicKey;
use maud::{Markup, html};

use super::words::{fields, number, when};
use super::{Report, link, table};
use crate::config::Mode;
use crate::custodian::ledger::account::{Account, On, Other, Said};
use crate::custodian::ledger::bodies::About;

pub(super) fn section(report: &Report<'_>) -> Markup {
    html! {
        section #people {
            h2 { "2 Safe people" small { "Can those who ask be trusted to use it appropriately?" } }
            h3 { "Who may ask" }
            @if trust_is_empty(report) { p { "The site trusts nobody at present: every study is refused." } }
            @else { (trusted(report)) }
            (holders(report))
            (gone(report))
            h3 { "Who decided" }
            (decided(report))
        }
    }
}

fn trust_is_empty(report: &Report<'_>) -> bool {
    report.config.trust.access_bodies.is_empty() && report.config.trust.researchers.is_empty()
}

/// An entry of `[[trust]]`, and the studies that were asked by it.
struct Trusted<'a> {
    what: &'static str,
    name: &'a str,
    key: &'a PublicKey,
    mode: Option<Mode>,
    datasets: Option<&'a [ContractId]>,
    studies: Vec<&'a Account>,
}

fn entries<'a>(report: &'a Report<'_>) -> Vec<Trusted<'a>> {
    let studies = |by: &dyn Fn(&About) -> bool| {
        report.accounts.studies.iter().filter(|study| study.about.as_ref().is_some_and(by)).collect()
    };
    let bodies = report.config.trust.access_bodies.iter().map(|body| Trusted {
        what: "access body: holders of its permits",
        name: &body.name,
        key: &body.key,
        mode: body.mode,
        datasets: body.datasets.as_deref(),
        studies: studies(&|about| about.access_body.as_ref() == Some(&body.name)),
    });
    let researchers = report.config.trust.researchers.iter().map(|researcher| Trusted {
        what: "researcher, without a permit",
        name: &researcher.name,
        key: &researcher.key,
        mode: researcher.mode,
        datasets: researcher.datasets.as_deref(),
        studies: studies(&|about| about.permit.is_none() && about.key == researcher.key),
    });
    bodies.chain(researchers).collect()
}

fn trusted(report: &Report<'_>) -> Markup {
    html! {
        div.scroll role="group" tabindex="0" aria-label="Table" { table {
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Trusted as" } th scope="col" { "Key" } th scope="col" { "About" } th scope="col" { "Answers" } th.n scope="col" { "Studies" } th scope="col" { "Last asked" }
            } }
            tbody { @for entry in entries(report) { tr {
                td { (entry.name) } td { (entry.what) } td.long { span.id { (entry.key) } } td { (datasets(entry.datasets)) }
                td { (entry.mode.map_or("only what the steward approves: no mode is set", |mode| mode.as_str())) }
                td.n { (number(entry.studies.len() as u64)) }
                td.t { @if let Some(last) = entry.studies.iter().map(|s| s.last).max() { (when(last)) } @else { "never" } }
            } } }
        } }
    }
}

fn datasets(datasets: Option<&[ContractId]>) -> String {
    match datasets {
        Some(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "all datasets".to_owned(),
    }
}

/// Everybody who asked, with what they relied on.
fn askers<'a>(report: &'a Report<'_>) -> Vec<&'a About> {
    let mut askers: Vec<&About> = Vec::new();
    for about in report.accounts.studies.iter().filter_map(|study| study.about.as_ref()) {
        if !askers.iter().any(|known| (known.key, &known.permit) == (about.key, &about.permit)) {
            askers.push(about);
        }
    }
    askers
}

/// Those who asked under permits.
fn holders(report: &Report<'_>) -> Markup {
    let holders: Vec<&About> = askers(report).into_iter().filter(|about| about.permit.is_some()).collect();
    html! { @if !holders.is_empty() {
        h3 { "Who asked under a permit" }
        (table(holders.len(), "holders", &html! { table {
            thead { tr { th scope="col" { "Holder" } th scope="col" { "Organisation" } th scope="col" { "Permit" } th scope="col" { "Issued by" } th scope="col" { "Key" } } }
            tbody { @for about in &holders { tr {
                td { (about.researcher) } td { (about.organisation.as_deref().unwrap_or_default()) }
                td { @if let Some(permit) = &about.permit { (permit.id) } }
                td { (about.access_body.as_deref().unwrap_or_default()) } td.long { span.id { (about.key) } }
            } } }
        } }))
    } }
}

/// Those who asked without a permit and are not in the configuration any more.
fn gone(report: &Report<'_>) -> Markup {
    let known = |about: &&About| report.config.trust.researchers.iter().any(|researcher| researcher.key == about.key);
    let gone: Vec<&About> =
        askers(report).into_iter().filter(|about| about.permit.is_none()).filter(|about| !known(about)).collect();
    html! { @if !gone.is_empty() {
        h3 { "Who asked before and is not trusted any more" }
        div.scroll role="group" tabindex="0" aria-label="Table" { table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Key" } } }
            tbody { @for about in &gone { tr { td { (about.researcher) } td.long { span.id { (about.key) } } } } }
        } }
    } }
}

/// By which rule studies were allowed, and every word of a person that the ledger holds.
fn decided(report: &Report<'_>) -> Markup {
    let mut rules: Vec<(&str, u64)> = Vec::new();
    for by in report.accounts.studies.iter().flat_map(|study| &study.decisions).map(|on| on.says.by.as_str()) {
        match rules.iter_mut().find(|(known, _)| *known == by) {
            Some((_, count)) => *count += 1,
            None => rules.push((by, 1)),
        }
    }
    let studies = &report.accounts.studies;
    let mut said: Vec<(Option<&Account>, &On<Said>)> = studies
        .iter()
        .flat_map(|study| study.said.iter().map(move |on| (Some(study), on)))
        .chain(report.accounts.said.iter().map(|on| (None, on)))
        .filter(|(_, on)| report.window.has(on.at))
        .collect();
    said.sort_by_key(|(_, on)| on.record);
    let words: Vec<(Option<&Account>, &Other)> = studies
        .iter()
        .flat_map(|study| study.others.iter().map(move |other| (Some(study), other)))
        .chain(report.accounts.others.iter().map(|other| (None, other)))
        .collect();
    html! {
        @if rules.is_empty() && said.is_empty() && words.is_empty() { p { "Nothing was allowed in this time." } }
        @if !rules.is_empty() {
            div.scroll role="group" tabindex="0" aria-label="Table" { table {
                thead { tr { th scope="col" { "Allowed by" } th.n scope="col" { "Requests" } } }
                tbody { @for (by, count) in &rules { tr { td { (by) } td.n { (number(*count)) } } } }
            } }
        }
        @if !said.is_empty() {
            h3 { "Approvals and other decisions" }
            (table(said.len(), "decisions", &html! { table {
                thead { tr { th scope="col" { "When" } th scope="col" { "About" } th scope="col" { "What" } } }
                tbody { @for (study, on) in &said { tr {
                    td.t { (when(on.at)) } td { @if let Some(study) = study { (link(study)) } @else { "the site" } }
                    td {
                        (on.says)
                        @if let Some(seal) = study.and_then(|study| report.sealed(&study.study, &on.says)) { " (" (seal) ")" }
                    }
                } } }
            } }))
        }
        @if !words.is_empty() {
            h3 { "Records of kinds that this version does not know" }
            (table(words.len(), "records", &html! { table {
                thead { tr { th scope="col" { "When" } th scope="col" { "Study" } th scope="col" { "What" } th scope="col" { "As recorded" } } }
                tbody { @for (study, other) in &words { tr {
                    td.t { (when(other.at)) } td { @if let Some(study) = study { (link(study)) } @else { "the site" } }
                    td { (other.kind) } td { (fields(&other.body)) }
                } } }
            } }))
        }
    }
}

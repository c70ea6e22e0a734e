//! Safe people: who may ask, who did, and who decided.

use maud::{Markup, html};

use super::words::{fields, number, when};
use super::{Report, link, table};
use crate::config::Researcher;
use crate::custodian::ledger::account::{Account, Other};

pub(super) fn section(report: &Report<'_>) -> Markup {
    html! {
        section #people {
            h2 { "2 Safe people" small { "Can those who ask be trusted to use it appropriately?" } }
            h3 { "Who may ask" }
            @if report.config.trust.is_empty() { p { "The site trusts nobody at present: every study is refused." } }
            @else { (trusted(report)) }
            (gone(report))
            h3 { "Who decided" }
            (decided(report))
        }
    }
}

fn trusted(report: &Report<'_>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "Name" } th { "Key" } th { "May ask about" } th { "Answers" } th.n { "Studies" } th { "Last asked" } } }
            tbody { @for researcher in &report.config.trust {
                @let studies: Vec<&Account> = of(report, researcher);
                tr {
                    td { (researcher.name) } td.long { span.id { (researcher.key) } } td { (datasets(researcher)) }
                    td { (researcher.mode.map_or("none: no mode is set", |mode| mode.as_str())) }
                    td.n { (number(studies.len() as u64)) }
                    td.t { @if let Some(last) = studies.iter().map(|s| s.last).max() { (when(last)) } @else { "never" } }
                }
            } }
        } }
    }
}

fn of<'a>(report: &'a Report<'_>, researcher: &Researcher) -> Vec<&'a Account> {
    let theirs = |study: &&Account| study.about.as_ref().is_some_and(|about| about.key == researcher.key);
    report.accounts.studies.iter().filter(theirs).collect()
}

fn datasets(researcher: &Researcher) -> String {
    match &researcher.datasets {
        Some(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "all datasets".to_owned(),
    }
}

/// Those who asked and are not in the configuration any more.
fn gone(report: &Report<'_>) -> Markup {
    let mut names: Vec<(String, String)> = Vec::new();
    for about in report.accounts.studies.iter().filter_map(|study| study.about.as_ref()) {
        let known = report.config.trust.iter().any(|researcher| researcher.key == about.key);
        let one = (about.researcher.clone(), about.key.to_string());
        if !known && !names.contains(&one) {
            names.push(one);
        }
    }
    html! { @if !names.is_empty() {
        h3 { "Who asked before and is not trusted any more" }
        div.scroll { table {
            thead { tr { th { "Name" } th { "Key" } } }
            tbody { @for (name, key) in &names { tr { td { (name) } td.long { span.id { (key) } } } } }
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
    let words: Vec<(Option<&Account>, &Other)> = report
        .accounts
        .studies
        .iter()
        .flat_map(|study| study.others.iter().map(move |other| (Some(study), other)))
        .chain(report.accounts.others.iter().map(|other| (None, other)))
        .collect();
    html! {
        @if rules.is_empty() && words.is_empty() { p { "Nothing was allowed in this time." } }
        @if !rules.is_empty() {
            div.scroll { table {
                thead { tr { th { "Allowed by" } th.n { "Requests" } } }
                tbody { @for (by, count) in &rules { tr { td { (by) } td.n { (number(*count)) } } } }
            } }
        }
        @if !words.is_empty() {
            h3 { "Approvals and other decisions" }
            (table(words.len(), "decisions", &html! { table {
                thead { tr { th { "When" } th { "Study" } th { "What" } th { "As recorded" } } }
                tbody { @for (study, other) in &words { tr {
                    td.t { (when(other.at)) } td { @if let Some(study) = study { (link(study)) } @else { "the site" } }
                    td { (other.kind) } td { (fields(&other.body)) }
                } } }
            } }))
        }
    }
}

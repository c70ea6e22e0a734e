//! The record of processing activities of the controller: Regulation (EU) 2016/679, article 30 (1), from the configuration as it is now.
//!
//! What a node cannot know is said to be open, never guessed.

use bocage_protocol::trust::Purpose;
use maud::{Markup, html};

use super::data::title;
use super::words::{kind, purpose};
use super::{Report, settings};

pub(super) fn section(report: &Report<'_>) -> Markup {
    let organisation = &report.config.organisation;
    html! {
        section #processing {
            h2 { "Record of processing activities" small { "Regulation (EU) 2016/679 (GDPR), article 30 (1), from the site's configuration as it is now" } }
            dl.facts {
                dt { "(a) Controller" } dd { (stated(&organisation.name, "name")) }
                dt { "Contact" } dd { (stated(&organisation.contact, "contact")) }
                dt { "Data protection officer" } dd { (stated(&organisation.dpo, "dpo")) }
                dt { "(b) Purposes" } dd { (purposes(report)) }
                dt { "(c) Data subjects" } dd { "Patients of the site whose records are in the datasets below." }
                dt { "Personal data" } dd { (categories(report)) }
                dt { "(d) Recipients" } dd { (recipients(report)) }
                dt { "(e) Third countries" } dd { (transfers(report)) }
                dt { "(f) Erasure" } dd { (erasure(report)) }
                dt { "(g) Security" } dd { (security(report)) }
            }
        }
    }
}

fn stated(text: &Option<String>, key: &str) -> Markup {
    match text {
        Some(text) => html! { (text) },
        None => html! { span.soft { "not stated: " code { "[organisation] " (key) } " in node.toml" } },
    }
}

fn purposes(report: &Report<'_>) -> Markup {
    let asked = |wanted: Purpose| {
        report.accounts.studies.iter().any(|study| study.about.as_ref().is_some_and(|about| about.purpose == wanted))
    };
    let found: Vec<Purpose> = Purpose::ALL.iter().map(|(_, purpose)| *purpose).filter(|p| asked(*p)).collect();
    html! {
        "Answering signed statistical studies with aggregate results (secondary use)."
        @if !found.is_empty() { " Studies of this time named: " @for (i, one) in found.iter().enumerate() { @if i > 0 { "; " } (purpose(*one)) } "." }
    }
}

fn categories(report: &Report<'_>) -> Markup {
    html! {
        @if report.config.datasets.is_empty() { "None: no dataset is offered." }
        @for dataset in report.config.datasets.values() {
            div {
                strong { (title(&dataset.contract)) } ": "
                @for (i, column) in dataset.contract.columns().iter().filter(|c| !dataset.spec.absent.contains(&c.name)).enumerate() {
                    @if i > 0 { ", " }
                    @if column.label.is_empty() { (column.name) } @else { (column.label) } " (" (kind(&column.kind)) ")"
                }
                ". Data concerning health (article 9)."
            }
        }
    }
}

fn recipients(report: &Report<'_>) -> Markup {
    html! {
        "Rows: nobody. Aggregate results that passed the site's gate: the network's coordinator at "
        span.id { (report.config.coordinator.address) } ", and through it "
        @let trust = &report.config.trust;
        @let bodies = trust.access_bodies.iter().map(|body| format!("the holders of permits of {}", body.name));
        @let names: Vec<String> = bodies.chain(trust.researchers.iter().map(|r| r.name.clone())).collect();
        @if names.is_empty() { "nobody at present" } @else { (names.join(", ")) }
        "."
    }
}

fn transfers(report: &Report<'_>) -> Markup {
    html! {
        "Rows are transferred nowhere. "
        @match &report.config.organisation.transfers {
            Some(text) => (text),
            None => span.soft { "Where coordinator and researchers sit the node cannot know: " code { "[organisation] transfers" } " in node.toml states it" },
        }
    }
}

fn erasure(report: &Report<'_>) -> Markup {
    let config = report.config;
    html! {
        "Snapshots: when a newer one is taken, all but " (config.snapshots.keep)
        " beside the one in use are removed, except those of studies that have not expired. "
        @match config.ledger.keep_payloads_days {
            0 => "What was asked and what left: kept without limit.",
            days => { "The exact bytes of what was asked and what left: " (days) " days, once the study has expired." },
        }
        " Who asked, what was decided and how many numbers left: kept without limit, as proof."
    }
}

/// What a gate and a place do, as measures.
fn security(report: &Report<'_>) -> Markup {
    html! {
        "No number about fewer than " (report.config.policy.threshold) " patients leaves."
        @for (name, fact) in settings::facts(report) { div { strong { (name) } ": " (fact) } }
    }
}

//! One study: who asked, for what, who decided, from which data, and how much left.

use maud::{Markup, html};

use super::words::{number, purpose, when};
use super::{Report, outputs, state};
use crate::custodian::ledger::account::{Account, Cells, State};
use crate::custodian::ledger::show::Shown;

pub(super) fn article(report: &Report<'_>, study: &Account, releases: &[Shown], open: bool) -> Markup {
    let Cells { shown, hidden, again } = study.cells();
    let count = releases.len() as u64;
    html! {
        article id=(format!("s{}", study.short())) {
            h3 { (study.about.as_ref().map_or("Study", |about| about.title.as_str())) " " (state(study)) }
            dl.facts {
                dt { "Study" } dd { span.id { (study.study) } }
                @if let Some(about) = &study.about {
                    dt { "Who" } dd {
                        (about.researcher) @if let Some(organisation) = &about.organisation { ", " (organisation) }
                        " " span.id { (about.key) }
                    }
                    dt { "Purpose" } dd { (purpose(about.purpose)) }
                    dt { "Dataset" } dd { span.id { (about.datasets()) } }
                }
                @if let Some(permit) = &study.permit {
                    dt { "Permit" } dd {
                        span.id { (permit) } @if let Some(digest) = study.permit_digest { " (" span.id { (digest.short()) } ")" }
                    }
                }
                dt { "Who decided" } dd { (decided(report, study)) }
                @if !study.snapshots.is_empty() { dt { "Data" } dd { (data(study, releases)) } }
                @if study.releases.is_empty() {
                    dt { "Left" } dd { "nothing" @if study.state() != State::Refused { ", so far" } }
                } @else {
                    dt { "Left" } dd {
                        (number(shown)) " cells with numbers, " (number(hidden)) " hidden, in " (number(count)) @if count == 1 { " answer" } @else { " answers" }
                        @if again > 0 { "; and " (number(again)) " again, as they had left before (counted there)" }
                        @if study.repeats() > 0 { "; handed out again " (number(study.repeats() as u64)) " times, the same bytes" }
                    }
                }
            }
            (asks(study))
            @for release in releases { (outputs::answer(study, release, open)) }
        }
    }
}

/// Rules and people, in sentences; and whether the policy is another one by now.
fn decided(report: &Report<'_>, study: &Account) -> Markup {
    let today = report.config.custodian().policy_version();
    html! {
        @if study.decided_by().is_empty() { "nobody yet" }
        @for line in study.decided_by() { div { (line) } }
        @for on in &study.said {
            @if let Some(seal) = report.sealed(&study.study, &on.says) { div { "the approval of " (when(on.at)) ": " (seal) } }
        }
        @if let Some(on) = study.allowed() {
            div {
                "threshold " (on.says.threshold) ", mode " (on.says.mode)
                @match on.says.policy {
                    Some(policy) if policy != today => { "; under policy " span.id { (policy.short()) } " (today's is " span.id { (today.short()) } ")" },
                    Some(_) => "; the policy is still the same today",
                    None => "; which policy was in force is not recorded",
                }
            }
        }
        @for on in study.waited() { div { "told on " (when(on.at)) " to wait: " (on.says.error.message) } }
    }
}

/// From which snapshots: the content, for those who hold the data, and the public name, for those who hold the result.
fn data(study: &Account, releases: &[Shown]) -> Markup {
    let of = |digest| study.computed.iter().filter(move |(_, computed)| computed.snapshot == digest);
    html! { @for digest in &study.snapshots {
        @let public = of(*digest).find_map(|(round, _)| {
            releases.iter().find(|release| release.round == Some(*round)).and_then(|release| release.snapshot.as_ref())
        });
        div {
            "snapshot " span.id { (digest.short()) }
            @if let Some(public) = public {
                ", known to the researcher as " span.id { (public.name.short()) } ", taken " (public.at.get(..10).unwrap_or(&public.at))
            }
            @if of(*digest).any(|(_, computed)| computed.left_out) { ", without the patients who opted out" }
        }
    } }
}

fn asks(study: &Account) -> Markup {
    let asks = study.asks();
    html! { @if !asks.is_empty() {
        details {
            summary { "What was read, kept and grouped" }
            @for (analysis, text) in &asks {
                h4 { (analysis) }
                @if text.is_empty() { p.soft { "More is not in the ledger: it was refused before anything was explained." } }
                @else { pre { (text) } }
            }
        }
    } }
}

//! What was asked, by whom, and under which permit.

use bocage_protocol::trust::{Permit, PermitMode, Study};
use maud::{Markup, html};

use super::when;
use crate::report::folder::Materials;

pub(super) fn section(materials: &Materials) -> Markup {
    let (study, result) = (materials.study(), materials.result());
    let sites = study.sites.names().unwrap_or_default();
    html! {
        section #asked {
            h2 { "What was asked" }
            dl.facts {
                dt { "Title" } dd { (study.title) }
                dt { "Purpose" } dd { (words(study.purpose.as_str())) }
                dt { "Dataset" } dd { code { (study.dataset) } ", contract " span.id { (study.contract) } }
                @for (name, table) in &study.related {
                    dt { "Table " code { (name) } } dd { code { (table.dataset) } ", contract " span.id { (table.contract) } }
                }
                @if !study.codes.is_empty() {
                    dt { "Code lists" } dd { @for list in &study.codes { div { code { (list.name) } ": " (list.count) " of " (list.system) ", " span.id { (list.hash) } } } }
                }
                @if !study.models.is_empty() {
                    dt { "Fitted models" } dd { @for of in &study.models { div { code { (of.name) } ": analysis " code { (of.analysis) } " of study " span.id { (of.study) } } } }
                }
                dt { "Sites" } dd { (sites.len()) ": " (sites.iter().map(|site| site.as_str()).collect::<Vec<_>>().join(", ")) }
                dt { "Published if" } dd { "at least " (result.study.min_sites) " sites stand behind a number" }
                dt { "Signed" } dd { (when(study.issued_at)) ", by " span.id { (study.researcher) } }
                dt { "Accepted" } dd { (when(result.study.accepted_at)) }
            }
            @match materials.permit() {
                Some(permit) => (under(permit, study, materials)),
                None => p { "The study relied on no permit: the sites that answered let this researcher ask without one." },
            }
            @if !materials.lacking().is_empty() {
                p.soft {
                    "What each site computed is not explained here: the coordinator does not hold the contracts any more that the study was bound to ("
                    (materials.lacking().iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")) "). The signed study in " code { "study.json" } " has it."
                }
            }
        }
    }
}

fn under(permit: &Permit, study: &Study, materials: &Materials) -> Markup {
    let body = materials.result().study.permit.as_ref().map(|info| info.access_body.as_str());
    let purposes = permit.purposes.iter().map(|purpose| words(purpose.as_str())).collect::<Vec<_>>().join(", ");
    html! {
        h3 { "The permit" }
        dl.facts {
            dt { "Permit" } dd { span.id { (permit.id) } ": " (permit.title) }
            dt { "Held by" } dd { (permit.holder.name) ", " (permit.holder.organisation) }
            dt { "Issued by" } dd { @if let Some(body) = body { (body) ", " } span.id { (permit.issuer) } }
            dt { "For" } dd { (purposes) }
            dt { "Valid" } dd { (when(permit.valid_from)) " to " (when(permit.valid_to)) }
            dt { "Threshold" } dd { "no count below " (permit.threshold) " leaves a site; a site may be stricter" }
            @if permit.mode == PermitMode::Round { dt { "Mode" } dd { "counts are rounded to multiples of 5 before they leave a site" } }
            @if let Some(named) = &study.permit { dt { "Digest" } dd { span.id { (named.digest) } } }
        }
    }
}

/// A word of a study as people write it.
fn words(spelt: &str) -> String {
    spelt.replace('_', " ")
}

//! Who answered, over which data, and who did not, and why.

use maud::{Markup, html};

use super::when;
use crate::api::types::{SiteReport, StudyResult};
use crate::report::listing::moved;

/// With so many sites their receipts are open when the page is; beyond, a click opens them. Paper has all.
const OPEN: usize = 12;

pub(super) fn section(result: &StudyResult) -> Markup {
    let receipts: Vec<&SiteReport> = result.sites.iter().filter(|site| !site.receipts.is_empty()).collect();
    let short = receipts.iter().map(|site| site.receipts.len()).sum::<usize>() <= OPEN;
    html! {
        section #sites {
            h2 { "Who answered" }
            div.scroll role="group" tabindex="0" aria-label="Sites" { table {
                thead { tr { th scope="col" { "Site" } th scope="col" { "Status" } th scope="col" { "Snapshot of the data" } th scope="col" { "Taken" } th scope="col" { "Why not" } } }
                tbody { @for site in &result.sites { tr {
                    th scope="row" { (site.id) }
                    td { span class=(format!("state {}", site.status)) { (site.status) } @if let Some(round) = site.left_in { " in round " (round) } }
                    td { @if let Some(snapshot) = site.snapshot { span.id { (snapshot.short()) } } }
                    td.t { @if let Some(at) = site.snapshot_at { (when(at)) } }
                    td.why { @if let Some(reason) = &site.reason {
                        (reason.message) " (" code { (reason.code) } ")"
                        @if let Some(hint) = &reason.hint { div.soft { (hint) } }
                    } @if !site.moved_in.is_empty() { div.soft { (moved(&site.moved_in)) } } }
                } } }
            } }
            h3 { "Receipts" }
            @if receipts.is_empty() { p { "The coordinator that published this result gave none." } }
            @else {
                p.soft { "One for each release that the coordinator had when it published, round by round. They say nothing of what was released; the site that released it can recognise it." }
                details open[short] {
                    summary { (receipts.iter().map(|site| site.receipts.len()).sum::<usize>()) " receipts" }
                    div.scroll role="group" tabindex="0" aria-label="Receipts" { table.receipts {
                        thead { tr { th scope="col" { "Site" } th.n scope="col" { "Round" } th scope="col" { "Receipt" } } }
                        tbody { @for site in &receipts { @for (round, receipt) in site.receipts.iter().enumerate() { tr {
                            th scope="row" { (site.id) } td.n { (round) } td { span.id { (receipt) } }
                        } } } }
                    } }
                }
            }
        }
    }
}

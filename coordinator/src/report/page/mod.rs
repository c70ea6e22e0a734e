//! The page that goes into a paper's appendix: what was asked, by whom, under which permit; who answered, over which data; every table, with a picture.
//!
//! One file without scripts and without anything that would be fetched; every text is escaped by the way it is made. It follows from the materials alone,
//! so that whoever verifies a report can make it again.

mod answers;
mod asked;
mod block;
mod chance;
mod figure;
mod number;
mod sites;

use bocage_protocol::env::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::folder::{Materials, VERSION};

const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) fn page(materials: &Materials) -> String {
    let study = materials.study();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (study.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (top(materials))
                main {
                    (asked::section(materials))
                    (sites::section(materials.result()))
                    (answers::section(materials))
                    (proof(materials))
                }
                footer { p { "Made by Bocage " (VERSION) ". Times are UTC. Every number here is in " code { "result.json" } " and " code { "tables/" } " in full precision." } }
            }
        }
    };
    page.into_string()
}

fn top(materials: &Materials) -> Markup {
    let result = materials.result();
    let answered = result.sites.iter().filter(|site| site.was_heard()).count();
    let left = result.sites.iter().filter(|site| site.left_in.is_some()).count();
    let hidden: usize = result.analyses.iter().flat_map(answers::blocks).map(|block| block.hidden.len()).sum();
    html! {
        header {
            h1 { (materials.study().title) }
            p.lede {
                "Study " span.id { (result.study.id) } " about " code { (result.study.dataset) } " in the network " code { (result.study.network) }
                ", published " (when(result.study.published_at)) "."
            }
            dl.figures {
                (figure("Sites that answered", &format!("{answered} of {}", result.sites.len())))
                @if left > 0 { (figure("Of these left before the end", &left.to_string())) }
                (figure("Analyses", &result.analyses.len().to_string()))
                (figure("Hidden numbers", &number::count(hidden as u64)))
            }
            nav aria-label="Contents" {
                a href="#asked" { "What was asked" } a href="#sites" { "Who answered" }
                @for analysis in &result.analyses { a href=(format!("#a-{}", analysis.name)) { (analysis.name) } }
                a href="#proof" { "What can be checked" }
            }
        }
    }
}

fn figure(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// To the minute.
fn when(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16).map_or_else(|| text.clone(), |minute| minute.replace('T', " "))
}

fn proof(materials: &Materials) -> Markup {
    html! {
        section #proof {
            h2 { "What can be checked" }
            p { code { "bocage study verify DIR" } " on the folder that this page came in shows that no file of it was changed since the researcher signed its "
                code { "manifest.json" } "; that study and permit are what their signers signed, and that the permit covers the study; that the result answers this study; "
                "and that tables and page say what the result says. " code { "--ask-coordinator" } " compares the result with the one that the coordinator keeps." }
            p { "No single hospital's numbers are in a result, so nobody who holds only this folder can add them up again. Instead every release that went into the result "
                "has a receipt above. A hospital sees in its own ledger (" code { "bocage node ledger show " (materials.result().study.id.short()) }
                ") whether these are the receipts of what it released, and nothing else can be learnt from them. That the coordinator combined those releases rightly "
                "is shown by nothing in this folder: it is what the coordinator is trusted with." }
        }
    }
}

#[cfg(test)]
mod tests;

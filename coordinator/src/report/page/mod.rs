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

use std::collections::BTreeSet;

use bocage_protocol::env::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::folder::{Materials, VERSION};
use crate::api::types::{AnalysisResult, Block, StudyResult, Value};

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

/// The titles of the tables in which hospitals stand by name.
fn by_hospital(result: &StudyResult) -> Vec<String> {
    let names: BTreeSet<&str> = result.sites.iter().map(|site| site.id.as_str()).collect();
    let is_one = |text: &str| {
        let inner = text.strip_prefix("site[").and_then(|rest| rest.strip_suffix(']'));
        names.contains(inner.unwrap_or(text))
    };
    let named = |block: &Block| {
        let texts = block.rows.iter().flatten().filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.chain(block.columns.iter().map(String::as_str)).any(is_one)
    };
    let of = |analysis: &AnalysisResult| {
        let own = named(&analysis.block).then(|| analysis.name.to_string());
        let also = analysis.also.iter().filter(|also| named(&also.block));
        own.into_iter().chain(also.map(|also| format!("{}: {}", analysis.name, also.title))).collect::<Vec<_>>()
    };
    result.analyses.iter().flat_map(of).collect()
}

fn proof(materials: &Materials) -> Markup {
    let named = by_hospital(materials.result());
    html! {
        section #proof {
            h2 { "What can be checked" }
            p { code { "bocage study verify DIR" } " on the folder that this page came in shows that no file of it was changed since the researcher signed its "
                code { "manifest.json" } "; that study and permit are what their signers signed, and that the permit covers the study; that the result answers this study; "
                "and that tables and page say what the result says. " code { "--ask-coordinator" } " compares the result with the one that the coordinator keeps." }
            p {
                @if named.is_empty() { "No hospital's releases are in this result, and none of its tables names a hospital" }
                @else { "No hospital's releases are in this result. By hospital it has only what stands in " (named.join("; ")) }
                ", so nobody who holds only this folder can combine them again. Instead every release that went into the result "
                "has a receipt above. A hospital sees in its own ledger (" code { "bocage node ledger show " (materials.result().study.id.short()) }
                ") whether these are the receipts of what it released, and nothing else can be learnt from them. That the coordinator combined those releases rightly "
                "is shown by nothing in this folder: it is what the coordinator is trusted with." }
        }
    }
}

#[cfg(test)]
mod tests;

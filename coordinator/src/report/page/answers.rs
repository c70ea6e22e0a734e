//! The answers, analysis by analysis: what each site computed, pictures, tables, notes.

use bocage_protocol::plan::Explained;
use maud::{Markup, html};

use super::block::{scroll, table};
use super::chance::Chances;
use super::figure::{pictures, svg};
use crate::api::types::{AnalysisResult, Block};
use crate::report::folder::Materials;
use crate::report::listing::behind;

/// Every block of an answer.
pub(super) fn blocks(analysis: &AnalysisResult) -> impl Iterator<Item = &Block> {
    std::iter::once(&analysis.block).chain(&analysis.rolled_up).chain(analysis.also.iter().map(|named| &named.block))
}

pub(super) fn section(materials: &Materials) -> Markup {
    let explained = materials.explained();
    html! { @for analysis in &materials.result().analyses {
        section id=(format!("a-{}", analysis.name)) {
            h2 { (analysis.name) small { (analysis.kind.replace('_', " ")) } }
            @if let Some(behind) = behind(analysis, &materials.result().sites) { p.soft { (behind) "." } }
            @if !analysis.notes.is_empty() { ul.notes { @for note in &analysis.notes { li { (note) } } } }
            (part(analysis, None, &analysis.block, "0"))
            @if let Some(block) = &analysis.rolled_up {
                h3 { "At the coarsest grouping among the sites" }
                (part(analysis, None, block, "r"))
            }
            @for (at, named) in analysis.also.iter().enumerate() {
                h3 { (named.title) }
                (part(analysis, Some(&named.title), &named.block, &(at + 1).to_string()))
            }
            @if let Some(explained) = explained.get(&analysis.name) { (computed(explained)) }
        }
    } }
}

/// A block with its picture.
fn part(analysis: &AnalysisResult, title: Option<&str>, block: &Block, at: &str) -> Markup {
    let name = title.map_or_else(|| analysis.name.to_string(), |title| format!("{}: {title}", analysis.name));
    let pictures = pictures(&analysis.kind, title, block);
    html! {
        @for (number, figure) in pictures.figures.iter().enumerate() {
            figure.plot {
                (scroll(&figure.title(), &svg(figure, &format!("f-{}-{at}-{number}", analysis.name))))
                figcaption { (figure.title()) }
            }
        }
        @if !pictures.without.is_empty() { p.soft { "Without a picture, in the table only: " (pictures.without.join(", ")) "." } }
        (table(block, &name, Chances::of(&analysis.kind, title, block)))
    }
}

fn computed(explained: &[Explained]) -> Markup {
    html! { details {
        summary { "What each site computed first" }
        @for plan in explained { pre { (plan.tree()) } }
    } }
}

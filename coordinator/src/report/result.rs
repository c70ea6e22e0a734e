//! A study's result as text and as CSV.

use std::fmt::Write as _;

use super::block::{block_csv, block_text};
use super::{plain, wrap};
use crate::api::types::{AnalysisResult, SiteReport, StudyResult};

/// The result for people, readable at 100 columns without colour.
pub fn text(result: &StudyResult) -> String {
    let study = &result.study;
    let mut out = format!("{}\n", plain(&study.title));
    let _ = writeln!(
        out,
        "study {}  dataset {}  purpose {}\npublished {}  cells need {} sites",
        study.id.short(),
        study.dataset,
        crate::report::listing::purpose(study.purpose),
        study.published_at,
        study.min_sites
    );
    if let Some(permit) = &study.permit {
        let _ = writeln!(out, "{}", super::listing::permit(permit));
    }
    out.push('\n');
    for analysis in &result.analyses {
        out.push_str(&analysis_text(analysis, &result.sites));
        out.push('\n');
    }
    out.push_str(&super::listing::site_reports(&result.sites));
    out
}

fn analysis_text(analysis: &AnalysisResult, sites: &[SiteReport]) -> String {
    let mut out = format!("{} ({})\n\n", analysis.name, plain(&analysis.kind));
    out.push_str(&block_text(&analysis.block));
    if let Some(block) = &analysis.rolled_up {
        out.push_str("\nat the coarsest grouping among the sites\n\n");
        out.push_str(&block_text(block));
    }
    for named in &analysis.also {
        let _ = write!(out, "\n{}\n\n{}", plain(&named.title), block_text(&named.block));
    }
    let behind = super::listing::behind(analysis, sites);
    if behind.is_some() || !analysis.notes.is_empty() {
        out.push('\n');
    }
    out.extend(behind.map(|behind| wrap(&plain(&behind))));
    for note in &analysis.notes {
        out.push_str(&wrap(&format!("note: {}", plain(note))));
    }
    out
}

/// The result as CSV: one table an analysis. Several are told apart by a line `# NAME` and an empty line between them.
pub fn csv(result: &StudyResult) -> String {
    let mut tables = Vec::new();
    for analysis in &result.analyses {
        tables.push((analysis.name.to_string(), block_csv(&analysis.block)));
        tables.extend(analysis.rolled_up.as_ref().map(|b| (format!("{} rolled up", analysis.name), block_csv(b))));
        let also =
            analysis.also.iter().map(|n| (format!("{} {}", analysis.name, plain(&n.title)), block_csv(&n.block)));
        tables.extend(also);
    }
    match tables.as_slice() {
        [(_, only)] => only.clone(),
        _ => tables.iter().map(|(name, table)| format!("# {name}\n{table}")).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Block, NamedBlock, Value};

    #[test]
    fn further_blocks_follow_and_what_does_not_exist_is_blank() {
        let edges = Block {
            columns: ["bin", "from", "count"].map(String::from).to_vec(),
            rows: vec![vec![Value::Text("<50".into()), Value::Null, Value::Count(20)]],
            ..Block::default()
        };
        let analysis = AnalysisResult {
            name: "ages".parse().unwrap(),
            kind: "histogram".into(),
            block: edges.clone(),
            notes: vec![],
            rolled_up: None,
            also: vec![NamedBlock { title: "once more".into(), block: edges }],
            absent: vec![],
        };
        let table = "bin  from  count\n---  ----  -----\n<50           20\n";
        assert_eq!(analysis_text(&analysis, &[]), format!("ages (histogram)\n\n{table}\nonce more\n\n{table}"));
        assert_eq!(block_csv(&analysis.block), "bin,from,count\n<50,,20\n");
    }
}

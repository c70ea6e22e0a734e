//! A study's result as text and as CSV.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::grid::Grid;
use super::{plain, short_number, wrap};
use crate::api::types::{AnalysisResult, Block, Coverage, Hidden, HiddenReason, Interval, StudyResult, Value};

/// Lines about partial coverage that a text shows; the rest is counted.
const COVERAGE_LINES: usize = 12;

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
        out.push_str(&analysis_text(analysis));
        out.push('\n');
    }
    out.push_str(&super::listing::site_reports(&result.sites));
    out
}

fn analysis_text(analysis: &AnalysisResult) -> String {
    let mut out = format!("{} ({})\n\n", analysis.name, plain(&analysis.kind));
    out.push_str(&block_text(&analysis.block));
    if let Some(block) = &analysis.rolled_up {
        out.push_str("\nat the coarsest grouping among the sites\n\n");
        out.push_str(&block_text(block));
    }
    for named in &analysis.also {
        let _ = write!(out, "\n{}\n\n{}", plain(&named.title), block_text(&named.block));
    }
    if !analysis.notes.is_empty() {
        out.push('\n');
    }
    for note in &analysis.notes {
        out.push_str(&wrap(&format!("note: {}", plain(note))));
    }
    out
}

/// A block as an aligned table, followed by what is hidden and what is only partly covered.
pub(super) fn block_text(block: &Block) -> String {
    let keys = key_columns(block);
    let hidden = hidden_at(block);
    let mut grid = Grid::new(block.columns.iter()).numbers_from(keys);
    for (r, row) in block.rows.iter().enumerate() {
        grid.row(row.iter().enumerate().map(|(c, value)| match value {
            Value::Count(n) => n.to_string(),
            Value::Number(x) => short_number(*x),
            Value::Text(text) => text.clone(),
            Value::Null => hidden.get(&(r, c)).map_or_else(String::new, |h| hidden_text(h.interval)),
        }));
    }
    let mut out = grid.text(keys);
    out.push_str(&hidden_summary(block));
    out.push_str(&coverage_text(block, keys));
    out
}

pub(super) fn hidden_text(interval: Option<Interval>) -> String {
    match interval {
        None => "hidden".to_owned(),
        Some(Interval(lo, Some(hi))) => format!("hidden [{lo}, {hi}]"),
        Some(Interval(lo, None)) => format!("hidden [{lo}, ...]"),
    }
}

fn hidden_summary(block: &Block) -> String {
    let mut out = String::new();
    for reason in HiddenReason::ALL {
        let count = block.hidden.iter().filter(|h| h.reason == reason).count();
        if count > 0 {
            let _ = writeln!(out, "{}{count} hidden: {reason}", if out.is_empty() { "\n" } else { "" });
        }
    }
    out
}

fn coverage_text(block: &Block, keys: usize) -> String {
    let lines = coverage_lines(block, keys);
    let mut out = String::new();
    for line in lines.iter().take(COVERAGE_LINES) {
        out.push_str(if out.is_empty() { "\n" } else { "" });
        out.push_str(&wrap(&plain(line)));
    }
    if lines.len() > COVERAGE_LINES {
        let _ = writeln!(out, "... and {} more (--format json has all)", lines.len() - COVERAGE_LINES);
    }
    out
}

/// `male, [50, 60): mean(chol), sd(chol) cover 224 of 303 rows`, one line for each row of the table that somebody is left out of.
pub(super) fn coverage_lines(block: &Block, keys: usize) -> Vec<String> {
    let mut lines: BTreeMap<(usize, u64, u64, Option<u64>), Vec<&str>> = BTreeMap::new();
    let partly = |c: &&Coverage| c.of != Interval(c.n, Some(c.n));
    for c in block.coverage.iter().filter(partly) {
        let heading = block.columns.get(c.column).map_or("?", String::as_str);
        lines.entry((c.row, c.n, c.of.0, c.of.1)).or_default().push(heading);
    }
    let line = |((row, n, lo, hi), columns): ((usize, u64, u64, Option<u64>), Vec<&str>)| {
        let of = match hi {
            Some(hi) if hi == lo => lo.to_string(),
            Some(hi) => format!("{lo} to {hi}"),
            None => format!("at least {lo}"),
        };
        let verb = if columns.len() == 1 { "covers" } else { "cover" };
        format!("{}{} {verb} {n} of {of} rows", row_name(block, row, keys), columns.join(", "))
    };
    lines.into_iter().map(line).collect()
}

fn row_name(block: &Block, row: usize, keys: usize) -> String {
    let labels: Vec<String> =
        block.rows.get(row).map_or(&[][..], |r| &r[..keys.min(r.len())]).iter().map(exact).collect();
    if labels.is_empty() { String::new() } else { format!("{}: ", labels.join(", ")) }
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

/// A block as CSV. A column with a hidden count is followed by `COLUMN_lo` and `COLUMN_hi`.
pub(super) fn block_csv(block: &Block) -> String {
    let hidden = hidden_at(block);
    let bounded: Vec<bool> =
        (0..block.columns.len()).map(|c| block.hidden.iter().any(|h| h.column == c && h.interval.is_some())).collect();
    let headings = block.columns.iter().zip(&bounded).flat_map(|(heading, bounded)| match bounded {
        true => vec![heading.clone(), format!("{heading}_lo"), format!("{heading}_hi")],
        false => vec![heading.clone()],
    });
    let mut grid = Grid::new(headings);
    for (r, row) in block.rows.iter().enumerate() {
        grid.row(row.iter().enumerate().flat_map(|(c, value)| {
            let mut fields = vec![exact(value)];
            if bounded.get(c).copied().unwrap_or(false) {
                let interval = hidden.get(&(r, c)).and_then(|h| h.interval);
                fields.push(interval.map_or_else(String::new, |i| i.0.to_string()));
                fields.push(interval.and_then(|i| i.1).map_or_else(String::new, |hi| hi.to_string()));
            }
            fields
        }));
    }
    grid.csv()
}

pub(super) fn exact(value: &Value) -> String {
    match value {
        Value::Count(n) => n.to_string(),
        Value::Number(x) => x.to_string(),
        Value::Text(text) => text.clone(),
        Value::Null => String::new(),
    }
}

pub(super) fn hidden_at(block: &Block) -> BTreeMap<(usize, usize), &Hidden> {
    block.hidden.iter().map(|h| ((h.row, h.column), h)).collect()
}

/// The keys come first and are texts.
pub(super) fn key_columns(block: &Block) -> usize {
    block.rows.first().map_or(0, |row| row.iter().take_while(|v| matches!(v, Value::Text(_))).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::NamedBlock;

    fn block() -> Block {
        let text = |t: &str| Value::Text(t.into());
        Block {
            columns: ["sex", "cut(age, 50)", "count", "mean(chol)"].map(String::from).to_vec(),
            rows: vec![
                vec![text("female"), text("< 50"), Value::Null, Value::Null],
                vec![text("male"), text(">= 50"), Value::Count(303), Value::Number(1.0 / 3.0)],
            ],
            hidden: vec![
                Hidden { row: 0, column: 2, interval: Some(Interval(70, Some(90))), reason: HiddenReason::FewerThanK },
                Hidden { row: 0, column: 3, interval: None, reason: HiddenReason::TooFewSites },
            ],
            coverage: vec![Coverage { row: 1, column: 3, n: 200, of: Interval(303, Some(303)) }],
        }
    }

    #[test]
    fn a_text_shows_intervals_reasons_and_coverage() {
        let wanted = "\
sex     cut(age, 50)            count  mean(chol)
------  ------------  ---------------  ----------
female  < 50          hidden [70, 90]      hidden
male    >= 50                     303    0.333333

1 hidden: a site shows fewer than k here, or a coarser grouping only
1 hidden: too few sites show it

male, >= 50: mean(chol) covers 200 of 303 rows
";
        assert_eq!(block_text(&block()), wanted);
    }

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
        };
        let table = "bin  from  count\n---  ----  -----\n<50           20\n";
        assert_eq!(analysis_text(&analysis), format!("ages (histogram)\n\n{table}\nonce more\n\n{table}"));
        assert_eq!(block_csv(&analysis.block), "bin,from,count\n<50,,20\n");
    }

    #[test]
    fn a_csv_leaves_hidden_cells_empty_and_gives_their_bounds() {
        let wanted = "\
sex,\"cut(age, 50)\",count,count_lo,count_hi,mean(chol)
female,< 50,,70,90,
male,>= 50,303,,,0.3333333333333333
";
        assert_eq!(block_csv(&block()), wanted);
    }
}

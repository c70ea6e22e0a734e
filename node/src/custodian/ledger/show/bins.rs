//! Released bins as a person reads them: the values or steps that each spans, and its count. It shows what left, never what was merged.

use bocage_protocol::analysis::{AttritionSpec, Spec};
use bocage_protocol::plan::{Grid, MISSING};
use bocage_protocol::release::BinsRelease;

use super::ShownCell;

/// What the cells from one index up to another are called.
pub(super) fn labels<'a>(spec: Option<&'a Spec>, grid: Option<&'a Grid>) -> impl Fn(usize, usize) -> String + 'a {
    move |from, upto| match (spec, grid) {
        (Some(Spec::Attrition(flow)), Some(Grid::Steps(_))) => {
            (from..upto).map(|level| step(flow, level)).collect::<Vec<_>>().join(" or ")
        }
        (Some(Spec::Quantiles(of)), Some(grid @ Grid::Integers { .. })) => {
            let (lo, hi) = (grid.lower(from), grid.upper(upto - 1));
            if lo == hi { format!("{} = {lo}", of.of) } else { format!("{} in {lo} … {hi}", of.of) }
        }
        (Some(Spec::Quantiles(of)), Some(grid @ Grid::Equal { .. })) => {
            let end = if upto == grid.cells() { "]" } else { ")" };
            format!("{} in [{}, {}{end}", of.of, grid.lower(from), grid.upper(upto - 1))
        }
        _ => format!("grid cells {from} … {}", upto - 1),
    }
}

fn step(flow: &AttritionSpec, level: usize) -> String {
    match flow.steps.get(level) {
        Some(step) => format!("lost at step {} ({})", level + 1, step.label),
        None => "kept by every step".to_owned(),
    }
}

/// The bins, and those without a value where they left.
pub(super) fn cells(release: &BinsRelease, label: &dyn Fn(usize, usize) -> String) -> Vec<ShownCell> {
    let shown = |text: String, count| ShownCell { cell: vec![text], count, measures: Vec::new() };
    let mut from = 0;
    let mut cells = Vec::with_capacity(release.bins.len() + 1);
    for bin in &release.bins {
        // Whoever reads the ledger may read damaged bytes too: an edge that does not rise has no cells.
        let upto = (bin.upto as usize).max(from + 1);
        cells.push(shown(label(from, upto), Some(bin.count.into())));
        from = upto;
    }
    if release.bins.is_empty() {
        cells.push(shown("all with a value".to_owned(), None));
    }
    cells.extend(release.missing.map(|count| shown(MISSING.to_owned(), Some(count.into()))));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::analysis::{AttritionStep, QuantilesSpec};
    use bocage_protocol::plan::{Expr, Literal};
    use bocage_protocol::release::{BinRelease, Count};

    fn release(edges: &[(u32, u64)], missing: Option<u64>) -> BinsRelease {
        let count = |n| Count { subjects: n, rows: n };
        let bins = edges.iter().map(|(upto, n)| BinRelease { upto: *upto, count: count(*n) }).collect();
        BinsRelease { threshold: 3, missing: missing.map(count), bins, held_back: false, rounded: false }
    }

    fn texts(spec: &Spec, grid: &Grid, release: &BinsRelease) -> Vec<(String, Option<u64>)> {
        let cells = cells(release, &labels(Some(spec), Some(grid)));
        cells.into_iter().map(|c| (c.cell.join(", "), c.count.map(|n| n.subjects))).collect()
    }

    #[test]
    fn bins_are_named_by_the_values_or_steps_that_they_span() {
        let age = Spec::Quantiles(QuantilesSpec { of: "age".parse().unwrap(), at: vec![0.5] });
        let found = texts(&age, &Grid::Integers { lo: 30, hi: 34 }, &release(&[(1, 3), (5, 8)], Some(4)));
        let wanted = [("age = 30", Some(3)), ("age in 31 … 34", Some(8)), (MISSING, Some(4))];
        assert_eq!(found, wanted.map(|(text, n)| (text.to_owned(), n)));
        let found = texts(&age, &Grid::Equal { lo: 0.0, hi: 10.0 }, &release(&[(500, 3), (1000, 8)], None));
        let wanted = [("age in [0, 5)", Some(3)), ("age in [5, 10]", Some(8))];
        assert_eq!(found, wanted.map(|(text, n)| (text.to_owned(), n)));
        let step = |label: &str| AttritionStep { label: label.to_owned(), keep: Expr::Literal(Literal::Bool(true)) };
        let flow = Spec::Attrition(AttritionSpec { steps: vec![step("a"), step("b")], whole: false });
        let found = texts(&flow, &Grid::Steps(2), &release(&[(2, 3), (3, 9)], None));
        let wanted = [("lost at step 1 (a) or lost at step 2 (b)", Some(3)), ("kept by every step", Some(9))];
        assert_eq!(found, wanted.map(|(text, n)| (text.to_owned(), n)));
        assert_eq!(texts(&flow, &Grid::Steps(2), &release(&[], None)), [("all with a value".to_owned(), None)]);
    }
}

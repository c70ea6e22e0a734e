//! Mode `round`: what the rules of mode `exact` let out under the raised threshold, with every count rounded and every sum of so many.
//!
//! **Cells** of a table and of keys are rounded each by itself. No total leaves beside cells: theirs would bound the sum of what rounding took
//! off, and where it is the largest possible, each cell. A table without keys is one cell, and its total is that cell's.
//!
//! **Bins and lines** are parts of one whole. Rounded each by itself, their sum would be off by two a bin; so what lies below an edge is rounded
//! (of lines, what lies from it on), and a bin is the difference of two such numbers. Each is a count of its own, as a filter would ask it.
//!
//! **Models** leave as they are, where the policy lets them out at all.
//!
//! It must never show a count as it is, nor a sum from which it follows. It looks at nothing but what may leave exactly.

use bocage_protocol::plan::{Quantum, TableLayout};
use bocage_protocol::release::rounding::{nearest, scaled};
use bocage_protocol::release::{
    BinRelease, BinsRelease, CellRelease, Count, LinesRelease, MeasureRelease, Outcome, TableRelease,
};

/// What leaves of what may leave.
pub(super) fn rounded(outcome: Outcome, layout: &TableLayout) -> Outcome {
    match outcome {
        Outcome::Table(of) => Outcome::Table(table(of, layout)),
        Outcome::Discovered(mut of) => {
            for key in &mut of.keys {
                key.cells.iter_mut().for_each(|cell| round_cell(cell, layout));
            }
            of.rounded = true;
            Outcome::Discovered(of)
        }
        Outcome::Bins(of) => Outcome::Bins(BinsRelease {
            missing: of.missing.map(count),
            bins: differences(of.bins.into_iter()).collect(),
            rounded: true,
            ..of
        }),
        Outcome::Lines(of) => {
            let line = |bins: Vec<BinRelease>| {
                let mut line: Vec<BinRelease> = differences(bins.into_iter().rev()).collect();
                line.reverse();
                line
            };
            Outcome::Lines(LinesRelease { lines: of.lines.into_iter().map(line).collect(), rounded: true, ..of })
        }
        Outcome::Model(_) | Outcome::Refused(_) => outcome,
    }
}

fn table(mut of: TableRelease, layout: &TableLayout) -> TableRelease {
    of.cells.iter_mut().for_each(|cell| round_cell(cell, layout));
    of.total = of.total.filter(|_| layout.keys_at(0).is_empty()).map(count);
    TableRelease { rounded: true, ..of }
}

fn count(of: Count) -> Count {
    Count { subjects: nearest(of.subjects), rows: nearest(of.rows) }
}

fn round_cell(cell: &mut CellRelease, layout: &TableLayout) {
    let CellRelease::Shown { count: of, measures } = cell else { return };
    *of = count(*of);
    for (i, measure) in measures.iter_mut().enumerate() {
        match measure {
            MeasureRelease::Hidden => {}
            MeasureRelease::Condition { valid, holds_rows } => {
                (*valid, *holds_rows) = (count(*valid), nearest(*holds_rows));
            }
            MeasureRelease::Number { valid, sum, sum_sq } => {
                let (n, unit, rounded) = (valid.rows, layout.unit(i), count(*valid));
                let most = i128::from(rounded.rows) * i128::from(Quantum::LARGEST);
                *sum = scaled(*sum, n, rounded.rows, unit, most);
                *sum_sq = scaled(*sum_sq, n, rounded.rows, unit * unit, most * i128::from(Quantum::LARGEST));
                *valid = rounded;
            }
        }
    }
}

/// Bins as the differences of the rounded numbers up to each one's end. Those that show nothing add nothing.
fn differences(bins: impl Iterator<Item = BinRelease>) -> impl Iterator<Item = BinRelease> {
    bins.scan((0u64, 0u64), |(exact, before), bin| {
        *exact += bin.count.subjects;
        let upto = nearest(*exact);
        let n = upto - *before;
        *before = upto;
        Some(BinRelease { count: Count { subjects: n, rows: n }, ..bin })
    })
}

#[cfg(test)]
mod tests;

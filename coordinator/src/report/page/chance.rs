//! Which numbers of a block are the chance of a test. That follows from the kind of the analysis and from which of its blocks this is: columns and levels of
//! a contract may be called `p`, `statistic` or `measure` as well.

use crate::api::types::{Block, Value};
use crate::report::block::key_columns;

const CHANCE: &str = "p";
/// Kinds whose blocks have a column of chances behind what names the row.
const BY_COLUMN: [&str; 6] = ["model", "cox", "compare", "correlation", "rates", "table_one"];
/// Their blocks whose headings are names of columns and terms.
const MATRICES: [&str; 2] = ["matrix", "covariance of the estimates"];
/// Kinds of which a further block under these headings has a row of chances, named in this column.
const BY_ROW: [(&str, &[&str], usize); 4] = [
    ("crosstab", &["statistic", "value"], 0),
    ("survival", &["statistic", "value"], 0),
    ("pca", &["measure", "value"], 0),
    ("compare", &["group", "mann_whitney", "value", "least", "most"], 1),
];

/// Where the chances of a block stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chances {
    Nowhere,
    /// In this column.
    Column(usize),
    /// In the rows that are called so in this column.
    Named(usize),
}

impl Chances {
    /// Of the answer to an analysis of this kind, or of a further block with this title.
    pub(super) fn of(kind: &str, title: Option<&str>, block: &Block) -> Self {
        let by_row = BY_ROW.iter().find(|(of, headings, _)| *of == kind && block.columns == *headings);
        if let (Some((.., named)), Some(_)) = (by_row, title) {
            return Self::Named(*named);
        }
        // What is compared by levels has them as headings of its answer.
        let of_a_contract = title.map_or(kind == "compare", |title| MATRICES.contains(&title));
        if !BY_COLUMN.contains(&kind) || of_a_contract {
            return Self::Nowhere;
        }
        let headings = block.columns.iter().skip(key_columns(block));
        let column =
            headings.rev().position(|heading| heading == CHANCE).map(|behind| block.columns.len() - 1 - behind);
        column.map_or(Self::Nowhere, Self::Column)
    }

    /// Whether the number in this place is one.
    pub(super) fn has(self, block: &Block, row: usize, column: usize) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Column(of) => of == column,
            Self::Named(by) => matches!(&block.rows[row][by], Value::Text(name) if name == CHANCE),
        }
    }
}

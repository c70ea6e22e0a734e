//! Columns that have far fewer values than in the snapshot before: an export or a mapping that was changed loses half of a column without any row being wrong.

use std::collections::BTreeMap;

use bocage_protocol::ids::ColumnName;
use serde::{Deserialize, Serialize};

use super::report::Report;

/// Fewer values than this may be lost without a word: in small sources chance does more.
pub const FEW: u64 = 20;
/// Of the values that the snapshot before lets one expect, one of so many may be missing.
const EXPECTED: u128 = 4;

/// What a column had in the snapshot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallen {
    /// Values that fit.
    pub valid: u64,
    /// Rows of the source.
    pub rows: u64,
}

/// The columns that have fallen between two snapshots of one dataset.
pub fn fallen(before: &Report, now: &Report) -> BTreeMap<ColumnName, Fallen> {
    let old = |(name, column): (&ColumnName, &super::ColumnReport)| {
        let old = before.columns.get(name)?;
        let was = Fallen { valid: old.valid, rows: before.source_rows };
        was.has_fallen(column.valid, now.source_rows).then(|| (name.clone(), was))
    };
    now.columns.iter().filter_map(old).collect()
}

impl Fallen {
    /// Whether so many values in so many rows are far fewer than these were.
    fn has_fallen(self, valid: u64, rows: u64) -> bool {
        // All times the rows before, so that nothing is divided.
        let expected = u128::from(self.valid) * u128::from(rows);
        let missing = expected.saturating_sub(u128::from(valid) * u128::from(self.rows));
        missing * EXPECTED > expected && missing >= u128::from(FEW) * u128::from(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custodian::source::ColumnReport;

    fn report(rows: u64, valid: u64) -> Report {
        let column = ColumnReport { valid, missing: rows - valid, ..ColumnReport::default() };
        Report { source_rows: rows, columns: [("chol".parse().unwrap(), column)].into(), ..Report::default() }
    }

    #[test]
    fn half_a_column_that_is_gone_is_seen_whatever_the_number_of_rows() {
        let full = report(1000, 1000);
        assert_eq!(fallen(&full, &report(1000, 500)).len(), 1);
        assert_eq!(fallen(&full, &report(4000, 2000)).len(), 1, "twice as many values, of four times as many rows");
        assert_eq!(fallen(&full, &report(500, 500)).len(), 0, "fewer rows are no fewer values");
        assert_eq!(fallen(&full, &report(1000, 750)).len(), 0, "a quarter may be missing");
        assert_eq!(fallen(&report(1000, 100), &report(1000, 50)).len(), 1, "of a column that never was full too");
        let was = fallen(&full, &report(1000, 0)).into_values().next().unwrap();
        assert_eq!(was, Fallen { valid: 1000, rows: 1000 });
    }

    #[test]
    fn a_few_values_and_what_was_not_there_before_are_no_fall() {
        assert_eq!(fallen(&report(40, 40), &report(40, 21)).len(), 0);
        assert_eq!(fallen(&report(40, 40), &report(40, 20)).len(), 1);
        assert_eq!(fallen(&Report::default(), &report(1000, 0)).len(), 0);
        assert_eq!(fallen(&report(1000, 0), &report(1000, 0)).len(), 0);
        assert_eq!(fallen(&report(1000, 1000), &report(0, 0)).len(), 0);
    }
}

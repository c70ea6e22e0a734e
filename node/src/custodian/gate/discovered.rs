//! The rules of mode `exact` for discovered keys: a key leaves with its cells, as those of a dense table, if one of them is shown.
//!
//! A name is a value of the data, so it leaves as a count does: where k subjects share it, in one cell. It must never let a key out by its
//! size alone, nor any total.

use bocage_protocol::plan::{DiscoveredKey, TableLayout};
use bocage_protocol::release::{CellRelease, DiscoveredRelease, KeyRelease};

use super::counted::{Counted, CountedKeys};
use super::{Rules, Withheld, rules};

/// The keys that may leave, in the order in which they were counted.
pub(super) fn exact(
    found: CountedKeys,
    key: &DiscoveredKey,
    layout: &TableLayout,
    one_row_per_subject: bool,
    under: Rules,
) -> Result<DiscoveredRelease, Withheld> {
    let threshold = under.threshold;
    let mut keys = Vec::new();
    for (name, counted) in found.keys {
        let cells = shown_cells(counted, layout, one_row_per_subject, under)?;
        let may_be_said = name.as_deref().is_none_or(|name| key.value(name).is_some());
        if may_be_said && cells.iter().any(CellRelease::is_shown) {
            keys.push(KeyRelease { key: name, cells });
        }
    }
    let beyond = found.beyond.map(|most| bound(most, threshold)).transpose()?;
    let release = DiscoveredRelease { threshold: threshold.max(1), keys, beyond };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(key, layout) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

/// One key's cells under the rules of a table. Its total goes no further than here.
fn shown_cells(
    counted: Counted,
    layout: &TableLayout,
    one_row_per_subject: bool,
    under: Rules,
) -> Result<Vec<CellRelease>, Withheld> {
    Ok(rules::exact(counted, layout, one_row_per_subject, under)?.cells)
}

/// A power of two that no cell of a left-out key exceeds, so that it is the size of none of them. A cell that k subjects do not share bounds
/// nothing: only one that the threshold would show was left out for want of room.
fn bound(most: i128, threshold: u32) -> Result<u64, Withheld> {
    let most = u64::try_from(most).map_err(|_| Withheld::Inconsistent)?;
    if most < u64::from(threshold.max(1)) {
        return Err(Withheld::Inconsistent);
    }
    most.checked_next_power_of_two().ok_or(Withheld::Inconsistent)
}

#[cfg(test)]
mod tests;

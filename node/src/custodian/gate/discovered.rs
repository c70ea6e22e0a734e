//! The rules of mode `exact` for discovered keys: a key leaves with its cells, as those of a dense table, if one of them is shown.
//!
//! A name is a value of the data, so it leaves as a count does: where k subjects share it, in one cell. It must never let a key out by its
//! size alone, nor any total.

use std::collections::HashMap;

use bocage_protocol::plan::{DiscoveredKey, TableLayout};
use bocage_protocol::release::{CellRelease, DiscoveredRelease, KeyRelease, TableRelease};

use super::counted::{Computed, Counted, CountedKeys};
use super::moved::{Moved, MovedPart, MovedTable};
use super::{Rules, Withheld, rules};

/// The keys that may leave, in the order in which they were counted. `moved`: the same of those who have moved since earlier answers.
pub(super) fn exact(
    found: CountedKeys,
    moved: Moved,
    key: &DiscoveredKey,
    layout: &TableLayout,
    one_row_per_subject: bool,
    under: Rules,
) -> Result<DiscoveredRelease, Withheld> {
    let threshold = under.threshold;
    let mut moved = moved.0.into_iter().map(MovedKeys::of).collect::<Result<Vec<_>, _>>()?;
    // Of keys with fewer than k by now, which are not among those found, as well: that a release holds back does not say which kind it is of.
    let few = moved.iter().any(|part| part.has_few(i128::from(threshold.max(1))));
    let mut keys = Vec::new();
    for (name, counted) in found.keys {
        // Who has moved of a key that had no room among theirs is not known, so nothing of it is shown.
        if moved.iter().any(|part| !part.knows(&name)) {
            continue;
        }
        let moved = moved.iter_mut().filter_map(|part| part.table(&name)).collect();
        // The total goes no further than here.
        let TableRelease { cells, .. } = rules::exact(counted, moved, layout, one_row_per_subject, under)?;
        let may_be_said = name.as_deref().is_none_or(|name| key.value(name).is_some());
        if may_be_said && cells.iter().any(CellRelease::is_shown) {
            keys.push(KeyRelease { key: name, cells });
        }
    }
    let beyond = found.beyond.map(|most| bound(most, threshold)).transpose()?;
    let release = DiscoveredRelease { threshold: threshold.max(1), keys, beyond, held_back: few, rounded: false };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(key, layout) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

/// The tables of one part of those who have moved, by their keys.
struct MovedKeys {
    inside: bool,
    twin: Option<usize>,
    stays: bool,
    keys: HashMap<Option<String>, Counted>,
    /// Whether these are all keys that they have.
    all: bool,
}

impl MovedKeys {
    fn of(part: MovedPart) -> Result<Self, Withheld> {
        match part.counted {
            Computed::Keys(CountedKeys { keys, beyond }) => {
                let MovedPart { inside, twin, stays, .. } = part;
                Ok(Self { inside, twin, stays, keys: keys.into_iter().collect(), all: beyond.is_none() })
            }
            Computed::Table(_) | Computed::Model(_) => Err(Withheld::Inconsistent),
        }
    }

    /// Whether there is a cell of which fewer than k of them are, but somebody; or that may be.
    fn has_few(&self, k: i128) -> bool {
        let cells = self.keys.values().flat_map(|table| &table.tally.cells);
        // Whom two answers have differently may be few in any cell.
        let few = |n: i128| !rules::none_or(k, n) || (self.twin.is_some() && n > 0);
        !self.all || (!self.stays && cells.into_iter().any(|cell| few(cell.size.subjects)))
    }

    fn table(&mut self, name: &Option<String>) -> Option<MovedTable> {
        let (inside, twin, stays) = (self.inside, self.twin, self.stays);
        Some(MovedTable { inside, twin, stays, counted: self.keys.remove(name)? })
    }

    fn knows(&self, name: &Option<String>) -> bool {
        self.all || self.keys.contains_key(name)
    }
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

//! The rules of mode `exact` for discovered keys: a key leaves with its cells, as those of a dense table, if one of them is shown.
//!
//! A name is a value of the data, so it leaves as a count does: where k subjects share it, in one cell. It must never let a key out by its
//! size alone, nor any total.

use std::collections::HashMap;

use bocage_protocol::plan::{DiscoveredKey, TableLayout};
use bocage_protocol::release::{CellRelease, DiscoveredRelease, KeyRelease, TableRelease};

use super::counted::{Computed, Counted, CountedKeys};
use super::moved::Moved;
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
    let (mut keys, mut held_back) = (Vec::new(), false);
    for (name, counted) in found.keys {
        // Who has moved of a key that had no room among theirs is not known, so nothing of it is shown.
        if moved.iter().any(|part| !part.knows(&name)) {
            held_back = true;
            continue;
        }
        let moved = moved.iter_mut().filter_map(|part| part.keys.remove(&name)).collect();
        // The total goes no further than here.
        let TableRelease { cells, held_back: holds, .. } =
            rules::exact(counted, moved, layout, one_row_per_subject, under)?;
        held_back |= holds;
        let may_be_said = name.as_deref().is_none_or(|name| key.value(name).is_some());
        if may_be_said && cells.iter().any(CellRelease::is_shown) {
            keys.push(KeyRelease { key: name, cells });
        }
    }
    let beyond = found.beyond.map(|most| bound(most, threshold)).transpose()?;
    let release = DiscoveredRelease { threshold: threshold.max(1), keys, beyond, held_back };
    // The receiver checks the same, so a release that it would refuse never leaves.
    if release.fits(key, layout) { Ok(release) } else { Err(Withheld::Inconsistent) }
}

/// The tables of one part of those who have moved, by their keys.
struct MovedKeys {
    keys: HashMap<Option<String>, Counted>,
    /// Whether these are all keys that they have.
    all: bool,
}

impl MovedKeys {
    fn of(part: Computed) -> Result<Self, Withheld> {
        match part {
            Computed::Keys(CountedKeys { keys, beyond }) => {
                Ok(Self { keys: keys.into_iter().collect(), all: beyond.is_none() })
            }
            Computed::Table(_) => Err(Withheld::Inconsistent),
        }
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

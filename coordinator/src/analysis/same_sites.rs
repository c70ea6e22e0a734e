//! Whether numbers of several groups are of the same sites: else what tells the groups apart may be what tells the sites apart.

use bocage_protocol::release::{CellRelease, MeasureRelease, TableRelease};

/// What a site says of the numbers of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// All of them.
    Shows,
    Hides,
    /// It has no patient there.
    Nobody,
}

/// What it says of those of a cell.
pub(super) fn says(release: &TableRelease, cell: usize) -> Says {
    match release.cells.get(cell) {
        Some(CellRelease::Shown { measures, .. }) if !measures.contains(&MeasureRelease::Hidden) => Says::Shows,
        Some(CellRelease::FewerThanK) | None if release.most_hidden() == Some(0) => Says::Nobody,
        _ => Says::Hides,
    }
}

/// Whether no site shows the numbers of one of these cells and hides those of another.
pub(super) fn of_same_sites(releases: &[&TableRelease], cells: &[usize]) -> bool {
    releases.iter().all(|release| {
        let says: Vec<Says> = cells.iter().map(|cell| says(release, *cell)).collect();
        !(says.contains(&Says::Shows) && says.contains(&Says::Hides))
    })
}

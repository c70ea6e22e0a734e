//! Released lines as a person reads them: of each group the intervals that left, and their counts. It shows what left, never what was merged.

use bocage_protocol::analysis::{Exit, Spec, SurvivalSpec};
use bocage_protocol::plan::{Grid, ValidPlan};
use bocage_protocol::release::LinesRelease;

use super::{ShownCell, labels};

/// The bins of every line that left.
pub(super) fn cells(release: &LinesRelease, spec: Option<&Spec>, plan: Option<&ValidPlan>) -> Vec<ShownCell> {
    let survival = match spec {
        Some(Spec::Survival(survival)) if plan.is_some() => Some(survival),
        _ => None,
    };
    let cells = plan.and_then(ValidPlan::grid).map_or(1, Grid::cells);
    let mut shown = Vec::new();
    for (i, bins) in release.lines.iter().enumerate() {
        let group = match survival {
            Some(survival) => group(survival, plan, i, cells),
            None => vec![format!("line {i}")],
        };
        let cell = |text: String, count| ShownCell {
            cell: group.iter().cloned().chain([text]).collect(),
            count,
            measures: Vec::new(),
        };
        let mut from = 0;
        for bin in bins {
            // Whoever reads the ledger may read damaged bytes too: an edge that does not rise has no cells.
            let upto = (bin.upto as usize).max(from + 1);
            let count = (bin.count.subjects > 0).then(|| bin.count.into());
            shown.push(cell(interval(survival, from, upto), count));
            from = upto;
        }
    }
    shown
}

/// The levels of the groups, and how patients of this line left.
fn group(survival: &SurvivalSpec, plan: Option<&ValidPlan>, line: usize, cells: usize) -> Vec<String> {
    let headings: Vec<String> = survival.by.iter().map(|key| key.label.clone()).collect();
    let exits = survival.exits();
    let mut group = labels(plan, 0, line * cells, &headings);
    group.truncate(headings.len());
    let exit = match exits[line % exits.len()] {
        Exit::Unknown => "time or event not known".to_owned(),
        Exit::Event => survival.event.label.clone(),
        Exit::Competing(which) => survival.competing.get(which).map_or_else(String::new, |event| event.label.clone()),
        Exit::Free => "without an event".to_owned(),
    };
    group.push(exit);
    group
}

fn interval(survival: Option<&SurvivalSpec>, from: usize, upto: usize) -> String {
    let Some(survival) = survival else { return format!("grid cells {from} … {}", upto - 1) };
    let time = &survival.time.label;
    let low = from.checked_sub(1).and_then(|edge| survival.grid.get(edge));
    match (low, survival.grid.get(upto - 1)) {
        (None, None) => format!("any {time}"),
        (None, Some(high)) => format!("{time} < {high}"),
        (Some(low), None) => format!("{time} >= {low}"),
        (Some(low), Some(high)) => format!("{time} in [{low}, {high})"),
    }
}

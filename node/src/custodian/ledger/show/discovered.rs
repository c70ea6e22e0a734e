//! Released keys as a person reads them: each with its name and its cells. It shows what left, never what was found.

use bocage_protocol::analysis::Spec;
use bocage_protocol::marks::one_line;
use bocage_protocol::plan::{MISSING, ValidPlan};
use bocage_protocol::release::DiscoveredRelease;

use super::{ShownCell, cell, labels};

/// The cells of every key that left.
pub(super) fn cells(release: &DiscoveredRelease, spec: Option<&Spec>, plan: Option<&ValidPlan>) -> Vec<ShownCell> {
    let (heading, others) = match spec {
        Some(Spec::Discovered(spec)) => {
            (spec.label.as_str(), spec.table.by.iter().map(|key| key.label.clone()).collect())
        }
        _ => ("key", Vec::new()),
    };
    let name = |key: Option<&str>| match plan.and_then(ValidPlan::discovered) {
        Some(discovered) => discovered.label(key),
        // Bytes that are not the plan's may hold anything: a terminal shows them.
        None => key.map_or(MISSING.to_owned(), one_line),
    };
    let of_key = |key: &bocage_protocol::release::KeyRelease| {
        let first = format!("{heading} = {}", name(key.key.as_deref()));
        let one = |(i, of)| {
            let others = labels(plan, 0, i, &others);
            cell([first.clone()].into_iter().chain(others).collect(), of, plan)
        };
        key.cells.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    release.keys.iter().flat_map(of_key).collect()
}

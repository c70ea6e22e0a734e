//! What differs between two contracts, as people and as programs read it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use bocage_coordinator::report::{json, plain};
use bocage_protocol::contract::{Change, Contract, changes};
use bocage_protocol::settings::Problems;
use serde::Serialize;

use super::{Form, read};
use crate::cli::{fail, print};

#[derive(Serialize)]
struct Compared {
    from: Named,
    to: Named,
    /// Whether a study or a mapping that was right may not be so any more.
    breaking: bool,
    /// Whether the content changed and the version did not.
    same_version: bool,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Named {
    contract: String,
    hash: String,
}

/// Compares two contracts. That they differ is no failure.
pub(super) fn run(a: &Path, b: &Path, form: Form) -> ExitCode {
    let (from, to) = match (read(a), read(b)) {
        (Ok(from), Ok(to)) => (from, to),
        (from, to) => {
            let mut problems = Problems::default();
            from.err().into_iter().chain(to.err()).for_each(|found| problems.extend(found));
            return fail(&problems.to_string(), None, 1);
        }
    };
    let compared = compare(&from, &to);
    match form {
        Form::Text => print(&text(&compared)),
        Form::Json => print(&json(&compared)),
    }
}

fn compare(from: &Contract, to: &Contract) -> Compared {
    let named = |contract: &Contract| Named { contract: contract.id().to_string(), hash: contract.hash().to_string() };
    let changes = changes(from, to);
    Compared {
        from: named(from),
        to: named(to),
        breaking: changes.iter().any(|change| change.breaking),
        same_version: from.id() == to.id() && from.hash() != to.hash(),
        changes,
    }
}

fn text(compared: &Compared) -> String {
    let Compared { from, to, breaking, same_version, changes } = compared;
    let mut out = format!("{} ({}) to {} ({})\n", from.contract, &from.hash[..12], to.contract, &to.hash[..12]);
    if changes.is_empty() {
        out.push_str("the same columns and rules\n");
    }
    for change in changes {
        let mark = if change.breaking { "breaking" } else { "" };
        let _ = writeln!(out, "{mark:<9} {}", plain(&change.to_string()));
    }
    if *breaking {
        out.push_str("\nA study that was right under the first may be refused or mean another thing under the second, or a site's mapping no longer fit.\n");
    }
    if *same_version {
        out.push_str("\nBoth have one name and version: sites that have the first would refuse studies of the second. Give it the next version.\n");
    }
    out
}

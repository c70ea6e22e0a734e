//! Everything that is wrong with contracts, at once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use bocage_protocol::contract::Contract;
use bocage_protocol::counted::counted;
use bocage_protocol::ids::ContractId;
use bocage_protocol::settings::{Problem, Problems};

use super::read;
use crate::cli::{fail, print};

/// Says of each contract what it is, or what is wrong with all of them.
pub(super) fn run(files: &[PathBuf]) -> ExitCode {
    let mut problems = Problems::default();
    let mut sound: Vec<(String, Contract)> = Vec::new();
    for file in files {
        match read(file) {
            Ok(contract) => sound.push((file.display().to_string(), contract)),
            Err(found) => problems.extend(found),
        }
    }
    twice(&sound, &mut problems);
    if problems.is_empty() {
        return print(&sound.iter().map(|(file, contract)| line(file, contract)).collect::<String>());
    }
    let what = counted(problems.0.len(), "problem");
    fail(&format!("{what} found\n\n{problems}"), None, 1)
}

/// Two contents under one name could not be told apart by anybody who reads it.
fn twice(sound: &[(String, Contract)], problems: &mut Problems) {
    let mut seen: HashMap<&ContractId, (&String, &Contract)> = HashMap::new();
    for (file, contract) in sound {
        match seen.get(contract.id()) {
            Some((first, other)) if other.hash() != contract.hash() => {
                let problem =
                    Problem::new(file, "id", format!("{first} is {} too, with another content", contract.id()));
                let next = contract.id().version().saturating_add(1);
                problems.push(
                    problem.hint(format!("a changed contract is a new version: {}@{next}", contract.id().name())),
                );
            }
            Some(_) => {}
            None => drop(seen.insert(contract.id(), (file, contract))),
        }
    }
}

fn line(file: &str, contract: &Contract) -> String {
    let rules = match contract.rules().len() {
        0 => String::new(),
        n => format!(", {}", counted(n, "rule")),
    };
    let columns = counted(contract.columns().len(), "column");
    let several = if contract.one_row_per_subject() { "" } else { SEVERAL };
    format!("{file}: no problems: {} ({}), {columns}{rules}\n{several}", contract.id(), contract.hash().short())
}

/// What it costs that a patient can have several rows.
const SEVERAL: &str = "  note: a patient can have several rows: no total leaves a site, nothing rolls up to coarser groups, and no test or comparison is made of rows\n  hint: where each patient has one row, one_row_per_subject = true\n";

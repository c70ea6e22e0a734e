//! The contracts in a folder, for permits to be held against.

use std::path::{Path, PathBuf};

use bocage_coordinator::client::{ClientError, read_file};
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};

/// Reads every `*.toml` in `dir`.
///
/// # Errors
/// All problems of all contracts at once; or there is none.
pub(super) fn read(dir: &Path) -> Result<Vec<Contract>, ClientError> {
    let unreadable = |e: std::io::Error| ClientError::Read { path: dir.to_owned(), reason: e.kind() };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)?.take(limits::DATASETS) {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let (mut contracts, mut problems) = (Vec::new(), Problems::default());
    for path in &files {
        let text = read_file(path, limits::CONTRACT_TEXT_BYTES)?;
        match contract::parse(&text, &path.display().to_string()) {
            Ok(contract) => contracts.push(contract),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if files.is_empty() {
        let problem = Problem::new(&dir.display().to_string(), "", "there is no contract");
        problems.push(problem.hint("name the folder that holds the network's contracts (*.toml)"));
    }
    Ok(problems.into_result(contracts)?)
}

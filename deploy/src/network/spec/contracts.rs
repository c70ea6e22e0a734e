//! The contracts of a network: of files and of packs, each with the text that is copied to everybody.

use std::path::{Path, PathBuf};

use bocage_net::settings::unreadable;
use bocage_protocol::contract::{self, PACKS};
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems, nearest};

use super::ContractFile;

/// The contracts of files and of packs; `packs` is none where that key could not be read.
pub(super) fn contracts(
    paths: &[PathBuf],
    packs: Option<&[String]>,
    base: &Path,
    file: &str,
    problems: &mut Problems,
) -> Vec<ContractFile> {
    if paths.is_empty() && packs.is_some_and(<[String]>::is_empty) {
        let problem = Problem::new(file, "contracts", "a network needs at least one contract");
        problems.push(problem.hint("contracts = [\"heart.toml\"], relative to this file, or packs = [\"omop-5.4\"]"));
    }
    let mut texts: Vec<(String, String, String)> = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let key = format!("contracts[{index}]");
        match read_text(&base.join(path), file, &key, limits::CONTRACT_TEXT_BYTES) {
            Ok(text) => texts.push((key, path.display().to_string(), text)),
            Err(others) => problems.extend(others),
        }
    }
    for (index, name) in packs.unwrap_or_default().iter().enumerate() {
        let key = format!("packs[{index}]");
        match contract::pack(name) {
            Some(pack) => {
                texts.extend(pack.contracts.iter().map(|text| (key.clone(), name.clone(), (*text).to_owned())))
            }
            None => problems.push(unknown_pack(name, file, &key)),
        }
    }
    let mut found: Vec<ContractFile> = Vec::new();
    for (key, name, text) in texts {
        match contract::parse(&text, &name) {
            Ok(contract) if found.iter().any(|f| f.contract.id() == contract.id()) => {
                problems.push(Problem::new(file, key, format!("`{}` is given twice", contract.id())));
            }
            Ok(contract) => found.push(ContractFile { name: format!("{}.toml", contract.id()), text, contract }),
            Err(others) => problems.extend(others),
        }
    }
    found
}

/// That there is no such pack, and which there are.
pub(in crate::network) fn unknown_pack(name: &str, file: &str, key: &str) -> Problem {
    let names = || PACKS.iter().map(|pack| pack.name);
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Problem::new(file, key, format!("there is no pack `{name}`")).hint(hint)
}

/// A file's text, of this size at most.
pub(super) fn read_text(path: &Path, file: &str, key: &str, limit_bytes: usize) -> Result<String, Problems> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let named = if key.is_empty() { String::new() } else { format!(" {}", path.display()) };
        let problem = Problem::new(file, key, format!("cannot read{named}: {}", unreadable(e.kind())));
        match (key.is_empty(), e.kind()) {
            (false, _) => problem.hint("paths are relative to this file"),
            (true, std::io::ErrorKind::NotFound) => {
                problem.hint("name the file that says what the network is to be; README.md has one")
            }
            (true, _) => problem,
        }
    })?;
    if text.len() > limit_bytes {
        return Err(Problem::new(file, key, format!("larger than {limit_bytes} bytes")).into());
    }
    Ok(text)
}

//! Reads the site's contract files. A contract is public: its content may be repeated in messages.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bocage_net::settings::unreadable;
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::ids::ContractId;
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};

/// Every contract in `dir` (files `*.toml`). Problems of all files are added to `problems`.
pub(super) fn read_dir(dir: &Path, declared_in: &str, problems: &mut Problems) -> BTreeMap<ContractId, Arc<Contract>> {
    let mut contracts = BTreeMap::new();
    let files = match toml_files(dir) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("cannot read {}: {}", dir.display(), unreadable(error.kind()));
            problems.push(
                Problem::new(declared_in, "contracts.dir", message)
                    .hint("the folder holds the network's contract files"),
            );
            return contracts;
        }
    };
    for path in files {
        let name = path.display().to_string();
        match read(&path, &name) {
            Ok(contract) => {
                let id = contract.id().clone();
                if contracts.insert(id.clone(), Arc::new(contract)).is_some() {
                    let message = format!("another file in this folder is contract {id} too");
                    problems.push(Problem::new(&name, "id", message).hint("keep one of the two"));
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    contracts
}

fn toml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    Ok(files)
}

fn read(path: &Path, name: &str) -> Result<Contract, Problems> {
    let mut text = String::new();
    let limit = limits::CONTRACT_TEXT_BYTES as u64 + 1;
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(|e| Problem::new(name, "", format!("cannot be read: {}", unreadable(e.kind()))))?;
    contract::parse(&text, name)
}

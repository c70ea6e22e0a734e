//! `bocage network pack`: the packs of contracts that come with Bocage, for a network that is there already. (A new one names them in `network.toml`.)

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bocage_net::secret::write_atomically;
use bocage_protocol::contract::{self, PACKS, Pack};
use bocage_protocol::settings::{Problem, Problems};
use clap::Args;

use super::spec::unknown_pack;
use crate::cli::{fail, print};

/// `bocage network pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The pack; without it all of them are listed
    name: Option<String>,
    /// The folder to write its contracts into, each as ID.toml; a contract that is there already must say the same
    #[arg(long, value_name = "DIR", requires = "name")]
    out: Option<PathBuf>,
}

impl PackArgs {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let answer = match (self.name, self.out) {
            (None, _) => Ok(list()),
            (Some(name), out) => match (contract::pack(&name), out) {
                (None, _) => Err(unknown_pack(&name, "command line", "").into()),
                (Some(pack), None) => contracts(pack).map(|contracts| ids(&contracts)),
                (Some(pack), Some(out)) => write(pack, &out),
            },
        };
        match answer {
            Ok(text) => print(&text),
            Err(problems) => fail(&problems.to_string(), None, 1),
        }
    }
}

fn list() -> String {
    PACKS.iter().fold(String::new(), |mut text, pack| {
        let _ = writeln!(text, "{:<16} {} contracts: {}", pack.name, pack.contracts.len(), pack.about);
        text
    })
}

/// Each contract's id and title, and its text.
fn contracts(pack: &Pack) -> Result<Vec<(String, String, &'static str)>, Problems> {
    let parsed = pack.contracts.iter().map(|text| {
        let contract = contract::parse(text, pack.name)?;
        Ok((contract.id().to_string(), contract.title().to_owned(), *text))
    });
    parsed.collect()
}

fn ids(contracts: &[(String, String, &str)]) -> String {
    contracts.iter().fold(String::new(), |mut text, (id, title, _)| {
        let _ = writeln!(text, "{id:<32} {title}");
        text
    })
}

/// Writes what is not there. Nothing is written where a file says something else.
fn write(pack: &Pack, out: &Path) -> Result<String, Problems> {
    let contracts = contracts(pack)?;
    let files: Vec<(PathBuf, &str)> =
        contracts.iter().map(|(id, _, text)| (out.join(format!("{id}.toml")), *text)).collect();
    let mut problems = Problems::default();
    let mut missing = Vec::new();
    for (file, text) in &files {
        match std::fs::read_to_string(file) {
            Ok(there) if there == *text => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push((file, text)),
            _ => {
                let problem =
                    Problem::new(&file.display().to_string(), "", "it is there already and is not this pack's");
                problems.push(problem.hint("look at it; name another folder with --out, or move it away"));
            }
        }
    }
    problems.into_result(())?;
    let wrong = |file: &Path, reason: String| Problems::from(Problem::new(&file.display().to_string(), "", reason));
    std::fs::create_dir_all(out).map_err(|e| wrong(out, format!("cannot be made: {}", e.kind())))?;
    for (file, text) in &missing {
        write_atomically(file, text.as_bytes(), 0o644).map_err(|e| wrong(file, e.to_string()))?;
    }
    Ok(format!("{} of {} contracts written into {}\n", missing.len(), files.len(), out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_written_once_and_never_over_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("contracts");
        let pack = contract::pack("omop-5.4").unwrap();
        assert!(write(pack, &out).unwrap().starts_with("16 of 16 contracts"));
        std::fs::remove_file(out.join("omop-death@541.toml")).unwrap();
        assert!(write(pack, &out).unwrap().starts_with("1 of 16 contracts"));

        let changed = out.join("omop-person@540.toml");
        std::fs::write(&changed, "mine").unwrap();
        std::fs::remove_file(out.join("omop-death@541.toml")).unwrap();
        let error = write(pack, &out).unwrap_err().to_string();
        assert!(
            error.contains("omop-person@540.toml: it is there already and is not this pack's\n  hint: "),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(changed).unwrap(), "mine");
        assert!(!out.join("omop-death@541.toml").exists());
    }
}

//! What an ingest costs, as the process that it is: a FHIR export beside DuckDB's flattening of the same ([`fhir`]), CSV and Parquet beside
//! Polars alone that makes the same file ([`tables`]), and the most memory that each takes however large its source is.
//!
//! `cargo bench -p bocage-tests --bench ingest`; `BOCAGE_BENCH_ROWS` sets the rows of a table (10,000,000), `BOCAGE_BENCH_FHIR_MB` the
//! megabytes of an export (200). Memory is looked at with twice the rows and ten times the export.

mod fhir;
#[path = "../hospital/mod.rs"]
mod hospital;
mod spent;
mod tables;

use std::path::{Path, PathBuf};
use std::process::Command;

use hospital::is_a_bench;

/// Runs of each, of which the median counts.
const RUNS: usize = 3;

fn main() {
    if !is_a_bench() {
        return;
    }
    if let Some((export, threads)) = fhir::asked_to_read() {
        return fhir::read(&export, threads);
    }
    fhir::compare();
    tables::compare();
}

/// A network's folder, in which snapshots are taken by hand.
struct Network(tempfile::TempDir);

impl Network {
    /// Of one site, with its datasets as they stand in `network.toml`.
    fn new(contracts: &str, datasets: &str) -> Self {
        let network = Self(tempfile::tempdir().expect("a folder"));
        let text = format!(
            "network = \"bench\"\n{contracts}\n[publication]\nmin_sites = 1\n[researcher]\nname = \"Bench\"\nmode = \"exact\"\n\
             [[site]]\nid = \"site\"\n{datasets}"
        );
        std::fs::write(network.path("labs.toml"), hospital::contract_text()).expect("a contract");
        std::fs::write(network.path("network.toml"), text).expect("network.toml");
        let mut made = lab();
        made.args(["network", "init"]).arg(network.path("network.toml")).arg("--out").arg(network.path("net"));
        assert!(made.output().expect("the command").status.success(), "a network");
        network
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// The data of the site.
    fn data(&self, below: &str) -> PathBuf {
        self.path("net/sites/site/data").join(below)
    }

    /// Takes a snapshot of a dataset.
    fn ingest(&self, dataset: &str) -> spent::Spent {
        let mut command = lab();
        command.args(["node", "datasets", "refresh", dataset, "--config"]).arg(self.path("net/sites/site/node.toml"));
        spent::by(&mut command)
    }

    /// How many rows the source of the last one had.
    fn source_rows(&self, dataset: &str) -> u64 {
        let folder = self.path("net/sites/site/state/snapshots").join(dataset);
        let content = std::fs::read_to_string(folder.join("current")).expect("a snapshot");
        let manifest = std::fs::read(folder.join(format!("{}.json", content.trim()))).expect("its manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        manifest["report"]["source_rows"].as_u64().expect("rows")
    }

    /// Drops the snapshots that were taken.
    fn forget(&self) {
        std::fs::remove_dir_all(self.path("net/sites/site/state/snapshots")).expect("snapshots");
    }
}

fn lab() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bocage-lab"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn megabytes(file: &Path) -> f64 {
    std::fs::metadata(file).expect("a file").len() as f64 / 1e6
}

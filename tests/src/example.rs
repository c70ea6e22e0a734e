//! The networks of `deploy/examples` on the published data, which `sites.py` deals out and counts.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, repository};
use crate::process::Process;

/// A network whose sites have their data.
pub struct Example {
    /// The network.
    pub lab: Lab,
    /// What the independent count says.
    pub counts: Value,
}

impl Example {
    /// Lays an example out. None, with the reason on standard error, where its data or Python is not there: `data` is a folder of `tests/data`, or one beside
    /// the repository.
    pub fn new(exe: &str, name: &str, data: &str) -> Option<Self> {
        let Some(data) = published(data) else {
            eprintln!("skipped: the data of {name} is neither in tests/data nor in ../shared/data");
            return None;
        };
        let lab = Lab::of_example(exe, name);
        let script = repository("deploy/examples/sites.py");
        let sites = lab.path("net/sites");
        let Ok(output) = Command::new("python3").arg(script).arg(name).arg(data).arg(sites).output() else {
            eprintln!("skipped: there is no python3 to deal the data of {name} out");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let example = Self { lab, counts: serde_json::from_slice(&output.stdout).expect("counts") };
        example.sites().iter().for_each(|site| example.lab.confine_if_possible(site));
        Some(example)
    }

    /// Its sites.
    pub fn sites(&self) -> Vec<String> {
        self.counts["sites"].as_object().expect("sites").keys().cloned().collect()
    }

    /// The text of one of its files.
    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.lab.path(file)).expect("a file of the example")
    }

    /// Starts the network and runs one of its studies. The processes go on as long as they are kept.
    pub fn answer(&self, study: &str) -> (Vec<Process>, Value) {
        let coordinator = self.lab.coordinator();
        let mut network = Vec::new();
        for site in self.sites() {
            network.push(self.lab.node(&site, &[]));
        }
        for site in self.sites() {
            coordinator.wait_for_line(&["connected", &site]);
        }
        network.push(coordinator);
        let sites = self.sites();
        let text =
            self.text(study).replacen("min_sites", &format!("answer_within = \"5m\"\nsites = {sites:?}\nmin_sites"), 1);
        (network, self.lab.study("example", &text).published())
    }

    /// Takes a snapshot of a dataset at every site, and compares rows and patients with the independent count.
    pub fn take_in(&self, dataset: &str) {
        for site in self.sites() {
            let (code, out, said) = self.lab.at_node(&site, &["datasets", "refresh", dataset, "--format", "json"]);
            assert_eq!(code, Some(0), "{site}: {said}");
            let manifest: Value = serde_json::from_str(&out).expect("a manifest");
            let counted = self.counts.get("tables").map_or(&self.counts["sites"], |tables| &tables[dataset]);
            let counted = &counted[&site];
            assert_eq!((&manifest["rows"], &manifest["subjects"]), (&counted["rows"], &counted["subjects"]), "{site}");
        }
    }
}

/// Where a published data set lies.
pub fn published(data: &str) -> Option<PathBuf> {
    let ours = repository("tests/data").join(data);
    let beside: &Path = &repository("../shared/data").join(data);
    [ours.as_path(), beside].into_iter().find(|path| path.exists()).map(Path::to_owned)
}

//! The networks of `deploy/examples` on the published data, which `sites.py` deals out and counts; what the sites have together is counted once more, over the whole
//! files, by `tests/reference/tables.py`.

use std::collections::BTreeMap;
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

    /// Its tables with the counts of each site.
    fn tables(&self) -> impl Iterator<Item = (&String, &serde_json::Map<String, Value>)> {
        let tables = self.counts["tables"].as_object().expect("tables").iter();
        tables.map(|(table, sites)| (table, sites.as_object().expect("sites")))
    }

    /// Its sites.
    pub fn sites(&self) -> Vec<String> {
        self.tables().next().expect("a table").1.keys().cloned().collect()
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

    /// Takes a snapshot of every table at every site, and compares rows and patients of each with the independent count, and of all, with the filled cells of each
    /// column, with what an independent reader finds in the whole files of this set.
    pub fn take_in(&self, set: &str) {
        for (table, sites) in self.tables() {
            let (mut rows, mut patients, mut filled) = (0, 0, BTreeMap::<String, u64>::new());
            for (site, counted) in sites {
                let (code, out, said) = self.lab.at_node(site, &["datasets", "refresh", table, "--format", "json"]);
                assert_eq!(code, Some(0), "{site}: {said}");
                let manifest: Value = serde_json::from_str(&out).expect("a manifest");
                let found = (&manifest["rows"], &manifest["subjects"]);
                assert_eq!(found, (&counted["rows"], &counted["subjects"]), "{table} of {site}");
                rows += found.0.as_u64().expect("a count");
                patients += found.1.as_u64().expect("a count");
                for (column, cells) in manifest["report"]["columns"].as_object().expect("columns") {
                    let of = |sort: &str| cells[sort].as_u64().unwrap_or_default();
                    let sorts = ["valid", "wrong_type", "unknown_code", "out_of_range", "null_by_rule"];
                    *filled.entry(column.clone()).or_default() += sorts.map(of).iter().sum::<u64>();
                }
            }
            let whole = &reference(set)[table];
            assert_eq!(
                (&Value::from(rows), &Value::from(patients)),
                (&whole["rows"], &whole["patients"]),
                "{table} of {set}"
            );
            // Columns that a mapping makes have other names.
            let wanted = |column: &String| whole["filled"].get(column).and_then(Value::as_u64);
            for (column, wanted) in filled.keys().filter_map(|column| Some((column, wanted(column)?))) {
                assert_eq!(filled[column], wanted, "{table}.{column} of {set}");
            }
        }
    }
}

/// What an independent reader finds in the whole files of a published set.
pub fn reference(set: &str) -> Value {
    let text = std::fs::read_to_string(repository("tests/reference/tables.json")).expect("the reference");
    let mut sets: Value = serde_json::from_str(&text).expect("JSON");
    sets[set].take()
}

/// Where a published data set lies.
pub fn published(data: &str) -> Option<PathBuf> {
    let ours = repository("tests/data").join(data);
    let beside: &Path = &repository("../shared/data").join(data);
    [ours.as_path(), beside].into_iter().find(|path| path.exists()).map(Path::to_owned)
}

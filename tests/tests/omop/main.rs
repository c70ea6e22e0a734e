//! OMOP sets as they are published, through the product's own commands and its contract packs: the same rows from every kind of source, and the same numbers as
//! the tools of others.

mod days;
mod gibleed;
mod scheduled;
#[allow(dead_code, reason = "its own tests use all of it")]
#[path = "../../../node/postgres/tests/server/started.rs"]
mod started;
mod synthea;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The contract of a table in a pack.
fn contract(pack: &str, table: &str) -> String {
    let name = format!("omop-{}", table.replace('_', "-"));
    let texts = bocage_protocol::contract::pack(pack).expect("a pack").contracts.iter();
    let contracts = texts.map(|text| bocage_protocol::contract::parse(text, pack).expect("a contract"));
    let mut ids = contracts.map(|contract| contract.id().to_string());
    ids.find(|id| id.split('@').next() == Some(name.as_str())).expect("the contract")
}

/// A network's folder, in which snapshots are taken by hand.
struct Network(tempfile::TempDir);

impl Network {
    /// With one pack, and sites with their datasets as they stand in `network.toml`.
    fn new(pack: &str, sites: &str) -> Self {
        let network = Self(tempfile::tempdir().expect("a folder"));
        let text = format!(
            "network = \"omop\"\npacks = [\"{pack}\"]\n[publication]\nmin_sites = 1\n[researcher]\nname = \"Ada\"\nmode = \"exact\"\n{sites}"
        );
        fs::write(network.path("network.toml"), text).expect("network.toml");
        network.run(&["network", "init", &network.text("network.toml"), "--out", &network.text("net")]);
        network
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn text(&self, below: &str) -> String {
        self.path(below).to_str().expect("UTF-8").to_owned()
    }

    fn run(&self, args: &[&str]) {
        let done = Command::new(env!("CARGO_BIN_EXE_bocage-lab")).args(args).output().expect("the command");
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Names of rows become tokens under a site's own key: under the same one they are comparable. The other site has no snapshot yet.
    fn lend_key_of_names(&self, from: &str, to: &str) {
        let key = |site: &str| self.path(&format!("net/sites/{site}/state/ids.key"));
        fs::create_dir_all(key(to).parent().expect("a folder")).expect("the state's folder");
        fs::copy(key(from), key(to)).expect("the key");
    }

    /// Takes a snapshot; gives its manifest and the file of its rows.
    fn snapshot(&self, site: &str, dataset: &str) -> (Value, PathBuf) {
        let config = self.text(&format!("net/sites/{site}/node.toml"));
        self.run(&["node", "datasets", "refresh", dataset, "--config", &config]);
        let folder = self.path(&format!("net/sites/{site}/state/snapshots/{dataset}"));
        let content = fs::read_to_string(folder.join("current")).expect("a snapshot");
        let content = content.trim();
        let manifest = fs::read_to_string(folder.join(format!("{content}.json"))).expect("its manifest");
        (serde_json::from_str(&manifest).expect("JSON"), folder.join(format!("{content}.arrow")))
    }
}

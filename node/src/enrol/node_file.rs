//! A new site's `node.toml`, with comments, as `enrol` and `bocage network init` write it. It says only what the network knows; which data a site offers, and
//! what it allows beyond, its people write.

use std::collections::BTreeMap;

use bocage_net::document::Document;
use bocage_protocol::contract::Contract;
use bocage_protocol::ids::{NetworkId, SiteId};
use bocage_protocol::trust::PublicKey;
use toml::{Table, Value};

use super::proposal::{MORE, lets_out_more};
use crate::config::{QUERY_SECS_DEFAULT, THRESHOLD_DEFAULT};

/// Columns that the example of a mapping shows.
const SHOWN: usize = 12;

/// Whose signatures a site believes.
#[derive(Debug, Clone)]
pub struct Trusted<'a> {
    /// For people.
    pub name: &'a str,
    /// The key.
    pub key: PublicKey,
    /// How exact the answers are, as the file spells it.
    pub mode: &'a str,
}

/// A proxy on the way to the coordinator.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ProxySaid<'a> {
    pub url: &'a str,
    pub user: Option<&'a str>,
    pub password_file: Option<&'a str>,
    pub ca_file: Option<&'a str>,
}

/// Where things are on a machine that runs the node's processes as units; none: beside the file, in one tree of processes.
#[derive(Debug, Clone)]
pub struct UnitPlaces<'a> {
    /// The state folder.
    pub state: &'a str,
    /// The folder of the sockets.
    pub run: &'a str,
    /// The user of the agent's unit.
    pub agent_user: String,
}

/// What goes into the file.
#[derive(Debug)]
pub struct NodeFile<'a> {
    /// The network.
    pub network: &'a NetworkId,
    /// The site.
    pub site: &'a SiteId,
    /// Its name for people.
    pub name: &'a str,
    /// How whoever answers for the data is reached.
    pub contact: Option<&'a str>,
    /// Where its units find what they need.
    pub places: Option<UnitPlaces<'a>>,
    /// Where it reaches the coordinator by QUIC.
    pub quic: &'a str,
    /// The same over TCP.
    pub tcp: Option<&'a str>,
    /// The HTTP proxy between.
    pub proxy: Option<ProxySaid<'a>>,
    /// What the network proposes that it allows at first.
    pub policy: Table,
    /// Whose permits it believes.
    pub access_bodies: Vec<Trusted<'a>>,
    /// Who may ask without a permit.
    pub researchers: Vec<Trusted<'a>>,
    /// What it offers.
    pub datasets: &'a BTreeMap<String, Table>,
    /// The contract that a site without a dataset is shown an example of.
    pub example: Option<&'a Contract>,
}

impl NodeFile<'_> {
    /// The file.
    pub fn document(&self) -> Document {
        let mut doc = Document::new();
        doc.comment(&format!("The node of {} ({}) in the network {}.", self.site, self.name, self.network))
            .comment("Relative paths are relative to this file. Check it with: bocage node check --config node.toml")
            .gap()
            .set("network", self.network.as_str())
            .set("site", self.site.as_str());
        match &self.places {
            None => {
                doc.noted(
                    "state_dir",
                    "state",
                    "snapshots, ledger and sockets; bocage node backup keeps what must survive",
                );
            }
            Some(UnitPlaces { state, run, agent_user }) => {
                doc.noted("state_dir", *state, "snapshots and ledger; bocage node backup keeps what must survive")
                    .noted("run_dir", *run, "the sockets between the node's units")
                    .noted("agent_user", agent_user.as_str(), "the user of the agent's unit");
            }
        }
        doc.gap().table(&["coordinator"]).noted("address", self.quic, "the node dials out (UDP); it opens no port");
        self.way(&mut doc);
        doc.gap()
            .table(&["tls"])
            .set("ca_file", "ca.pem")
            .set("cert_file", "tls/cert.pem")
            .set("key_file", "tls/key.pem")
            .gap()
            .table(&["release"])
            .noted("key_file", "release.key", "signs everything that leaves this site")
            .gap()
            .table(&["contracts"])
            .set("dir", "contracts");
        self.allowed(&mut doc);
        if let Some(contact) = self.contact {
            doc.gap()
                .comment("Who answers for the data; the record of processing names it.")
                .table(&["organisation"])
                .set("name", self.name)
                .set("contact", contact);
        }
        doc.gap().table(&["log"]).noted("level", "info", "error, warn, info, debug or trace");
        self.trust(&mut doc);
        self.data(&mut doc);
        doc
    }

    fn way(&self, doc: &mut Document) {
        if let Some(tcp) = self.tcp {
            doc.noted("tcp", tcp, "dialled where UDP gets no answer; [coordinator.proxy] names a proxy on the way");
        }
        let Some(proxy) = &self.proxy else { return };
        doc.gap().table(&["coordinator", "proxy"]).noted("url", proxy.url, "user and password_file, if it asks");
        let keys = [("user", proxy.user), ("password_file", proxy.password_file), ("ca_file", proxy.ca_file)];
        for (key, value) in keys {
            if let Some(value) = value {
                doc.set(key, value);
            }
        }
    }

    fn allowed(&self, doc: &mut Document) {
        let said = |key: &str, usual: u32| self.policy.get(key).cloned().unwrap_or(Value::Integer(usual.into()));
        let threshold = said("threshold", THRESHOLD_DEFAULT);
        let below = threshold.as_integer().unwrap_or_default().saturating_sub(1);
        let note = format!("no count of 1 to {below} patients leaves, nor one of 0");
        doc.gap()
            .comment("What this site allows, whatever the network asks.")
            .table(&["policy"])
            .noted("threshold", threshold, &self.remark("threshold", Some(&note)))
            .noted(
                "query_secs",
                said("query_secs", QUERY_SECS_DEFAULT),
                &self.remark("query_secs", Some("a query that takes longer is stopped")),
            );
        for (key, value) in self.policy.iter().filter(|(key, _)| !["threshold", "query_secs"].contains(&key.as_str())) {
            doc.noted(key, value.clone(), &self.remark(key, None));
        }
    }

    /// What a line of the policy means, and whether it is the network's proposal: then somebody at the site should look at it.
    fn remark(&self, key: &str, means: Option<&str>) -> String {
        let value = self.policy.get(key);
        let proposed = value.map(|_| "proposed by the network");
        let more = value.filter(|value| lets_out_more(key, value)).map(|_| MORE);
        [means, proposed, more].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn trust(&self, doc: &mut Document) {
        if self.access_bodies.is_empty() {
            doc.gap().comment("Nobody may ask: the network named no access body. Add a [[trust]] for one.");
        }
        for (at, body) in self.access_bodies.iter().enumerate() {
            doc.gap();
            if at == 0 {
                let about = "Who may ask: holders of a permit of this access body. Remove the section, and nobody may.";
                doc.comment(about);
            }
            doc.element(&["trust"])
                .set("kind", "access_body")
                .set("name", body.name)
                .set("key", body.key.to_string())
                .noted("mode", body.mode, "exact, or round: counts in multiples of 5; behind the threshold");
        }
        for researcher in &self.researchers {
            doc.gap()
                .comment("This researcher may ask without a permit too.")
                .element(&["trust"])
                .set("kind", "researcher")
                .set("name", researcher.name)
                .set("key", researcher.key.to_string())
                .set("mode", researcher.mode)
                .noted("allow_without_permit", true, "better: let a permit say what may be asked");
        }
    }

    fn data(&self, doc: &mut Document) {
        if let (true, Some(contract)) = (self.datasets.is_empty(), self.example) {
            doc.gap().comment(&example(contract));
        } else if !self.datasets.is_empty() {
            doc.gap().comment("What this site offers, and how its own table becomes what the contract says.");
        }
        for (name, table) in self.datasets {
            doc.gap().block(&["dataset", name], table);
        }
    }
}

/// How a dataset under this contract looks in the file.
fn example(contract: &Contract) -> String {
    let id = contract.id().to_string();
    let name = id.split('@').next().unwrap_or(&id);
    let mut doc = Document::new();
    doc.comment("What this site offers. Name the file and say how its columns become those of the contract:")
        .gap()
        .table(&["dataset", name])
        .set("contract", id.as_str())
        .table(&["dataset", name, "source"])
        .noted("kind", "csv", "or parquet, fhir, postgres: docs/OPERATING.md")
        .set("path", format!("data/{name}.csv"))
        .table(&["dataset", name, "map"])
        .comment("contract column = expression over the file's columns; one of the same name needs no line");
    for column in contract.columns().iter().take(SHOWN) {
        doc.noted(column.name.as_str(), column.name.as_str(), &column.label);
    }
    let text = doc.text();
    // The sentence is a comment in the document already.
    text.lines()
        .map(|line| line.strip_prefix("# What").map_or(line.to_owned(), |rest| format!("What{rest}")) + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "id = \"heart@1\"\nsubject = \"row\"\n[[column]]\nname = \"sick\"\ntype = \"bool\"\nlabel = \"x\\\"\\n[policy]\"\n";

    #[test]
    fn names_cannot_become_syntax_and_a_site_without_data_is_shown_an_example_of_its_contract() {
        let evil = "A \"quoted\"\n[policy]\nthreshold = 1";
        let key: PublicKey = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".parse().unwrap();
        let contract = bocage_protocol::contract::parse(CONTRACT, "heart.toml").unwrap();
        let trusted = |mode| Trusted { name: evil, key, mode };
        let file = NodeFile {
            network: &"north".parse().unwrap(),
            site: &"one".parse().unwrap(),
            name: evil,
            quic: "coordinator.example.org:4433",
            tcp: Some(evil),
            proxy: Some(ProxySaid { url: evil, user: Some(evil), password_file: None, ca_file: None }),
            policy: Table::from_iter([("threshold".to_owned(), 7.into()), ("decide".to_owned(), evil.into())]),
            contact: Some(evil),
            places: Some(UnitPlaces { state: "/var/lib/bocage", run: evil, agent_user: evil.to_owned() }),
            access_bodies: vec![trusted("exact"), trusted("round")],
            researchers: vec![trusted("exact")],
            datasets: &BTreeMap::new(),
            example: Some(&contract),
        };
        let document = file.document();
        let parsed: Table = toml::from_str(document.text()).unwrap();
        assert_eq!(parsed["policy"]["threshold"].as_integer(), Some(7));
        assert_eq!(parsed["policy"]["decide"].as_str(), Some(evil));
        assert_eq!(parsed["organisation"]["contact"].as_str(), Some(evil));
        assert_eq!((parsed["state_dir"].as_str(), parsed["run_dir"].as_str()), (Some("/var/lib/bocage"), Some(evil)));
        assert_eq!(parsed["coordinator"]["proxy"]["user"].as_str(), Some(evil));
        assert_eq!(parsed["trust"].as_array().unwrap().len(), 3);
        assert_eq!(parsed["trust"][0]["name"].as_str(), Some(evil));
        assert!(!parsed.contains_key("dataset"));
        let (_, shown) = document.text().split_once("# What this site offers.").unwrap();
        let uncommented: String = shown
            .lines()
            .skip(1)
            .map(|line| line.trim_start_matches("# ").trim_start_matches('#').to_owned() + "\n")
            .collect();
        let example: Table = toml::from_str(&uncommented.replace("contract column = ", "# ")).unwrap();
        assert_eq!(example["dataset"]["heart"]["contract"].as_str(), Some("heart@1"));
        assert_eq!(example["dataset"]["heart"]["map"]["sick"].as_str(), Some("sick"));
    }
}

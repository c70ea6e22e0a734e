//! The files of a new network as text: configuration with comments, and what to do next. Values come from the checked [`Network`] alone.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use bocage_protocol::trust::PublicKey;

use super::document::Document;
use super::spec::{Network, Site};
use crate::cli::shell;

/// What lies beside the root's key.
pub const CA_README: &str = "\
The network's certificate authority.

root.key           signs intermediates. Take it offline now: move it to a medium that no network reaches, keep one
                   more copy elsewhere, and delete it here. Nothing needs it for a year.
root.pem           what every site and the coordinator trust (their ca.pem).
intermediate.key   signs the certificates of sites and of the coordinator. It stays with the operator.
intermediate.pem   its certificate, valid for one year.

Certificates of sites and of the coordinator are valid for 30 days.
";

/// `coordinator.toml`. `release_keys` are in the order of the network's sites.
pub fn coordinator(
    network: &Network,
    quic: SocketAddr,
    release_keys: &[PublicKey],
    researcher: &PublicKey,
) -> Document {
    let mut doc = Document::new();
    doc.comment(&format!("The coordinator of the network {}.", network.id))
        .comment("Relative paths are relative to this file. Check it with: bocage coordinator check --config coordinator.toml")
        .gap()
        .set("network", network.id.as_str())
        .noted("state_dir", "state", "studies, releases and results (SQLite)")
        .gap()
        .table(&["quic"])
        .noted("listen", quic.to_string(), "the nodes dial this port (UDP)")
        .gap()
        .table(&["tls"])
        .set("ca_file", "ca.pem")
        .set("cert_file", "tls/cert.pem")
        .set("key_file", "tls/key.pem")
        .gap()
        .table(&["api"])
        .noted("listen", network.api.to_string(), "HTTP for researchers and tools; keep it on loopback")
        .set("token_file", "api.token")
        .gap()
        .table(&["contracts"])
        .set("dir", "contracts")
        .gap()
        .table(&["publication"])
        .noted("min_sites", i64::from(network.min_sites), "no combined cell of fewer sites is published")
        .gap()
        .table(&["log"])
        .noted("level", "info", "error, warn, info, debug or trace");
    doc.gap().comment("The roster: only these sites may connect, and only these keys sign their releases.");
    for (site, key) in network.sites.iter().zip(release_keys) {
        doc.element(&["site"])
            .set("id", site.id.as_str())
            .set("name", site.name.as_str())
            .set("release_key", key.to_string())
            .gap();
    }
    doc.comment("Whose studies are taken in. Every node decides for itself as well ([[trust]] in node.toml).")
        .element(&["researcher"])
        .set("name", network.researcher.name.as_str())
        .set("key", researcher.to_string());
    doc
}

/// A site's `node.toml`.
pub fn node(network: &Network, site: &Site, researcher: &PublicKey) -> Document {
    let mut doc = Document::new();
    doc.comment(&format!("The node of {} ({}) in the network {}.", site.id, site.name, network.id))
        .comment("Relative paths are relative to this file. Check it with: bocage node check --config node.toml")
        .gap()
        .set("network", network.id.as_str())
        .set("site", site.id.as_str())
        .noted("state_dir", "state", "snapshots, ledger and sockets; back up ledger.sqlite")
        .gap()
        .table(&["coordinator"])
        .noted("address", network.quic.as_str(), "the node dials out (UDP); it opens no port")
        .gap()
        .table(&["tls"])
        .set("ca_file", "ca.pem")
        .set("cert_file", "tls/cert.pem")
        .set("key_file", "tls/key.pem")
        .gap()
        .table(&["release"])
        .noted("key_file", "release.key", "signs everything that leaves this site")
        .gap()
        .table(&["contracts"])
        .set("dir", "contracts")
        .gap()
        .comment("What this site allows, whatever the network asks.")
        .table(&["policy"])
        .noted("threshold", 11, "no count of 1 to 10 patients leaves, nor one of 0")
        .noted("query_secs", 60, "a query that takes longer is stopped")
        .gap()
        .table(&["log"])
        .noted("level", "info", "error, warn, info, debug or trace")
        .gap()
        .comment("Who may ask. Remove the section, and nobody may.")
        .element(&["trust"])
        .set("kind", "researcher")
        .set("name", network.researcher.name.as_str())
        .set("key", researcher.to_string())
        .noted("mode", network.researcher.mode.as_str(), "answers are exact, behind the threshold")
        .noted("allow_without_permit", true, "better: trust the access body that issues permits");
    if site.datasets.is_empty() {
        doc.gap().comment(DATASET_EXAMPLE);
    } else {
        doc.gap().comment("What this site offers, and how its own table becomes what the contract says.");
    }
    for (name, table) in &site.datasets {
        doc.gap().block(&["dataset", name], table);
    }
    doc
}

const DATASET_EXAMPLE: &str = "\
What this site offers. Name the file and say how its columns become those of the contract:

[dataset.heart]
contract = \"heart@1\"
[dataset.heart.source]
kind = \"csv\"
path = \"data/heart.csv\"
missing = [\"\", \"NA\"]
[dataset.heart.map]                      # contract column = expression over the file's columns
chol = \"nullif(cholesterol, 0)\"";

/// The researcher's `profile.toml`.
pub fn profile(network: &Network) -> Document {
    let mut doc = Document::new();
    doc.comment(&format!(
        "A researcher's profile for the network {}. Use it with: bocage study run FILE --profile profile.toml",
        network.id
    ))
    .gap()
    .set("network", network.id.as_str())
    .set("coordinator", format!("http://{}", network.api))
    .set("token_file", "api.token")
    .noted("key_file", "researcher.key", "signs your studies; it never leaves this machine");
    doc
}

/// What a person does with the folder `out`.
pub fn next_steps(network: &Network, out: &Path) -> String {
    let at = |path: &str| shell(&out.join(path));
    let mut text = String::new();
    let _ = writeln!(text, "network {} is in {}: {} sites\n", network.id, out.display(), network.sites.len());
    let _ = writeln!(text, "1. take the root key offline: {}", at("ca/root.key"));
    let _ = writeln!(
        text,
        "2. start the coordinator:\n     bocage coordinator serve --config {}",
        at("coordinator/coordinator.toml")
    );
    let _ =
        writeln!(text, "3. bring each folder below {} to its site, put the data in place, then there:", at("sites"));
    for site in network.sites.iter().take(1) {
        let file = at(&format!("sites/{}/node.toml", site.id));
        let _ = writeln!(text, "     bocage node check --config {file}\n     bocage node run --config {file}");
    }
    let profile = at("researcher/profile.toml");
    let _ = writeln!(
        text,
        "4. as the researcher:\n     bocage sites --profile {profile}\n     bocage study run study.toml --profile {profile}"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Mode, Researcher};

    #[test]
    fn a_site_without_a_dataset_gets_an_example_as_a_comment_and_names_cannot_become_syntax() {
        let evil = "A \"quoted\"\n[policy]\nthreshold = 1";
        let network = Network {
            id: "north".parse().unwrap(),
            contracts: vec![],
            quic: "coordinator.example.org:4433".into(),
            api: SocketAddr::from(([127, 0, 0, 1], 8443)),
            min_sites: 1,
            researcher: Researcher { name: evil.into(), mode: Mode::Exact },
            sites: vec![Site { id: "one".parse().unwrap(), name: evil.into(), datasets: Default::default() }],
        };
        let key = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".parse().unwrap();
        let parsed: toml::Table = toml::from_str(node(&network, &network.sites[0], &key).text()).unwrap();
        assert_eq!(parsed["policy"]["threshold"].as_integer(), Some(11));
        assert_eq!(parsed["trust"][0]["name"].as_str(), Some(evil));
        assert!(!parsed.contains_key("dataset"));
        let listen = super::super::listen(&network);
        let parsed: toml::Table = toml::from_str(coordinator(&network, listen, &[key], &key).text()).unwrap();
        assert_eq!(parsed["quic"]["listen"].as_str(), Some("0.0.0.0:4433"));
        assert_eq!(parsed["site"][0]["name"].as_str(), Some(evil));
    }
}

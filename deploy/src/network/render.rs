//! The files of a new network as text: configuration with comments, and what to do next. Values come from the checked [`Network`] alone.

use std::fmt::Write as _;
use std::path::Path;

use bocage_node::enrol::own_files;
use bocage_protocol::trust::PublicKey;
use toml::Value;

use super::document::Document;
use super::listen;
use super::spec::{Network, Site};
use crate::cli::shell;

/// What lies beside the root's key.
pub const CA_README: &str = "\
The network's certificate authority.

root.key           signs intermediates. Take it offline now: move it to a medium that no network reaches, keep one
                   more copy elsewhere, and delete it here. Nothing needs it for a year.
root.pem           what every site and the coordinator trust (their ca.pem).
intermediate.key   signs the certificates of sites and of the coordinator. The coordinator has a copy of both in
intermediate.pem   its folder issuing/: with it it enrols sites. The certificate is valid for one year.

Certificates of sites and of the coordinator are valid for 30 days.
";

/// What lies beside the access body's key.
pub const ACCESS_BODY_README: &str = "\
The network's access body: it decides who may ask what, and the sites hold every study against what it signed.

access-body.key    signs permits and lists of revoked ones. In earnest the body makes its own (bocage keys new) on
                   a machine of its own, and no hospital or coordinator ever holds it.
permit.toml        the first permit, as people write it; researcher.permit is the same, signed.
revocations.list   the permits that were taken back: none. Sites stop new studies when the newest list that they have
                   seen is too old, so sign and publish the next one well before that:

bocage permit list    --key access-body.key --list revocations.list
bocage permit revoke researcher.permit --key access-body.key --list revocations.list
bocage permit publish revocations.list --profile profile.toml
";

/// k in the configuration of a new site, and in the first permit, where `[defaults.policy]` does not say it.
const THRESHOLD: u32 = 11;
/// How long a query may take, likewise.
const QUERY_SECS: u32 = 60;

impl Network {
    /// k in the first permit.
    pub fn threshold(&self) -> u32 {
        self.policy.get("threshold").and_then(Value::as_integer).and_then(|k| k.try_into().ok()).unwrap_or(THRESHOLD)
    }
}

/// Whose signatures a new network believes.
#[derive(Debug, Clone)]
pub struct Trusted<'a> {
    /// The first researcher's key.
    pub researcher: PublicKey,
    /// The access bodies' names and keys.
    pub access_bodies: Vec<(&'a str, PublicKey)>,
}

/// `coordinator.toml`. `release_keys` are in the order of the network's sites, and one that has yet to enrol has none; `list` says whether there is a list of revoked permits beside it.
pub fn coordinator(
    network: &Network,
    release_keys: &[Option<PublicKey>],
    trusted: &Trusted<'_>,
    list: bool,
) -> Document {
    let mut doc = Document::new();
    doc.comment(&format!("The coordinator of the network {}.", network.id))
        .comment("Relative paths are relative to this file. Check it with: bocage coordinator check --config coordinator.toml")
        .gap()
        .set("network", network.id.as_str())
        .noted("state_dir", "state", "studies, releases and results (SQLite)")
        .gap()
        .table(&["quic"])
        .noted("listen", listen(&network.quic).to_string(), "the nodes dial this port (UDP)");
    if let Some(tcp) = &network.tcp {
        let note = "and this one where a firewall drops UDP";
        doc.gap().table(&["tcp"]).noted("listen", listen(tcp).to_string(), note);
    }
    doc.gap()
        .table(&["tls"])
        .set("ca_file", "ca.pem")
        .set("cert_file", "tls/cert.pem")
        .set("key_file", "tls/key.pem")
        .gap()
        .comment("What certifies the sites, at their enrolment and from then on.")
        .table(&["issuing"])
        .set("cert_file", "issuing/intermediate.pem")
        .set("key_file", "issuing/intermediate.key")
        .gap()
        .table(&["api"])
        .noted("listen", network.api.to_string(), "HTTP for people and tools; without TLS on loopback alone");
    if has_tls(network) {
        doc.noted("cert_file", "tls/cert.pem", "or one of an authority that everybody knows")
            .set("key_file", "tls/key.pem");
    }
    if let Some(status) = &network.status {
        doc.gap().table(&["status"]).noted("listen", status.to_string(), "health and metrics, for this machine alone");
    }
    doc.gap()
        .table(&["contracts"])
        .set("dir", "contracts")
        .gap()
        .table(&["publication"])
        .noted("min_sites", i64::from(network.min_sites), "no combined cell of fewer sites is published")
        .gap()
        .table(&["log"])
        .noted("level", "info", "error, warn, info, debug or trace");
    if let Some(tcp) = &network.tcp {
        doc.gap()
            .comment("What hospitals are told that are invited: bocage network invite SITE")
            .table(&["invitations"])
            .noted("quic", network.quic.as_str(), "where they reach this coordinator")
            .set("tcp", tcp.as_str())
            .noted("mode", network.researcher.mode.as_str(), "how exact answers the network asks them for")
            .noted("threshold", i64::from(THRESHOLD), "the k that it proposes");
    }
    doc.gap().comment("The roster: only these sites may connect, and only these keys sign their releases.");
    for (site, key) in network.sites.iter().zip(release_keys) {
        doc.element(&["site"]).set("id", site.id.as_str()).set("name", site.name.as_str());
        match key {
            Some(key) => doc.set("release_key", key.to_string()),
            None => doc.comment("It makes its keys itself: bocage network invite"),
        };
        doc.gap();
    }
    doc.comment("Whose permits are believed. Every node decides for itself as well ([[trust]] in node.toml).");
    for (at, ((name, key), body)) in trusted.access_bodies.iter().zip(&network.access_bodies).enumerate() {
        if at > 0 {
            doc.gap();
        }
        doc.element(&["access_body"]).set("name", *name).set("key", key.to_string());
        if list && body.key.is_none() {
            doc.noted("revocations_file", "revocations.list", "read at the start; newer ones come over HTTP");
        }
    }
    if network.researcher.allow_without_permit {
        doc.gap()
            .comment("Whose studies are taken in without a permit.")
            .element(&["researcher"])
            .set("name", network.researcher.name.as_str())
            .set("key", trusted.researcher.to_string());
    }
    doc
}

/// A site's `node.toml`.
pub fn node(network: &Network, site: &Site, trusted: &Trusted<'_>) -> Document {
    let mut doc = Document::new();
    doc.comment(&format!("The node of {} ({}) in the network {}.", site.id, site.name, network.id))
        .comment("Relative paths are relative to this file. Check it with: bocage node check --config node.toml")
        .gap()
        .set("network", network.id.as_str())
        .set("site", site.id.as_str());
    match &network.places {
        None => {
            doc.noted("state_dir", "state", "snapshots, ledger and sockets; bocage node backup keeps what must survive")
        }
        Some(places) => doc
            .noted(
                "state_dir",
                places.state.as_str(),
                "snapshots and ledger; bocage node backup keeps what must survive",
            )
            .noted("run_dir", places.run.as_str(), "the sockets between the node's units")
            .noted("agent_user", network.users.agent.to_string(), "the user of the agent's unit"),
    };
    doc.gap().table(&["coordinator"]).noted(
        "address",
        network.quic.as_str(),
        "the node dials out (UDP); it opens no port",
    );
    if let Some(tcp) = &network.tcp {
        doc.noted(
            "tcp",
            tcp.as_str(),
            "dialled where UDP gets no answer; [coordinator.proxy] names a proxy on the way",
        );
    }
    if let Some(proxy) = &site.proxy {
        doc.gap().table(&["coordinator", "proxy"]).noted(
            "url",
            proxy.url.as_str(),
            "user and password_file, if it asks",
        );
    }
    own_files(&mut doc)
        .gap()
        .comment("What this site allows, whatever the network asks.")
        .table(&["policy"])
        .noted(
            "threshold",
            network.policy.get("threshold").cloned().unwrap_or(Value::Integer(THRESHOLD.into())),
            &format!("no count of 1 to {} patients leaves, nor one of 0", network.threshold().saturating_sub(1)),
        )
        .noted(
            "query_secs",
            network.policy.get("query_secs").cloned().unwrap_or(Value::Integer(QUERY_SECS.into())),
            "a query that takes longer is stopped",
        );
    for (key, value) in network.policy.iter().filter(|(key, _)| *key != "threshold" && *key != "query_secs") {
        doc.set(key, value.clone());
    }
    if let Some(contact) = &site.contact {
        doc.gap()
            .comment("Who answers for the data; the record of processing names it.")
            .table(&["organisation"])
            .set("name", site.name.as_str())
            .set("contact", contact.as_str());
    }
    doc.gap()
        .table(&["log"])
        .noted("level", "info", "error, warn, info, debug or trace")
        .gap()
        .comment("Who may ask: holders of a permit of this access body. Remove the section, and nobody may.");
    for (at, (name, key)) in trusted.access_bodies.iter().enumerate() {
        if at > 0 {
            doc.gap();
        }
        doc.element(&["trust"]).set("kind", "access_body").set("name", *name).set("key", key.to_string()).noted(
            "mode",
            network.researcher.mode.as_str(),
            "exact, or round: counts in multiples of 5; behind the threshold",
        );
    }
    if network.researcher.allow_without_permit {
        doc.gap()
            .comment("This researcher may ask without a permit too.")
            .element(&["trust"])
            .set("kind", "researcher")
            .set("name", network.researcher.name.as_str())
            .set("key", trusted.researcher.to_string())
            .set("mode", network.researcher.mode.as_str())
            .noted("allow_without_permit", true, "better: let a permit say what may be asked");
    }
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

/// The researcher's `profile.toml`, with or without a permit beside it.
pub fn profile(network: &Network, permit: bool) -> Document {
    let about = format!(
        "A researcher's profile for the network {}. Use it with: bocage study run FILE --profile profile.toml",
        network.id
    );
    let mut doc = door(network, &about);
    doc.noted("key_file", "researcher.key", "signs your studies; it never leaves this machine");
    if permit {
        doc.noted("permit", "researcher.permit", "what your studies rely on; --permit FILE names another");
    }
    doc
}

/// The access body's `profile.toml`.
pub fn body_profile(network: &Network) -> Document {
    let about = format!(
        "How the access body reaches the coordinator of {}. Use it with: bocage permit publish FILE --profile profile.toml",
        network.id
    );
    let mut doc = door(network, &about);
    doc.set("key_file", "access-body.key");
    doc
}

/// What every profile says: the network, and the way to its coordinator.
fn door(network: &Network, about: &str) -> Document {
    let mut doc = Document::new();
    doc.comment(about)
        .gap()
        .set("network", network.id.as_str())
        .set("coordinator", api_url(network))
        .set("token_file", "api.token");
    if has_tls(network) {
        doc.noted("ca_file", "ca.pem", "who vouches for the coordinator");
    }
    doc
}

/// The operator's `profile.toml`: it signs nothing.
pub fn operator_profile(network: &Network) -> Document {
    door(network, &format!("How the operator and steward of {} reaches its coordinator.", network.id))
}

/// Whether the HTTP interface can be reached from other machines: then it speaks TLS.
pub fn has_tls(network: &Network) -> bool {
    !network.api.ip().is_loopback()
}

/// What the coordinator's certificate names besides itself: where people reach its HTTP interface.
pub fn api_names(network: &Network) -> Vec<String> {
    if has_tls(network) { vec![api_host(network).to_owned()] } else { Vec::new() }
}

fn api_host(network: &Network) -> &str {
    network.quic.rsplit_once(':').map_or(network.quic.as_str(), |(host, _)| host).trim_matches(['[', ']'])
}

fn api_url(network: &Network) -> String {
    if !has_tls(network) {
        return format!("http://{}", network.api);
    }
    let host = api_host(network);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("https://{host}:{}", network.api.port())
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
    for site in network.sites.iter().filter(|site| !site.enrol).take(1) {
        let file = at(&format!("sites/{}/node.toml", site.id));
        let _ = writeln!(text, "     bocage node check --config {file}\n     bocage node run --config {file}");
    }
    for site in network.sites.iter().filter(|site| site.enrol) {
        let profile = at("operator/profile.toml");
        let _ = writeln!(
            text,
            "   {} enrols: with the coordinator running, and hand it the file:\n     bocage network invite {0} --profile {profile}",
            site.id
        );
    }
    let profile = at("researcher/profile.toml");
    let permit = at("access-body/researcher.permit");
    let _ = match network.access_bodies.iter().any(|body| body.key.is_none()) {
        true => writeln!(
            text,
            "4. hand {} to whoever issues permits; the researcher has one already:\n     bocage permit show {permit}",
            at("access-body")
        ),
        false => writeln!(
            text,
            "4. ask an access body for a permit for the researcher's key:\n     bocage keys show {}",
            at("researcher/researcher.key")
        ),
    };
    let _ = writeln!(
        text,
        "5. as the researcher:\n     bocage sites --profile {profile}\n     bocage study run study.toml --profile {profile}"
    );
    let _ = writeln!(
        text,
        "6. keep {} with whoever runs the coordinator; others get users and tokens of their own:\n     bocage coordinator users add ada --role researcher --config {}",
        at("operator"),
        at("coordinator/coordinator.toml")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Body, Mode, Researcher, Users};

    #[test]
    fn a_site_without_a_dataset_gets_an_example_as_a_comment_and_names_cannot_become_syntax() {
        let evil = "A \"quoted\"\n[policy]\nthreshold = 1";
        let network = Network {
            id: "north".parse().unwrap(),
            contracts: vec![],
            quic: "coordinator.example.org:4433".into(),
            status: None,
            tcp: Some("coordinator.example.org:443".into()),
            api: std::net::SocketAddr::from(([127, 0, 0, 1], 8443)),
            min_sites: 1,
            researcher: Researcher {
                name: evil.into(),
                organisation: evil.into(),
                mode: Mode::Exact,
                allow_without_permit: true,
            },
            access_bodies: vec![Body { name: evil.into(), key: None }],
            policy: toml::Table::from_iter([("decide".to_owned(), evil.into())]),
            places: None,
            users: Users::default(),
            sites: [("one", false), ("two", true)]
                .map(|(id, enrol)| Site {
                    id: id.parse().unwrap(),
                    name: evil.into(),
                    contact: Some(evil.into()),
                    enrol,
                    proxy: None,
                    datasets: Default::default(),
                })
                .into(),
        };
        let key = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".parse().unwrap();
        let trusted = Trusted { researcher: key, access_bodies: vec![(evil, key)] };
        let parsed: toml::Table = toml::from_str(node(&network, &network.sites[0], &trusted).text()).unwrap();
        assert_eq!(parsed["policy"]["threshold"].as_integer(), Some(11));
        assert_eq!(parsed["policy"]["decide"].as_str(), Some(evil));
        assert_eq!(parsed["organisation"]["contact"].as_str(), Some(evil));
        assert_eq!(parsed["trust"][0]["name"].as_str(), Some(evil));
        assert_eq!(parsed["trust"][1]["allow_without_permit"].as_bool(), Some(true));
        assert!(!parsed.contains_key("dataset"));
        assert_eq!(parsed["coordinator"]["tcp"].as_str(), Some("coordinator.example.org:443"));
        let document = coordinator(&network, &[Some(key), None], &trusted, true);
        let parsed: toml::Table = toml::from_str(document.text()).unwrap();
        assert_eq!(parsed["quic"]["listen"].as_str(), Some("0.0.0.0:4433"));
        assert_eq!(parsed["tcp"]["listen"].as_str(), Some("0.0.0.0:443"));
        assert_eq!(parsed["site"][0]["name"].as_str(), Some(evil));
        assert!(parsed["site"][1].get("release_key").is_none());
    }
}

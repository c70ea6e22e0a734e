//! The files of a new network as text: configuration with comments. Values come from the checked [`Network`] alone.

use bocage_node::config::THRESHOLD_DEFAULT;
use bocage_node::enrol::{self, NodeFile, ProxySaid, UnitPlaces};
use bocage_protocol::trust::PublicKey;

use super::document::Document;
use super::listen;
use super::spec::{Network, Site};

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

impl Network {
    /// The k that it proposes.
    pub fn threshold(&self) -> u32 {
        self.proposed("threshold").unwrap_or(THRESHOLD_DEFAULT)
    }

    /// The smallest count that the first permit lets leave.
    pub fn least(&self) -> u32 {
        self.proposed("model_threshold").map_or(self.threshold(), |pairs| pairs.min(self.threshold()))
    }

    fn proposed(&self, key: &str) -> Option<u32> {
        self.policy.get(key)?.as_integer()?.try_into().ok()
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
            .noted("threshold", i64::from(network.threshold()), "the k that it proposes");
        let mut more = network.policy.clone();
        more.remove("threshold");
        if !more.is_empty() {
            doc.gap().comment("What else is proposed for a site's [policy].").block(&["invitations", "policy"], &more);
        }
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
    let mode = network.researcher.mode.as_str();
    let researcher = enrol::Trusted { name: &network.researcher.name, key: trusted.researcher, mode };
    let places = network.places.as_ref().map(|places| UnitPlaces {
        state: places.state.as_str(),
        run: places.run.as_str(),
        agent_user: network.users.agent.to_string(),
    });
    let proxy = site.proxy.as_ref();
    let file = NodeFile {
        network: &network.id,
        site: &site.id,
        name: &site.name,
        contact: site.contact.as_deref(),
        places,
        quic: &network.quic,
        tcp: network.tcp.as_deref(),
        proxy: proxy.map(|proxy| ProxySaid { url: &proxy.url, user: None, password_file: None, ca_file: None }),
        policy: network.policy.clone(),
        access_bodies: trusted.access_bodies.iter().map(|&(name, key)| enrol::Trusted { name, key, mode }).collect(),
        researchers: if network.researcher.allow_without_permit { vec![researcher] } else { Vec::new() },
        datasets: &site.datasets,
        example: network.contracts.first().map(|file| &file.contract),
    };
    file.document()
}

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

/// Where people and tools find the coordinator.
pub fn api_url(network: &Network) -> String {
    if !has_tls(network) {
        return format!("http://{}", network.api);
    }
    let host = api_host(network);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("https://{host}:{}", network.api.port())
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
        assert_eq!(parsed["invitations"]["policy"]["decide"].as_str(), Some(evil), "who is invited is told it too");
        assert_eq!(parsed["site"][0]["name"].as_str(), Some(evil));
        assert!(parsed["site"][1].get("release_key").is_none());
    }
}

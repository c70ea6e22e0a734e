//! For tests: networks with certificates good and bad, and one table of peers that every transport refuses, run over each.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::SiteId;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose as Purpose, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::certificates::{Authority, COORDINATOR_NAME, Issued};
use crate::denylist::{Denied, Refused};
use crate::env::SystemEntropy;
use crate::identities::Identities;
use crate::identity::Identity;
use crate::tls;
use crate::transport::{CertificateFault as Fault, CloseCode, Closed, ConnectError, Dialler, Link as _, Listener};

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A clock that stands still.
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(At(NOW))
}

pub(crate) fn days(count: i64) -> Timestamp {
    NOW.plus_secs(count * 24 * 3600)
}

pub(crate) fn site() -> SiteId {
    "long-beach".parse().unwrap()
}

pub(crate) struct Network {
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::named("north")
    }

    pub(crate) fn named(name: &str) -> Self {
        let name = name.parse().unwrap();
        let root = Authority::new_root(&name, days(-60), &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&name, days(-60), &mut SystemEntropy).unwrap();
        Self { root, issuing }
    }

    pub(crate) fn identity(&self, issued: &Issued) -> Identity {
        Identity::from_pem(&issued.chain_pem, &issued.key_pem, self.root.certificate_pem()).unwrap()
    }

    pub(crate) fn site(&self, from: Timestamp) -> Identity {
        self.identity(&self.issuing.issue_site(&site(), from, 30, &mut SystemEntropy).unwrap())
    }

    pub(crate) fn coordinator(&self, from: Timestamp) -> Identity {
        self.identity(&self.issuing.issue_coordinator(&[], from, 30, &mut SystemEntropy).unwrap())
    }

    /// A leaf of this network's issuer as a careless one might make it.
    fn odd(&self, names: &[&str], purposes: &[Purpose]) -> Identity {
        let signer = KeyPair::from_pem(&self.issuing.key_pem()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(self.issuing.certificate_pem(), &signer).unwrap();
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let leaf = params(names, purposes, "Bocage").signed_by(&key, &issuer).unwrap();
        let chain = leaf.pem() + self.issuing.certificate_pem();
        Identity::from_pem(&chain, &key.serialize_pem(), self.root.certificate_pem()).unwrap()
    }

    /// A leaf that vouches for itself, of an organisation.
    pub(crate) fn self_signed(&self, name: &str, purpose: Purpose, organisation: &str) -> Identity {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let leaf = params(&[name], &[purpose], organisation).self_signed(&key).unwrap();
        Identity::from_pem(&leaf.pem(), &key.serialize_pem(), self.root.certificate_pem()).unwrap()
    }

    /// The configuration of a sound client, to be spoilt.
    pub(crate) fn client_config(&self) -> ClientConfig {
        tls::client_config(&self.site(NOW), clock()).unwrap()
    }
}

fn params(names: &[&str], purposes: &[Purpose], organisation: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.extended_key_usages = purposes.to_vec();
    let date = |at: Timestamp| OffsetDateTime::from_unix_timestamp(at.0 / 1000).unwrap();
    (params.not_before, params.not_after) = (date(days(-1)), date(days(1)));
    params
}

/// How a transport is set up for these tests.
pub(crate) trait Transport: 'static {
    type Client: Dialler;
    type Server: Listener;

    fn serve(identities: impl Into<Identities>) -> Self::Server;

    /// Dials a server, which must have this name.
    fn dial(server: &Self::Server, name: &str, identities: impl Into<Identities>) -> Self::Client;

    /// Has the client use other TLS settings.
    fn spoil(client: &Self::Client, config: ClientConfig);

    /// What a node is told where somebody between shows a certificate of `Eyes Ltd`.
    fn tells_interception(error: &ConnectError) -> bool;
}

pub(crate) async fn refusal<C: Dialler>(client: &C) -> ConnectError {
    let Err(error) = tokio::time::timeout(Duration::from_secs(5), client.connect()).await.unwrap() else {
        panic!("the peer was accepted");
    };
    error
}

/// That the server still takes a sound node, and took nobody before it.
pub(crate) async fn still_up<T: Transport>(server: &T::Server, network: &Network) {
    let link = T::dial(server, COORDINATOR_NAME, &network.site(NOW)).connect().await.unwrap();
    let accepted = server.accept().await.unwrap();
    link.close(CloseCode::DONE, "the only one");
    assert!(matches!(accepted.closed().await, Closed::ByPeer { reason, .. } if reason == "the only one"));
}

/// Every peer of the table is refused, by name, by nobody but who should, and the server goes on.
pub(crate) async fn are_refused<T: Transport>() {
    let network = Network::new();
    let server = T::serve(&network.coordinator(NOW));
    bad_nodes::<T>(&network, &server).await;
    bad_settings::<T>(&network, &server).await;
    still_up::<T>(&server, &network).await;
    bad_coordinators::<T>(&network).await;
}

/// Whether a sound coordinator refuses the node, and for what.
fn own(wanted: Fault) -> impl Fn(&ConnectError) -> bool {
    move |error| matches!(error, ConnectError::OwnCertificate(fault) if *fault == wanted)
}

/// Whether a sound node refuses the coordinator, and for what.
fn theirs(wanted: Fault) -> impl Fn(&ConnectError) -> bool {
    move |error| matches!(error, ConnectError::PeerCertificate(fault) if *fault == wanted)
}

/// That the next link is made as whoever one is then, on both sides.
pub(crate) async fn renewed<T: Transport>() {
    let network = Network::new();
    let [of_server, of_site] = [network.coordinator(days(-31)), network.site(days(-31))].map(Identities::new);
    let server = T::serve(&of_server);
    let client = T::dial(&server, COORDINATOR_NAME, &of_site);
    assert!(client.connect().await.is_err());
    of_server.replace(network.coordinator(NOW));
    let error = refusal(&client).await;
    assert!(own(Fault::Expired)(&error), "{error}");
    let renewed = network.site(NOW);
    of_site.replace(renewed.clone());
    let (_node, coordinator) = tokio::join!(client.connect(), server.accept());
    assert_eq!(coordinator.unwrap().certificate(), Some(&renewed.leaf()));
}

/// That who is revoked learns so by name, and nobody else.
pub(crate) async fn revoked<T: Transport>() {
    let network = Network::new();
    let identities = Identities::new(network.coordinator(NOW));
    let server = T::serve(&identities);
    let dial = |identity: &Identity| T::dial(&server, COORDINATOR_NAME, identity);
    let (stolen, sound) = (network.site(NOW), network.site(NOW));
    let refuse = |denied| identities.denylist().replace(denied);
    refuse(Denied { serials: [stolen.leaf().serial].into(), ..Denied::default() });
    let error = refusal(&dial(&stolen)).await;
    assert!(own(Fault::Revoked)(&error), "{error}");
    assert!(dial(&sound).connect().await.is_ok());
    refuse(Denied { sites: [(site(), Refused::All)].into(), ..Denied::default() });
    let error = refusal(&dial(&sound)).await;
    assert!(own(Fault::Revoked)(&error), "{error}");
    refuse(Denied::default());
    assert!(dial(&stolen).connect().await.is_ok());
}

/// A peer, who it says it is, and what is to come of it.
type Case = (&'static str, Identity, Box<dyn Fn(&ConnectError) -> bool>);

async fn bad_nodes<T: Transport>(network: &Network, server: &T::Server) {
    // A network that was made anew under its old name is another one too.
    let (other, anew) = (Network::named("south"), Network::named("north"));
    let trusting_ours = |of: &Network| {
        let issued = of.issuing.issue_site(&site(), NOW, 30, &mut SystemEntropy).unwrap();
        network.identity(&issued)
    };
    let client = [Purpose::ClientAuth];
    let both = [Purpose::ClientAuth, Purpose::ServerAuth];
    let name = "long-beach.site.bocage";
    let nodes: Vec<Case> = vec![
        ("of another network", other.site(NOW), Box::new(theirs(Fault::UnknownIssuer))),
        ("of the network before it was made anew", anew.site(NOW), Box::new(theirs(Fault::UnknownIssuer))),
        ("certified by another network", trusting_ours(&other), Box::new(own(Fault::UnknownIssuer))),
        ("certified by the network's namesake", trusting_ours(&anew), Box::new(own(Fault::UnknownIssuer))),
        ("expired", network.site(days(-31)), Box::new(own(Fault::Expired))),
        ("not valid yet", network.site(days(1)), Box::new(own(Fault::NotYetValid))),
        ("a coordinator", network.coordinator(NOW), Box::new(own(Fault::WrongRole))),
        ("self-signed", network.self_signed(name, Purpose::ClientAuth, "Bocage"), Box::new(own(Fault::UnknownIssuer))),
        (
            "two sites at once",
            network.odd(&[name, "budapest.site.bocage"], &client),
            Box::new(own(Fault::NameMismatch)),
        ),
        ("site and server at once", network.odd(&[name], &both), Box::new(own(Fault::NameMismatch))),
        ("a name that is no site's", network.odd(&["coordinator.bocage"], &client), Box::new(own(Fault::NameMismatch))),
        ("no purpose at all", network.odd(&[name], &[]), Box::new(own(Fault::NameMismatch))),
    ];
    for (what, identity, expected) in nodes {
        let error = refusal(&T::dial(server, COORDINATOR_NAME, &identity)).await;
        assert!(expected(&error), "{what}: {error}");
    }
}

/// Clients of another make.
async fn bad_settings<T: Transport>(network: &Network, server: &T::Server) {
    let with = |spoil: &dyn Fn(&mut ClientConfig)| {
        let client = T::dial(server, COORDINATOR_NAME, &network.site(NOW));
        let mut config = network.client_config();
        spoil(&mut config);
        T::spoil(&client, config);
        client
    };
    let bare = tls::enrolment_client(network.site(NOW).roots(), clock()).unwrap();
    let bare = with(&|config| {
        *config = bare.clone();
        config.alpn_protocols = vec![tls::ALPN.to_vec()];
    });
    let error = refusal(&bare).await;
    assert!(own(Fault::Missing)(&error), "without a certificate: {error}");
    for other in [&b"bocage/0"[..], b"h2", b"bocage/1 ", tls::ENROLMENT_ALPN] {
        let error = refusal(&with(&|config| config.alpn_protocols = vec![other.to_vec()])).await;
        assert!(matches!(error, ConnectError::WrongProtocol), "speaks {other:?}: {error}");
    }
    let mut server_accepts = std::pin::pin!(server.accept());
    let silent = with(&|config| config.alpn_protocols.clear());
    tokio::select! {
        _ = &mut server_accepts => panic!("a node that names no protocol was accepted"),
        error = refusal(&silent) => drop(error),
    }
    // The certificate of one and the key of another.
    let key = rustls::crypto::ring::sign::any_supported_type(&network.site(NOW).key()).unwrap();
    let mixed = Arc::new(CertifiedKey::new(network.site(NOW).chain(), key));
    let error = refusal(&with(&|config| config.client_auth_cert_resolver = Arc::new(Mixed(mixed.clone())))).await;
    assert!(matches!(error, ConnectError::OwnCertificate(_)), "the key of another: {error}");
}

/// Shows a certificate and signs with a key that is not its own.
#[derive(Debug)]
struct Mixed(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Mixed {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

async fn bad_coordinators<T: Transport>(network: &Network) {
    let server = [Purpose::ServerAuth];
    let coordinators: Vec<Case> = vec![
        ("expired", network.coordinator(days(-31)), Box::new(theirs(Fault::Expired))),
        ("not valid yet", network.coordinator(days(1)), Box::new(theirs(Fault::NotYetValid))),
        ("a site", network.site(NOW), Box::new(theirs(Fault::WrongRole))),
        ("of another name", network.odd(&["example.org"], &server), Box::new(theirs(Fault::NameMismatch))),
        (
            "self-signed",
            network.self_signed(COORDINATOR_NAME, Purpose::ServerAuth, "Bocage"),
            Box::new(theirs(Fault::UnknownIssuer)),
        ),
        (
            "a firewall that looks into TLS",
            network.self_signed(COORDINATOR_NAME, Purpose::ServerAuth, "Eyes Ltd"),
            Box::new(T::tells_interception),
        ),
    ];
    for (what, identity, expected) in coordinators {
        let usurper = T::serve(&identity);
        let error = refusal(&T::dial(&usurper, COORDINATOR_NAME, &network.site(NOW))).await;
        assert!(expected(&error), "{what}: {error}");
    }
    let sound = T::serve(&network.coordinator(NOW));
    let error = refusal(&T::dial(&sound, "other.example", &network.site(NOW))).await;
    assert!(theirs(Fault::NameMismatch)(&error), "dialled by another name: {error}");
}

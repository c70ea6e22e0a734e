//! Who gets in, who does not and what they are told; and that nobody keeps the others out.

use std::net::Ipv4Addr;
use std::time::Duration;

use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::SiteId;
use rustls::crypto::ring;

use super::*;
use crate::certificates::{Authority, COORDINATOR_NAME, Issued};
use crate::denylist::{Denied, Refused};
use crate::env::SystemEntropy;
use crate::identity::Identity;
use crate::tls;
use crate::transport::{CertificateFault, ConnectError, Dialler, Listener, contract};

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A clock that stands still.
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(At(NOW))
}

fn days(count: i64) -> Timestamp {
    NOW.plus_secs(count * 24 * 3600)
}

struct Network {
    root: Authority,
    issuing: Authority,
}

impl Network {
    fn new() -> Self {
        Self::named("north")
    }

    fn named(name: &str) -> Self {
        let name = name.parse().unwrap();
        let root = Authority::new_root(&name, days(-60), &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&name, days(-60), &mut SystemEntropy).unwrap();
        Self { root, issuing }
    }

    fn identity(&self, issued: &Issued) -> Identity {
        Identity::from_pem(&issued.chain_pem, &issued.key_pem, self.root.certificate_pem()).unwrap()
    }

    fn site(&self, from: Timestamp) -> Identity {
        self.identity(&self.issuing.issue_site(&site(), from, 30, &mut SystemEntropy).unwrap())
    }

    fn coordinator(&self, from: Timestamp) -> Identity {
        self.identity(&self.issuing.issue_coordinator(&[], from, 30, &mut SystemEntropy).unwrap())
    }

    fn server(&self) -> QuicServer {
        QuicServer::bind(ANY, &self.coordinator(NOW), clock()).unwrap()
    }
}

fn site() -> SiteId {
    "long-beach".parse().unwrap()
}

fn client(server: &QuicServer, identity: &Identity) -> QuicClient {
    QuicClient::new(server.local_address().unwrap().to_string(), COORDINATOR_NAME, identity, clock()).unwrap()
}

async fn refusal(client: &QuicClient) -> ConnectError {
    tokio::time::timeout(Duration::from_secs(5), client.connect()).await.unwrap().unwrap_err()
}

/// That the server still takes a sound node, and took nobody before it.
async fn still_up(server: &QuicServer, network: &Network) {
    let link = client(server, &network.site(NOW)).connect().await.unwrap();
    let accepted = server.accept().await.unwrap();
    link.close(CloseCode::DONE, "the only one");
    assert!(matches!(accepted.closed().await, Closed::ByPeer { reason, .. } if reason == "the only one"));
}

#[tokio::test]
async fn quic_keeps_the_contract() {
    let network = Network::new();
    let server = network.server();
    contract::keeps(&client(&server, &network.site(NOW)), &server, &site()).await;
}

#[tokio::test]
async fn a_site_of_another_network_is_refused_by_both() {
    let network = Network::new();
    let server = network.server();
    // A network that was made anew under its old name is another one too.
    for other in [Network::named("south"), Network::named("north")] {
        let error = refusal(&client(&server, &other.site(NOW))).await;
        assert!(matches!(error, ConnectError::PeerCertificate(CertificateFault::UnknownIssuer)), "{error}");
        let issued = other.issuing.issue_site(&site(), NOW, 30, &mut SystemEntropy).unwrap();
        let trusting = Identity::from_pem(&issued.chain_pem, &issued.key_pem, network.root.certificate_pem()).unwrap();
        let error = refusal(&client(&server, &trusting)).await;
        assert!(matches!(error, ConnectError::OwnCertificate(CertificateFault::UnknownIssuer)), "{error}");
    }
    still_up(&server, &network).await;
}

#[tokio::test]
async fn certificates_out_of_their_time_are_refused_by_name() {
    let network = Network::new();
    let server = network.server();
    for (from, fault) in [(days(-31), CertificateFault::Expired), (days(1), CertificateFault::NotYetValid)] {
        let error = refusal(&client(&server, &network.site(from))).await;
        assert!(matches!(error, ConnectError::OwnCertificate(found) if found == fault), "{error}");
        let stale = QuicServer::bind(ANY, &network.coordinator(from), clock()).unwrap();
        let error = refusal(&client(&stale, &network.site(NOW))).await;
        assert!(matches!(error, ConnectError::PeerCertificate(found) if found == fault), "{error}");
    }
    still_up(&server, &network).await;
}

#[tokio::test]
async fn nobody_takes_the_others_role() {
    let network = Network::new();
    let server = network.server();
    let error = refusal(&client(&server, &network.coordinator(NOW))).await;
    assert!(matches!(error, ConnectError::OwnCertificate(CertificateFault::WrongRole)), "{error}");
    still_up(&server, &network).await;
    let usurper = QuicServer::bind(ANY, &network.site(NOW), clock()).unwrap();
    let error = refusal(&client(&usurper, &network.site(NOW))).await;
    assert!(matches!(error, ConnectError::PeerCertificate(CertificateFault::WrongRole)), "{error}");
}

#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    let network = Network::new();
    let server = network.server();
    let address = server.local_address().unwrap().to_string();
    let client = QuicClient::new(address, "other.example", &network.site(NOW), clock()).unwrap();
    let error = refusal(&client).await;
    assert!(matches!(error, ConnectError::PeerCertificate(CertificateFault::NameMismatch)), "{error}");
}

/// A client of another make.
fn odd_client(server: &QuicServer, network: &Network, certificate: bool, alpn: &[u8]) -> QuicClient {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(network.site(NOW).roots()[0].clone()).unwrap();
    let identity = network.site(NOW);
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = if certificate {
        builder.with_client_auth_cert(identity.chain(), identity.key()).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let client = client(server, &identity);
    client.set_config(super::client::client_config(config.try_into().unwrap()));
    client
}

/// A network that is valid by the machine's clock too, for clients that use that one.
fn network_now() -> (Network, Arc<dyn Clock>) {
    let clock = Arc::new(crate::env::SystemClock);
    let name = "north".parse().unwrap();
    let root = Authority::new_root(&name, clock.now(), &mut SystemEntropy).unwrap();
    let issuing = root.issue_intermediate(&name, clock.now(), &mut SystemEntropy).unwrap();
    (Network { root, issuing }, clock)
}

#[tokio::test]
async fn a_client_without_certificate_or_of_another_protocol_is_refused() {
    let (network, clock) = network_now();
    let now = clock.now();
    let server = QuicServer::bind(ANY, &network.coordinator(now), clock.clone()).unwrap();
    let error = refusal(&odd_client(&server, &network, false, tls::ALPN)).await;
    assert!(matches!(error, ConnectError::OwnCertificate(CertificateFault::Missing)), "{error}");
    let error = refusal(&odd_client(&server, &network, true, b"bocage/0")).await;
    assert!(matches!(error, ConnectError::WrongProtocol), "{error}");
    let address = server.local_address().unwrap().to_string();
    let sound = QuicClient::new(address, COORDINATOR_NAME, &network.site(now), clock).unwrap();
    assert!(sound.connect().await.is_ok());
}

#[tokio::test]
async fn where_nobody_listens_the_node_is_told() {
    let network = Network::new();
    let nowhere = QuicClient::new("no-such-host.invalid:1", COORDINATOR_NAME, &network.site(NOW), clock()).unwrap();
    assert!(matches!(nowhere.connect().await, Err(ConnectError::Resolve { .. })));
    let no_port = QuicClient::new("127.0.0.1", COORDINATOR_NAME, &network.site(NOW), clock()).unwrap();
    assert!(matches!(no_port.connect().await, Err(ConnectError::Resolve { .. })));
}

/// Sends the first packet of a client to `server` and never another, and returns the socket it came from.
async fn hang(server: &QuicServer, network: &Network) -> tokio::net::UdpSocket {
    let relay = tokio::net::UdpSocket::bind(ANY).await.unwrap();
    let address = relay.local_addr().unwrap().to_string();
    let client = QuicClient::new(address, COORDINATOR_NAME, &network.site(NOW), clock()).unwrap();
    let connecting = tokio::spawn(async move { client.connect().await.map(|_| ()) });
    let mut packet = [0; 2000];
    let (length, _) = relay.recv_from(&mut packet).await.unwrap();
    connecting.abort();
    relay.send_to(&packet[..length], server.local_address().unwrap()).await.unwrap();
    // The answer proves that the server has begun the handshake.
    relay.recv_from(&mut packet).await.unwrap();
    relay
}

#[tokio::test]
async fn a_handshake_that_hangs_keeps_nobody_out() {
    let network = Network::new();
    let server = network.server();
    let _relays = (hang(&server, &network).await, hang(&server, &network).await);
    still_up(&server, &network).await;
}

#[tokio::test]
async fn too_many_handshakes_at_once_are_told_to_come_back() {
    let network = Network::new();
    let doors = server::Doors::new((&network.coordinator(NOW)).into(), clock()).unwrap();
    let server = QuicServer::bind_with(ANY, doors, 1).unwrap();
    let _relay = hang(&server, &network).await;
    let error = refusal(&client(&server, &network.site(NOW))).await;
    assert!(matches!(error, ConnectError::Busy), "{error}");
}

#[tokio::test]
async fn garbage_does_not_disturb_the_server() {
    let network = Network::new();
    let server = network.server();
    let socket = tokio::net::UdpSocket::bind(ANY).await.unwrap();
    for length in [0, 1, 20, 1200] {
        for byte in [0, 0x40, 0xc0, 0xff] {
            socket.send_to(&vec![byte; length], server.local_address().unwrap()).await.unwrap();
        }
    }
    still_up(&server, &network).await;
}

#[tokio::test]
async fn a_node_may_open_the_control_stream_and_one_more() {
    let network = Network::new();
    let server = network.server();
    let client = client(&server, &network.site(NOW));
    let (node, coordinator) = tokio::join!(client.connect(), server.accept());
    let (node, _coordinator) = (node.unwrap(), coordinator.unwrap());
    let (_control, _request) = (node.open().await.unwrap(), node.open().await.unwrap());
    let third = node.open();
    tokio::pin!(third);
    assert!(std::future::poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx).is_pending())).await);
}

#[tokio::test]
async fn a_shutdown_is_told_to_the_nodes() {
    let network = Network::new();
    let server = network.server();
    let client = client(&server, &network.site(NOW));
    let (node, coordinator) = tokio::join!(client.connect(), server.accept());
    let (node, _coordinator) = (node.unwrap(), coordinator.unwrap());
    server.shutdown("upgrade").await;
    assert_eq!(node.closed().await, Closed::ByPeer { code: CloseCode::SHUTDOWN, reason: "upgrade".into() });
    assert!(server.accept().await.is_none());
    node.drained().await;
}

#[tokio::test]
async fn a_renewed_identity_is_used_for_the_next_link() {
    let network = Network::new();
    let [of_server, of_site] = [network.coordinator(days(-31)), network.site(days(-31))].map(crate::Identities::new);
    let server = QuicServer::bind(ANY, &of_server, clock()).unwrap();
    let address = server.local_address().unwrap().to_string();
    let client = QuicClient::new(address, COORDINATOR_NAME, &of_site, clock()).unwrap();
    assert!(client.connect().await.is_err());
    of_server.replace(network.coordinator(NOW));
    let error = refusal(&client).await;
    assert!(matches!(error, ConnectError::OwnCertificate(CertificateFault::Expired)), "{error}");
    let renewed = network.site(NOW);
    of_site.replace(renewed.clone());
    let (_node, coordinator) = (client.connect().await.unwrap(), server.accept().await.unwrap());
    assert_eq!(coordinator.certificate(), Some(&renewed.leaf()));
}

#[tokio::test]
async fn a_revoked_site_or_certificate_is_refused_by_name_in_the_handshake() {
    let network = Network::new();
    let identities = crate::Identities::new(network.coordinator(NOW));
    let server = QuicServer::bind(ANY, &identities, clock()).unwrap();
    let (stolen, sound) = (network.site(NOW), network.site(NOW));
    let refuse = |denied| identities.denylist().replace(denied);
    refuse(Denied { serials: [stolen.leaf().serial].into(), ..Denied::default() });
    let error = refusal(&client(&server, &stolen)).await;
    assert!(matches!(error, ConnectError::OwnCertificate(CertificateFault::Revoked)), "{error}");
    assert!(client(&server, &sound).connect().await.is_ok());
    refuse(Denied { sites: [(site(), Refused::All)].into(), ..Denied::default() });
    let error = refusal(&client(&server, &sound)).await;
    assert!(matches!(error, ConnectError::OwnCertificate(CertificateFault::Revoked)), "{error}");
    refuse(Denied::default());
    assert!(client(&server, &stolen).connect().await.is_ok());
}

#[tokio::test]
async fn a_coordinator_that_comes_back_from_a_sudden_end_tells_nodes_that_it_has_forgotten_them() {
    let network = Network::new();
    let identity = network.coordinator(NOW);
    // A runtime that is dropped with all its tasks leaves no time to say good-bye.
    let life = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = {
        let _inside = life.enter();
        QuicServer::bind(ANY, &identity, clock()).unwrap()
    };
    let address = server.local_address().unwrap();
    let client = client(&server, &network.site(NOW));
    let link = client.connect().await.unwrap();
    // Its tasks first: while one of them runs, dropping the server says good-bye after all.
    tokio::task::spawn_blocking(move || life.shutdown_timeout(Duration::from_secs(10))).await.unwrap();
    drop(server);
    let again = rebound(address, &identity).await;
    let mut stream = link.open().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[0; 100]).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), link.closed()).await.unwrap();
    assert!(matches!(&ended, Closed::Lost { reason } if reason.contains("reset")), "{ended}");
    still_up(&again, &network).await;
}

/// Listens on an address as soon as its last listener has gone.
async fn rebound(address: SocketAddr, identity: &Identity) -> QuicServer {
    loop {
        match QuicServer::bind(address, identity, clock()) {
            Ok(server) => return server,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

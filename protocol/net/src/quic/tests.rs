//! Who gets in, who does not and what they are told; and that nobody keeps the others out.

use std::time::Duration;

use super::*;
use crate::bad_credentials::{self, ANY, NOW, Network, Transport, clock, refusal, site};
use crate::certificates::COORDINATOR_NAME;
use crate::identities::Identities;
use crate::identity::Identity;
use crate::places::{Manners, Places};
use crate::transport::{CertificateFault, ConnectError, Dialler, Listener, contract};

/// This transport, as the table of bad credentials sees it.
struct Quic;

impl Transport for Quic {
    type Client = QuicClient;
    type Server = QuicServer;

    fn serve(identities: impl Into<Identities>) -> QuicServer {
        QuicServer::bind(ANY, identities, clock()).unwrap()
    }

    fn dial(server: &QuicServer, name: &str, identities: impl Into<Identities>) -> QuicClient {
        QuicClient::new(server.local_address().unwrap().to_string(), name, identities, clock()).unwrap()
    }

    fn spoil(client: &QuicClient, config: rustls::ClientConfig) {
        client.set_config(super::client::client_config(config.try_into().unwrap()));
    }

    fn tells_interception(error: &ConnectError) -> bool {
        matches!(error, ConnectError::PeerCertificate(CertificateFault::UnknownIssuer))
    }
}

fn server(network: &Network) -> QuicServer {
    Quic::serve(&network.coordinator(NOW))
}

fn client(server: &QuicServer, identity: &Identity) -> QuicClient {
    Quic::dial(server, COORDINATOR_NAME, identity)
}

async fn still_up(server: &QuicServer, network: &Network) {
    bad_credentials::still_up::<Quic>(server, network).await;
}

#[tokio::test]
async fn quic_keeps_the_contract() {
    let network = Network::new();
    let server = server(&network);
    contract::keeps(&client(&server, &network.site(NOW)), &server, &site()).await;
}

#[tokio::test]
async fn bad_credentials_are_refused_by_name_over_quic() {
    bad_credentials::are_refused::<Quic>().await;
}

#[tokio::test]
async fn where_nobody_listens_the_node_is_told() {
    let network = Network::new();
    let nowhere = QuicClient::new("no-such-host.invalid:1", COORDINATOR_NAME, &network.site(NOW), clock()).unwrap();
    assert!(matches!(nowhere.connect().await, Err(ConnectError::Resolve { .. })));
    let no_port = QuicClient::new("127.0.0.1", COORDINATOR_NAME, &network.site(NOW), clock()).unwrap();
    assert!(matches!(no_port.connect().await, Err(ConnectError::Resolve { .. })));
}

/// Begins a handshake with `server` from `address`, proving it where that is asked for, and never goes on; returns the socket that it came from.
async fn hang(server: &QuicServer, network: &Network, address: &str) -> tokio::net::UdpSocket {
    let (near, far) =
        (tokio::net::UdpSocket::bind(ANY).await.unwrap(), tokio::net::UdpSocket::bind(address).await.unwrap());
    let to = near.local_addr().unwrap().to_string();
    let client = QuicClient::new(to, COORDINATOR_NAME, &network.site(NOW), clock()).unwrap();
    let connecting = tokio::spawn(async move { client.connect().await.map(|_| ()) });
    let mut packet = [0; 2000];
    loop {
        let (length, client) = near.recv_from(&mut packet).await.unwrap();
        far.send_to(&packet[..length], server.local_address().unwrap()).await.unwrap();
        let (length, _) = far.recv_from(&mut packet).await.unwrap();
        // A long header of the type Retry (RFC 9000, 17.2.5): anything else proves that the server has begun the handshake.
        if packet[0] & 0xb0 != 0xb0 {
            break;
        }
        near.send_to(&packet[..length], client).await.unwrap();
    }
    connecting.abort();
    far
}

const HERE: &str = "127.0.0.1:0";
const ELSEWHERE: &str = "127.0.0.2:0";

#[tokio::test]
async fn a_handshake_that_hangs_keeps_nobody_out() {
    let network = Network::new();
    let server = server(&network);
    let _relays = (hang(&server, &network, HERE).await, hang(&server, &network, HERE).await);
    still_up(&server, &network).await;
}

#[tokio::test]
async fn too_many_handshakes_at_once_are_told_to_come_back() {
    let network = Network::new();
    let server = with_places(&network, 1, Manners::Yield(Duration::from_secs(3600)));
    let _relay = hang(&server, &network, HERE).await;
    let error = refusal(&client(&server, &network.site(NOW))).await;
    assert!(matches!(error, ConnectError::Busy), "{error}");
}

/// A server with so many places.
fn with_places(network: &Network, most: usize, manners: Manners) -> QuicServer {
    let doors = server::Doors::new((&network.coordinator(NOW)).into(), clock()).unwrap();
    QuicServer::bind_with(ANY, doors, Places::new(most, manners)).unwrap()
}

#[tokio::test]
async fn one_address_that_holds_all_handshakes_keeps_sites_out_only_where_nobody_gives_way() {
    let network = Network::new();
    for (manners, gets_past) in [(Manners::FirstCome, false), (Manners::Yield(Duration::from_secs(3600)), true)] {
        let server = with_places(&network, 4, manners);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(hang(&server, &network, ELSEWHERE).await);
        }
        let connected = client(&server, &network.site(NOW)).connect().await;
        assert_eq!(connected.is_ok(), gets_past, "{manners:?}: {connected:?}");
    }
}

#[tokio::test]
async fn links_that_nobody_takes_give_way_to_nobody() {
    let network = Network::new();
    let server = with_places(&network, 1, Manners::Yield(Duration::ZERO));
    let connect = async || client(&server, &network.site(NOW)).connect().await;
    // The first waits to be taken, the second for the first.
    let (first, second) = (connect().await.unwrap(), connect().await.unwrap());
    let error = connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Busy), "{error}");
    let taken = (server.accept().await.unwrap(), server.accept().await.unwrap());
    assert!(first.open().await.is_ok() && second.open().await.is_ok());
    drop(taken);
}

#[tokio::test]
async fn garbage_does_not_disturb_the_server() {
    let network = Network::new();
    let server = server(&network);
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
    let server = server(&network);
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
    let server = server(&network);
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
    bad_credentials::renewed::<Quic>().await;
}

#[tokio::test]
async fn a_revoked_site_or_certificate_is_refused_by_name_in_the_handshake() {
    bad_credentials::revoked::<Quic>().await;
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

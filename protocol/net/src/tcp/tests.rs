//! Who gets in, who does not and what they are told; and that nobody keeps the others out.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream as Plain};

use super::*;
use crate::bad_credentials::{self, ANY, NOW, Network, Transport, clock, days, refusal, site};
use crate::certificates::COORDINATOR_NAME;
use crate::identities::Identities;
use crate::identity::Identity;
use crate::places::{Manners, Places};
use crate::transport::{
    CertificateFault, CloseCode, Closed, ConnectError, Dialler, Link as _, Listener, Refusals, contract,
};

/// This transport, as the table of bad credentials sees it.
struct Tcp;

impl Transport for Tcp {
    type Client = TcpClient;
    type Server = TcpServer;

    fn serve(identities: impl Into<Identities>) -> TcpServer {
        TcpServer::bind(ANY, identities, clock()).unwrap()
    }

    fn dial(server: &TcpServer, name: &str, identities: impl Into<Identities>) -> TcpClient {
        TcpClient::new(Route::direct(server.local_address().to_string()), name, identities, clock()).unwrap()
    }

    fn spoil(client: &TcpClient, config: rustls::ClientConfig) {
        client.set_config(config);
    }

    fn tells_interception(error: &ConnectError) -> bool {
        matches!(error, ConnectError::Intercepted { issuer } if issuer.contains("O=Eyes Ltd"))
    }
}

fn server(network: &Network) -> TcpServer {
    Tcp::serve(&network.coordinator(NOW))
}

fn client(server: &TcpServer, identity: &Identity) -> TcpClient {
    Tcp::dial(server, COORDINATOR_NAME, identity)
}

async fn still_up(server: &TcpServer, network: &Network) {
    bad_credentials::still_up::<Tcp>(server, network).await;
}

#[tokio::test]
async fn tcp_keeps_the_contract() {
    let network = Network::new();
    let server = server(&network);
    contract::keeps(&client(&server, &network.site(NOW)), &server, &site()).await;
}

#[tokio::test]
async fn bad_credentials_are_refused_by_name_over_tcp() {
    bad_credentials::are_refused::<Tcp>().await;
}

#[tokio::test]
async fn where_nobody_listens_the_node_is_told() {
    let network = Network::new();
    let to = |address: &str| TcpClient::new(Route::direct(address), COORDINATOR_NAME, &network.site(NOW), clock());
    let error = refusal(&to("no-such-host.invalid:1").unwrap()).await;
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    let gone = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let error = refusal(&to(&gone.to_string()).unwrap()).await;
    assert!(error.to_string().starts_with(&format!("cannot connect to {gone}: ")), "{error}");
}

#[tokio::test]
async fn a_shutdown_is_told_to_the_nodes() {
    let network = Network::new();
    let server = server(&network);
    let client = client(&server, &network.site(NOW));
    let (node, coordinator) = tokio::join!(client.connect(), server.accept());
    let (node, _coordinator) = (node.unwrap(), coordinator.unwrap());
    assert_eq!(server.open_links(), 1);
    server.shutdown("upgrade").await;
    assert_eq!(node.closed().await, Closed::ByPeer { code: CloseCode::SHUTDOWN, reason: "upgrade".into() });
    assert!(server.accept().await.is_none());
    node.drained().await;
}

#[tokio::test]
async fn a_shutdown_waits_for_nodes_that_are_still_being_told_by_links_that_nobody_holds() {
    let network = Network::new();
    let server = server(&network);
    let client = client(&server, &network.site(NOW));
    let (node, coordinator) = tokio::join!(client.connect(), server.accept());
    let (node, coordinator) = (node.unwrap(), coordinator.unwrap());
    coordinator.close(CloseCode::SHUTDOWN, "told");
    drop(coordinator);
    server.shutdown("too late").await;
    assert_eq!(server.open_links(), 0);
    assert_eq!(node.closed().await, Closed::ByPeer { code: CloseCode::SHUTDOWN, reason: "told".into() });
}

#[tokio::test]
async fn a_renewed_identity_is_used_for_the_next_link() {
    bad_credentials::renewed::<Tcp>().await;
}

#[tokio::test]
async fn a_revoked_site_or_certificate_is_refused_by_name_in_the_handshake() {
    bad_credentials::revoked::<Tcp>().await;
}

async fn to_enrol(server: &TcpServer, network: &Network) -> Result<EnrolmentStream, ConnectError> {
    let route = Route::direct(server.local_address().to_string());
    connect_to_enrol(&route, COORDINATOR_NAME, network.root.certificate_pem(), clock()).await
}

#[tokio::test]
async fn a_hospital_without_a_certificate_gets_a_plain_stream_where_that_is_asked_for_and_only_then() {
    let network = Network::new();
    let server = server(&network);
    assert!(matches!(to_enrol(&server, &network).await, Err(ConnectError::WrongProtocol)));
    let mut enrolments = server.enrolments();
    let (hospital, coordinator) = tokio::join!(to_enrol(&server, &network), enrolments.accept());
    let (mut hospital, mut coordinator) = (hospital.unwrap(), coordinator.unwrap());
    hospital.write_all(b"hello").await.unwrap();
    let mut said = [0; 5];
    coordinator.read_exact(&mut said).await.unwrap();
    coordinator.write_all(&said).await.unwrap();
    coordinator.shutdown().await.unwrap();
    let mut back = Vec::new();
    hospital.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"hello");
    // Sessions go on beside it, and nothing of a stranger became one.
    still_up(&server, &network).await;
    drop(enrolments);
    assert!(matches!(to_enrol(&server, &network).await, Err(ConnectError::WrongProtocol)));
}

#[tokio::test]
async fn whoever_is_to_be_enrolled_verifies_the_coordinator() {
    let (network, other) = (Network::new(), Network::named("south"));
    let usurper = server(&other);
    let _enrolments = usurper.enrolments();
    let error = to_enrol(&usurper, &network).await.unwrap_err();
    assert!(matches!(error, ConnectError::PeerCertificate(CertificateFault::UnknownIssuer)), "{error}");
    let eyes = Tcp::serve(&network.self_signed(COORDINATOR_NAME, ExtendedKeyUsagePurpose::ServerAuth, "Eyes Ltd"));
    let _enrolments = eyes.enrolments();
    assert!(Tcp::tells_interception(&to_enrol(&eyes, &network).await.unwrap_err()));
}

#[tokio::test]
async fn enrolments_have_as_many_places_as_are_allowed() {
    let network = Network::new();
    // However long it takes to fill them.
    let server = with_places(&network, 8, Manners::Yield(Duration::from_secs(3600)));
    let mut enrolments = server.enrolments();
    let mut held = Vec::new();
    for _ in 0..8 {
        let (hospital, coordinator) = tokio::join!(to_enrol(&server, &network), enrolments.accept());
        held.push((hospital.unwrap(), coordinator.unwrap()));
    }
    assert!(to_enrol(&server, &network).await.is_err());
    held.pop();
    assert!(to_enrol(&server, &network).await.is_ok());
}

/// A connection that says nothing.
async fn hang(address: SocketAddr) -> Plain {
    Plain::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_flood_of_handshakes_that_hang_keeps_nobody_out() {
    let network = Network::new();
    let server = with_places(&network, 4, Manners::Yield(Duration::ZERO));
    let mut hanging = Vec::new();
    for _ in 0..20 {
        hanging.push(hang(server.local_address()).await);
        still_up(&server, &network).await;
    }
    // Those that waited longest were hung up on.
    let mut byte = [0];
    assert!(matches!(hanging[0].read(&mut byte).await, Ok(0) | Err(_)));
}

/// A server with so many places for handshakes, and as many for enrolments.
fn with_places(network: &Network, most: usize, manners: Manners) -> TcpServer {
    let places = [(); 2].map(|()| Places::new(most, manners));
    TcpServer::bind_with(ANY, (&network.coordinator(NOW)).into(), clock(), places, Arc::default()).unwrap()
}

/// Whether somebody gives way, and whether a site at another address then gets past a stranger who holds all places.
const GETS_PAST: [(Manners, bool); 2] =
    [(Manners::FirstCome, false), (Manners::Yield(Duration::from_secs(3600)), true)];

/// A connection from an address that nobody else has.
async fn from_elsewhere(to: SocketAddr) -> Plain {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Where connections are handed on, as if from elsewhere.
async fn elsewhere(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut far = from_elsewhere(to).await;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    address
}

#[tokio::test]
async fn one_address_that_holds_all_handshakes_keeps_sites_out_only_where_nobody_gives_way() {
    let network = Network::new();
    for (manners, gets_past) in GETS_PAST {
        let server = with_places(&network, 4, manners);
        let mut held = Vec::new();
        for _ in 0..40 {
            held.push(from_elsewhere(server.local_address()).await);
        }
        let connected = client(&server, &network.site(NOW)).connect().await;
        assert_eq!(connected.is_ok(), gets_past, "{manners:?}: {connected:?}");
    }
}

#[tokio::test]
async fn one_address_that_holds_all_enrolments_keeps_hospitals_out_only_where_nobody_gives_way() {
    let network = Network::new();
    for (manners, gets_past) in GETS_PAST {
        let server = with_places(&network, 2, manners);
        let stranger = Route::direct(elsewhere(server.local_address()).await.to_string());
        let mut enrolments = server.enrolments();
        let mut held = Vec::new();
        for _ in 0..2 {
            let root = network.root.certificate_pem();
            let connecting = connect_to_enrol(&stranger, COORDINATOR_NAME, root, clock());
            let (theirs, ours) = tokio::join!(connecting, enrolments.accept());
            held.push((theirs.unwrap(), ours.unwrap()));
        }
        let connected = to_enrol(&server, &network).await;
        assert_eq!(connected.is_ok(), gets_past, "{manners:?}: {connected:?}");
        if gets_past {
            let ended = held[0].1.read(&mut [0]).await.unwrap_err();
            assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionAborted, "the first gave way");
        }
    }
}

#[tokio::test]
async fn handshakes_that_come_to_nothing_are_counted_by_reason() {
    let (network, other, refused) = (Network::new(), Network::named("south"), Arc::new(Refusals::default()));
    let server = TcpServer::counting(ANY, &network.coordinator(NOW), clock(), Arc::clone(&refused)).unwrap();
    assert!(client(&server, &network.site(days(-31))).connect().await.is_err());
    let foreign = other.issuing.issue_site(&site(), NOW, 30, &mut crate::env::SystemEntropy).unwrap();
    assert!(client(&server, &network.identity(&foreign)).connect().await.is_err());
    // The next link is made after both were counted.
    still_up(&server, &network).await;
    let counted = [("certificate_expired", 1), ("certificate_of_unknown_issuer", 1)];
    assert_eq!(refused.all().into_iter().collect::<Vec<_>>(), counted);
}

#[tokio::test]
async fn garbage_does_not_disturb_the_server() {
    let network = Network::new();
    let server = server(&network);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &[0x16, 3, 1, 0xff, 0xff], &[0xff; 5000], b""] {
        let mut stream = hang(server.local_address()).await;
        stream.write_all(garbage).await.unwrap();
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.len() < 100, "an alert at most");
    }
    still_up(&server, &network).await;
}

#[tokio::test]
async fn a_client_of_tls_1_2_is_refused_as_such() {
    let network = Network::new();
    let server = server(&network);
    let mut stream = hang(server.local_address()).await;
    stream.write_all(&hello_of_tls_1_2()).await.unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).await.unwrap();
    // An alert (21), fatal (2): protocol version (70).
    assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70));
    still_up(&server, &network).await;
}

/// RFC 5246, 7.4.1.2: a hello with an elliptic suite, its groups, its signatures, and our protocol.
fn hello_of_tls_1_2() -> Vec<u8> {
    let extension = |kind: u8, body: &[u8]| [&[0, kind, 0, body.len() as u8], body].concat();
    let alpn = [&[0, 9, 8][..], b"bocage/1"].concat();
    let extensions = [
        extension(10, &[0, 2, 0, 29]),
        extension(11, &[1, 0]),
        extension(13, &[0, 4, 4, 3, 8, 7]),
        extension(16, &alpn),
    ]
    .concat();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0], &[0, extensions.len() as u8], &extensions].concat();
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    [&[0x16, 3, 1, 0, handshake.len() as u8][..], &handshake].concat()
}

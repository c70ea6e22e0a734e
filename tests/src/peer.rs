//! Peers that a test plays itself, with the certificates of the lab: a site's node towards a real coordinator, a coordinator towards real nodes.

use std::sync::Arc;

use bocage_net::env::SystemClock;
use bocage_net::frame::{read_frame, write_frame};
use bocage_net::quic::{QuicClient, QuicLink, QuicServer};
use bocage_net::tcp::{Route, TcpClient};
use bocage_net::{Closed, ConnectError, Dialler as _, Identity, Link, Listener as _};
use bocage_protocol::env::Clock as _;
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::trust::{SecretKey, Standing};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::hello::{Answer, Hello, VERSIONS, Welcome};
use bocage_protocol::wire::message::{Catalogue, Reply, Request};
use tokio::io::AsyncWriteExt as _;

use crate::lab::Lab;
use crate::process::PATIENCE;

fn identity(folder: &std::path::Path) -> Identity {
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("a file of the lab");
    Identity::from_pem(&read("tls/cert.pem"), &read("tls/key.pem"), &read("ca.pem")).expect("an identity")
}

/// Waits for something that must come.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not come in time")
}

/// What dials the lab's coordinator as `site`.
pub fn dialler(lab: &Lab, site: &str) -> QuicClient {
    let identity = identity(&lab.site(site));
    let name = bocage_net::certificates::COORDINATOR_NAME;
    QuicClient::new(lab.quic_address(), name, &identity, Arc::new(SystemClock)).expect("a client")
}

/// The same over TCP.
pub fn tcp_dialler(lab: &Lab, site: &str) -> TcpClient {
    let identity = identity(&lab.site(site));
    let name = bocage_net::certificates::COORDINATOR_NAME;
    TcpClient::new(Route::direct(lab.tcp_address()), name, &identity, Arc::new(SystemClock)).expect("a client")
}

/// The key with which a site signs what it releases.
pub fn release_key(lab: &Lab, site: &str) -> SecretKey {
    SecretKey::from_text(&std::fs::read_to_string(lab.site(site).join("release.key")).expect("the key")).expect("a key")
}

/// Where a site says that its ledger stands.
pub fn standing() -> Standing {
    Standing { records: 1, head: Digest::of("head", &[]), at: SystemClock.now() }
}

/// The hello of a site.
pub fn hello(site: &str) -> Hello {
    Hello { versions: VERSIONS, site: site.parse().expect("a site"), software: "a test".into(), now: SystemClock.now() }
}

/// A site's session that a test plays: connected, greeted, its catalogue given.
pub struct FakeNode {
    /// The link.
    pub link: QuicLink,
    /// The control stream.
    pub control: <QuicLink as Link>::Stream,
}

impl FakeNode {
    /// Connects and greets. The coordinator has not asked for the catalogue yet.
    pub async fn greet(lab: &Lab, site: &str) -> Self {
        Self::try_greet(lab, site).await.expect("a session")
    }

    /// The same of a site that may be cut off instead.
    pub async fn try_greet(lab: &Lab, site: &str) -> Result<Self, Closed> {
        let link = match dialler(lab, site).connect().await {
            Ok(link) => link,
            Err(ConnectError::Closed(closed)) => return Err(closed),
            Err(error) => panic!("no link: {error}"),
        };
        let greeted = async {
            let mut control = link.open().await.ok()?;
            write_frame(&mut control, &hello(site).encode()).await.ok()?;
            let answer = read_frame(&mut control, limits::HELLO_BYTES).await.ok()?;
            Some((control, answer))
        };
        let Some((control, answer)) = within(greeted).await else { return Err(within(link.closed()).await) };
        assert!(matches!(Answer::decode(&answer), Ok(Answer::Welcome(_))));
        Ok(Self { link, control })
    }

    /// Connects, greets, offers nothing and has heard what the coordinator remembers.
    pub async fn connect(lab: &Lab, site: &str) -> Self {
        let node = Self::greet(lab, site).await;
        node.offer_nothing().await;
        node
    }

    /// Offers nothing, and hears what the coordinator remembers.
    pub async fn offer_nothing(&self) {
        let (request, mut stream) = self.asked().await;
        assert!(matches!(request, Request::Catalogue), "{request:?}");
        reply(&mut stream, &Reply::Catalogue(Catalogue { datasets: vec![] })).await;
        let (request, mut stream) = self.asked().await;
        assert!(matches!(request, Request::Witness(_)), "{request:?}");
        reply(&mut stream, &Reply::Witnessed).await;
    }

    /// The next request, with the stream that its answer goes to.
    pub async fn asked(&self) -> (Request, <QuicLink as Link>::Stream) {
        let mut stream = within(self.link.accept()).await.expect("a request");
        let frame = within(read_frame(&mut stream, limits::FRAME_BYTES)).await.expect("a frame");
        (codec::decode(&frame, limits::FRAME_BYTES).expect("a request"), stream)
    }
}

/// Sends a reply.
pub async fn reply(stream: &mut <QuicLink as Link>::Stream, reply: &Reply) {
    write_frame(stream, &codec::encode(reply).expect("bytes")).await.expect("the reply is sent");
    stream.shutdown().await.expect("the stream ends");
}

/// A coordinator that a test plays for the lab's nodes.
pub struct FakeCoordinator(QuicServer);

impl FakeCoordinator {
    /// Listens where the lab's nodes dial.
    pub fn listen(lab: &Lab) -> Self {
        let identity = identity(&lab.path("net/coordinator"));
        let address = lab.quic_address().parse().expect("an address");
        Self(QuicServer::bind(address, &identity, Arc::new(SystemClock)).expect("a server"))
    }

    /// The next node, which waits for the answer to its hello on the control stream.
    pub async fn greeted(&self) -> (QuicLink, <QuicLink as Link>::Stream) {
        let link = within(self.0.accept()).await.expect("a node");
        let mut control = within(link.accept()).await.expect("its first stream");
        let hello = within(read_frame(&mut control, limits::HELLO_BYTES)).await.expect("its hello");
        Hello::decode(&hello).expect("a hello");
        (link, control)
    }

    /// The next node, welcomed. The control stream must be kept.
    pub async fn welcome(&self) -> (QuicLink, <QuicLink as Link>::Stream) {
        let (link, mut control) = self.greeted().await;
        let network = "heart-lab".parse().expect("a network");
        let welcome = Answer::Welcome(Welcome { version: VERSIONS.max(), network, now: SystemClock.now() });
        write_frame(&mut control, &welcome.encode()).await.expect("the welcome is sent");
        (link, control)
    }
}

/// Asks a node and reads its reply.
pub async fn ask(link: &QuicLink, request: &Request) -> Reply {
    ask_bytes(link, &codec::encode(request).expect("bytes")).await
}

/// The same with a frame that may be anything.
pub async fn ask_bytes(link: &QuicLink, frame: &[u8]) -> Reply {
    let mut stream = within(link.open()).await.expect("a stream");
    write_frame(&mut stream, frame).await.expect("sent");
    stream.shutdown().await.expect("the stream ends");
    let frame = within(read_frame(&mut stream, limits::FRAME_BYTES)).await.expect("a reply");
    codec::decode(&frame, limits::FRAME_BYTES).expect("a reply")
}

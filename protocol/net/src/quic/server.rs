//! The coordinator's half of QUIC: listens, and yields links to sites whose certificates hold.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::env::Clock;
use bocage_protocol::limits::HANDSHAKES;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::{ACCEPTED, HANDSHAKE_TIMEOUT_SECS, QuicLink, reset, server_transport, socket};
use crate::denylist::Denylist;
use crate::identities::{Derived, Identities};
use crate::identity::{CertificateError, Identity, Leaf, site_of};
use crate::places::{Place, Places};
use crate::tls;
use crate::transport::{CloseCode, ConnectError, Listener, Peer, Refusals};

/// Datagrams that may wait for a handshake not yet begun, in all.
const WAITING_BYTES: u64 = 8 << 20;
/// How long [`QuicServer::shutdown`] waits for the peers to be told.
const SHUTDOWN_SECS: u64 = 3;

/// Listens for nodes.
pub struct QuicServer {
    endpoint: quinn::Endpoint,
    links: Mutex<mpsc::Receiver<QuicLink>>,
    accepting: AbortHandle,
    open: watch::Sender<bool>,
    refused: Arc<Refusals>,
}

/// What a handshake goes by: settings of the identity in force.
pub(super) struct Doors {
    identities: Identities,
    config: Derived<Arc<quinn::ServerConfig>>,
}

impl Doors {
    pub(super) fn new(identities: Identities, clock: Arc<dyn Clock>) -> Result<Self, CertificateError> {
        let make = move |identity: &Identity, denylist: &Denylist| {
            Ok(Arc::new(server_config(tls::server(identity, denylist, Arc::clone(&clock))?)))
        };
        Ok(Self { config: Derived::new(identities.clone(), Box::new(make))?, identities })
    }
}

impl fmt::Debug for QuicServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicServer").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl QuicServer {
    /// Listens on `address`. Each handshake is made as whoever one is then, in a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the address is taken or TLS refuses the identity.
    pub fn bind(
        address: SocketAddr,
        identities: impl Into<Identities>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        Self::bind_with(address, Doors::new(identities.into(), clock)?, Places::for_strangers(HANDSHAKES))
    }

    /// `places` are for handshakes under way, and for links not yet taken by [`Listener::accept`].
    pub(super) fn bind_with(address: SocketAddr, doors: Doors, places: Places) -> Result<Self, ConnectError> {
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = reset::endpoint_config(&doors.identities.current());
        let endpoint = quinn::Endpoint::new(endpoint, Some((*doors.config.get()).clone()), socket(address)?, runtime)?;
        let (done, links) = mpsc::channel(places.most());
        let open = watch::Sender::new(true);
        let refused = Arc::new(Refusals::default());
        let task = accept_all(endpoint.clone(), doors, done, places, open.subscribe(), Arc::clone(&refused));
        let accepting = tokio::spawn(task).abort_handle();
        Ok(Self { endpoint, links: Mutex::new(links), accepting, open, refused })
    }

    /// The address listened on, with the port that port 0 became.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The handshakes that came to nothing, by reason.
    pub fn refused(&self) -> Arc<Refusals> {
        Arc::clone(&self.refused)
    }

    /// Links that stand, handshakes included.
    pub fn open_links(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// Stops accepting, closes all links and waits, for at most a few seconds, until the peers have been told.
    pub async fn shutdown(&self, reason: &str) {
        self.close();
        self.endpoint.close(CloseCode::SHUTDOWN.0.into(), reason.as_bytes());
        let _ = timeout(Duration::from_secs(SHUTDOWN_SECS), self.endpoint.wait_idle()).await;
    }
}

impl Listener for QuicServer {
    type Link = QuicLink;

    async fn accept(&self) -> Option<QuicLink> {
        let mut open = self.open.subscribe();
        let mut links = self.links.lock().await;
        tokio::select! {
            biased;
            _ = open.wait_for(|open| !open) => None,
            link = links.recv() => link,
        }
    }

    fn close(&self) {
        self.open.send_replace(false);
    }
}

impl Drop for QuicServer {
    fn drop(&mut self) {
        self.endpoint.set_server_config(None);
        self.accepting.abort();
    }
}

fn server_config(tls: QuicServerConfig) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(server_transport()).max_incoming(HANDSHAKES).incoming_buffer_size_total(WAITING_BYTES);
    config
}

/// Begins a handshake for everybody who comes, each in a task of its own. Once closed, tells everybody who comes so.
async fn accept_all(
    endpoint: quinn::Endpoint,
    doors: Doors,
    done: mpsc::Sender<QuicLink>,
    places: Places,
    mut open: watch::Receiver<bool>,
    refused: Arc<Refusals>,
) {
    // Aborted, all that is under way, when this task is.
    let mut under_way = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            _ = open.wait_for(|open| !open) => break,
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => incoming,
                None => return,
            },
        };
        while under_way.try_join_next().is_some() {}
        // Under load, only addresses that prove to receive our packets get a handshake: nobody takes places in another's name.
        if places.free() <= places.most() / 2 && incoming.may_retry() {
            let _ = incoming.retry();
            continue;
        }
        let Some(place) = places.take(incoming.remote_address().ip()) else {
            tracing::debug!(address = %incoming.remote_address(), "refused a node: too many handshakes under way");
            refused.count(&ConnectError::Busy);
            incoming.refuse();
            continue;
        };
        under_way.spawn(handshake(incoming, doors.config.get(), done.clone(), place, Arc::clone(&refused)));
    }
    under_way.shutdown().await;
    while let Some(incoming) = endpoint.accept().await {
        incoming.refuse();
    }
}

/// One handshake; a failure is logged and concerns nobody else.
async fn handshake(
    incoming: quinn::Incoming,
    config: Arc<quinn::ServerConfig>,
    done: mpsc::Sender<QuicLink>,
    place: Place,
    refused: Arc<Refusals>,
) {
    let address = incoming.remote_address();
    let shaking = async {
        let connection = incoming.accept_with(config)?.await?;
        accept_peer(&connection).await?;
        Ok(connection)
    };
    let shaken = tokio::select! {
        shaken = timeout(Duration::from_secs(HANDSHAKE_TIMEOUT_SECS), shaking) => shaken,
        () = place.gave_way() => {
            refused.count(&ConnectError::Busy);
            return tracing::debug!(%address, "a newcomer gave way: too many handshakes under way");
        }
    };
    let connection = match shaken {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            let error = tls::connect_error(error, HANDSHAKE_TIMEOUT_SECS);
            refused.count(&error);
            return tracing::info!(%address, %error, "a node's connection was not made");
        }
        Err(_) => {
            let error = ConnectError::TimedOut { secs: HANDSHAKE_TIMEOUT_SECS };
            refused.count(&error);
            return tracing::info!(%address, %error, "a node's connection was not made");
        }
    };
    let Some((peer, certificate)) = peer_of(&connection) else {
        // The verifier has refused such a certificate already; this is the second look.
        connection.close(CloseCode::DENIED.0.into(), b"not a site's certificate");
        return tracing::warn!(%address, "a certificate that names no site passed verification");
    };
    let link = QuicLink { connection, peer: Arc::new(peer), certificate: Some(Arc::new(certificate)), endpoint: None };
    // Where nobody takes links, the channel fills up, places stay taken, and newcomers are refused.
    place.known();
    let _ = done.send(link).await;
    drop(place);
}

/// Tells the client that its certificate is accepted; see [`super`].
async fn accept_peer(connection: &quinn::Connection) -> Result<(), quinn::ConnectionError> {
    let mut stream = connection.open_uni().await?;
    // A client that does not listen (`Stopped`) gets no second word.
    if let Err(quinn::WriteError::ConnectionLost(error)) = stream.write_all(&[ACCEPTED]).await {
        return Err(error);
    }
    let _ = stream.finish();
    Ok(())
}

/// The site in the verified leaf, and what else it says.
fn peer_of(connection: &quinn::Connection) -> Option<(Peer, Leaf)> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let leaf = chain.first()?;
    Some((Peer::Site(site_of(leaf).ok()?), Leaf::of(leaf).ok()?))
}

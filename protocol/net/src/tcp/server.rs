//! The coordinator's half of TCP: listens, looks at what a newcomer asks for, and yields links to sites whose certificates hold.
//!
//! Who asks for a session shows a site's certificate, as on QUIC. Who asks for enrolment shows none and gets a plain stream, if anybody takes
//! those ([`TcpServer::enrolments`]). The two have TLS settings of their own, so that no session can come of the second.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use bocage_protocol::env::Clock;
use bocage_protocol::limits::{ENROLMENTS, HANDSHAKES};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::control::Side;
use super::enrolment::{EnrolmentStream, Enrolments};
use super::link::{PACE, Standing, TcpLink, begin};
use crate::denylist::Denylist;
use crate::identities::{Derived, Identities};
use crate::identity::{CertificateError, Identity, Leaf, site_of};
use crate::places::{Place, Places};
use crate::quic::HANDSHAKE_TIMEOUT_SECS;
use crate::tls;
use crate::transport::{CloseCode, ConnectError, Listener, Peer, Refusals};

/// Links that stand and that [`Listener::accept`] has not yet taken.
const LINKS: usize = 256;
/// Connections that the kernel keeps while this process is busy.
const BACKLOG: i32 = 1024;
/// How long [`TcpServer::shutdown`] waits for the peers to be told.
const SHUTDOWN_SECS: u64 = 3;
/// Before the next connection is taken, where the system has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Listens for nodes.
pub struct TcpServer {
    address: SocketAddr,
    door: Arc<Door>,
    links: Mutex<mpsc::Receiver<TcpLink>>,
    accepting: AbortHandle,
    open: watch::Sender<bool>,
}

/// What the handshakes of a server share.
struct Door {
    shown: Derived<Shown>,
    /// Who takes those that come to be enrolled; nobody at first.
    enrolling: StdMutex<Option<mpsc::Sender<EnrolmentStream>>>,
    enrolments: Places,
    done: mpsc::Sender<TcpLink>,
    refused: Arc<Refusals>,
    /// All links whose task has not ended, for the day of shutdown.
    standing: StdMutex<Vec<Standing>>,
}

/// What newcomers are shown, and what is asked of them.
#[derive(Clone)]
struct Shown {
    session: Arc<ServerConfig>,
    enrolment: Arc<ServerConfig>,
}

impl Shown {
    fn of(identity: &Identity, denylist: &Denylist, clock: &Arc<dyn Clock>) -> Result<Self, CertificateError> {
        Ok(Self {
            session: Arc::new(tls::server_config(identity, denylist, Arc::clone(clock))?),
            enrolment: Arc::new(tls::enrolment_server(identity, Arc::clone(clock))?),
        })
    }
}

fn locked<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TcpServer {
    /// Listens on `address`. Each handshake is made as whoever one is then, in a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the address is taken or TLS refuses the identity.
    pub fn bind(
        address: SocketAddr,
        identities: impl Into<Identities>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectError> {
        Self::counting(address, identities, clock, Arc::default())
    }

    /// The same, which counts the handshakes that come to nothing where another transport's are counted already.
    ///
    /// # Errors
    /// As [`TcpServer::bind`].
    pub fn counting(
        address: SocketAddr,
        identities: impl Into<Identities>,
        clock: Arc<dyn Clock>,
        refused: Arc<Refusals>,
    ) -> Result<Self, ConnectError> {
        let places = [HANDSHAKES, ENROLMENTS].map(Places::for_strangers);
        Self::bind_with(address, identities.into(), clock, places, refused)
    }

    /// The places are for handshakes under way, and for enrolments.
    pub(super) fn bind_with(
        address: SocketAddr,
        identities: Identities,
        clock: Arc<dyn Clock>,
        [handshakes, enrolments]: [Places; 2],
        refused: Arc<Refusals>,
    ) -> Result<Self, ConnectError> {
        let listener = listener(address)?;
        let address = listener.local_addr()?;
        let (done, links) = mpsc::channel(LINKS);
        let make = move |identity: &Identity, denylist: &Denylist| Shown::of(identity, denylist, &clock);
        let shown = Derived::new(identities, Box::new(make))?;
        let door = Arc::new(Door {
            shown,
            enrolling: StdMutex::new(None),
            enrolments,
            done,
            refused,
            standing: StdMutex::default(),
        });
        let open = watch::Sender::new(true);
        let task = accept_all(listener, Arc::clone(&door), handshakes, open.subscribe());
        let accepting = tokio::spawn(task).abort_handle();
        Ok(Self { address, door, links: Mutex::new(links), accepting, open })
    }

    /// The address listened on, with the port that port 0 became.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The handshakes that came to nothing, by reason.
    pub fn refused(&self) -> Arc<Refusals> {
        Arc::clone(&self.door.refused)
    }

    /// Links that stand.
    pub fn open_links(&self) -> usize {
        locked(&self.door.standing).iter().filter(|link| !link.is_over()).count()
    }

    /// From now on, those who come to be enrolled are let in, to whoever holds what is returned; before, and after it is dropped, they are refused as
    /// speakers of an unknown protocol.
    pub fn enrolments(&self) -> Enrolments {
        let (to, from) = mpsc::channel(ENROLMENTS);
        *locked(&self.door.enrolling) = Some(to);
        Enrolments(from)
    }

    /// Stops accepting, closes all links and waits, for at most a few seconds, until the peers have been told.
    pub async fn shutdown(&self, reason: &str) {
        self.close();
        self.accepting.abort();
        let links = std::mem::take(&mut *locked(&self.door.standing));
        for link in &links {
            link.close(CloseCode::SHUTDOWN, reason);
        }
        let told = async {
            for link in links {
                link.over().await;
            }
        };
        let _ = timeout(Duration::from_secs(SHUTDOWN_SECS), told).await;
    }
}

impl Listener for TcpServer {
    type Link = TcpLink;

    async fn accept(&self) -> Option<TcpLink> {
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

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // One socket for both families where `::` is bound; refused on systems that have only one.
        let _ = socket.set_only_v6(false);
    }
    // A coordinator that is restarted finds its port free although old connections linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Begins a handshake for everybody who comes, each in a task of its own. Once closed, the kernel refuses everybody.
async fn accept_all(listener: TcpListener, door: Arc<Door>, handshakes: Places, mut open: watch::Receiver<bool>) {
    // Aborted, all that is under way, when this task is.
    let mut under_way = JoinSet::new();
    loop {
        let came = tokio::select! {
            biased;
            () = closed(&mut open) => return,
            came = listener.accept() => came,
        };
        let (stream, address) = match came {
            Ok(came) => came,
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        while under_way.try_join_next().is_some() {}
        let Some(place) = handshakes.take(address.ip()) else {
            tracing::debug!(%address, "hung up on a newcomer: too many handshakes under way");
            door.refused.count(&ConnectError::Busy);
            continue;
        };
        let door = Arc::clone(&door);
        under_way.spawn(async move { door.handshake(stream, address, place).await });
    }
}

async fn closed(open: &mut watch::Receiver<bool>) {
    // An error would mean that the server is gone.
    let _ = open.wait_for(|open| !open).await;
}

impl Door {
    /// One handshake; a failure is logged and concerns nobody else.
    async fn handshake(&self, stream: TcpStream, address: SocketAddr, place: Place) {
        let _ = stream.set_nodelay(true);
        let shaking = timeout(Duration::from_secs(HANDSHAKE_TIMEOUT_SECS), self.shake(stream, address, &place));
        let made = tokio::select! {
            made = shaking => made.unwrap_or(Err(ConnectError::Silent { secs: HANDSHAKE_TIMEOUT_SECS })),
            () = place.gave_way() => {
                self.refused.count(&ConnectError::Busy);
                return tracing::debug!(%address, "a newcomer gave way: too many handshakes under way");
            }
        };
        if let Err(error) = made {
            self.refused.count(&error);
            tracing::info!(%address, %error, "a node's connection was not made");
        }
    }

    async fn shake(&self, stream: TcpStream, address: SocketAddr, place: &Place) -> Result<(), ConnectError> {
        let failed = |error: io::Error| tls::stream_error(&error);
        let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
        let shown = self.shown.get();
        let enrolling = locked(&self.enrolling).clone().filter(|to| !to.is_closed());
        let asks_to_enrol = started.client_hello().alpn().is_some_and(|names| names.eq([tls::ENROLMENT_ALPN]));
        match enrolling {
            Some(to) if asks_to_enrol => {
                let enrolling = self.enrolments.take(address.ip()).ok_or(ConnectError::Busy)?;
                let stream = tokio::select! {
                    stream = started.into_stream(shown.enrolment) => stream.map_err(failed)?,
                    () = enrolling.gave_way() => return Err(ConnectError::Busy),
                };
                let stream = EnrolmentStream::accepted(stream, address, enrolling);
                to.try_send(stream).map_err(|_| ConnectError::Busy)
            }
            _ => {
                let stream = started.into_stream(shown.session).await.map_err(failed)?;
                let (peer, leaf) = peer_of(&stream)?;
                let (link, accepted) = begin(stream, Side::Coordinator, peer, Some(leaf), PACE);
                if let Ok(Err(error)) = accepted.await {
                    return Err(failed(error));
                }
                self.stand(&link);
                // Where nobody takes links, the channel fills up and newcomers run out of time.
                place.known();
                let _ = self.done.send(link).await;
                Ok(())
            }
        }
    }

    fn stand(&self, link: &TcpLink) {
        let mut standing = locked(&self.standing);
        if standing.len() == standing.capacity() {
            standing.retain(|link| !link.is_over());
        }
        standing.push(link.standing());
    }
}

/// The site in the verified leaf of a client that speaks our protocol, and what else the leaf says: TLS lets one pass that names no protocol.
fn peer_of(stream: &TlsStream<TcpStream>) -> Result<(Peer, Leaf), ConnectError> {
    let connection = stream.get_ref().1;
    if connection.alpn_protocol() != Some(tls::ALPN) {
        return Err(ConnectError::WrongProtocol);
    }
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    let leaf = leaf.ok_or(ConnectError::OwnCertificate(crate::transport::CertificateFault::Missing))?;
    // The verifier has refused one without a site already; this is the second look.
    Ok((Peer::Site(site_of(leaf)?), Leaf::of(leaf)?))
}

//! What a transport is: a node dials, the coordinator listens, and either gets a [`Link`] to a peer whose identity is
//! proven. Nothing behind these traits knows QUIC.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};

use bocage_protocol::ids::SiteId;
pub use bocage_protocol::session::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::identity::Leaf;

/// Who is at the other end, as its certificate proves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A site's node.
    Site(SiteId),
    /// The network's coordinator.
    Coordinator,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(site) => write!(f, "site {site}"),
            Self::Coordinator => f.write_str("the coordinator"),
        }
    }
}

/// The dialling half of a transport: a node's.
pub trait Dialler: Send + Sync + 'static {
    /// The links that it makes.
    type Link: Link;

    /// Connects and returns once *both* sides have accepted the other's certificate. Ends in bounded time.
    fn connect(&self) -> impl Future<Output = Result<Self::Link, ConnectError>> + Send;

    /// Whether a link came by a way that is taken only where a better one is shut.
    fn is_second_choice(&self, _link: &Self::Link) -> bool {
        false
    }

    /// As [`Dialler::connect`], by the best way alone.
    fn connect_by_first_choice(&self) -> impl Future<Output = Result<Self::Link, ConnectError>> + Send {
        self.connect()
    }
}

/// The listening half of a transport: the coordinator's.
pub trait Listener: Send + Sync + 'static {
    /// The links that it yields.
    type Link: Link;

    /// The next peer that has proven who it is; `None` once the listener is closed. Failed attempts are logged and
    /// never end the listener. Safe to cancel.
    fn accept(&self) -> impl Future<Output = Option<Self::Link>> + Send;

    /// Stops accepting. Links made already live on.
    fn close(&self);
}

/// An authenticated connection that carries any number of streams. Clones are the same link.
pub trait Link: Clone + Send + Sync + 'static {
    /// A stream in both directions. Shut its writing half down to end it (`AsyncWriteExt::shutdown`); dropping it
    /// unread tells the peer to stop sending.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Who is at the other end.
    fn peer(&self) -> &Peer;

    /// Of a listener's link: the certificate that the peer has shown. None on a transport without certificates, and on a dialler's link.
    fn certificate(&self) -> Option<&Leaf>;

    /// Opens a stream; waits while the peer's limit of open streams is reached. The peer sees the stream once something
    /// is written. Safe to cancel.
    fn open(&self) -> impl Future<Output = Result<Self::Stream, LinkError>> + Send;

    /// The next stream that the peer opened. Safe to cancel.
    fn accept(&self) -> impl Future<Output = Result<Self::Stream, LinkError>> + Send;

    /// Closes the link at once; what is not delivered yet is lost. The first call counts.
    fn close(&self, code: CloseCode, reason: &str);

    /// Waits for the end of the link, whichever side or fault brings it.
    fn closed(&self) -> impl Future<Output = Closed> + Send;
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// This side closed it.
    #[error("closed by this side")]
    Here,
    /// The peer closed it.
    #[error("closed by the peer: {code}{}", separated(.reason))]
    ByPeer {
        /// Why, for programs.
        code: CloseCode,
        /// Why, for people: printable text of at most 200 characters.
        reason: String,
    },
    /// Nothing came for longer than the idle timeout.
    #[error("no sign of life for {secs} s")]
    TimedOut {
        /// The idle timeout.
        secs: u64,
    },
    /// The connection broke, e.g. because the peer's process died.
    #[error("lost: {reason}")]
    Lost {
        /// What the transport said.
        reason: String,
    },
}

fn separated(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// Peer-made text as it may stand in a log: printable, one line, at most 200 characters.
pub(crate) fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A stream cannot be had because the link has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link is closed: {0}")]
pub struct LinkError(pub Closed);

/// What is wrong with a certificate, as a person would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// It is past its end.
    #[error("expired")]
    Expired,
    /// It has not begun, or a clock is wrong.
    #[error("not valid yet (is a clock wrong?)")]
    NotYetValid,
    /// No trusted root leads to it.
    #[error("unknown issuer (is it of another network, or of this one before it was made anew?)")]
    UnknownIssuer,
    /// It names somebody else.
    #[error("name mismatch")]
    NameMismatch,
    /// It is for another role, such as a site's certificate shown by a server.
    #[error("made for another role")]
    WrongRole,
    /// It has been revoked.
    #[error("revoked")]
    Revoked,
    /// None was shown.
    #[error("missing")]
    Missing,
    /// It, or the proof that its key is at hand, is broken.
    #[error("broken")]
    Broken,
}

/// Why a peer was not reached, or refused.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host name leads nowhere.
    #[error("cannot find `{host}`: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No socket could be made.
    #[error("cannot open a socket: {0}")]
    Socket(#[from] io::Error),
    /// The own identity is unusable.
    #[error(transparent)]
    Identity(#[from] crate::identity::CertificateError),
    /// Nothing answered in time.
    #[error("no answer within {secs} s (is UDP allowed, and the address right?)")]
    TimedOut {
        /// How long was waited.
        secs: u64,
    },
    /// Nothing took the connection.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing answered in time over TCP.
    #[error(
        "no answer within {secs} s over TCP (is the address right, and does a firewall let this machine reach it?)"
    )]
    Silent {
        /// How long was waited.
        secs: u64,
    },
    /// The way through the proxy is closed.
    #[error(transparent)]
    Proxy(#[from] crate::tcp::ProxyError),
    /// Somebody between looks into TLS.
    #[error(
        "TLS is intercepted on the way: the certificate shown is issued by `{issuer}` \
         (ask that this address is left out of the inspection; nothing was sent)"
    )]
    Intercepted {
        /// Who issued it.
        issuer: String,
    },
    /// Neither of two ways leads there.
    #[error("over QUIC: {first}; over TCP: {second}")]
    NoWay {
        /// What became of the first.
        first: Box<ConnectError>,
        /// And of the second.
        second: Box<ConnectError>,
    },
    /// The peer has too many handshakes under way, or is stopping.
    #[error("the peer takes no more connections just now")]
    Busy,
    /// The peer speaks another protocol.
    #[error("the peer does not speak {protocol}", protocol = crate::tls::ALPN_TEXT)]
    WrongProtocol,
    /// The peer's certificate is refused.
    #[error("the peer's certificate is refused: {0}")]
    PeerCertificate(CertificateFault),
    /// The peer refuses our certificate.
    #[error("the peer refuses our certificate: {0}")]
    OwnCertificate(CertificateFault),
    /// The connection ended before both sides had accepted it.
    #[error("connection ended: {0}")]
    Closed(Closed),
    /// TLS failed otherwise.
    #[error("handshake failed: {reason}")]
    Handshake {
        /// What the library said.
        reason: String,
    },
}

impl ConnectError {
    /// The kind of it in a word, out of a fixed set: no text of a peer.
    pub fn reason(&self) -> &'static str {
        let of = |fault: &CertificateFault| match fault {
            CertificateFault::Expired => "certificate_expired",
            CertificateFault::NotYetValid => "certificate_not_yet_valid",
            CertificateFault::UnknownIssuer => "certificate_of_unknown_issuer",
            CertificateFault::NameMismatch => "certificate_of_another_name",
            CertificateFault::WrongRole => "certificate_of_another_role",
            CertificateFault::Revoked => "certificate_revoked",
            CertificateFault::Missing => "certificate_missing",
            CertificateFault::Broken => "certificate_broken",
        };
        match self {
            Self::PeerCertificate(fault) => of(fault),
            Self::OwnCertificate(_) => "refused_by_peer",
            Self::TimedOut { .. } | Self::Silent { .. } => "timed_out",
            Self::Busy => "busy",
            Self::WrongProtocol => "wrong_protocol",
            Self::Closed(_) => "closed",
            // Of those who dial.
            _ => "handshake_failed",
        }
    }
}

/// How many handshakes came to nothing, by reason.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Refusals {
    /// One more.
    pub fn count(&self, error: &ConnectError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(error.reason()).or_default() += 1;
    }

    /// All that there were.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
pub(crate) mod contract {
    //! What every transport does, as one test that each runs.

    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::frame::{FrameError, read_frame, write_frame};

    /// Runs the contract within ten seconds.
    pub(crate) async fn keeps<D: Dialler, L: Listener>(dialler: &D, listener: &L, site: &SiteId) {
        let all = async {
            peers_know_each_other(dialler, listener, site).await;
            streams_carry_frames_both_ways(dialler, listener).await;
            many_streams_at_once_all_get_through(dialler, listener).await;
            closing_ends_streams_and_tells_why(dialler, listener).await;
            a_link_that_nobody_holds_is_closed(dialler, listener).await;
            a_closed_listener_accepts_nobody(dialler, listener).await;
        };
        tokio::time::timeout(Duration::from_secs(10), all).await.expect("the contract takes too long");
    }

    async fn pair<D: Dialler, L: Listener>(dialler: &D, listener: &L) -> (D::Link, L::Link) {
        let (node, coordinator) = tokio::join!(dialler.connect(), listener.accept());
        (node.unwrap(), coordinator.unwrap())
    }

    async fn peers_know_each_other<D: Dialler, L: Listener>(dialler: &D, listener: &L, site: &SiteId) {
        let (node, coordinator) = pair(dialler, listener).await;
        assert_eq!((node.peer(), coordinator.peer()), (&Peer::Coordinator, &Peer::Site(site.clone())));
    }

    async fn echo<L: Link>(link: &L) {
        let mut stream = link.accept().await.unwrap();
        let frame = read_frame(&mut stream, 1 << 20).await.unwrap();
        write_frame(&mut stream, &frame).await.unwrap();
        assert!(matches!(read_frame(&mut stream, 1 << 20).await, Err(FrameError::Ended)));
        stream.shutdown().await.unwrap();
    }

    async fn ask<L: Link>(link: &L, payload: &[u8]) {
        let mut stream = link.open().await.unwrap();
        write_frame(&mut stream, payload).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_frame(&mut stream, 1 << 20).await.unwrap(), payload);
        assert!(matches!(read_frame(&mut stream, 1 << 20).await, Err(FrameError::Ended)));
    }

    async fn streams_carry_frames_both_ways<D: Dialler, L: Listener>(dialler: &D, listener: &L) {
        let (node, coordinator) = pair(dialler, listener).await;
        tokio::join!(ask(&node, b"hello"), echo(&coordinator));
        let large: Vec<u8> = (0..1_000_000_u32).map(|i| i.wrapping_mul(i) as u8).collect();
        tokio::join!(ask(&coordinator, &large), echo(&node));
    }

    async fn many_streams_at_once_all_get_through<D: Dialler, L: Listener>(dialler: &D, listener: &L) {
        const STREAMS: usize = 200;
        let (node, coordinator) = pair(dialler, listener).await;
        let asking: Vec<_> = (0..STREAMS)
            .map(|i| {
                let coordinator = coordinator.clone();
                tokio::spawn(async move { ask(&coordinator, &i.to_be_bytes()).await })
            })
            .collect();
        for _ in 0..STREAMS {
            echo(&node).await;
        }
        for task in asking {
            task.await.unwrap();
        }
    }

    async fn closing_ends_streams_and_tells_why<D: Dialler, L: Listener>(dialler: &D, listener: &L) {
        let (node, coordinator) = pair(dialler, listener).await;
        let mut asking = coordinator.open().await.unwrap();
        asking.write_all(b"x").await.unwrap();
        let mut asked = node.accept().await.unwrap();
        assert_eq!(asked.read_u8().await.unwrap(), b'x');
        let waiting = tokio::spawn(async move { asked.read_u8().await });
        let accepting = tokio::spawn({
            let node = node.clone();
            async move { node.accept().await.map(|_| ()) }
        });
        coordinator.close(CloseCode::REPLACED, "two\nlines");
        coordinator.close(CloseCode::DONE, "too late");
        assert_eq!(coordinator.closed().await, Closed::Here);
        let by_peer = Closed::ByPeer { code: CloseCode::REPLACED, reason: "twolines".into() };
        assert_eq!(node.closed().await, by_peer);
        assert!(waiting.await.unwrap().is_err());
        assert_eq!(accepting.await.unwrap().unwrap_err(), LinkError(by_peer.clone()));
        assert_eq!(node.open().await.err().unwrap(), LinkError(by_peer));
        assert_eq!(coordinator.open().await.err().unwrap(), LinkError(Closed::Here));
        assert!(asking.write_all(b"y").await.is_err());
    }

    async fn a_link_that_nobody_holds_is_closed<D: Dialler, L: Listener>(dialler: &D, listener: &L) {
        let (node, coordinator) = pair(dialler, listener).await;
        drop(node);
        assert!(matches!(coordinator.closed().await, Closed::ByPeer { code: CloseCode::DONE, .. }));
    }

    async fn a_closed_listener_accepts_nobody<D: Dialler, L: Listener>(dialler: &D, listener: &L) {
        let (node, coordinator) = pair(dialler, listener).await;
        listener.close();
        assert!(listener.accept().await.is_none());
        assert!(dialler.connect().await.is_err());
        // What stands goes on.
        tokio::join!(ask(&node, b"still"), echo(&coordinator));
    }
}

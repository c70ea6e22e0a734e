//! A TCP connection as a link: the task that drives yamux, and the handles that others hold.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use super::control::{Flow, Side};
use super::driver::Driver;
use super::stream::{Ended, TcpStream, Unread};
use super::wire::Wire;
use crate::identity::Leaf;
use crate::quic::{IDLE_TIMEOUT_SECS, KEEP_ALIVE, STREAMS_TO_COORDINATOR, STREAMS_TO_NODE};
use crate::transport::{CloseCode, Closed, Link, LinkError, Peer, printable};

/// Streams of a link that yamux keeps at a time, in both directions: those that are allowed, and those that one side has given up while the other
/// still looks for an answer. More end the link.
const STREAMS: usize = 4 * STREAMS_TO_NODE;
/// What one stream may have under way at first (yamux's own number), and what all of them may have beside that where the line is long.
const STREAM_WINDOW: usize = yamux::DEFAULT_CREDIT as usize;
const MORE_WINDOW: usize = 4 << 20;

/// How often a side says that it is there, and after how long without a byte from the other it gives up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) beat: Duration,
    pub(super) silence_secs: u64,
}

/// As on QUIC.
pub(super) const PACE: Pace = Pace { beat: KEEP_ALIVE, silence_secs: IDLE_TIMEOUT_SECS };

/// How a link ended, and what the peer is told of it.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) closed: Closed,
    pub(super) said: Option<(CloseCode, String)>,
}

/// The one place where the end of a link is known.
#[derive(Debug)]
pub(super) struct Ends(watch::Sender<Option<End>>);

impl Ends {
    /// The first end counts.
    pub(super) fn set(&self, end: End) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(end);
            }
            first
        });
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        self.set(End { closed: Closed::Here, said: Some((code, printable(reason.as_bytes()))) });
    }

    pub(super) async fn wait(&self) -> End {
        let mut end = self.0.subscribe();
        let gone = || End { closed: Closed::Lost { reason: "the link is gone".into() }, said: None };
        end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()).unwrap_or_else(gone)
    }
}

/// A TCP connection whose peer is known. Clones are the same link.
#[derive(Debug, Clone)]
pub struct TcpLink(Arc<Half>);

#[derive(Debug)]
pub(super) struct Half {
    peer: Peer,
    /// Of a coordinator's link: what the site has shown.
    certificate: Option<Leaf>,
    ends: Arc<Ends>,
    /// Where streams are asked for.
    wanted: mpsc::Sender<oneshot::Sender<yamux::Stream>>,
    /// Streams that may still be opened towards the peer.
    free: Arc<Semaphore>,
    incoming: Mutex<mpsc::Receiver<yamux::Stream>>,
    unread: mpsc::UnboundedSender<Unread>,
    /// Closed when the driving task has ended.
    driven: watch::Receiver<()>,
}

impl Half {
    pub(super) fn ended(&self) -> Ended {
        let mut end = self.ends.0.subscribe();
        Box::pin(async move {
            // An error would mean that nobody is left to end it, which is an end too.
            let _ = end.wait_for(Option::is_some).await;
        })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ends.0.borrow().is_some()
    }

    pub(super) fn read_out(&self, stream: Unread) {
        // Without the task behind the link there is no peer that waits.
        let _ = self.unread.send(stream);
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.ends.close(CloseCode::DONE, "");
    }
}

/// A link, as one sees it who does not keep it open.
#[derive(Debug)]
pub(super) struct Standing {
    half: Weak<Half>,
    driven: watch::Receiver<()>,
}

impl Standing {
    pub(super) fn is_over(&self) -> bool {
        self.driven.has_changed().is_err()
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        if let Some(half) = self.half.upgrade() {
            half.ends.close(code, reason);
        }
    }

    /// Waits until the task behind the link has ended.
    pub(super) async fn over(mut self) {
        while self.driven.changed().await.is_ok() {}
    }
}

/// What comes of a link that has begun: that the coordinator has accepted the node, or why not.
pub(super) type Acceptance = oneshot::Receiver<io::Result<()>>;

/// Makes a link of an authenticated connection, and drives it in a task of the current tokio runtime.
pub(super) fn begin<S>(io: S, side: Side, peer: Peer, certificate: Option<Leaf>, pace: Pace) -> (TcpLink, Acceptance)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut config = yamux::Config::default();
    config
        .set_max_num_streams(STREAMS)
        .set_max_connection_receive_window(Some(STREAMS * STREAM_WINDOW + MORE_WINDOW))
        .set_read_after_close(true);
    let (mode, to_peer, from_peer) = match side {
        Side::Node => (yamux::Mode::Client, STREAMS_TO_COORDINATOR as usize, STREAMS),
        Side::Coordinator => (yamux::Mode::Server, STREAMS_TO_NODE, STREAMS_TO_COORDINATOR as usize + 1),
    };
    let (wanted, wishes) = mpsc::channel(1);
    let (accepting, incoming) = mpsc::channel(from_peer);
    let (unread, given_up) = mpsc::unbounded_channel();
    let (alive, driven) = watch::channel(());
    let (accepted, acceptance) = oneshot::channel();
    let ends = Arc::new(Ends(watch::Sender::new(None)));
    let wire = Wire::new(io);
    let heard = wire.heard();
    let driver = Driver {
        connection: yamux::Connection::new(wire, config, mode),
        wishes,
        wish: None,
        accepting,
        given_up,
        reading_out: FuturesUnordered::new(),
        ends: Arc::clone(&ends),
    };
    tokio::spawn(async move {
        driver.drive(side, accepted, heard, pace).await;
        drop(alive);
    });
    let free = Arc::new(Semaphore::new(to_peer));
    let half = Half { peer, certificate, ends, wanted, free, incoming: Mutex::new(incoming), unread, driven };
    (TcpLink(Arc::new(half)), acceptance)
}

impl TcpLink {
    /// Waits until the task behind the link has ended: after [`Link::close`], until the peer has been told, or for two seconds at most.
    pub async fn drained(&self) {
        self.standing().over().await;
    }

    /// For a server that closes its links at the end, also those that nobody holds any more and whose peer is still being told.
    pub(super) fn standing(&self) -> Standing {
        Standing { half: Arc::downgrade(&self.0), driven: self.0.driven.clone() }
    }

    async fn ended(&self) -> LinkError {
        LinkError(self.0.ends.wait().await.closed)
    }
}

impl Link for TcpLink {
    type Stream = TcpStream;

    fn peer(&self) -> &Peer {
        &self.0.peer
    }

    fn certificate(&self) -> Option<&Leaf> {
        self.0.certificate.as_ref()
    }

    async fn open(&self) -> Result<TcpStream, LinkError> {
        let opening = async {
            let place = Arc::clone(&self.0.free).acquire_owned().await.ok()?;
            let (wish, granted) = oneshot::channel();
            self.0.wanted.send(wish).await.ok()?;
            Some((Flow(granted.await.ok()?), place))
        };
        tokio::select! {
            biased;
            ended = self.ended() => Err(ended),
            opened = opening => match opened {
                Some((flow, place)) => Ok(TcpStream::new(flow, Some(place), &self.0)),
                None => Err(self.ended().await),
            },
        }
    }

    async fn accept(&self) -> Result<TcpStream, LinkError> {
        let next = async { self.0.incoming.lock().await.recv().await };
        tokio::select! {
            biased;
            ended = self.ended() => Err(ended),
            stream = next => match stream {
                Some(stream) => Ok(TcpStream::new(Flow(stream), None, &self.0)),
                None => Err(self.ended().await),
            },
        }
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.0.ends.close(code, reason);
    }

    async fn closed(&self) -> Closed {
        self.0.ends.wait().await.closed
    }
}

#[cfg(test)]
mod tests;

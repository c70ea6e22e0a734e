//! A transport within one process, for tests and simulations of large networks. Same traits, same manners as QUIC:
//! streams are limited, closing a link ends its streams, and a link that nobody holds any more is closed.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::task::{Context, Poll};

use bocage_protocol::ids::SiteId;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{Mutex, mpsc, watch};

use crate::identity::Leaf;
use crate::transport::{CloseCode, Closed, ConnectError, Dialler, Link, LinkError, Listener, Peer, printable};

/// Bytes under way in one direction of a stream.
const STREAM_BYTES: usize = 64 << 10;
/// Streams opened and not yet accepted, in one direction of a link.
const STREAMS: usize = 32;
/// Links made and not yet accepted.
const LINKS: usize = 256;

/// The coordinator's half.
#[derive(Debug)]
pub struct MemoryListener {
    links: Mutex<mpsc::Receiver<MemoryLink>>,
    /// Taken on closing, so that dialling fails and `accept` ends.
    door: StdMutex<Option<mpsc::Sender<MemoryLink>>>,
    open: watch::Sender<bool>,
}

impl Default for MemoryListener {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryListener {
    /// A listener that only its own [`MemoryListener::dialler`]s reach.
    pub fn new() -> Self {
        let (door, links) = mpsc::channel(LINKS);
        Self { links: Mutex::new(links), door: StdMutex::new(Some(door)), open: watch::Sender::new(true) }
    }

    /// A dialler that is taken for `site`'s node.
    pub fn dialler(&self, site: SiteId) -> MemoryDialler {
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
        MemoryDialler { site, door: door.map(|door| door.downgrade()) }
    }
}

impl Listener for MemoryListener {
    type Link = MemoryLink;

    async fn accept(&self) -> Option<MemoryLink> {
        let mut open = self.open.subscribe();
        let mut links = self.links.lock().await;
        tokio::select! {
            biased;
            _ = open.wait_for(|open| !open) => None,
            link = links.recv() => link,
        }
    }

    fn close(&self) {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.open.send_replace(false);
    }
}

/// A node's half.
#[derive(Debug, Clone)]
pub struct MemoryDialler {
    site: SiteId,
    door: Option<mpsc::WeakSender<MemoryLink>>,
}

impl Dialler for MemoryDialler {
    type Link = MemoryLink;

    async fn connect(&self) -> Result<MemoryLink, ConnectError> {
        let gone = || ConnectError::Closed(Closed::Lost { reason: "nobody listens".into() });
        let door = self.door.as_ref().and_then(mpsc::WeakSender::upgrade).ok_or_else(gone)?;
        let (node, coordinator) = pair(self.site.clone());
        door.try_send(coordinator).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ConnectError::Busy,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        Ok(node)
    }
}

/// Which half ended the link, and how.
#[derive(Debug, Clone)]
enum End {
    By { node: bool, code: CloseCode, reason: String },
    Severed { reason: String },
}

/// One half of a link.
#[derive(Debug, Clone)]
pub struct MemoryLink(Arc<Half>);

#[derive(Debug)]
struct Half {
    peer: Peer,
    /// Whether this is the node's half.
    node: bool,
    out: mpsc::Sender<DuplexStream>,
    incoming: Mutex<mpsc::Receiver<DuplexStream>>,
    end: watch::Sender<Option<End>>,
}

/// The node's and the coordinator's half of a fresh link.
fn pair(site: SiteId) -> (MemoryLink, MemoryLink) {
    let (to_coordinator, from_node) = mpsc::channel(STREAMS);
    let (to_node, from_coordinator) = mpsc::channel(STREAMS);
    let end = watch::Sender::new(None);
    let half = |peer, node, out, incoming| {
        MemoryLink(Arc::new(Half { peer, node, out, incoming: Mutex::new(incoming), end: end.clone() }))
    };
    (half(Peer::Coordinator, true, to_coordinator, from_coordinator), half(Peer::Site(site), false, to_node, from_node))
}

impl MemoryLink {
    /// Breaks the link for both sides, as a cut cable would.
    pub fn sever(&self, reason: &str) {
        self.0.end_as(End::Severed { reason: reason.to_owned() });
    }

    fn stream(&self, inner: DuplexStream) -> MemoryStream {
        let ended = || -> Ended {
            let mut end = self.0.end.subscribe();
            Box::pin(async move {
                // An error would mean that both halves are gone, which is an end too.
                let _ = end.wait_for(Option::is_some).await;
            })
        };
        MemoryStream { inner, read_end: Some(ended()), write_end: Some(ended()), _half: self.0.clone() }
    }
}

impl Half {
    /// The first end counts.
    fn end_as(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(end);
            }
            first
        });
    }

    async fn ended(&self) -> Closed {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()) {
            Some(End::By { node, .. }) if node == self.node => Closed::Here,
            Some(End::By { code, reason, .. }) => Closed::ByPeer { code, reason },
            Some(End::Severed { reason }) => Closed::Lost { reason },
            None => Closed::Lost { reason: "peer is gone".into() },
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.end_as(End::By { node: self.node, code: CloseCode::DONE, reason: String::new() });
    }
}

impl Link for MemoryLink {
    type Stream = MemoryStream;

    fn peer(&self) -> &Peer {
        &self.0.peer
    }

    fn certificate(&self) -> Option<&Leaf> {
        None
    }

    async fn open(&self) -> Result<MemoryStream, LinkError> {
        tokio::select! {
            biased;
            closed = self.0.ended() => Err(LinkError(closed)),
            permit = self.0.out.reserve() => {
                let permit = permit.map_err(|_| LinkError(Closed::Lost { reason: "peer is gone".into() }))?;
                let (ours, theirs) = tokio::io::duplex(STREAM_BYTES);
                permit.send(theirs);
                Ok(self.stream(ours))
            }
        }
    }

    async fn accept(&self) -> Result<MemoryStream, LinkError> {
        let next = async { self.0.incoming.lock().await.recv().await };
        tokio::select! {
            biased;
            closed = self.0.ended() => Err(LinkError(closed)),
            stream = next => match stream {
                Some(stream) => Ok(self.stream(stream)),
                None => Err(LinkError(self.0.ended().await)),
            },
        }
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.0.end_as(End::By { node: self.0.node, code, reason: printable(reason.as_bytes()) });
    }

    async fn closed(&self) -> Closed {
        self.0.ended().await
    }
}

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream of a [`MemoryLink`].
pub struct MemoryStream {
    inner: DuplexStream,
    /// Two, because the halves of a split stream wait in different tasks. `None` once the link has ended.
    read_end: Option<Ended>,
    write_end: Option<Ended>,
    /// A link lives as long as one of its streams.
    _half: Arc<Half>,
}

fn check(end: &mut Option<Ended>, context: &mut Context<'_>) -> io::Result<()> {
    if end.as_mut().is_some_and(|ended| ended.as_mut().poll(context).is_ready()) {
        *end = None;
    }
    if end.is_some() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the link has ended")) }
}

impl AsyncRead for MemoryStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        check(&mut self.read_end, cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        check(&mut self.write_end, cx)?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_end, cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_end, cx)?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::contract;

    fn halves() -> (MemoryDialler, MemoryListener) {
        let listener = MemoryListener::new();
        (listener.dialler("aa".parse().unwrap()), listener)
    }

    #[tokio::test]
    async fn the_memory_transport_keeps_the_contract() {
        let (dialler, listener) = halves();
        contract::keeps(&dialler, &listener, &"aa".parse().unwrap()).await;
    }

    #[tokio::test]
    async fn a_severed_link_is_lost_for_both_sides() {
        let (dialler, listener) = halves();
        let (node, coordinator) = (dialler.connect().await.unwrap(), listener.accept().await.unwrap());
        node.sever("cable");
        for link in [node, coordinator] {
            assert_eq!(link.closed().await, Closed::Lost { reason: "cable".into() });
        }
    }

    #[tokio::test]
    async fn more_links_than_anybody_accepts_are_busy() {
        let (dialler, _listener) = halves();
        let mut links = Vec::new();
        for _ in 0..LINKS {
            links.push(dialler.connect().await.unwrap());
        }
        assert!(matches!(dialler.connect().await, Err(ConnectError::Busy)));
    }
}

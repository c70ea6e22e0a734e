//! One stream of a link.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::control::Flow;
use super::link::Half;

/// A stream that this side has ended and let go of before the peer has ended it. Yamux would forget it, and leave a peer that is not done writing
/// waiting for ever; so it is read to its end. It keeps its place, so that the peer never has more streams than it allows.
pub(super) struct Unread {
    flow: Flow,
    _place: Option<OwnedSemaphorePermit>,
}

impl Unread {
    pub(super) async fn read_out(mut self) {
        let mut bytes = vec![0; 16 << 10];
        while self.flow.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
    }
}

pub(super) type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream of a [`super::TcpLink`].
pub struct TcpStream {
    /// `None` while it is being dropped.
    flow: Option<Flow>,
    place: Option<OwnedSemaphorePermit>,
    /// Whether this side has ended its half.
    shut: bool,
    /// Two, because the halves of a split stream wait in different tasks. `None` once the link has ended.
    read_end: Option<Ended>,
    write_end: Option<Ended>,
    /// A link lives as long as one of its streams.
    half: Arc<Half>,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the link has ended")
}

fn check(end: &mut Option<Ended>, context: &mut Context<'_>) -> io::Result<()> {
    if end.as_mut().is_some_and(|ended| ended.as_mut().poll(context).is_ready()) {
        *end = None;
    }
    if end.is_some() { Ok(()) } else { Err(gone()) }
}

impl TcpStream {
    pub(super) fn new(flow: Flow, place: Option<OwnedSemaphorePermit>, half: &Arc<Half>) -> Self {
        let (read_end, write_end) = (Some(half.ended()), Some(half.ended()));
        Self { flow: Some(flow), place, shut: false, read_end, write_end, half: Arc::clone(half) }
    }

    fn flow(&mut self) -> io::Result<Pin<&mut Flow>> {
        self.flow.as_mut().map(Pin::new).ok_or_else(gone)
    }

    /// Whether an end of the bytes is none that the peer has made. Yamux tells it by nothing but the stream's state.
    fn was_cut(&self) -> bool {
        self.half.has_ended() || self.flow.as_ref().is_none_or(|flow| !self.shut && flow.0.is_closed())
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        check(&mut self.read_end, cx)?;
        let before = buf.remaining();
        ready!(self.flow()?.poll_read(cx, buf))?;
        if buf.remaining() == before && before > 0 && self.was_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        check(&mut self.write_end, cx)?;
        self.flow()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_end, cx)?;
        self.flow()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        check(&mut self.write_end, cx)?;
        ready!(self.flow()?.poll_shutdown(cx))?;
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        if let Some(flow) = self.flow.take()
            && flow.0.is_write_closed()
        {
            self.half.read_out(Unread { flow, _place: self.place.take() });
        }
        // Any other stream is reset, or has ended.
    }
}

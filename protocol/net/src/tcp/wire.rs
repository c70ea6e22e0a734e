//! A connection's bytes between TLS and yamux: when the peer was last heard, and a good end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::time::Instant;

/// When the last byte came.
#[derive(Debug, Clone)]
pub(super) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing has come for as long as this.
    pub(super) async fn silence(&self, limit: Duration) {
        loop {
            let last = self.last();
            tokio::time::sleep_until(last + limit).await;
            if self.last() == last {
                return;
            }
        }
    }
}

/// Yamux writes the head of a frame and its body one after the other; so they go out as one record of TLS, and several small frames as well.
const BUFFER_BYTES: usize = 32 << 10;

/// The bytes of a connection.
#[derive(Debug)]
pub(super) struct Wire<S> {
    inner: BufWriter<S>,
    heard: Heard,
    /// Whether the sending half has ended.
    ended: bool,
}

impl<S: AsyncWrite> Wire<S> {
    pub(super) fn new(inner: S) -> Self {
        let inner = BufWriter::with_capacity(BUFFER_BYTES, inner);
        Self { inner, heard: Heard(Arc::new(Mutex::new(Instant::now()))), ended: false }
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> futures_io::AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
        let length = buffer.filled().len();
        if length > 0 {
            self.heard.now();
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> futures_io::AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Ends the sending half, then reads until the peer has ended too; see [`super`]. Who calls it sets a time limit.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.ended = true;
        }
        let mut bytes = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // The peer's end, whatever it looks like.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

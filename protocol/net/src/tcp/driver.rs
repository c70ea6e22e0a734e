//! The task behind a link: it carries bytes between the connection and the streams, until one side closes or something breaks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::FAREWELL;
use super::control::{Flow, Side, acceptance, converse};
use super::link::{End, Ends, Pace};
use super::stream::Unread;
use super::wire::{Heard, Wire};
use crate::transport::{CloseCode, Closed, printable};

/// The task behind a link.
pub(super) struct Driver<S> {
    pub(super) connection: yamux::Connection<Wire<S>>,
    /// Who wants a stream towards the peer …
    pub(super) wishes: mpsc::Receiver<oneshot::Sender<yamux::Stream>>,
    /// … and who is the next to get one.
    pub(super) wish: Option<oneshot::Sender<yamux::Stream>>,
    pub(super) accepting: mpsc::Sender<yamux::Stream>,
    pub(super) given_up: mpsc::UnboundedReceiver<Unread>,
    pub(super) reading_out: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(super) ends: Arc<Ends>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Driver<S> {
    /// Drives the link to its end.
    pub(super) async fn drive(
        mut self,
        side: Side,
        accepted: oneshot::Sender<io::Result<()>>,
        heard: Heard,
        pace: Pace,
    ) {
        let ends = Arc::clone(&self.ends);
        let begun = tokio::select! {
            begun = self.begun(side) => begun,
            end = ends.wait() => Err(io::Error::other(end.closed.to_string())),
        };
        let control = match begun {
            Ok(control) => control,
            Err(error) => {
                ends.set(End { closed: lost(&error), said: None });
                // Nobody waits for it on the coordinator's side, or where the dialling was given up.
                let _ = accepted.send(Err(error));
                return;
            }
        };
        let _ = accepted.send(Ok(()));
        let closed = {
            let conversing = converse(control, &ends, pace.beat);
            tokio::pin!(conversing);
            tokio::select! {
                closed = &mut conversing => closed,
                () = heard.silence(Duration::from_secs(pace.silence_secs)) => Closed::TimedOut { secs: pace.silence_secs },
                // The peer's last words may have come with the end of the connection.
                error = std::future::poll_fn(|cx| self.poll(cx)) => match conversing.await {
                    Closed::Lost { .. } => lost(&error),
                    said => said,
                },
            }
        };
        let good = matches!(closed, Closed::Here | Closed::ByPeer { .. });
        ends.set(End { closed, said: None });
        if good {
            let _ = timeout(FAREWELL, std::future::poll_fn(|cx| self.connection.poll_close(cx))).await;
        }
    }

    /// The control stream, once the coordinator has accepted the node.
    async fn begun(&mut self, side: Side) -> io::Result<Flow> {
        let first = std::future::poll_fn(|cx| match side {
            Side::Coordinator => self.connection.poll_new_outbound(cx),
            Side::Node => {
                self.connection.poll_next_inbound(cx).map(|next| next.unwrap_or(Err(yamux::ConnectionError::Closed)))
            }
        });
        let mut control = Flow(first.await.map_err(broken)?);
        tokio::select! {
            said = acceptance(&mut control, side) => said?,
            error = std::future::poll_fn(|cx| self.poll(cx)) => return Err(error),
        }
        Ok(control)
    }

    /// Carries bytes and streams until the connection breaks.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    if let Err(mpsc::error::TrySendError::Full(_)) = self.accepting.try_send(stream) {
                        self.ends.close(CloseCode::PROTOCOL, "more streams than are allowed");
                    }
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(broken(error)),
                Poll::Ready(None) => return Poll::Ready(broken(yamux::ConnectionError::Closed)),
                Poll::Pending => {}
            }
            if self.wish.is_none()
                && let Poll::Ready(Some(wish)) = self.wishes.poll_recv(cx)
            {
                self.wish = Some(wish);
            }
            if let Some(wish) = self.wish.take() {
                match self.connection.poll_new_outbound(cx) {
                    // Nobody takes it where the opening was given up: it was never seen by the peer.
                    Poll::Ready(Ok(stream)) => drop(wish.send(stream)),
                    Poll::Ready(Err(error)) => return Poll::Ready(broken(error)),
                    Poll::Pending => self.wish = Some(wish),
                }
                if self.wish.is_none() {
                    continue;
                }
            }
            while let Poll::Ready(Some(unread)) = self.given_up.poll_recv(cx) {
                self.reading_out.push(Box::pin(unread.read_out()));
            }
            while let Poll::Ready(Some(())) = self.reading_out.poll_next_unpin(cx) {}
            return Poll::Pending;
        }
    }
}

fn broken(error: yamux::ConnectionError) -> io::Error {
    match error {
        yamux::ConnectionError::Io(error) | yamux::ConnectionError::Decode(yamux::FrameDecodeError::Io(error)) => error,
        yamux::ConnectionError::Closed => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::other(other.to_string()),
    }
}

fn lost(error: &io::Error) -> Closed {
    Closed::Lost { reason: printable(error.to_string().as_bytes()) }
}

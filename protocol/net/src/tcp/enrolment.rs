//! The door for hospitals that have no certificate yet: a plain stream behind TLS in which the server alone has proven who it is. Everything about
//! it has a bound: how many there are, how long one lasts.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bocage_protocol::env::Clock;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, timeout};

use super::client::handshake;
use super::route::{Io, Pipe, Route};
use crate::identity;
use crate::places::Place;
use crate::quic::HANDSHAKE_TIMEOUT_SECS;
use crate::tls;
use crate::transport::ConnectError;

/// How long one may take, on either side.
const ENROLMENT_PATIENCE: Duration = Duration::from_secs(60);

/// Strangers that have come to be enrolled.
#[derive(Debug)]
pub struct Enrolments(pub(super) mpsc::Receiver<EnrolmentStream>);

impl Enrolments {
    /// The next one; `None` once the server is gone. Safe to cancel. While nobody asks, newcomers are hung up on.
    pub async fn accept(&mut self) -> Option<EnrolmentStream> {
        self.0.recv().await
    }
}

/// A connection of somebody who is to be enrolled, or theirs to the coordinator. Fails a minute after it was made, whatever happens on it.
pub struct EnrolmentStream {
    pipe: Pipe,
    over: Pin<Box<Sleep>>,
    address: Option<SocketAddr>,
    held: Option<Held>,
}

/// The place of a coordinator's stream.
struct Held {
    gave_way: Pin<Box<dyn Future<Output = ()> + Send>>,
    gone: bool,
    _place: Place,
}

impl fmt::Debug for EnrolmentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentStream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl EnrolmentStream {
    pub(super) fn accepted(io: impl Io + 'static, address: SocketAddr, place: Place) -> Self {
        let over = Box::pin(sleep(ENROLMENT_PATIENCE));
        let held = Held { gave_way: Box::pin(place.gave_way()), gone: false, _place: place };
        Self { pipe: Box::new(io), over, address: Some(address), held: Some(held) }
    }

    /// At a coordinator: where the connection comes from.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.address
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(held) = &mut self.held {
            held.gone = held.gone || held.gave_way.as_mut().poll(cx).is_ready();
            if held.gone {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it gave way to another enrolment"));
            }
        }
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::TimedOut, "the enrolment took too long")),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for EnrolmentStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for EnrolmentStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// Connects to be enrolled: goes the way, and verifies the coordinator against `roots_pem`, the network's root as it came by a way that is trusted.
/// The coordinator learns nothing of who connects.
///
/// # Errors
/// Where the coordinator is not reached, is another one, or enrols nobody ([`ConnectError::WrongProtocol`]).
pub async fn connect_to_enrol(
    route: &Route,
    server_name: &str,
    roots_pem: &str,
    clock: Arc<dyn Clock>,
) -> Result<EnrolmentStream, ConnectError> {
    let roots: Vec<CertificateDer<'static>> = identity::certificates(roots_pem)?;
    let config = Arc::new(tls::enrolment_client(&roots, clock)?);
    let connecting = handshake(route, server_name, config);
    let late = |_| ConnectError::Silent { secs: HANDSHAKE_TIMEOUT_SECS };
    let stream = timeout(Duration::from_secs(HANDSHAKE_TIMEOUT_SECS), connecting).await.map_err(late)??;
    let over = Box::pin(sleep(ENROLMENT_PATIENCE));
    Ok(EnrolmentStream { pipe: Box::new(stream), over, address: None, held: None })
}

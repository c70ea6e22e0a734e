//! The transport of production: QUIC with mutual TLS 1.3. Nodes dial out ([`QuicClient`]), the coordinator listens
//! ([`QuicServer`]).
//!
//! In TLS 1.3 a client is done before the server has looked at its certificate. So that a node learns at once, and by
//! name, that its certificate is refused, the server opens one unidirectional stream when it has accepted a client and
//! sends the byte 0x01 on it; [`QuicClient`] waits for that. There are no other unidirectional streams.
//!
//! Memory: a link costs some 40 KiB while idle and at most `CONNECTION_WINDOW` for what has come and is not yet read,
//! and `SEND_WINDOW` for what is sent and not yet acknowledged.

mod client;
mod reset;
mod server;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bocage_protocol::limits::CUSTODIAN_QUEUE;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use client::QuicClient;
pub use server::QuicServer;

use crate::identity::Leaf;
use crate::transport::{CloseCode, Closed, Link, LinkError, Peer, printable};

/// A node sends something this often on a quiet link; hospital firewalls forget a UDP flow after 30 s or more.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Either side gives up after this long without a packet: three keep-alives in a row were lost.
pub(crate) const IDLE_TIMEOUT_SECS: u64 = 15;
/// A handshake that takes longer is given up.
pub(crate) const HANDSHAKE_TIMEOUT_SECS: u64 = 10;
/// Streams that the coordinator may have open towards a node: as many as its custodian lets wait.
pub(crate) const STREAMS_TO_NODE: usize = CUSTODIAN_QUEUE;
/// Streams that a node may have open towards the coordinator: the control stream, and one request of its own (a renewal).
pub(crate) const STREAMS_TO_COORDINATOR: u32 = 2;
/// Bytes of one stream that may come before they are read.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes of all streams of a link that may come before they are read.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bytes sent and not yet acknowledged.
const SEND_WINDOW: u64 = 4 << 20;
/// What is asked of the kernel for a socket's buffers. With its default of some 200 KiB, answers of a thousand nodes at
/// once are dropped and sent again; `net.core.rmem_max` may cap it.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// The byte by which a server says that it has accepted a client.
const ACCEPTED: u8 = 1;

/// What both sides have in common.
fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_SECS as u32 * 1000))))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None);
    config
}

/// The node's side: it takes questions, and keeps the link alive for both.
fn client_transport() -> Arc<TransportConfig> {
    let mut config = transport_config();
    config
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_TO_NODE as u32))
        .max_concurrent_uni_streams(VarInt::from_u32(1));
    Arc::new(config)
}

/// The coordinator's side. It sends no keep-alives: the nodes' own, and its acknowledgements, do for both.
fn server_transport() -> Arc<TransportConfig> {
    let mut config = transport_config();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_TO_COORDINATOR))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    Arc::new(config)
}

/// A UDP socket with large buffers, as far as the kernel grants them.
fn socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    for granted in [socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES), socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)]
    {
        if let Err(error) = granted {
            tracing::debug!(%error, "the kernel grants no larger socket buffers");
        }
    }
    if address.is_ipv6() {
        // One socket for both families where `::` is bound; refused on systems that have only one.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// How a connection's end is told.
pub(crate) fn closed(error: quinn::ConnectionError) -> Closed {
    use quinn::ConnectionError as E;
    match error {
        E::LocallyClosed => Closed::Here,
        E::ApplicationClosed(close) => Closed::ByPeer {
            code: CloseCode(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX)),
            reason: printable(&close.reason),
        },
        E::TimedOut => Closed::TimedOut { secs: IDLE_TIMEOUT_SECS },
        E::ConnectionClosed(close) => {
            Closed::Lost { reason: printable(format!("{}: ", close.error_code).as_bytes()) + &printable(&close.reason) }
        }
        other => Closed::Lost { reason: printable(other.to_string().as_bytes()) },
    }
}

/// A QUIC connection whose peer is known.
#[derive(Debug, Clone)]
pub struct QuicLink {
    connection: quinn::Connection,
    peer: Arc<Peer>,
    /// Of a server's link: what the site has shown.
    certificate: Option<Arc<Leaf>>,
    /// Of a client: its own endpoint, which must deliver the closing before the process ends.
    endpoint: Option<quinn::Endpoint>,
}

impl QuicLink {
    /// The peer's address.
    pub fn remote_address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Round-trip time, as estimated.
    pub fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    /// After [`Link::close`] on a node: waits until the peer has been told, at most a few round trips. For the end of
    /// a process; returns at once on a server, see [`QuicServer::shutdown`].
    pub async fn drained(&self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.wait_idle().await;
        }
    }
}

impl Link for QuicLink {
    type Stream = QuicStream;

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn certificate(&self) -> Option<&Leaf> {
        self.certificate.as_deref()
    }

    async fn open(&self) -> Result<QuicStream, LinkError> {
        let (send, receive) = self.connection.open_bi().await.map_err(|error| LinkError(closed(error)))?;
        Ok(QuicStream { send, receive })
    }

    async fn accept(&self) -> Result<QuicStream, LinkError> {
        let (send, receive) = self.connection.accept_bi().await.map_err(|error| LinkError(closed(error)))?;
        Ok(QuicStream { send, receive })
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(VarInt::from_u32(code.0), printable(reason.as_bytes()).as_bytes());
    }

    async fn closed(&self) -> Closed {
        closed(self.connection.closed().await)
    }
}

/// A stream of a [`QuicLink`].
#[derive(Debug)]
pub struct QuicStream {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
}

impl AsyncRead for QuicStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buf)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send), cx)
    }
}

#[cfg(test)]
mod tests;

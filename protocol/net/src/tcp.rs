//! The transport for hospitals whose firewall drops UDP: the same mutual TLS 1.3, by the same settings, over one TCP connection, directly or
//! through an HTTP proxy ([`Proxy`]). Nodes dial out ([`TcpClient`]), the coordinator listens ([`TcpServer`]).
//!
//! Streams are those of yamux. What QUIC does by itself and yamux does not is said on a *control stream*, the first stream, which the
//! coordinator opens when it has accepted the node's certificate:
//!
//! ```text
//! 0x01                                      accepted: the coordinator's first byte
//! 0x02                                      alive: both sides, every five seconds
//! 0x03 code(4) length(2) reason(length)     closing: the last thing that either side says
//! ```
//! Who closes a link says why, ends its sending half and reads on until the other side has ended too, since a socket that is closed over unread
//! bytes takes the last words with it.
//!
//! Memory: what has come and is not yet read is at most `STREAMS × 256 KiB` on either side, and that only where nobody reads; what is sent and
//! not yet taken is bounded by the peer's windows.
//!
//! The same port serves hospitals that have no certificate yet ([`TcpServer::enrolments`], [`connect_to_enrol`]): they name another protocol in
//! the handshake, and get a plain stream.

mod client;
mod control;
mod driver;
mod enrolment;
mod link;
mod proxy;
mod route;
mod server;
mod stream;
mod wire;

use std::time::Duration;

pub use client::TcpClient;
pub use enrolment::{EnrolmentStream, Enrolments, connect_to_enrol};
pub use link::TcpLink;
pub use proxy::{Credentials, Proxy, ProxyError, ProxyUrl};
pub use route::Route;
pub use server::TcpServer;
pub use stream::TcpStream;

/// How long the side that closes waits until the other one has been told.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;

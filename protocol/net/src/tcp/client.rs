//! The node's half of TCP: dials the coordinator, straight or through a proxy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::env::{Clock, Timestamp};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::control::Side;
use super::link::{PACE, TcpLink, begin};
use super::route::{Pipe, Route};
use crate::identities::{Derived, Identities};
use crate::identity::{CertificateError, Identity};
use crate::quic::HANDSHAKE_TIMEOUT_SECS;
use crate::tls;
use crate::transport::{CertificateFault, Closed, ConnectError, Dialler, Peer};

/// Dials one coordinator.
pub struct TcpClient {
    route: Route,
    server_name: String,
    shown: Derived<Shown>,
    clock: Arc<dyn Clock>,
}

/// What the coordinator is shown.
#[derive(Clone)]
struct Shown {
    config: Arc<ClientConfig>,
    valid_from: Timestamp,
}

impl fmt::Debug for TcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClient")
            .field("route", &self.route)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TcpClient {
    /// A client of the coordinator at the end of `route`, whose certificate must carry `server_name` (usually
    /// [`crate::certificates::COORDINATOR_NAME`], whatever the host). Each connection is made as whoever one is then.
    ///
    /// # Errors
    /// When TLS refuses the identity. Nothing is sent yet.
    pub fn new(
        route: Route,
        server_name: impl Into<String>,
        identities: impl Into<Identities>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificateError> {
        let now = Arc::clone(&clock);
        let make = move |identity: &Identity, _: &_| Shown::of(identity, &now);
        let shown = Derived::new(identities.into(), Box::new(make))?;
        Ok(Self { route, server_name: server_name.into(), shown, clock })
    }

    #[cfg(test)]
    pub(super) fn set_config(&self, config: ClientConfig) {
        self.shown.spoil(|shown| shown.config = Arc::new(config));
    }

    async fn connect_in_time(&self, shown: &Shown) -> Result<TcpLink, ConnectError> {
        let stream = handshake(&self.route, &self.server_name, Arc::clone(&shown.config)).await?;
        let (link, accepted) = begin(stream, Side::Node, Peer::Coordinator, None, PACE);
        match accepted.await {
            Ok(Ok(())) => Ok(link),
            // The coordinator looks at our certificate when our half of the handshake is long done.
            Ok(Err(error)) => Err(tls::stream_error(&error)),
            Err(_) => Err(ConnectError::Closed(Closed::Lost { reason: "the link is gone".into() })),
        }
    }
}

impl Shown {
    fn of(identity: &Identity, clock: &Arc<dyn Clock>) -> Result<Self, CertificateError> {
        let config = Arc::new(tls::client_config(identity, Arc::clone(clock))?);
        Ok(Self { config, valid_from: identity.valid_from() })
    }
}

impl Dialler for TcpClient {
    type Link = TcpLink;

    async fn connect(&self) -> Result<TcpLink, ConnectError> {
        let shown = self.shown.get();
        let connecting = self.connect_in_time(&shown);
        match timeout(Duration::from_secs(HANDSHAKE_TIMEOUT_SECS), connecting).await {
            // TLS has one alert for both ends of a certificate's time; which it is shows in the certificate.
            Ok(Err(ConnectError::OwnCertificate(CertificateFault::Expired))) if self.clock.now() < shown.valid_from => {
                Err(ConnectError::OwnCertificate(CertificateFault::NotYetValid))
            }
            Ok(done) => done,
            Err(_) => Err(ConnectError::Silent { secs: HANDSHAKE_TIMEOUT_SECS }),
        }
    }
}

/// Goes the way and shakes hands; the server has proven who it is then. Who calls it sets a time limit.
pub(super) async fn handshake(
    route: &Route,
    server_name: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<Pipe>, ConnectError> {
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|error| ConnectError::Handshake { reason: error.to_string() })?;
    let protocol = config.alpn_protocols.first().cloned();
    let pipe = route.go().await?;
    let stream = TlsConnector::from(config).connect(name, pipe).await.map_err(|error| tls::stream_error(&error))?;
    // A server may pass over what it does not know.
    if stream.get_ref().1.alpn_protocol() != protocol.as_deref() {
        return Err(ConnectError::WrongProtocol);
    }
    Ok(stream)
}

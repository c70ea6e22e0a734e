//! The node's half of QUIC: dials the coordinator.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::env::Clock;
use tokio::time::timeout;

use super::{ACCEPTED, HANDSHAKE_TIMEOUT_SECS, QuicLink, client_transport, socket};
use crate::identities::{Derived, Identities};
use crate::identity::{CertificateError, Identity};
use crate::tls;
use crate::transport::{Closed, ConnectError, Dialler, Peer};

/// Addresses of one host name that are tried in turn.
const ADDRESSES: usize = 4;

/// Dials one coordinator.
pub struct QuicClient {
    address: String,
    server_name: String,
    config: Derived<quinn::ClientConfig>,
}

impl fmt::Debug for QuicClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicClient")
            .field("address", &self.address)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl QuicClient {
    /// A client of the coordinator at `address` (`host:port`), whose certificate must carry `server_name` (usually
    /// [`crate::certificates::COORDINATOR_NAME`], whatever the host). Each connection is made as whoever one is then.
    ///
    /// # Errors
    /// When TLS refuses the identity. Nothing is sent yet.
    pub fn new(
        address: impl Into<String>,
        server_name: impl Into<String>,
        identities: impl Into<Identities>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificateError> {
        let make = move |identity: &Identity, _: &_| Ok(client_config(tls::client(identity, Arc::clone(&clock))?));
        let config = Derived::new(identities.into(), Box::new(make))?;
        Ok(Self { address: address.into(), server_name: server_name.into(), config })
    }

    #[cfg(test)]
    pub(super) fn set_config(&self, config: quinn::ClientConfig) {
        self.config.spoil(|own| *own = config);
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<QuicLink, ConnectError> {
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let runtime = Arc::new(quinn::TokioRuntime);
        // A socket per connection: a fresh port gets past a firewall that has lost the old flow.
        let endpoint = quinn::Endpoint::new(quinn::EndpointConfig::default(), None, socket(local)?, runtime)?;
        let config = self.config.get();
        let connecting = endpoint
            .connect_with(config, address, &self.server_name)
            .map_err(|error| ConnectError::Handshake { reason: error.to_string() })?;
        let accepted = async {
            let connection = connecting.await?;
            wait_until_accepted(&connection).await?;
            Ok(connection)
        };
        match timeout(Duration::from_secs(HANDSHAKE_TIMEOUT_SECS), accepted).await {
            Ok(Ok(connection)) => Ok(QuicLink {
                connection,
                peer: Arc::new(Peer::Coordinator),
                certificate: None,
                endpoint: Some(endpoint),
            }),
            Ok(Err(error)) => Err(tls::connect_error(error, HANDSHAKE_TIMEOUT_SECS)),
            Err(_) => Err(ConnectError::TimedOut { secs: HANDSHAKE_TIMEOUT_SECS }),
        }
    }
}

pub(super) fn client_config(tls: quinn::crypto::rustls::QuicClientConfig) -> quinn::ClientConfig {
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(client_transport());
    config
}

/// Waits for the server's word that it accepts our certificate; see [`super`].
async fn wait_until_accepted(connection: &quinn::Connection) -> Result<(), quinn::ConnectionError> {
    let mut stream = connection.accept_uni().await?;
    let mut word = [0];
    match stream.read_exact(&mut word).await {
        Ok(()) if word == [ACCEPTED] => Ok(()),
        Err(quinn::ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error))) => Err(error),
        _ => {
            connection.close(crate::transport::CloseCode::PROTOCOL.0.into(), b"not accepted");
            Err(quinn::ConnectionError::LocallyClosed)
        }
    }
}

impl Dialler for QuicClient {
    type Link = QuicLink;

    async fn connect(&self) -> Result<QuicLink, ConnectError> {
        let host = || self.address.clone();
        let resolving = timeout(Duration::from_secs(HANDSHAKE_TIMEOUT_SECS), tokio::net::lookup_host(&self.address));
        let addresses = match resolving.await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(source)) => return Err(ConnectError::Resolve { host: host(), source }),
            Err(late) => return Err(ConnectError::Resolve { host: host(), source: late.into() }),
        };
        let mut last = None;
        for address in addresses.take(ADDRESSES) {
            match self.connect_to(address).await {
                Ok(link) => return Ok(link),
                // Another address of the host may be reachable; a verdict on a certificate is final.
                Err(error @ (ConnectError::TimedOut { .. } | ConnectError::Socket(_) | ConnectError::Closed(_))) => {
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectError::Closed(Closed::Lost { reason: format!("{} has no address", host()) })))
    }
}

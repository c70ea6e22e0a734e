//! TLS of the coordinator's HTTP interface: version 1.3 and ring only, a certificate of any usual kind, none of the client.
//!
//! Sites' certificates mean nothing here: none is asked for, so none can let anybody in.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use bocage_protocol::env::{Clock, Timestamp};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, ServerConfig};

use crate::identity::{CertificateError, Facts, certificates};
use crate::tls;
use crate::transport::ConnectError;

/// What HTTP/1.1 is called in a handshake (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// A certificate chain and its key, ready to serve.
#[derive(Clone)]
pub struct WebIdentity {
    /// What rustls serves with.
    pub config: Arc<ServerConfig>,
    /// When the leaf begins to be valid.
    pub valid_from: Timestamp,
    /// When it expires.
    pub valid_until: Timestamp,
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentity").field("valid_until", &self.valid_until).finish_non_exhaustive()
    }
}

impl WebIdentity {
    /// From the texts of two files: the chain with the leaf first, and the leaf's key (Ed25519, ECDSA or RSA), behind which a renewed chain may stand.
    ///
    /// # Errors
    /// A part is missing or unreadable, or the key is not the leaf's.
    pub fn from_pem(chain_pem: &str, key_pem: &str) -> Result<Self, CertificateError> {
        let (chain, facts) = chain(chain_pem, key_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| CertificateError::WebKeyUnusable)?;
        let refused = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::KeyMismatch,
            other => CertificateError::Tls { reason: other.to_string() },
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(refused)?;
        config.alpn_protocols = vec![HTTP.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), valid_from: facts.not_before, valid_until: facts.not_after })
    }
}

/// The chain in its own text, or the one behind the key, as a renewal of the coordinator's own certificate leaves it: the later one.
fn chain(chain_pem: &str, key_pem: &str) -> Result<(Vec<CertificateDer<'static>>, Facts), CertificateError> {
    let of = |chain: Vec<CertificateDer<'static>>| Facts::of(&chain[0]).map(|facts| (chain, facts));
    let given = certificates(chain_pem).and_then(of);
    match (certificates(key_pem).and_then(of), given) {
        (Ok(renewed), Ok(given)) if given.1.not_before > renewed.1.not_before => Ok(given),
        (Ok(renewed), _) => Ok(renewed),
        (Err(_), given) => given,
    }
}

/// Who issued the certificate that whoever is at the other end shows, where none of the `trusted` authorities did (PEM): a firewall that looks into TLS, or
/// another server. None where nothing of that kind is seen. The handshake ends over it, and nothing else is sent. The stream sets a time limit.
pub fn stranger(stream: &mut (impl Read + Write), host: &str, trusted: &str, clock: Arc<dyn Clock>) -> Option<String> {
    let config = tls::proxy_client(&certificates(trusted).ok()?, clock).ok()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    match tls::stream_error(&connection.complete_io(stream).err()?) {
        ConnectError::Intercepted { issuer } => Some(issuer),
        _ => None,
    }
}

/// The cryptography of all our TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use rcgen::ExtendedKeyUsagePurpose;

    use super::*;
    use crate::bad_credentials::{NOW, Network, clock};
    use crate::certificates::COORDINATOR_NAME;

    #[test]
    fn who_looks_into_tls_is_named_and_the_networks_own_server_is_no_stranger() {
        let network = Network::new();
        let eyes = network.self_signed(COORDINATOR_NAME, ExtendedKeyUsagePurpose::ServerAuth, "Eyes Ltd");
        for (identity, issuer) in [(eyes, Some("Eyes Ltd")), (network.coordinator(NOW), None)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let config = Arc::new(tls::enrolment_server(&identity, clock()).unwrap());
            let served = std::thread::spawn(move || {
                let mut connection = rustls::ServerConnection::new(config).unwrap();
                let _ = connection.complete_io(&mut listener.accept().unwrap().0);
            });
            let mut stream = TcpStream::connect(address).unwrap();
            let found = stranger(&mut stream, COORDINATOR_NAME, network.root.certificate_pem(), clock());
            drop(stream);
            served.join().unwrap();
            assert_eq!(found.is_some(), issuer.is_some(), "{found:?}");
            assert!(issuer.is_none_or(|issuer| found.unwrap().contains(issuer)));
        }
    }
}

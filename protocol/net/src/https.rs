//! TLS of the coordinator's HTTP interface: version 1.3 and ring only, a certificate of any usual kind, none of the client.
//!
//! Sites' certificates mean nothing here: none is asked for, so none can let anybody in.

use std::fmt;
use std::sync::Arc;

use bocage_protocol::env::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::identity::{CertificateError, Facts, certificates};

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

/// The cryptography of all our TLS.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

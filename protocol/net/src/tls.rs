//! TLS for both roles: version 1.3 and ring only, certificates on both sides, no session resumption with early data.
//! And what a failed handshake means in words. QUIC and TCP take the same settings, so neither is weaker than the other.

use std::fmt;
use std::io;
use std::sync::Arc;

use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::SiteId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::denylist::Denylist;
use crate::identity::{CertificateError, Identity, Leaf, certificates, issuer_of, site_of};
use crate::transport::{CertificateFault, Closed, ConnectError, printable};

/// The protocol that both sides name in the handshake. It covers framing and the hello; what is said behind the hello
/// has its own version.
pub const ALPN: &[u8] = b"bocage/1";
/// [`ALPN`] for people.
pub(crate) const ALPN_TEXT: &str = "bocage/1";
/// The protocol of a hospital that has no certificate yet, over TCP alone: only the server shows one.
pub const ENROLMENT_ALPN: &[u8] = b"bocage-enrol/1";

/// Our clock as rustls wants it.
struct TlsClock(Arc<dyn Clock>);

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(ms)))
    }
}

/// The verifier of a server's clients: a chain to the network's root for client authentication, and a leaf that names
/// exactly one site, which is not refused.
#[derive(Debug)]
struct SiteVerifier(Arc<dyn ClientCertVerifier>, Denylist);

impl ClientCertVerifier for SiteVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.0.verify_client_cert(leaf, intermediates, now)?;
        let site = site_of(leaf).map_err(|_| rustls::CertificateError::NotValidForName)?;
        let leaf = Leaf::of(leaf).map_err(|_| rustls::CertificateError::BadEncoding)?;
        if self.1.denies(&site, Some(&leaf)) {
            return Err(rustls::CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Somebody between us and the server shows a certificate of their own.
#[derive(Debug, Clone, thiserror::Error)]
#[error("issued by {issuer}")]
pub(crate) struct Interception {
    pub(crate) issuer: String,
}

/// The verifier of a client's server: that of webpki, which says of a stranger's certificate who issued it. Networks' own certificates are
/// told from those of a firewall that looks into TLS by the organisation that our authorities carry.
#[derive(Debug)]
struct NamingVerifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for NamingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.verify_server_cert(leaf, intermediates, name, ocsp, now).map_err(|error| match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => match issuer_of(leaf) {
                Some(issuer) => rustls::CertificateError::Other(OtherError(Arc::new(Interception { issuer }))).into(),
                None => error,
            },
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A store of trusted roots.
fn roots(certificates: &[CertificateDer<'static>]) -> Result<Arc<RootCertStore>, CertificateError> {
    let mut store = RootCertStore::empty();
    for root in certificates {
        store.add(root.clone()).map_err(refused)?;
    }
    Ok(Arc::new(store))
}

fn refused(error: impl fmt::Display) -> CertificateError {
    CertificateError::Tls { reason: error.to_string() }
}

/// The site that a chain certifies, by the very rules that a coordinator's handshake goes by: it leads to one of the roots, each of its
/// certificates is valid now, and the leaf is a site's.
///
/// # Errors
/// What is wrong with it, or with a PEM text.
pub fn certified_site(chain_pem: &str, roots_pem: &str, now: Timestamp) -> Result<SiteId, CertificateError> {
    let chain = certificates(chain_pem)?;
    let mut roots = RootCertStore::empty();
    for root in certificates(roots_pem)? {
        roots.add(root).map_err(refused)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(refused)?;
    let now = u64::try_from(now.0).map_err(|_| CertificateError::DateOutOfRange)?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(now));
    SiteVerifier(verifier, Denylist::default()).verify_client_cert(&chain[0], &chain[1..], now).map_err(refused)?;
    site_of(&chain[0])
}

/// The server's side: every client shows a site's certificate, of a site that `denylist` does not refuse.
pub(crate) fn server_config(
    identity: &Identity,
    denylist: &Denylist,
    clock: Arc<dyn Clock>,
) -> Result<ServerConfig, CertificateError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(identity.roots())?, provider()).build().map_err(refused)?;
    let config = ServerConfig::builder_with_details(provider(), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(Arc::new(SiteVerifier(verifier, denylist.clone())))
        .with_single_cert(identity.chain(), identity.key())
        .map_err(refused)?;
    Ok(served(config, ALPN))
}

/// The server's side towards whoever is to be enrolled: no certificate is asked of them.
pub(crate) fn enrolment_server(identity: &Identity, clock: Arc<dyn Clock>) -> Result<ServerConfig, CertificateError> {
    let config = ServerConfig::builder_with_details(provider(), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(identity.chain(), identity.key())
        .map_err(refused)?;
    Ok(served(config, ENROLMENT_ALPN))
}

fn served(mut config: ServerConfig, alpn: &[u8]) -> ServerConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    // Every session is verified in full: a resumed one would outlive its certificate.
    config.max_early_data_size = 0;
    config.send_tls13_tickets = 0;
    config
}

/// The client's side: shows its own certificate and verifies the server's.
pub(crate) fn client_config(identity: &Identity, clock: Arc<dyn Clock>) -> Result<ClientConfig, CertificateError> {
    let config =
        verifying(identity.roots(), clock)?.with_client_auth_cert(identity.chain(), identity.key()).map_err(refused)?;
    Ok(dialling(config, ALPN))
}

/// The client's side of whoever is to be enrolled: has no certificate, and verifies the server's.
pub(crate) fn enrolment_client(
    trusted: &[CertificateDer<'static>],
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, CertificateError> {
    Ok(dialling(verifying(trusted, clock)?.with_no_client_auth(), ENROLMENT_ALPN))
}

/// The client's side towards a proxy, which is no part of the network.
pub(crate) fn proxy_client(
    trusted: &[CertificateDer<'static>],
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, CertificateError> {
    let mut config = dialling(verifying(trusted, clock)?.with_no_client_auth(), b"");
    config.alpn_protocols.clear();
    Ok(config)
}

fn verifying(
    trusted: &[CertificateDer<'static>],
    clock: Arc<dyn Clock>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, CertificateError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(trusted)?, provider()).build().map_err(refused)?;
    Ok(ClientConfig::builder_with_details(provider(), Arc::new(TlsClock(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NamingVerifier(verifier))))
}

fn dialling(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = false;
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// [`server_config`] for QUIC.
pub(crate) fn server(
    identity: &Identity,
    denylist: &Denylist,
    clock: Arc<dyn Clock>,
) -> Result<QuicServerConfig, CertificateError> {
    QuicServerConfig::try_from(server_config(identity, denylist, clock)?).map_err(refused)
}

/// [`client_config`] for QUIC.
pub(crate) fn client(identity: &Identity, clock: Arc<dyn Clock>) -> Result<QuicClientConfig, CertificateError> {
    QuicClientConfig::try_from(client_config(identity, clock)?).map_err(refused)
}

/// Which side found fault with the other.
#[derive(Debug, Clone, Copy)]
enum Judge {
    Us,
    Peer,
}

/// What a connection that ended means for somebody who wanted to make it.
pub(crate) fn connect_error(error: quinn::ConnectionError, waited_secs: u64) -> ConnectError {
    use quinn::ConnectionError as E;
    match error {
        E::TransportError(error) => handshake_error(error.code, &error.reason, Judge::Us),
        E::ConnectionClosed(close) if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED => {
            ConnectError::Busy
        }
        E::ConnectionClosed(close) => handshake_error(close.error_code, &printable(&close.reason), Judge::Peer),
        E::VersionMismatch => ConnectError::WrongProtocol,
        E::TimedOut => ConnectError::TimedOut { secs: waited_secs },
        other => ConnectError::Closed(crate::quic::closed(other)),
    }
}

fn handshake_error(code: quinn::TransportErrorCode, reason: &str, judge: Judge) -> ConnectError {
    // RFC 9001, 4.8: a TLS alert travels as 0x100 + its number.
    let alert = u64::from(code).checked_sub(0x100).and_then(|alert| u8::try_from(alert).ok());
    let Some(alert) = alert.map(AlertDescription::from) else {
        return ConnectError::Closed(Closed::Lost { reason: format!("{code}: {reason}") });
    };
    if alert == AlertDescription::NoApplicationProtocol {
        return ConnectError::WrongProtocol;
    }
    match (certificate_fault(alert, reason), judge) {
        (Some(fault), Judge::Us) => ConnectError::PeerCertificate(fault),
        (Some(fault), Judge::Peer) => ConnectError::OwnCertificate(fault),
        (None, _) => ConnectError::Handshake { reason: format!("{alert:?}: {reason}") },
    }
}

/// What an error of a TLS stream over TCP means for somebody who wanted to make it.
pub(crate) fn stream_error(error: &io::Error) -> ConnectError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(wrong)) => refused_server(wrong),
        Some(rustls::Error::NoCertificatesPresented) => ConnectError::PeerCertificate(CertificateFault::Missing),
        // The alert travels without a text. A signature that does not hold is that of an issuer with a name that is trusted and another key.
        Some(rustls::Error::AlertReceived(AlertDescription::DecryptError)) => {
            ConnectError::OwnCertificate(CertificateFault::UnknownIssuer)
        }
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))
        | Some(rustls::Error::NoApplicationProtocol) => ConnectError::WrongProtocol,
        Some(rustls::Error::AlertReceived(alert)) => match certificate_fault(*alert, "") {
            Some(fault) => ConnectError::OwnCertificate(fault),
            None => ConnectError::Handshake { reason: format!("the peer said {alert:?}") },
        },
        Some(other) => ConnectError::Handshake { reason: printable(other.to_string().as_bytes()) },
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            ConnectError::Closed(Closed::Lost { reason: "the peer hung up within the handshake".into() })
        }
        None => ConnectError::Closed(Closed::Lost { reason: printable(error.to_string().as_bytes()) }),
    }
}

fn refused_server(wrong: &rustls::CertificateError) -> ConnectError {
    if let rustls::CertificateError::Other(OtherError(other)) = wrong
        && let Some(interception) = other.downcast_ref::<Interception>()
    {
        return ConnectError::Intercepted { issuer: interception.issuer.clone() };
    }
    let alert = AlertDescription::from(wrong.clone());
    ConnectError::PeerCertificate(certificate_fault(alert, &format!("{wrong:?}")).unwrap_or(CertificateFault::Broken))
}

/// The alerts by which rustls (`From<CertificateError> for AlertDescription`) reports a certificate.
fn certificate_fault(alert: AlertDescription, reason: &str) -> Option<CertificateFault> {
    Some(match alert {
        // One alert for both ends of the validity; only the text tells them apart.
        AlertDescription::CertificateExpired if reason.contains("not valid yet") || reason.contains("NotValidYet") => {
            CertificateFault::NotYetValid
        }
        AlertDescription::CertificateExpired => CertificateFault::Expired,
        AlertDescription::UnknownCA => CertificateFault::UnknownIssuer,
        // An issuer of the trusted name with another key: a network made anew under its old name.
        AlertDescription::DecryptError if reason.contains("BadSignature") => CertificateFault::UnknownIssuer,
        AlertDescription::BadCertificate if reason.contains("BadEncoding") => CertificateFault::Broken,
        AlertDescription::BadCertificate => CertificateFault::NameMismatch,
        AlertDescription::UnsupportedCertificate => CertificateFault::WrongRole,
        AlertDescription::CertificateRevoked => CertificateFault::Revoked,
        AlertDescription::CertificateRequired => CertificateFault::Missing,
        AlertDescription::CertificateUnknown if reason.contains("Interception") => CertificateFault::UnknownIssuer,
        AlertDescription::DecryptError | AlertDescription::CertificateUnknown => CertificateFault::Broken,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_named_by_what_is_wrong_and_by_whose_certificate_it_is() {
        let error = |alert: u8, reason: &str, judge| {
            handshake_error(quinn::TransportErrorCode::crypto(alert), reason, judge).to_string()
        };
        assert_eq!(error(45, "", Judge::Us), "the peer's certificate is refused: expired");
        assert_eq!(
            error(45, "certificate not valid yet: …", Judge::Peer),
            "the peer refuses our certificate: not valid yet (is a clock wrong?)"
        );
        assert_eq!(error(120, "", Judge::Peer), "the peer does not speak bocage/1");
        assert!(error(80, "oops", Judge::Peer).starts_with("handshake failed: InternalError"));
    }
}

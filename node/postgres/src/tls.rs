//! TLS to the server: version 1.3 with ring, the server known by the authorities of one file and by its name (`verify-full`).

use std::path::Path;
use std::sync::Arc;

use bocage_protocol::limits::SECRET_FILE_BYTES;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PgError;

/// What checks the server's certificate.
pub(crate) fn connector(ca_file: &Path) -> Result<MakeRustlsConnect, PgError> {
    let wrong = |reason: String| PgError::Authority { file: ca_file.to_owned(), reason };
    let metadata = std::fs::metadata(ca_file).map_err(|e| wrong(format!("cannot be read: {}", e.kind())))?;
    if !metadata.is_file() || metadata.len() > SECRET_FILE_BYTES as u64 {
        return Err(wrong(format!("not a file of at most {SECRET_FILE_BYTES} bytes")));
    }
    let text = std::fs::read(ca_file).map_err(|e| wrong(format!("cannot be read: {}", e.kind())))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| wrong("not certificates in PEM".into()))?;
        roots.add(certificate).map_err(|_| wrong("a certificate in it is not valid".into()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| wrong("TLS cannot be set up".into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let says = || connector(&file).err().expect("refused").to_string();
        assert!(says().contains("ca.pem: cannot be read: entity not found\n  hint: "), "{}", says());
        std::fs::write(&file, "").unwrap();
        assert!(says().contains("there is no certificate in it"));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(says().contains("a certificate in it is not valid"));
    }
}

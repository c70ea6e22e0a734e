//! TLS on the HTTP interface, from both sides.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use bocage_net::certificates::{Authority, Issued};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::https::{WebIdentity, provider};
use bocage_net::secret::write_secret;
use bocage_protocol::env::Clock as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

use crate::bench::{Lab, TOKEN, TestClock, config};
use crate::client::{Api, Profile};
use crate::config::ApiTls;
use crate::server::Patience;

struct Https {
    dir: tempfile::TempDir,
    lab: Lab,
    root: Authority,
    site: Issued,
}

async fn https() -> Https {
    let dir = tempfile::tempdir().unwrap();
    let (network, now, mut entropy) = ("heart-demo".parse().unwrap(), SystemClock.now(), SystemEntropy);
    let root = Authority::new_root(&network, now, &mut entropy).unwrap();
    let issuing = root.issue_intermediate(&network, now, &mut entropy).unwrap();
    let own = issuing.issue_coordinator(&["127.0.0.1".to_owned()], now, 30, &mut entropy).unwrap();
    let site = issuing.issue_site(&"cleveland".parse().unwrap(), now, 30, &mut entropy).unwrap();
    let identity = WebIdentity::from_pem(&own.chain_pem, &own.key_pem).unwrap();
    let files = ApiTls { cert_file: dir.path().join("api.pem"), key_file: dir.path().join("api.key") };
    let lab = Lab::start_as(&config(dir.path()), TestClock::new(), Patience::default(), Some((identity, files))).await;
    std::fs::write(dir.path().join("ca.pem"), root.certificate_pem()).unwrap();
    write_secret(&dir.path().join("api.token"), TOKEN.as_bytes()).unwrap();
    Https { dir, lab, root, site }
}

/// What the client says of a coordinator at `url`, where `ca_file` vouches for it.
async fn asked(dir: &Path, url: String, ca_file: &str) -> Result<(), String> {
    let text = format!(
        "coordinator = \"{url}\"\nnetwork = \"heart-demo\"\ntoken_file = \"api.token\"\nca_file = \"{ca_file}\"\n"
    );
    let profile = Profile::parse(&text, &dir.join("profile.toml")).unwrap();
    let call = move || Api::new(&profile).map_err(|e| e.to_string())?.network().map(drop).map_err(|e| e.to_string());
    tokio::task::spawn_blocking(call).await.unwrap()
}

/// The answer to one request over TLS of this version, perhaps with a client's certificate, with these headers; none without a handshake.
async fn told(https: &Https, version: &'static SupportedProtocolVersion, site: bool, headers: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(https.root.certificate_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let config = config.with_root_certificates(roots);
    let config = if site {
        let chain = CertificateDer::pem_slice_iter(https.site.chain_pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(https.site.key_pem.as_bytes()).unwrap();
        config.with_client_auth_cert(chain, key).unwrap()
    } else {
        config.with_no_client_auth()
    };
    let head = format!("GET /v1/network HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let address = https.lab.http().to_owned();
    let call = move || {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        stream.write_all(head.as_bytes()).ok()?;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        Some(String::from_utf8_lossy(&said).into_owned())
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

#[tokio::test]
async fn the_client_speaks_to_a_coordinator_that_its_authority_vouches_for_and_to_no_other() {
    let https = https().await;
    let (dir, at) = (https.dir.path(), https.lab.http().to_owned());
    asked(dir, format!("https://{at}"), "ca.pem").await.unwrap();
    let other = Authority::new_root(&"heart-demo".parse().unwrap(), SystemClock.now(), &mut SystemEntropy).unwrap();
    std::fs::write(dir.join("other.pem"), other.certificate_pem()).unwrap();
    let said = asked(dir, format!("https://{at}"), "other.pem").await.unwrap_err();
    assert!(said.contains("its certificate is"), "{said}");
    let said = asked(dir, format!("https://{}", at.replace("127.0.0.1", "localhost")), "ca.pem").await.unwrap_err();
    assert!(said.contains("its certificate is not one for this address"), "{said}");
    std::fs::write(dir.join("none.pem"), "none").unwrap();
    let said = asked(dir, format!("https://{at}"), "none.pem").await.unwrap_err();
    assert!(said.contains("not a certificate in PEM form"), "{said}");
    asked(dir, format!("http://{at}"), "ca.pem").await.unwrap_err();
    https.lab.stop().await;
}

#[tokio::test]
async fn tls_is_1_3_alone_and_a_sites_certificate_lets_nobody_in() {
    let https = https().await;
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let status = |said: Option<String>| said.map(|said| said.split(' ').nth(1).unwrap_or_default().to_owned());
    assert_eq!(status(told(&https, &version::TLS13, false, &bearer).await).as_deref(), Some("200"));
    assert_eq!(status(told(&https, &version::TLS13, true, "").await).as_deref(), Some("401"));
    assert_eq!(status(told(&https, &version::TLS12, false, &bearer).await), None);
    https.lab.stop().await;
}

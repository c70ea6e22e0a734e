//! Posting a notice as JSON to the site's own server: one request over TLS 1.3, of which the answer's first line counts.
//!
//! It follows no redirection and sends nothing in the clear.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::Notice;

/// Of the answer no more is read.
const ANSWER_BYTES: u64 = 1024;

/// Where a notice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Reads `https://HOST[:PORT][/PATH]`; none where it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'@');
        ServerName::try_from(host).ok().filter(|_| printable)?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()?, path: format!("/{path}") })
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Posts `{"study", "title", "site"}`, where each step may take so long. `ca_file` holds the authorities that may vouch for the server; the machine's
/// own do where there is none.
pub(super) fn send(url: &str, ca_file: Option<&Path>, notice: &Notice, patience: Duration) -> Result<(), String> {
    let url = Url::parse(url).ok_or("it is not an https:// address")?;
    let roots = match ca_file {
        Some(file) => of_file(file)?,
        None => of_machine(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let tls = builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    let status = request(&url, tls, notice, patience).map_err(|error| format!("{} was not told: {error}", url.host))?;
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("{} answered with status {status}", url.host)) }
}

fn request(url: &Url, tls: ClientConfig, notice: &Notice, patience: Duration) -> io::Result<u16> {
    let server = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
    let address = (url.host.as_str(), url.port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("its name has no address"))?;
    let tcp = TcpStream::connect_timeout(&address, patience)?;
    tcp.set_read_timeout(Some(patience))?;
    tcp.set_write_timeout(Some(patience))?;
    let connection = ClientConnection::new(Arc::new(tls), server).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, tcp);
    let Notice { pending, site } = notice;
    let body = json!({ "study": pending.study, "title": pending.title, "site": site }).to_string();
    let Url { host, port, path } = url;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut few = stream.take(ANSWER_BYTES);
    let mut byte = [0];
    while !answer.ends_with(b"\r\n") && few.read(&mut byte)? == 1 {
        answer.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&answer);
    let status = line.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.trim().parse().ok());
    status.ok_or_else(|| io::Error::other("its answer is not HTTP"))
}

fn of_file(file: &Path) -> Result<RootCertStore, String> {
    let unread = |what: &str| format!("steward.notify_ca_file {}: {what}", file.display());
    let pem = std::fs::read(file).map_err(|error| unread(&error.kind().to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err(unread("no certificate is in it")) } else { Ok(roots) }
}

fn of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

#[cfg(test)]
mod tests {
    use super::super::tests::notice;
    use super::*;
    use std::net::TcpListener;

    use bocage_net::certificates::Authority;
    use bocage_net::env::{SystemClock, SystemEntropy};
    use bocage_protocol::env::Clock as _;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    const LONG: Duration = Duration::from_secs(30);

    /// A server named `coordinator.bocage` that answers one request with `status` and hands over what it was sent. It listens on loopback.
    fn server(status: &'static str) -> (u16, String, std::thread::JoinHandle<String>) {
        let now = SystemClock.now();
        let root = Authority::new_root(&"heart".parse().unwrap(), now, &mut SystemEntropy).unwrap();
        let issuing = root.issue_intermediate(&"heart".parse().unwrap(), now, &mut SystemEntropy).unwrap();
        let issued = issuing.issue_coordinator(&["localhost".to_owned()], now, 1, &mut SystemEntropy).unwrap();
        let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
        let config = builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let tcp = listener.accept().unwrap().0;
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), tcp);
            let mut heard = Vec::new();
            let mut byte = [0];
            while !heard.ends_with(b"}") && matches!(stream.read(&mut byte), Ok(1)) {
                heard.push(byte[0]);
            }
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").and_then(|()| stream.flush());
            String::from_utf8(heard).unwrap()
        });
        (port, root.certificate_pem().to_owned(), serving)
    }

    #[test]
    fn the_sites_server_is_sent_study_title_and_site_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        for (status, taken) in [("204 No Content", true), ("500 Oops", false)] {
            let (port, root, serving) = server(status);
            std::fs::write(&ca, root).unwrap();
            let sent = send(&format!("https://localhost:{port}/hook?to=me"), Some(&ca), &notice(), LONG);
            assert_eq!(sent.is_ok(), taken, "{sent:?}");
            let heard = serving.join().unwrap();
            let (head, body) = heard.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /hook?to=me HTTP/1.1\r\n"), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let expected =
                json!({"study": notice().pending.study, "title": notice().pending.title, "site": "cleveland"});
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn a_server_that_nobody_vouches_for_hears_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        let (_, other, _) = server("204 No Content");
        let (port, _, serving) = server("204 No Content");
        std::fs::write(&ca, other).unwrap();
        let sent = send(&format!("https://localhost:{port}/"), Some(&ca), &notice(), LONG).unwrap_err();
        assert!(sent.contains("localhost was not told"), "{sent}");
        assert_eq!(serving.join().unwrap(), "");
        let unread = send("https://localhost/", Some(Path::new("/no/ca.pem")), &notice(), LONG).unwrap_err();
        assert!(unread.contains("/no/ca.pem"), "{unread}");
    }

    #[test]
    fn only_addresses_with_tls_and_a_host_are_taken() {
        let url = |host: &str, port, path: &str| Some(Url { host: host.to_owned(), port, path: path.to_owned() });
        assert_eq!(Url::parse("https://steward.example.org"), url("steward.example.org", 443, "/"));
        assert_eq!(Url::parse("https://10.0.0.7:8443/a/b?c=d"), url("10.0.0.7", 8443, "/a/b?c=d"));
        for wrong in [
            "http://a.org",
            "https://",
            "https://a.org:x/",
            "https://a b.org/",
            "https://a.org/\r\nX: y",
            "https://u:p@a.org",
        ] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }
}

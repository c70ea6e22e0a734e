//! Proxies good and bad, and what a node is told of them.

use std::net::SocketAddr;

use tokio::io::AsyncBufReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::{Route, TcpClient, TcpServer};
use super::*;
use crate::bad_credentials::{ANY, NOW, Network, clock, refusal};
use crate::certificates::COORDINATOR_NAME;
use crate::transport::{Dialler as _, Listener as _};
use rcgen::ExtendedKeyUsagePurpose;

/// What a proxy does once it has read who is to be reached.
#[derive(Clone)]
enum Conduct {
    /// Leads to this address, whatever was asked for.
    Tunnel(SocketAddr),
    /// Answers this and hangs up.
    Answer(Vec<u8>),
    /// Sends header lines without end.
    Endless,
}

/// A proxy that serves one connection after another; what it was asked goes into the channel.
async fn proxy(
    conduct: Conduct,
    tls: Option<TlsAcceptor>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let pipe: Pipe = match &tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => continue,
                },
                None => Box::new(stream),
            };
            let mut pipe = tokio::io::BufReader::new(pipe);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if pipe.read_line(&mut head).await.unwrap() == 0 {
                    break;
                }
            }
            let _ = heard.send(head);
            let conduct = conduct.clone();
            tokio::spawn(async move {
                match conduct {
                    Conduct::Tunnel(to) => {
                        pipe.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await.unwrap();
                        let mut out = TcpStream::connect(to).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut pipe, &mut out).await;
                    }
                    Conduct::Answer(bytes) => {
                        let _ = pipe.write_all(&bytes).await;
                        let _ = pipe.shutdown().await;
                    }
                    Conduct::Endless => {
                        let _ = pipe.write_all(b"HTTP/1.1 200 OK\r\n").await;
                        while pipe.write_all(b"X-More: and more\r\n").await.is_ok() {}
                    }
                }
            });
        }
    });
    (address, asked)
}

fn node(network: &Network, proxy: Proxy) -> TcpClient {
    let route = Route { address: "coordinator.example.org:443".into(), proxy: Some(proxy) };
    TcpClient::new(route, COORDINATOR_NAME, &network.site(NOW), clock()).unwrap()
}

fn plain(address: SocketAddr, credentials: Option<&Credentials>) -> Proxy {
    Proxy::new(&format!("http://{address}").parse().unwrap(), credentials, None, clock()).unwrap()
}

fn ada() -> Credentials {
    Credentials::new("Ada", Zeroizing::new("Lövelace:1".to_owned()))
}

#[tokio::test]
async fn a_session_goes_through_a_proxy_that_learns_host_and_port_and_who_asks() {
    let network = Network::new();
    let server = TcpServer::bind(ANY, &network.coordinator(NOW), clock()).unwrap();
    let (address, mut asked) = proxy(Conduct::Tunnel(server.local_address()), None).await;
    let client = node(&network, plain(address, Some(&ada())));
    let (link, accepted) = tokio::join!(client.connect(), server.accept());
    assert!(link.is_ok() && accepted.is_some());
    let basic = base64::engine::general_purpose::STANDARD.encode("Ada:Lövelace:1");
    assert_eq!(
        asked.recv().await.unwrap(),
        format!(
            "CONNECT coordinator.example.org:443 HTTP/1.1\r\nHost: coordinator.example.org:443\r\nProxy-Authorization: Basic {basic}\r\n\r\n"
        )
    );
    assert!(!format!("{:?} {:?}", ada(), plain(address, Some(&ada()))).contains("velace"));
}

#[tokio::test]
async fn what_a_proxy_refuses_is_said_in_words() {
    let network = Network::new();
    let asks = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nproxy-authenticate: Basic realm=\"x\"\r\n\r\n";
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(PROXY_ANSWER_BYTES));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(PROXY_ANSWER_HEADERS + 1));
    for (answer, credentials, said) in [
        (asks, None, "asks who we are (407): set user and password_file in [coordinator.proxy]; it takes NTLM, Basic"),
        (asks, Some(ada()), "does not take this user and password (407); it takes NTLM, Basic"),
        ("HTTP/1.1 407 x\r\n\r\n", None, "it takes nothing that it names"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", None, "does not let us through to coordinator.example.org:443 (403)"),
        ("HTTP/1.1 502 Bad\x07 Gateway\r\n\r\n", None, "not HTTP"),
        (
            "HTTP/1.0 503 Later\r\nRetry-After: 9\r\n\r\n",
            None,
            "made no tunnel to coordinator.example.org:443: it answered 503 Later",
        ),
        ("HTTP/1.1 301 Moved\r\nLocation: http://login\r\n\r\n", None, "it answered 301 Moved"),
        ("SSH-2.0-OpenSSH_9.2\r\n", None, "is this the address of an HTTP proxy?"),
        ("HTTP/1.1 two\r\n\r\n", None, "not HTTP"),
        (&many, None, "not HTTP"),
        (&long, None, "longer than 16384 bytes"),
        ("HTTP/1.1 200 OK\r\n", None, "hung up before it answered"),
        ("", None, "hung up before it answered"),
    ] {
        let (address, _asked) = proxy(Conduct::Answer(answer.as_bytes().to_vec()), None).await;
        let error = refusal(&node(&network, plain(address, credentials.as_ref()))).await.to_string();
        assert!(error.contains(said), "{answer:.60}: {error}");
    }
    let (address, _asked) = proxy(Conduct::Endless, None).await;
    let error = refusal(&node(&network, plain(address, None))).await.to_string();
    assert!(error.contains("longer than 16384 bytes"), "{error}");
    let gone = std::net::TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let error = refusal(&node(&network, plain(gone, None))).await.to_string();
    assert!(error.starts_with(&format!("the proxy is not reached: cannot connect to {gone}: ")), "{error}");
}

#[tokio::test]
async fn a_proxy_that_looks_into_tls_is_named_and_learns_nothing() {
    let network = Network::new();
    let eyes = network.self_signed(COORDINATOR_NAME, ExtendedKeyUsagePurpose::ServerAuth, "Eyes Ltd");
    let eyes = TcpServer::bind(ANY, &eyes, clock()).unwrap();
    let (address, _asked) = proxy(Conduct::Tunnel(eyes.local_address()), None).await;
    let error = refusal(&node(&network, plain(address, None))).await;
    assert!(matches!(&error, ConnectError::Intercepted { issuer } if issuer.contains("Eyes Ltd")), "{error}");
    // What comes where the tunnel should be is no TLS at all.
    let page = b"HTTP/1.1 200 OK\r\n\r\n<html>please log in</html>".to_vec();
    let (address, _asked) = proxy(Conduct::Answer(page), None).await;
    let error = refusal(&node(&network, plain(address, None))).await;
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
}

#[tokio::test]
async fn a_proxy_with_tls_is_verified_by_the_bundle_that_is_given() {
    let (network, hospital) = (Network::new(), Network::named("hospital"));
    let server = TcpServer::bind(ANY, &network.coordinator(NOW), clock()).unwrap();
    let own = ["127.0.0.1".to_owned()];
    let issued = hospital.issuing.issue_coordinator(&own, NOW, 30, &mut crate::env::SystemEntropy).unwrap();
    let mut config = tls::enrolment_server(&hospital.identity(&issued), clock()).unwrap();
    config.alpn_protocols.clear();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (address, _asked) = proxy(Conduct::Tunnel(server.local_address()), Some(acceptor)).await;
    let url: ProxyUrl = format!("https://{address}").parse().unwrap();
    let with = |bundle: &str| Proxy::new(&url, Some(&ada()), Some(bundle), clock()).unwrap();
    let bundle = format!("{}{}", network.root.certificate_pem(), hospital.root.certificate_pem());
    let client = node(&network, with(&bundle));
    let (link, accepted) = tokio::join!(client.connect(), server.accept());
    assert!(link.is_ok() && accepted.is_some());
    let error = refusal(&node(&network, with(network.root.certificate_pem()))).await.to_string();
    assert!(error.contains("TLS with the proxy failed") && error.contains("ca_file"), "{error}");
    assert!(Proxy::new(&url, None, None, clock()).is_err(), "nothing to verify it by");
}

#[test]
fn a_proxys_address_is_a_scheme_a_host_and_a_port() {
    let parsed = |text: &str| text.parse::<ProxyUrl>();
    let url = |secure, host: &str, port| ProxyUrl { secure, host: host.into(), port };
    assert_eq!(parsed("http://proxy.example.org:3128/"), Ok(url(false, "proxy.example.org", 3128)));
    assert_eq!(parsed("https://[2001:db8::1]:443"), Ok(url(true, "2001:db8::1", 443)));
    for bad in [
        "proxy:3128",
        "http://proxy",
        "ftp://proxy:1",
        "http://:1",
        "http://proxy:0",
        "http://proxy:99999",
        "http://proxy:1/path",
        "http://pro xy:1",
        "http://a\r\nb:1",
        "http://user:password@proxy:1",
        "http://2001:db8::1:443",
        "",
    ] {
        assert!(parsed(bad).is_err(), "{bad}");
    }
}

//! The connections of the HTTP interface: how many there may be, and how long one may take to say what it wants.
//!
//! A client that sends its request a byte at a time, or nothing, loses its connection and nobody else notices. It must never wait for a
//! client without a bound, and never hold more than a head and a body of a request for one. Where all places are taken, a stranger gives way
//! (`bocage_net::places`): a connection on which no sound token was shown.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use bocage_net::places::{Place, Places};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Patience;
use super::web_tls::{LOOK, WebTls};
use crate::api::Peer;

/// Bytes of a request's head: a token and a path are a few hundred.
const HEAD_BYTES: usize = 16 << 10;
/// After a failure to accept (no file descriptors left), before the next attempt.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where clients come in: with TLS, or without on loopback.
pub(super) struct Door {
    /// What is listened on.
    pub http: TcpListener,
    /// The certificate, and that TLS is spoken.
    pub tls: Option<WebTls>,
}

/// Serves `router` until `stopping` is true, then lets the requests under way finish.
pub(super) async fn serve(
    Door { http, mut tls }: Door,
    router: Router,
    patience: Patience,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let places = Places::new(patience.connections, patience.manners);
    let seen = stopping.clone();
    let mut connections = JoinSet::new();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Some(_) = connections.join_next() => {}
            _ = look.tick() => tls.iter_mut().for_each(WebTls::look),
            (stream, address, place) = next(&http, &places) => {
                let (stopping, tls) = (seen.clone(), tls.as_ref().map(WebTls::acceptor));
                let (gave_way, place) = (place.gave_way(), Arc::new(place));
                let router = router.clone().layer(Extension(Peer { address: address.ip(), place: Arc::clone(&place) }));
                let served = async move {
                    match tls {
                        None => connection(stream, address, router, patience, stopping).await,
                        Some(tls) => match tokio::time::timeout(patience.head, tls.accept(stream)).await {
                            Ok(Ok(stream)) => connection(stream, address, router, patience, stopping).await,
                            Ok(Err(error)) => tracing::debug!(?address, %error, "no TLS with an HTTP client"),
                            Err(_) => tracing::info!(?address, "an HTTP client did not finish its TLS handshake in time"),
                        },
                    }
                };
                connections.spawn(async move {
                    tokio::select! {
                        () = served => {}
                        () = gave_way => tracing::debug!(?address, "an HTTP client gave way: too many connections"),
                    }
                    drop(place);
                });
            }
        }
    }
    drop(http);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// The next client for whom there is a place. Where nobody would give way, the others wait in the kernel, which takes them in order.
async fn next(http: &TcpListener, places: &Places) -> (TcpStream, SocketAddr, Place) {
    loop {
        places.room().await;
        match http.accept().await {
            Ok((stream, address)) => match places.take(address.ip()) {
                Some(place) => return (stream, address, place),
                // The last stranger has shown a token meanwhile.
                None => tracing::debug!(?address, "hung up on an HTTP client: too many connections"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    router: Router,
    patience: Patience,
    mut stopping: watch::Receiver<bool>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(HEAD_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let stop = async { drop(stopping.wait_for(|stopping| *stopping).await) };
    let served = tokio::select! {
        served = serving.as_mut() => Some(served),
        () = stop => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    match served {
        Err(error) if error.is_timeout() => tracing::info!(?address, "an HTTP client sent no request in time"),
        Err(error) => tracing::debug!(?address, %error, "an HTTP connection ended early"),
        Ok(()) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bocage_net::places::Manners;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpSocket, TcpStream};

    use super::*;
    use crate::bench::{Lab, TOKEN, TestClock};

    const SHORT: Patience = Patience {
        head: Duration::from_millis(200),
        body: Duration::from_millis(200),
        connections: 3,
        manners: Manners::FirstCome,
    };

    async fn lab() -> (tempfile::TempDir, Lab) {
        let dir = tempfile::tempdir().unwrap();
        let lab = Lab::start_with(dir.path(), TestClock::new(), SHORT).await;
        (dir, lab)
    }

    /// A connection from an address that nobody else has, on which `said` was said.
    async fn from_elsewhere(lab: &Lab, said: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(lab.http().parse().unwrap()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn one_address_that_holds_all_connections_keeps_clients_out_only_where_nobody_gives_way() {
        for (manners, gets_past) in [(Manners::FirstCome, false), (Manners::Yield(Duration::ZERO), true)] {
            let dir = tempfile::tempdir().unwrap();
            let hour = Duration::from_secs(3600);
            let patience = Patience { head: hour, body: hour, connections: 3, manners };
            let lab = Lab::start_with(dir.path(), TestClock::new(), patience).await;
            let mut held = Vec::new();
            for said in ["", "G", "GET /v1/network HTTP/1.1\r\nauthoriz", "", "", ""] {
                held.push(from_elsewhere(&lab, said).await);
            }
            let got = tokio::time::timeout(Duration::from_secs(2), lab.get("/v1/network")).await;
            assert_eq!(got.is_ok_and(|(status, _)| status == 200), gets_past, "{manners:?}");
            drop(held);
            lab.stop().await;
        }
    }

    #[tokio::test]
    async fn who_has_shown_a_sound_token_gives_way_to_no_stranger() {
        let dir = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3600);
        let patience = Patience { head: hour, body: hour, connections: 2, manners: Manners::Yield(Duration::ZERO) };
        let lab = Lab::start_with(dir.path(), TestClock::new(), patience).await;
        let asked = format!("GET /v1/network HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
        let mut known = TcpStream::connect(lab.http()).await.unwrap();
        let mut answer = [0; 12];
        for _ in 0..2 {
            known.write_all(asked.as_bytes()).await.unwrap();
            known.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            until_all_is_read(&mut known).await;
            let mut strangers = Vec::new();
            for _ in 0..10 {
                strangers.push(from_elsewhere(&lab, "G").await);
            }
            // The first was hung up on, so all before the last have come in.
            assert_eq!(until_cut_off(strangers.remove(0)).await, "");
        }
        drop(known);
        lab.stop().await;
    }

    /// Reads an answer to the end of its body.
    async fn until_all_is_read(stream: &mut TcpStream) {
        let mut said = Vec::new();
        loop {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            said.push(byte[0]);
            let text = String::from_utf8_lossy(&said).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let (_, length) = head.split_once("content-length: ").unwrap();
            if body.len() == length.split("\r\n").next().unwrap().parse::<usize>().unwrap() {
                return;
            }
        }
    }

    /// What comes until the coordinator ends the connection.
    async fn until_cut_off(mut stream: TcpStream) -> String {
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    }

    #[tokio::test]
    async fn clients_that_dawdle_are_cut_off_and_the_one_behind_them_is_served() {
        let (_dir, lab) = lab().await;
        let mut slow = Vec::new();
        for half in ["", "G", "GET /v1/network HTTP/1.1\r\nauthoriz"] {
            let mut stream = TcpStream::connect(lab.http()).await.unwrap();
            stream.write_all(half.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        assert_eq!(lab.get("/v1/network").await.0, 200, "all seats were taken by dawdlers");
        for stream in slow {
            let said = until_cut_off(stream).await;
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
        }
        lab.stop().await;
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up_and_a_huge_head_is_refused() {
        let (_dir, lab) = lab().await;
        let mut stream = TcpStream::connect(lab.http()).await.unwrap();
        let head = format!(
            "POST /v1/studies HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 100\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = until_cut_off(stream).await;
        assert!(said.contains("did not arrive in time"), "{said}");
        let mut stream = TcpStream::connect(lab.http()).await.unwrap();
        let head = format!("GET /{} HTTP/1.1\r\n", "x".repeat(4 * HEAD_BYTES));
        let _ = stream.write_all(head.as_bytes()).await;
        let said = until_cut_off(stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
        assert_eq!(lab.get("/v1/network").await.0, 200);
        lab.stop().await;
    }
}

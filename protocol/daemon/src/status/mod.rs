//! The status socket of a daemon: `/healthz`, `/readyz` and `/metrics`, over HTTP on this machine alone.
//!
//! It changes nothing and asks for no token: whoever may open the socket may look. So it must never listen where another machine reaches it ([`Place`] cannot say so),
//! and what it shows must be fit for whoever watches machines.

mod ask;
mod place;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::limits;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use ask::{AskError, Page, ask};
pub use place::{Place, bind_private, unbind};

use crate::figures;

/// After a failure to accept (no file descriptors left), before the next attempt.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Yes, or why not: for people, in a line.
pub type Verdict = Result<(), String>;

/// An answer that takes a look at the disk.
pub type Look<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a daemon says of itself.
pub trait Watched: Send + Sync + 'static {
    /// Whether its loop turns. Where not, only a restart helps.
    fn alive(&self) -> Verdict;
    /// Whether it does now what it is for.
    fn ready(&self) -> Look<Verdict>;
    /// Its page of metrics.
    fn metrics(&self) -> Look<String>;
}

/// A socket that listens.
#[derive(Debug)]
pub enum Door {
    /// On loopback.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixListener),
}

impl Door {
    async fn next(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Answers on `door` until it is dropped.
pub async fn serve(door: Door, watched: Arc<dyn Watched>) {
    serve_within(door, watched, Duration::from_secs(limits::STATUS_SECS)).await;
}

async fn serve_within(door: Door, watched: Arc<dyn Watched>, patience: Duration) {
    let seats = Arc::new(Semaphore::new(limits::STATUS_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = door.next() => accepted,
        };
        match accepted {
            // Who comes when all seats are taken is dropped, and comes again.
            Ok(stream) => {
                if let Ok(seat) = Arc::clone(&seats).try_acquire_owned() {
                    let watched = Arc::clone(&watched);
                    connections.spawn(async move {
                        let _ = timeout(patience, answer(stream, watched)).await;
                        drop(seat);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the status socket");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn answer(stream: Box<dyn Stream>, watched: Arc<dyn Watched>) {
    let service = service_fn(move |request| {
        let watched = Arc::clone(&watched);
        async move { Ok::<_, std::convert::Infallible>(page(&request, watched.as_ref()).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(limits::STATUS_SECS));
    http.max_buf_size(limits::STATUS_HEAD_BYTES);
    // A client that leaves early is nobody's problem.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn page<B>(request: &Request<B>, watched: &dyn Watched) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this socket only shows\n".to_owned());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match Page::at(request.uri().path()) {
        Some(Page::Health) => verdict(watched.alive()),
        Some(Page::Ready) => verdict(watched.ready().await),
        Some(Page::Metrics) => {
            let mut response = text(StatusCode::OK, watched.metrics().await);
            let kind = hyper::header::HeaderValue::from_static(figures::CONTENT_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        None => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".to_owned()),
    }
}

fn verdict(verdict: Verdict) -> Response<Full<Bytes>> {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response.headers_mut().insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;

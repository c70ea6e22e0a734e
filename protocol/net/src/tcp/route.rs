//! The way to a coordinator over TCP: straight, or through a proxy. What it yields are bytes that nobody has vouched for.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proxy::Proxy;
use crate::transport::ConnectError;

/// Addresses of one host name that are tried in turn.
const ADDRESSES: usize = 4;
/// How long one of them may take where there are others.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(3);

/// Bytes in both directions.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection made, of whatever layers.
pub(super) type Pipe = Box<dyn Io>;

/// Where a coordinator is, and how one gets there.
#[derive(Debug, Clone)]
pub struct Route {
    /// `HOST:PORT`. Behind a proxy it is the proxy that looks the host up.
    pub address: String,
    /// The proxy between, if there is one.
    pub proxy: Option<Proxy>,
}

impl Route {
    /// Straight to `address` (`HOST:PORT`).
    pub fn direct(address: impl Into<String>) -> Self {
        Self { address: address.into(), proxy: None }
    }

    /// Goes the way. Who calls it sets a time limit.
    pub(super) async fn go(&self) -> Result<Pipe, ConnectError> {
        match &self.proxy {
            Some(proxy) => Ok(proxy.tunnel(&self.address).await?),
            None => Ok(Box::new(connect(&self.address).await?)),
        }
    }
}

/// A TCP connection to the first address of `HOST:PORT` that takes it.
pub(super) async fn connect(address: &str) -> Result<TcpStream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { host: address.to_owned(), source };
    let addresses: Vec<_> = tokio::net::lookup_host(address).await.map_err(resolve)?.take(ADDRESSES).collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let only = addresses.len() == 1;
    for one in addresses {
        let connecting = TcpStream::connect(one);
        let connected = if only {
            connecting.await
        } else {
            timeout(ADDRESS_PATIENCE, connecting).await.unwrap_or_else(|late| Err(late.into()))
        };
        match connected {
            Ok(stream) => {
                // Frames are written whole: waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(ConnectError::Unreachable { address: address.to_owned(), source: last })
}

//! The way to the server: a TCP connection or a Unix socket, with a bound on what may come for one row.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bocage_protocol::limits::POSTGRES_ROW_BYTES;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::error::{PgError, unreachable};
use super::settings::{PostgresSource, Tls};

/// How long the way to the server may take.
const DIAL_TIME: Duration = Duration::from_secs(15);
/// A connection that is silent so long is asked whether it still stands.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Bytes of either kind of socket.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that gives no more than [`POSTGRES_ROW_BYTES`] between two calls of [`Allowance::renew`]. The driver gathers a message before it looks at it, so
/// that a server that goes mad could fill the memory otherwise.
pub(crate) struct Metered {
    inner: Box<dyn Duplex>,
    allowance: Allowance,
}

/// What may still come.
#[derive(Debug, Clone)]
pub(crate) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(POSTGRES_ROW_BYTES)))
    }

    /// A row came whole.
    pub(crate) fn renew(&self) {
        self.0.store(POSTGRES_ROW_BYTES, Ordering::Relaxed);
    }
}

/// Opens the way.
pub(crate) async fn dial(source: &PostgresSource, allowance: Allowance) -> Result<Metered, PgError> {
    let place = source.place();
    let dialled = tokio::time::timeout(DIAL_TIME, open(source)).await;
    match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(inner) => Ok(Metered { inner, allowance }),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(PgError::Connection {
            place,
            reason: format!("`{}` is not this machine", source.host),
            hint: "tls = \"off\" is for a Unix socket and this machine's own address only".into(),
        }),
        Err(error) => Err(unreachable(&place, &error)),
    }
}

async fn open(source: &PostgresSource) -> io::Result<Box<dyn Duplex>> {
    if source.is_socket() {
        let path = Path::new(&source.host).join(format!(".s.PGSQL.{}", source.port));
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    // By this thread itself: the runtime's own way starts another, which a sandbox that comes later would not bind.
    let addresses = (source.host.as_str(), source.port).to_socket_addrs();
    let addresses: Vec<SocketAddr> = addresses.map_err(|_| io::Error::from(io::ErrorKind::AddrNotAvailable))?.collect();
    // A name is what somebody's resolver makes of it.
    if source.tls == Tls::Off && !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                return Ok(Box::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.allowance.0.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        self.allowance.0.store(left.saturating_sub(read), Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn a_server_that_never_ends_a_row_is_given_up_after_a_bounded_number_of_bytes() {
        let allowance = Allowance::new();
        let mut metered = Metered {
            inner: Box::new(tokio::io::join(tokio::io::repeat(b'x'), tokio::io::sink())),
            allowance: allowance.clone(),
        };
        let mut buffer = vec![0; 1 << 20];
        let mut taken = 0;
        let error = loop {
            match metered.read(&mut buffer).await {
                Ok(read) => taken += read,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!((POSTGRES_ROW_BYTES..POSTGRES_ROW_BYTES + buffer.len()).contains(&taken));
        allowance.renew();
        assert!(metered.read(&mut buffer).await.is_ok());
    }
}

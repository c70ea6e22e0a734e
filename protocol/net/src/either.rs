//! Two transports as one: a link of either, and a listener that yields links of both. Whoever holds one need not know which it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::identity::Leaf;
use crate::transport::{CloseCode, Closed, Link, LinkError, Listener, Peer};

/// A link, or a stream, of one transport or the other.
#[derive(Debug, Clone)]
pub enum Either<A, B> {
    /// Of the first.
    First(A),
    /// Of the second.
    Second(B),
}

/// What both do alike.
macro_rules! both {
    ($either:expr, $one:ident => $what:expr) => {
        match $either {
            Either::First($one) => $what,
            Either::Second($one) => $what,
        }
    };
}

impl<A: Link, B: Link> Link for Either<A, B> {
    type Stream = Either<A::Stream, B::Stream>;

    fn peer(&self) -> &Peer {
        both!(self, link => link.peer())
    }

    fn certificate(&self) -> Option<&Leaf> {
        both!(self, link => link.certificate())
    }

    async fn open(&self) -> Result<Self::Stream, LinkError> {
        match self {
            Self::First(link) => link.open().await.map(Either::First),
            Self::Second(link) => link.open().await.map(Either::Second),
        }
    }

    async fn accept(&self) -> Result<Self::Stream, LinkError> {
        match self {
            Self::First(link) => link.accept().await.map(Either::First),
            Self::Second(link) => link.accept().await.map(Either::Second),
        }
    }

    fn close(&self, code: CloseCode, reason: &str) {
        both!(self, link => link.close(code, reason));
    }

    async fn closed(&self) -> Closed {
        both!(self, link => link.closed().await)
    }
}

impl<A: AsyncRead + Unpin, B: AsyncRead + Unpin> AsyncRead for Either<A, B> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl<A: AsyncWrite + Unpin, B: AsyncWrite + Unpin> AsyncWrite for Either<A, B> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        both!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        both!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// Listens by one transport, and by a second where there is one.
#[derive(Debug)]
pub struct Doors<A, B> {
    /// The first.
    pub first: A,
    /// The second.
    pub second: Option<B>,
}

impl<A: Listener, B: Listener> Listener for Doors<A, B> {
    type Link = Either<A::Link, B::Link>;

    async fn accept(&self) -> Option<Self::Link> {
        let second = async {
            match &self.second {
                Some(second) => second.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            link = self.first.accept() => link.map(Either::First),
            link = second => link.map(Either::Second),
        }
    }

    fn close(&self) {
        self.first.close();
        if let Some(second) = &self.second {
            second.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryListener;
    use crate::transport::{Dialler as _, contract};

    #[tokio::test]
    async fn two_doors_keep_the_contract_whichever_is_taken() {
        let site: bocage_protocol::ids::SiteId = "aa".parse().unwrap();
        for second in [false, true] {
            let doors = Doors { first: MemoryListener::new(), second: Some(MemoryListener::new()) };
            let door = if second { doors.second.as_ref().unwrap() } else { &doors.first };
            contract::keeps(&door.dialler(site.clone()), &doors, &site).await;
        }
    }

    #[tokio::test]
    async fn links_of_both_doors_come_in() {
        let site: bocage_protocol::ids::SiteId = "aa".parse().unwrap();
        let doors = Doors { first: MemoryListener::new(), second: Some(MemoryListener::new()) };
        let _links = (
            doors.first.dialler(site.clone()).connect().await.unwrap(),
            doors.second.as_ref().unwrap().dialler(site).connect().await.unwrap(),
        );
        let came = (doors.accept().await.unwrap(), doors.accept().await.unwrap());
        assert!(matches!(came, (Either::First(_), Either::Second(_)) | (Either::Second(_), Either::First(_))));
    }
}

//! What is said on the control stream of a link; see [`super`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{sleep, timeout};

use super::FAREWELL;
use super::link::{End, Ends};
use crate::transport::{CloseCode, Closed, printable};

const ACCEPTED: u8 = 1;
const ALIVE: u8 = 2;
const CLOSING: u8 = 3;
/// A reason has at most 200 characters.
const REASON_BYTES: usize = 800;

/// Which half of a link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Node,
    Coordinator,
}

/// A yamux stream as tokio wants it.
#[derive(Debug)]
pub(super) struct Flow(pub(super) yamux::Stream);

impl AsyncRead for Flow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = futures_io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, buf.initialize_unfilled());
        read.map_ok(|length| buf.advance(length))
    }
}

impl AsyncWrite for Flow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write(Pin::new(&mut self.0), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(Pin::new(&mut self.0), cx)
    }
}

/// The coordinator's first word, said or heard.
///
/// # Errors
/// Where the link ends before, or the first word is another one.
pub(super) async fn acceptance(control: &mut Flow, side: Side) -> io::Result<()> {
    match side {
        Side::Coordinator => control.write_all(&[ACCEPTED]).await,
        Side::Node if control.read_u8().await? == ACCEPTED => Ok(()),
        Side::Node => Err(unknown_words()),
    }
}

/// Talks until either side has closed the link, and returns how it ended.
pub(super) async fn converse(control: Flow, ends: &Ends, beat: Duration) -> Closed {
    let (mut incoming, mut outgoing) = tokio::io::split(control);
    let listening = async {
        match listen(&mut incoming).await {
            Ok(closed) => closed,
            Err(error) => Closed::Lost { reason: printable(error.to_string().as_bytes()) },
        }
    };
    let beating = async {
        loop {
            sleep(beat).await;
            if outgoing.write_all(&[ALIVE]).await.is_err() {
                // A broken connection ends the listening too, which says how.
                std::future::pending::<()>().await;
            }
        }
    };
    let end: End = tokio::select! {
        closed = listening => return closed,
        end = ends.wait() => end,
        never = beating => never,
    };
    if let Some((code, reason)) = &end.said {
        // Whatever becomes of it: the link has ended.
        let _ = timeout(FAREWELL, outgoing.write_all(&closing(*code, reason))).await;
    }
    end.closed
}

fn unknown_words() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "unknown words on the control stream")
}

fn closing(code: CloseCode, reason: &str) -> Vec<u8> {
    let reason = printable(reason.as_bytes());
    let length = u16::try_from(reason.len()).unwrap_or(0);
    [&[CLOSING][..], &code.0.to_be_bytes(), &length.to_be_bytes(), &reason.as_bytes()[..usize::from(length)]].concat()
}

/// Takes what the peer says, up to its last words.
async fn listen<R: AsyncRead + Unpin>(peer: &mut R) -> io::Result<Closed> {
    loop {
        match peer.read_u8().await? {
            ALIVE => {}
            CLOSING => {
                let code = CloseCode(peer.read_u32().await?);
                let length = usize::from(peer.read_u16().await?);
                if length > REASON_BYTES {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a reason that is too long"));
                }
                let mut reason = vec![0; length];
                peer.read_exact(&mut reason).await?;
                return Ok(Closed::ByPeer { code, reason: printable(&reason) });
            }
            _ => return Err(unknown_words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hear(bytes: &[u8]) -> io::Result<Closed> {
        listen(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn a_code_and_a_reason_travel_as_they_were_given() {
        let mut said = vec![ALIVE, ALIVE];
        said.extend(closing(CloseCode(77), "Grüße"));
        assert_eq!(hear(&said).await.unwrap(), Closed::ByPeer { code: CloseCode(77), reason: "Grüße".into() });
        let long = "ß".repeat(1000);
        let Closed::ByPeer { reason, .. } = hear(&closing(CloseCode::DONE, &long)).await.unwrap() else { panic!() };
        assert_eq!(reason.chars().count(), 200);
    }

    #[tokio::test]
    async fn other_words_are_an_error_and_announce_no_memory() {
        for bytes in [&[0][..], &[ACCEPTED], &[9], &[], &[CLOSING, 0, 0, 0, 0, 0xff, 0xff], &[CLOSING, 0, 0]] {
            assert!(hear(bytes).await.is_err(), "{bytes:?}");
        }
    }
}

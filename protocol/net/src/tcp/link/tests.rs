//! What a link bears of a peer that is dead, rude or greedy.

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};

use super::*;
use crate::frame::{FrameError, read_frame, write_frame};

const HASTY: Pace = Pace { beat: Duration::from_millis(50), silence_secs: 1 };

fn site() -> Peer {
    Peer::Site("aa".parse().unwrap())
}

/// Both halves of a link within this process.
async fn pair() -> (TcpLink, TcpLink) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (node, accepted) = begin(ours, Side::Node, Peer::Coordinator, None, PACE);
    let (coordinator, _) = begin(theirs, Side::Coordinator, site(), None, PACE);
    accepted.await.unwrap().unwrap();
    (node, coordinator)
}

/// Bytes that one day go nowhere, and say so to nobody: a cable that is cut.
struct Cable {
    /// Never dropped, which the other end would hear.
    inner: ManuallyDrop<DuplexStream>,
    cut: Arc<AtomicBool>,
}

impl AsyncRead for Cable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; buf.remaining()];
        let mut came = ReadBuf::new(&mut bytes);
        std::task::ready!(Pin::new(&mut *self.inner).poll_read(cx, &mut came))?;
        if self.cut.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        buf.put_slice(came.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Cable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.cut.load(Ordering::Relaxed) {
            true => Poll::Ready(Ok(bytes.len())),
            false => Pin::new(&mut *self.inner).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.cut.load(Ordering::Relaxed) {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut *self.inner).poll_shutdown(cx),
        }
    }
}

#[tokio::test]
async fn both_sides_notice_a_cable_that_was_cut() {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let cut = Arc::new(AtomicBool::new(false));
    let cable = Cable { inner: ManuallyDrop::new(ours), cut: Arc::clone(&cut) };
    let (node, accepted) = begin(cable, Side::Node, Peer::Coordinator, None, HASTY);
    let (coordinator, _) = begin(theirs, Side::Coordinator, site(), None, HASTY);
    accepted.await.unwrap().unwrap();
    let mut asked = node.open().await.unwrap();
    asked.write_all(b"x").await.unwrap();
    assert_eq!(coordinator.accept().await.unwrap().read_u8().await.unwrap(), b'x');
    cut.store(true, Ordering::Relaxed);
    for link in [node, coordinator] {
        assert_eq!(link.closed().await, Closed::TimedOut { secs: 1 });
    }
    assert!(asked.read_u8().await.is_err());
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_blocks_nobody_and_keeps_no_place() {
    let (node, coordinator) = pair().await;
    let answering = tokio::spawn(async move {
        loop {
            let Ok(mut stream) = node.accept().await else { return };
            let question = read_frame(&mut stream, 10).await.unwrap();
            // More than a stream's window.
            write_frame(&mut stream, &vec![question[0]; 600_000]).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    for _ in 0..2 * STREAMS_TO_NODE {
        let mut stream = coordinator.open().await.unwrap();
        write_frame(&mut stream, b"?").await.unwrap();
        stream.shutdown().await.unwrap();
    }
    let mut stream = coordinator.open().await.unwrap();
    write_frame(&mut stream, b"!").await.unwrap();
    assert_eq!(read_frame(&mut stream, 1 << 20).await.unwrap(), vec![b'!'; 600_000]);
    coordinator.close(CloseCode::DONE, "");
    answering.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_cut_and_not_ended() {
    let (node, coordinator) = pair().await;
    let mut asking = coordinator.open().await.unwrap();
    asking.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
    let mut asked = node.accept().await.unwrap();
    let mut begun = [0; 6];
    asked.read_exact(&mut begun).await.unwrap();
    drop(asking);
    // The end of a stream and a stream that was cut are not the same to whoever waits for the next frame.
    assert!(matches!(read_frame(&mut asked, 10).await, Err(FrameError::Io(_))));
    assert!(asked.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn a_node_opens_one_stream_and_is_closed_upon_for_more() {
    let (node, coordinator) = pair().await;
    let held = node.open().await.unwrap();
    let second = node.open();
    tokio::pin!(second);
    assert!(std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
    drop(held);
    // A node that does not keep to it.
    node.0.free.add_permits(1000);
    let mut opened = Vec::new();
    for _ in 0..1000 {
        let Ok(mut stream) = node.open().await else { break };
        if stream.write_all(b"x").await.is_err() {
            break;
        }
        opened.push(stream);
    }
    let code = CloseCode::PROTOCOL;
    assert_eq!(node.closed().await, Closed::ByPeer { code, reason: "more streams than are allowed".into() });
    assert_eq!(coordinator.closed().await, Closed::Here);
}

/// A yamux frame's head: version 0, a kind, flags, a stream and a length.
fn head(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes()].concat()
}

#[tokio::test]
async fn frames_that_lie_end_the_link_and_cost_nothing() {
    let (data, window, open) = (0, 1, 1);
    for lie in [
        head(data, open, 1, 1 << 30),
        head(data, open, 1, u32::MAX),
        head(data, open, 2, 1),
        head(window, open, 1, u32::MAX),
        head(9, 0, 0, 0),
        vec![0xff; 64],
    ] {
        let (mut raw, theirs) = tokio::io::duplex(64 << 10);
        let (coordinator, _) = begin(theirs, Side::Coordinator, site(), None, HASTY);
        raw.write_all(&lie).await.unwrap();
        let ended = coordinator.closed().await;
        assert!(matches!(ended, Closed::Lost { .. } | Closed::TimedOut { .. }), "{lie:?}: {ended}");
    }
}

#[tokio::test]
async fn a_coordinator_that_never_accepts_has_no_link() {
    let (ours, mut raw) = tokio::io::duplex(64 << 10);
    let (node, accepted) = begin(ours, Side::Node, Peer::Coordinator, None, HASTY);
    // The control stream, and another first word.
    raw.write_all(&[head(0, 1, 2, 1), vec![9]].concat()).await.unwrap();
    assert!(accepted.await.unwrap().is_err());
    assert!(matches!(node.closed().await, Closed::Lost { .. }));
}

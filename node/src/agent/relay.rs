//! Hands one request to the custodian and its answer back. A request that cannot be handed on is answered `busy`: its study is still
//! open, and the coordinator asks again.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bocage_net::frame::{FrameError, Steady, read_frame, read_frame_steadily, write_frame};
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::limits;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::Reply;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::presence::Handed;

/// Requests that may be under way: twice what the custodian lets wait. The rest is turned away.
pub const RELAYS: usize = 2 * limits::CUSTODIAN_QUEUE;
/// How a coordinator sends its request: it has it when it opens a stream.
const STEADY: Steady =
    Steady { begins: Some(Duration::from_secs(60)), stall: Duration::from_secs(limits::REQUEST_STALL_SECS) };

/// Answers one request through the custodian's socket.
///
/// # Errors
/// Where the coordinator does not send a frame or does not take the answer.
pub(super) async fn hand_on<S>(mut stream: S, socket: &Path) -> Result<Handed, FrameError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = read_frame_steadily(&mut stream, limits::FRAME_BYTES, STEADY).await?;
    let (reply, handed) = match ask(socket, &request).await {
        Ok(reply) => (reply, Handed::On),
        Err(error) => {
            match &error {
                FrameError::Io(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                    tracing::info!("the custodian is not up yet: the coordinator asks again");
                }
                error => tracing::info!(%error, "the custodian did not answer"),
            }
            (busy("the site's custodian is not ready")?, Handed::Back)
        }
    };
    answer(stream, &reply).await?;
    Ok(handed)
}

/// Answers `busy` without asking anybody.
///
/// # Errors
/// Where the coordinator does not take the answer.
pub(super) async fn turn_away<S>(stream: S) -> Result<Handed, FrameError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    answer(stream, &busy("the site has too many requests under way")?).await?;
    Ok(Handed::Away)
}

/// Whether only a coordinator that does not keep to the protocol lets a request end so: ours gives up at most, and says so.
pub(super) fn is_foul(error: &FrameError) -> bool {
    matches!(error, FrameError::TooLarge { .. } | FrameError::Stalled { .. } | FrameError::Slow { .. })
}

async fn ask(socket: &Path, request: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut custodian = UnixStream::connect(socket).await?;
    write_frame(&mut custodian, request).await?;
    // How long it takes is the custodian's and its supervisor's affair; its death ends this read.
    read_frame(&mut custodian, limits::FRAME_BYTES).await
}

async fn answer<S: AsyncWrite + Unpin>(mut stream: S, reply: &[u8]) -> Result<(), FrameError> {
    write_frame(&mut stream, reply).await?;
    stream.shutdown().await?;
    Ok(())
}

fn busy(message: &str) -> Result<Vec<u8>, FrameError> {
    let error = PublicError::new(ErrorCode::Busy, message).hint("ask again in a few seconds");
    Ok(codec::encode(&Reply::Refused(error))?)
}

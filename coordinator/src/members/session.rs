//! A live session to a site: requests go out on streams of their own, so that a slow answer holds nothing up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_net::{CloseCode, Link, LinkError};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::marks::one_line;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, Request};
use tokio::io::AsyncWriteExt as _;

/// A reply as received.
#[derive(Debug)]
pub struct Answered {
    /// What it says. One that cannot be read is a refusal, `malformed`.
    pub reply: Reply,
    /// Bytes on the stream, the frame's length included.
    pub bytes: u64,
}

/// The reply did not come, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The link is gone.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The stream ended early.
    #[error(transparent)]
    Stream(#[from] FrameError),
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Answered, Lost>> + Send + 'a>>;

/// A link of any transport.
trait Node: Send + Sync {
    fn ask<'a>(&'a self, request: &'a [u8]) -> Asking<'a>;
    fn close(&self, code: CloseCode, reason: &str);
}

/// A live session. Serial numbers grow: the newer of two sessions has the larger one.
pub struct Session {
    serial: u64,
    node: Box<dyn Node>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new<L: Link>(serial: u64, link: L) -> Self {
        Self { serial, node: Box::new(Linked(link)) }
    }

    /// Its number.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Puts a request to the site. Dropping the future gives the request up.
    ///
    /// # Errors
    /// The link or the stream ended before the reply was whole.
    pub async fn ask(&self, request: &Request) -> Result<Answered, Lost> {
        let request = codec::encode(request).map_err(FrameError::Codec)?;
        self.ask_encoded(&request).await
    }

    /// [`Session::ask`] with the bytes of a request: a round is encoded once, however many sites it is put to.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn ask_encoded(&self, request: &[u8]) -> Result<Answered, Lost> {
        self.node.ask(request).await
    }

    /// Ends the session.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.node.close(code, reason);
    }
}

struct Linked<L>(L);

const NO_MESSAGE: &str = "the site's reply is not a message";

impl<L: Link> Linked<L> {
    /// A peer that does not speak the protocol has no session; what it said instead is its answer to the request.
    fn cut_off(&self, why: &str) {
        tracing::warn!(peer = %self.0.peer(), why, "peer cut off");
        self.0.close(CloseCode::PROTOCOL, "that was no reply");
    }
}

impl<L: Link> Node for Linked<L> {
    fn ask<'a>(&'a self, request: &'a [u8]) -> Asking<'a> {
        Box::pin(async move {
            let mut stream = self.0.open().await?;
            write_frame(&mut stream, request).await?;
            stream.shutdown().await.map_err(FrameError::Io)?;
            let frame = match read_frame(&mut stream, limits::FRAME_BYTES).await {
                Err(FrameError::TooLarge { bytes, limit_bytes }) => {
                    let message = format!("the site's reply has {bytes} bytes where {limit_bytes} are allowed");
                    self.cut_off(&message);
                    let reply = Reply::Refused(PublicError::new(ErrorCode::TooLarge, message));
                    return Ok(Answered { reply, bytes: 4 });
                }
                other => other?,
            };
            let reply = read(&frame);
            if reply.is_none() {
                self.cut_off(NO_MESSAGE);
            }
            let reply = reply.unwrap_or_else(|| Reply::Refused(PublicError::new(ErrorCode::Malformed, NO_MESSAGE)));
            Ok(Answered { reply, bytes: frame.len() as u64 + 4 })
        })
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.0.close(code, reason);
    }
}

/// A reply, where the bytes are one.
fn read(frame: &[u8]) -> Option<Reply> {
    match codec::decode::<Reply>(frame, limits::FRAME_BYTES).ok()? {
        Reply::Refused(error) => Some(Reply::Refused(tamed(error))),
        Reply::Pending(error) => Some(Reply::Pending(tamed(error))),
        reply => Some(reply),
    }
}

/// A peer's words on one line and of bounded length: they are stored, logged and shown.
fn tamed(error: PublicError) -> PublicError {
    let tamed = PublicError::new(error.code, one_line(&error.message));
    match &error.hint {
        Some(hint) => tamed.hint(one_line(hint)),
        None => tamed,
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::marks::steers;

    use super::*;

    #[test]
    fn what_a_peer_says_is_cut_and_put_on_one_line() {
        let said = PublicError {
            code: ErrorCode::Internal,
            message: format!("a\n\u{1b}[2J\u{202e}{}", "x".repeat(9000)),
            hint: None,
        };
        let frame = codec::encode(&Reply::Refused(said)).unwrap();
        let Some(Reply::Refused(error)) = read(&frame) else { panic!() };
        assert!(error.message.len() <= limits::ERROR_TEXT_BYTES && !error.message.contains(steers));
        assert!(read(&[255, 255, 255]).is_none());
    }
}

//! A live session to a site: requests go out on streams of their own, so that a slow answer holds nothing up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bocage_net::frame::{FrameError, Steady, read_frame_steadily, write_frame};
use bocage_net::identity::Leaf;
use bocage_net::{CloseCode, Denylist, Link, LinkError};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::marks::one_line;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, Request};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

/// What a session that moves to another link may still take to answer: as long as the longest round of a site.
const LAST_ANSWERS: Duration = Duration::from_secs(3600);
/// How a site sends a reply: it computes as long as it takes, and then has it in memory.
const STEADY: Steady = Steady { begins: None, stall: Duration::from_secs(limits::REPLY_STALL_SECS) };
/// For those who were about to ask when a newer session came.
const LAST_QUESTIONS: Duration = Duration::from_secs(1);

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
    /// The site is revoked.
    #[error("the site is revoked")]
    Revoked,
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
    version: u16,
    site: SiteId,
    leaf: Option<Leaf>,
    denylist: Denylist,
    /// Questions under way.
    asking: watch::Sender<usize>,
    shortest_micros: AtomicU64,
    /// Whether the node has said that it goes on in a session of its own making: [`Session::leaves`].
    leaving: AtomicBool,
    replaced: watch::Sender<bool>,
    node: Box<dyn Node>,
}

/// A question under way.
struct Asked<'a>(&'a watch::Sender<usize>);

impl<'a> Asked<'a> {
    fn begin(asking: &'a watch::Sender<usize>) -> Self {
        asking.send_modify(|count| *count += 1);
        Self(asking)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new<L: Link>(serial: u64, version: u16, site: SiteId, link: L, denylist: Denylist) -> Self {
        Self {
            serial,
            version,
            site,
            leaf: link.certificate().cloned(),
            denylist,
            asking: watch::Sender::new(0),
            shortest_micros: AtomicU64::new(u64::MAX),
            leaving: AtomicBool::new(false),
            replaced: watch::Sender::new(false),
            node: Box::new(Linked(link)),
        }
    }

    /// The certificate that the node has shown, where there is one.
    pub(super) fn leaf(&self) -> Option<&Leaf> {
        self.leaf.as_ref()
    }

    /// The node is about to come by another link, with a new certificate or over a better way: a newer session lets this one finish what it is asked.
    pub(super) fn leaves(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// A newer session takes over. Without notice this one ends at once: its link may be dead, and who waits for an answer asks the newer.
    pub(super) fn replace(&self) {
        if self.leaving.load(Ordering::Relaxed) {
            self.replaced.send_replace(true);
        } else {
            self.close(CloseCode::REPLACED, "a newer session of this site");
        }
    }

    /// Waits until a newer session has taken over and the last answer has come.
    pub(super) async fn retired(&self) {
        let _ = self.replaced.subscribe().wait_for(|replaced| *replaced).await;
        tokio::time::sleep(LAST_QUESTIONS).await;
        let mut asking = self.asking.subscribe();
        let _ = tokio::time::timeout(LAST_ANSWERS, asking.wait_for(|count| *count == 0)).await;
    }

    /// Its number.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The protocol version that both sides speak in it.
    pub fn version(&self) -> u16 {
        self.version
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
        if self.denylist.denies(&self.site, self.leaf()) {
            return Err(Lost::Revoked);
        }
        let _asked = Asked::begin(&self.asking);
        let began = Instant::now();
        let answered = self.node.ask(request).await?;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shortest_micros.fetch_min(micros, Ordering::Relaxed);
        Ok(answered)
    }

    /// The shortest exchange so far: a message takes no longer from there to here. None where nothing was answered.
    pub(super) fn shortest(&self) -> Option<Duration> {
        let micros = self.shortest_micros.load(Ordering::Relaxed);
        (micros < u64::MAX).then(|| Duration::from_micros(micros))
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
            let frame = match read_frame_steadily(&mut stream, limits::FRAME_BYTES, STEADY).await {
                Err(FrameError::TooLarge { bytes, limit_bytes }) => {
                    let message = format!("the site's reply has {bytes} bytes where {limit_bytes} are allowed");
                    self.cut_off(&message);
                    let reply = Reply::Refused(PublicError::new(ErrorCode::TooLarge, message));
                    return Ok(Answered { reply, bytes: 4 });
                }
                // It is asked again over its next session.
                Err(stalled @ (FrameError::Stalled { .. } | FrameError::Slow { .. })) => {
                    tracing::warn!(peer = %self.0.peer(), why = %stalled, "peer cut off");
                    self.0.close(CloseCode::TIMEOUT, "the rest of a reply did not come in time");
                    return Err(stalled.into());
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
    match codec::decode_filled::<Reply>(frame, limits::FRAME_BYTES).ok()? {
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
        let filled = [&frame[..], &[0; 900]].concat();
        assert!(matches!(read(&filled), Some(Reply::Refused(_))), "a reply that was filled up");
        assert!(read(&[&frame[..], &[1]].concat()).is_none());
    }
}

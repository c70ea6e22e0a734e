//! The beginning of a session: hello, welcome or rejection, catalogue. A peer that stays silent or babbles is closed; nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_net::{CloseCode, Link, LinkError};
use bocage_protocol::PublicError;
use bocage_protocol::contract::ColumnTraits;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, NetworkId, SiteId};
use bocage_protocol::limits;
use bocage_protocol::trust::SignedCheckpoint;
use bocage_protocol::wire::hello::{Answer, First, Hello, HelloError, answer};
use bocage_protocol::wire::inquiry::Known;
use bocage_protocol::wire::message::{Catalogue, Particulars, Reply, Request};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{Answered, Session};

/// How long a peer may take to say hello, and to give its catalogue.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before a site that is busy is told again; doubles.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// How long a rejected peer has to read why.
const FAREWELL: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
enum GreetError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Hello(#[from] HelloError),
}

/// What came of a peer's first frame.
enum Greeted {
    /// There may be a session. The hello came at that time.
    Session(Hello, Timestamp),
    /// There will be none.
    Rejected(PublicError),
    /// None was wanted.
    Told,
}

/// Exchanges hellos on the peer's first stream: the hello, and when it came; none where no session was wanted. Otherwise the link is closed, the log says why, and the reason is
/// answered in a word. `known` is what is told of the site to who only asks.
pub(super) async fn greet<L: Link>(
    link: &L,
    site: &SiteId,
    enrolled: bool,
    network: &NetworkId,
    clock: &Arc<dyn Clock>,
    known: impl FnOnce() -> Known,
) -> Result<Option<(Hello, Timestamp)>, &'static str> {
    match timeout(PATIENCE, exchange(link, site, enrolled, network, clock, known)).await {
        Ok(Ok(Greeted::Session(hello, heard))) => Ok(Some((hello, heard))),
        Ok(Ok(Greeted::Told)) => {
            tracing::info!(%site, "somebody at the site asked whether it would be taken in");
            // Who asked closes when the answer was read.
            let _ = timeout(FAREWELL, link.closed()).await;
            link.close(CloseCode::DONE, "that was all");
            Ok(None)
        }
        Ok(Ok(Greeted::Rejected(error))) => {
            tracing::warn!(%site, code = %error.code, message = %error.message, "site rejected");
            // The node closes when it has read the answer; closing first could lose it.
            let _ = timeout(FAREWELL, link.closed()).await;
            link.close(CloseCode::REJECTED, error.code.as_str());
            Err(error.code.as_str())
        }
        Ok(Err(error)) => {
            tracing::warn!(%site, %error, "no hello");
            link.close(CloseCode::PROTOCOL, "no hello");
            Err("no_hello")
        }
        Err(_) => {
            tracing::warn!(%site, "no hello in time");
            link.close(CloseCode::TIMEOUT, "no hello in time");
            Err("no_hello_in_time")
        }
    }
}

async fn exchange<L: Link>(
    link: &L,
    site: &SiteId,
    enrolled: bool,
    network: &NetworkId,
    clock: &Arc<dyn Clock>,
    known: impl FnOnce() -> Known,
) -> Result<Greeted, GreetError> {
    let mut stream = link.accept().await?;
    let frame = read_frame(&mut stream, limits::HELLO_BYTES).await?;
    let heard = clock.now();
    let first = First::decode(&frame)?;
    let answer = answer(first.hello(), site, enrolled, network, heard);
    let frame = match &first {
        First::Session(_) => answer.encode(),
        First::Inquiry(_) => known().behind(&answer),
    };
    write_frame(&mut stream, &frame).await?;
    stream.shutdown().await.map_err(FrameError::Io)?;
    Ok(match (answer, first) {
        (Answer::Welcome(_), First::Session(hello)) => Greeted::Session(hello, heard),
        (Answer::Reject(error), First::Session(_)) => Greeted::Rejected(error),
        (_, First::Inquiry(_)) => Greeted::Told,
    })
}

/// What the site offers, if it says so in time.
pub(super) async fn catalogue(session: &Session, site: &SiteId) -> Option<Catalogue> {
    let problem = match timeout(PATIENCE, session.ask(&Request::Catalogue)).await {
        Ok(Ok(answered)) => match answered.reply {
            Reply::Catalogue(catalogue) if catalogue.datasets.len() <= limits::DATASETS => return Some(catalogue),
            Reply::Catalogue(_) => "it offers too many datasets".to_owned(),
            Reply::Released(_) | Reply::Particulars(_) | Reply::Witnessed => "it answered something else".to_owned(),
            Reply::Refused(error) if error.code == ErrorCode::Busy => "it is busy".to_owned(),
            Reply::Refused(error) | Reply::Pending(error) => error.to_string(),
        },
        Ok(Err(lost)) => lost.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    tracing::info!(%site, problem, "no catalogue");
    None
}

/// What is to be known of the site's datasets, if it says so in time. `known` are the contracts that this coordinator holds.
pub(super) async fn particulars(session: &Session, site: &SiteId, known: &[Digest]) -> Option<Particulars> {
    let problem = match timeout(PATIENCE, session.ask(&Request::Particulars(known.to_vec()))).await {
        Ok(Ok(answered)) => match answered.reply {
            Reply::Particulars(of)
                if of.datasets.len() <= limits::DATASETS && of.columns() <= limits::PARTICULAR_COLUMNS =>
            {
                return Some(tamed(of));
            }
            Reply::Particulars(_) => "it names too many datasets or columns".to_owned(),
            Reply::Refused(error) | Reply::Pending(error) => error.to_string(),
            Reply::Catalogue(_) | Reply::Released(_) | Reply::Witnessed => "it answered something else".to_owned(),
        },
        Ok(Err(lost)) => lost.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    tracing::info!(%site, problem, "no particulars");
    None
}

/// Tells a site what is remembered of its ledger; answers whether it has looked at that. A site that is only just starting is busy for a moment, and
/// must not answer a round before: it is asked again, for so long as it may take to say hello.
pub(super) async fn witness(session: &Session, site: &SiteId, known: Vec<SignedCheckpoint>) -> bool {
    let request = Request::Witness(known);
    let told = async {
        let mut pause = FIRST_RETRY;
        loop {
            match session.ask(&request).await {
                Ok(Answered { reply: Reply::Witnessed, .. }) => return Ok(()),
                Ok(Answered { reply: Reply::Refused(error), .. }) if error.code == ErrorCode::Busy => {}
                Ok(Answered { reply: Reply::Refused(error) | Reply::Pending(error), .. }) => {
                    return Err(error.to_string());
                }
                Ok(_) => return Err("it answered something else".to_owned()),
                Err(lost) => return Err(lost.to_string()),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    };
    let problem = match timeout(PATIENCE, told).await {
        Ok(Ok(())) => return true,
        Ok(Err(problem)) => problem,
        Err(_) => "it did not answer in time".to_owned(),
    };
    tracing::info!(%site, problem, "its ledger was not compared with what is remembered of it");
    false
}

fn tamed(mut particulars: Particulars) -> Particulars {
    for columns in particulars.datasets.iter_mut().filter_map(|dataset| dataset.columns.as_mut()) {
        *columns = std::mem::take(columns).into_iter().map(ColumnTraits::tamed).collect();
    }
    particulars
}

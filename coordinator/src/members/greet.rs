//! The beginning of a session: hello, welcome or rejection, catalogue. A peer that stays silent or babbles is closed; nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_net::{CloseCode, Link, LinkError};
use bocage_protocol::PublicError;
use bocage_protocol::contract::ColumnTraits;
use bocage_protocol::env::Clock;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{Digest, NetworkId, SiteId};
use bocage_protocol::limits;
use bocage_protocol::wire::hello::{Answer, Hello, HelloError, answer};
use bocage_protocol::wire::message::{Catalogue, Particulars, Reply, Request};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::Session;

/// How long a peer may take to say hello, and to give its catalogue.
const PATIENCE: Duration = Duration::from_secs(10);
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

/// Exchanges hellos on the peer's first stream. Otherwise the link is closed, the log says why, and the reason is answered in a word.
pub(super) async fn greet<L: Link>(
    link: &L,
    site: &SiteId,
    enrolled: bool,
    network: &NetworkId,
    clock: &Arc<dyn Clock>,
) -> Result<Hello, &'static str> {
    match timeout(PATIENCE, exchange(link, site, enrolled, network, clock)).await {
        Ok(Ok(Ok(hello))) => Ok(hello),
        Ok(Ok(Err(error))) => {
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
) -> Result<Result<Hello, PublicError>, GreetError> {
    let mut stream = link.accept().await?;
    let frame = read_frame(&mut stream, limits::HELLO_BYTES).await?;
    let hello = Hello::decode(&frame)?;
    let answer = answer(&hello, site, enrolled, network, clock.now());
    write_frame(&mut stream, &answer.encode()).await?;
    stream.shutdown().await.map_err(FrameError::Io)?;
    Ok(match answer {
        Answer::Welcome(_) => Ok(hello),
        Answer::Reject(error) => Err(error),
    })
}

/// What the site offers, if it says so in time.
pub(super) async fn catalogue(session: &Session, site: &SiteId) -> Option<Catalogue> {
    let problem = match timeout(PATIENCE, session.ask(&Request::Catalogue)).await {
        Ok(Ok(answered)) => match answered.reply {
            Reply::Catalogue(catalogue) if catalogue.datasets.len() <= limits::DATASETS => return Some(catalogue),
            Reply::Catalogue(_) => "it offers too many datasets".to_owned(),
            Reply::Released(_) | Reply::Particulars(_) => "it answered something else".to_owned(),
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
            Reply::Catalogue(_) | Reply::Released(_) => "it answered something else".to_owned(),
        },
        Ok(Err(lost)) => lost.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    tracing::info!(%site, problem, "no particulars");
    None
}

fn tamed(mut particulars: Particulars) -> Particulars {
    for columns in particulars.datasets.iter_mut().filter_map(|dataset| dataset.columns.as_mut()) {
        *columns = std::mem::take(columns).into_iter().map(ColumnTraits::tamed).collect();
    }
    particulars
}

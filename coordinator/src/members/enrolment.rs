//! The coordinator's side of an enrolment: one request on a stream, one answer. The peer has shown no certificate, only a token.
//!
//! Nothing of the request is believed before it is proven, and no certificate leaves before the enrolment is on the disk. A peer that is slow,
//! floods or babbles costs a few kilobytes for a few seconds.

use std::sync::Arc;
use std::time::Duration;

use bocage_net::certificates::requested_key;
use bocage_net::env::SystemEntropy;
use bocage_net::frame::{FrameError, read_message, write_message};
use bocage_protocol::PublicError;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::wire::enrol::{EnrolAnswer, EnrolRequest, Enrolled};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::invitations::{Admission, Asking, admission};
use super::issuing::IssueError;
use crate::dispatch::Context;
use crate::store::{Revoked, StoreError};

/// How long a peer may take to ask, and to hear the answer.
pub const PATIENCE: Duration = Duration::from_secs(10);
const OTHER_KEYS: &str = "the site has enrolled with other keys";

/// Serves one stream, to its end. `from` is the peer's address, for the log; `patience` is [`PATIENCE`].
pub async fn serve<S>(context: &Arc<Context>, mut stream: S, from: &str, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let asked = timeout(patience, read_message::<EnrolRequest, _>(&mut stream, limits::ENROL_REQUEST_BYTES)).await;
    let answer = match asked {
        Err(_) => return tracing::info!(from, "an enrolment did not ask in time"),
        Ok(Err(error @ (FrameError::Codec(_) | FrameError::TooLarge { .. }))) => {
            let error = PublicError::new(ErrorCode::Malformed, format!("that was no request to enrol: {error}"));
            Err(error.hint("compare the versions of node and coordinator"))
        }
        Ok(Err(error)) => return tracing::info!(from, %error, "an enrolment ended early"),
        Ok(Ok(request)) => {
            let site = request.site.clone();
            let admitted = admit(context, request).await;
            match &admitted {
                Ok(_) => tracing::info!(%site, from, "site enrolled"),
                Err(error) => {
                    tracing::warn!(%site, from, code = %error.code, message = %error.message, "enrolment refused")
                }
            }
            admitted
        }
    };
    let answer = answer.map_or_else(EnrolAnswer::Refused, EnrolAnswer::Enrolled);
    let told = async {
        write_message(&mut stream, &answer).await?;
        stream.shutdown().await.map_err(FrameError::Io)
    };
    match timeout(patience, told).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(from, %error, "an enrolment's answer was not heard"),
        Err(_) => tracing::info!(from, "an enrolment's answer was not heard in time"),
    }
}

async fn admit(context: &Arc<Context>, request: EnrolRequest) -> Result<Enrolled, PublicError> {
    let now = context.clock.now();
    if request.network != context.network {
        let message = format!("the invitation is to network {}, this is {}", request.network, context.network);
        return Err(PublicError::new(ErrorCode::NetworkMismatch, message).hint("use the invitation of this network"));
    }
    let unproven = |why: String| {
        PublicError::new(ErrorCode::EnrolmentInvalid, why)
            .hint("enrol with `bocage node enrol`, which makes and proves its keys")
    };
    let tls_key = requested_key(&request.certificate_request).map_err(|error| unproven(error.to_string()))?;
    if !request.is_proven(&tls_key) {
        return Err(unproven("the release key's signature does not fit the request".to_owned()));
    }
    if context.issuing.authority().is_none() {
        return Err(IssueError::Off.into());
    }
    let asking = Asking { site: request.site.clone(), release_key: request.release_key, tls_key };
    let token = request.token.hash();
    let (of, roster) = (asking.clone(), Arc::clone(&context.roster));
    // Looked up, decided and written by one piece of work on the store, which does one at a time: a token is used once.
    let members = Arc::clone(context);
    let admitted = context.store.with(move |store| {
        let before = roster.release_key(&of.site);
        let kept = store.invitation(&token)?;
        let used_at = kept.as_ref().and_then(|kept| kept.used.as_ref()).map(|used| used.at);
        let admission = match admission(kept, &of, &roster, now) {
            Ok(admission) => admission,
            Err(error) => return Ok::<_, StoreError>(Err(error)),
        };
        let Admission::New(enrolment) = admission else {
            // Who has the keys and the file of an enrolment that was taken back gets no certificate by them.
            let since = |at| {
                let is = |one: &Revoked| one.site == of.site && one.serial.is_some() && one.at >= at;
                store.revoked().map(|all| all.iter().any(is))
            };
            let one = used_at.map(since).transpose()?.unwrap_or_default();
            let refused = one || used_at.is_some_and(|at| members.members.refuses_enrolment(&of.site, at));
            return Ok(if refused { Err(taken_back(&of.site)) } else { Ok(false) });
        };
        let replaced = before.is_some_and(|key| key != enrolment.release_key);
        store.enrol(&enrolment, replaced.then_some(OTHER_KEYS))?;
        roster.take(&enrolment);
        Ok(Ok(replaced))
    });
    let replaced = admitted.await??;
    if replaced {
        context.members.refuse(&context.store).await?;
        tracing::warn!(site = %asking.site, "what was certified for its keys before is refused");
        context.members.part_with(&asking.site, OTHER_KEYS);
    }
    super::revocation::readmit(context, &asking.site, now).await?;
    let chain = context.issuing.certify(&asking.site, &tls_key, now, &mut SystemEntropy).inspect_err(|error| {
        tracing::error!(%error, "a site that enrolled cannot be certified");
    })?;
    Ok(Enrolled { chain, now })
}

fn taken_back(site: &SiteId) -> PublicError {
    let message = format!("site {site} was revoked after it enrolled by this invitation");
    PublicError::new(ErrorCode::SiteRevoked, message).hint("ask for a new one: `bocage network invite SITE --replace`")
}

#[cfg(test)]
mod tests;

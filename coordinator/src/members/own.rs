//! What a node asks for itself (protocol version 3): the roots in force, its next certificate, and time to move to another link. And when a session ends whatever it does: its
//! certificate has ended, the site is revoked, or a newer session has taken over.
//!
//! A certificate is made for the site that the session's own certificate names, and for no other; of the request nothing counts but the key and the proof
//! that the node holds it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bocage_net::certificates::requested_key;
use bocage_net::env::SystemEntropy;
use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_net::identity::Leaf;
use bocage_net::{CloseCode, Identities, Link};
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits::{MOVES_AN_HOUR, RENEWAL_BYTES, RENEWALS_AN_HOUR};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::hello::RENEWAL;
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::issuing::Issuing;
use super::{Heard, Member, Members, Session};
use crate::api::types::CertificateInfo;

/// Why a revoked site is cut off, as it is told.
pub(super) const REVOKED: &str = "this site is revoked";
/// Why a site is cut off that says on a stream of its own what is no request.
const UNASKED: &str = "it opened a stream for what is no request";
/// How long a node may take to put its request and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A clock that is set is noticed after this.
const GLANCE: Duration = Duration::from_secs(60);

/// What sites renew their certificates by.
pub(super) struct Desk {
    pub identities: Identities,
    pub issuing: Arc<Issuing>,
}

/// When a site got what it may get so often within an hour.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<Timestamp>);

impl Rate {
    fn take(&mut self, now: Timestamp, most: usize) -> bool {
        const HOUR_MS: i64 = 3_600_000;
        // One that lies ahead is from before the clock was set back.
        self.0.retain(|at| (0..HOUR_MS).contains(&now.since_ms(*at)));
        let free = self.0.len() < most;
        if free {
            self.0.push_back(now);
        }
        free
    }
}

impl Members {
    /// Attends to a session beside the questions that are put to it, and closes it when its time has come.
    pub(super) async fn attend<L: Link>(
        &self,
        site: &SiteId,
        member: &Member,
        link: &L,
        session: &Session,
        version: u16,
    ) -> Infallible {
        let (code, reason) = tokio::select! {
            () = self.denylist().denied(site, session.leaf()) => (CloseCode::DENIED, REVOKED),
            () = self.ended(session.leaf()) => (CloseCode::DENIED, "the certificate of this session has ended"),
            () = session.retired() => (CloseCode::REPLACED, "a newer session of this site"),
            reason = self.requests(site, member, link, session, version) => (CloseCode::PROTOCOL, reason),
        };
        if code != CloseCode::REPLACED {
            tracing::warn!(%site, reason, "site cut off");
        }
        link.close(code, reason);
        std::future::pending().await
    }

    /// Waits for the end of a certificate.
    async fn ended(&self, leaf: Option<&Leaf>) {
        let Some(leaf) = leaf else { return std::future::pending().await };
        loop {
            let left_ms = leaf.until.since_ms(self.clock.now());
            let Ok(left_ms @ 1..) = u64::try_from(left_ms) else { return };
            tokio::time::sleep(Duration::from_millis(left_ms).min(GLANCE)).await;
        }
    }

    /// Answers what the node asks, one request after another. Ends where it asks what it may not.
    async fn requests<L: Link>(
        &self,
        site: &SiteId,
        member: &Member,
        link: &L,
        session: &Session,
        version: u16,
    ) -> &'static str {
        loop {
            let Ok(mut stream) = link.accept().await else { return std::future::pending().await };
            if version < RENEWAL {
                return "a node opens one stream";
            }
            let answered = exchange(&mut stream, |request| self.answer(site, member, session, request));
            match timeout(PATIENCE, answered).await {
                Ok(Ok(())) => {}
                // No node of ours says so much.
                Ok(Err(FrameError::TooLarge { .. })) => return UNASKED,
                Ok(Err(error)) => tracing::info!(%site, %error, "what a site asked for itself was not answered"),
                Err(_) => tracing::info!(%site, "what a site asked for itself was not answered in time"),
            }
        }
    }

    fn answer(&self, site: &SiteId, member: &Member, session: &Session, request: NodeRequest) -> NodeReply {
        if self.denylist().denies(site, session.leaf()) {
            return NodeReply::Refused(PublicError::new(ErrorCode::SiteRevoked, format!("site {site} is revoked")));
        }
        match (request, self.desk.get()) {
            (NodeRequest::Moves, _) => self.noted(member, session),
            (_, None) => {
                let message = "this coordinator renews no certificates";
                NodeReply::Refused(PublicError::new(ErrorCode::NotIssuing, message))
            }
            (NodeRequest::Roots(held), Some(desk)) => {
                member.heard().roots = held;
                let current = session.leaf().and_then(|leaf| desk.issued(leaf));
                NodeReply::Roots { roots: desk.identities.current().told_roots(), renew: current == Some(false) }
            }
            (NodeRequest::Renew(request), Some(desk)) => match self.renew(desk, site, member, &request) {
                Ok(chain) => {
                    tracing::info!(%site, "certificate renewed");
                    session.leaves();
                    NodeReply::Renewed { chain, roots: desk.identities.current().told_roots() }
                }
                Err(error) => {
                    tracing::warn!(%site, code = %error.code, message = %error.message, "certificate not renewed");
                    NodeReply::Refused(error)
                }
            },
        }
    }

    /// A session that is left goes on until its last answer.
    fn noted(&self, member: &Member, session: &Session) -> NodeReply {
        if !member.moves.lock().unwrap_or_else(PoisonError::into_inner).take(self.clock.now(), MOVES_AN_HOUR) {
            let message = format!("this site has moved {MOVES_AN_HOUR} times within an hour");
            return NodeReply::Refused(PublicError::new(ErrorCode::Busy, message).hint("stay where you are for now"));
        }
        session.leaves();
        NodeReply::Noted
    }

    fn renew(&self, desk: &Desk, site: &SiteId, member: &Member, request: &[u8]) -> Result<Vec<Vec<u8>>, PublicError> {
        let now = self.clock.now();
        let key = requested_key(request).map_err(|e| PublicError::new(ErrorCode::Malformed, e.to_string()))?;
        if !member.renewals.lock().unwrap_or_else(PoisonError::into_inner).take(now, RENEWALS_AN_HOUR) {
            let message = format!("site {site} has got {RENEWALS_AN_HOUR} certificates within an hour");
            return Err(PublicError::new(ErrorCode::Busy, message).hint("ask again in an hour"));
        }
        let chain = desk.issuing.certify(site, &key, now, &mut SystemEntropy)?;
        bocage_net::identity::chain_der(&chain).map_err(|e| PublicError::new(ErrorCode::Internal, e.to_string()))
    }

    /// What is to be told of a site's certificate.
    pub(super) fn certificate(&self, heard: &Heard) -> Option<CertificateInfo> {
        let leaf = heard.certificate.as_ref()?;
        let desk = self.desk.get();
        let in_force = desk.map(|desk| desk.identities.current().root_digests()).unwrap_or_default();
        Some(CertificateInfo {
            serial: leaf.serial.clone(),
            until: leaf.until,
            current: desk.and_then(|desk| desk.issued(leaf)),
            roots: !in_force.is_empty() && in_force.iter().all(|root| heard.roots.contains(root)),
        })
    }
}

impl Desk {
    /// Whether the authority in force has issued a certificate. None: there is no authority.
    fn issued(&self, leaf: &Leaf) -> Option<bool> {
        let authority = self.issuing.authority()?;
        Some(leaf.issuer.as_deref() == authority.key_id())
    }
}

/// Reads one request and writes its answer.
async fn exchange<S>(stream: &mut S, answer: impl FnOnce(NodeRequest) -> NodeReply) -> Result<(), FrameError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = read_frame(stream, RENEWAL_BYTES).await?;
    let malformed = || PublicError::new(ErrorCode::Malformed, "that is no request of a node");
    let reply = match codec::decode::<NodeRequest>(&frame, RENEWAL_BYTES) {
        Ok(request) if request.is_bounded() => answer(request),
        _ => NodeReply::Refused(malformed()),
    };
    write_frame(stream, &codec::encode(&reply).map_err(FrameError::Codec)?).await?;
    stream.shutdown().await.map_err(FrameError::Io)
}

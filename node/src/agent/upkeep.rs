//! The agent's certificate, while it runs: renewed over the session, taken over when somebody has put another in its place, and the roots that it trusts.
//!
//! [`Renewal`] says when; here is what is done then. A new key is made for each certificate and leaves this machine as little as the first one did. Key,
//! chain and roots go into the key's file by one rename, so that at no moment, whatever dies, the node is without a pair that fits. The session then
//! moves to a link that is made as the new identity, beside the one that stands.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use bocage_net::certificates::SiteKey;
use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_net::identity::CertificateError;
use bocage_net::rollover::{Adopted, adopt};
use bocage_net::secret::write_atomically;
use bocage_net::watched::Watched;
use bocage_net::{Identities, Identity, Link};
use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits::RENEWAL_BYTES;
use bocage_protocol::renewal::{Action, Event, Life, Renewal};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::config::Tls;
use crate::config::environment::read_identity;

/// How long the coordinator may take to answer.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// Between two looks at the files.
const GLANCE_MS: i64 = 60_000;

/// What the coordinator said, or why it said nothing.
pub(super) type Answer = Result<NodeReply, String>;

/// See the module.
pub struct Upkeep {
    site: SiteId,
    tls: Tls,
    identities: Identities,
    watched: Watched,
    renewal: Renewal,
    told: mpsc::Receiver<()>,
    glance_at: Timestamp,
    /// What a certificate was asked for.
    key: Option<SiteKey>,
    asking: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    open: bool,
}

impl Upkeep {
    /// Of the identity that was read from `tls` and is in force. A message on `told` has everything looked at now.
    pub fn new(
        site: SiteId,
        tls: Tls,
        identities: Identities,
        told: mpsc::Receiver<()>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let files: Vec<PathBuf> = vec![tls.ca_file.clone(), tls.cert_file.clone(), tls.key_file.clone()];
        let renewal = Renewal::new(life(&identities.current()), now, entropy);
        let (watched, glance_at) = (Watched::new(files), Timestamp(now.0.saturating_add(GLANCE_MS)));
        Self { site, tls, identities, watched, renewal, told, glance_at, key: None, asking: None, open: false }
    }

    /// When [`Upkeep::act`] is due.
    pub(super) fn due_at(&self) -> Timestamp {
        self.renewal.poll_timeout().min(self.glance_at)
    }

    /// Does what is due. `link`: of a session in which one may ask. Whether another identity is in force since.
    pub(super) fn act<L: Link>(&mut self, now: Timestamp, link: Option<&L>, entropy: &mut dyn Entropy) -> bool {
        if self.open != link.is_some() {
            self.open = link.is_some();
            self.asking = None;
            self.renewal.handle(now, if self.open { Event::Opened } else { Event::Closed }, entropy);
        }
        let left_ms = self.glance_at.since_ms(now);
        let exchanged = !(1..=GLANCE_MS).contains(&left_ms) && self.glance(now, entropy);
        self.renewal.handle_timeout(now);
        while let Some(action) = self.renewal.poll_action() {
            match action {
                Action::Report(report) if report.is_error() => tracing::error!("{report}"),
                Action::Report(report) => tracing::warn!("{report}"),
                Action::AskRoots => {
                    let held = self.identities.current().root_digests();
                    self.ask(link, NodeRequest::Roots(held));
                }
                Action::Renew => match SiteKey::generate(entropy).and_then(|key| Ok((key.request()?, key))) {
                    Ok((request, key)) => {
                        self.key = Some(key);
                        self.ask(link, NodeRequest::Renew(request));
                    }
                    Err(error) => self.failed(now, error.to_string(), entropy),
                },
            }
        }
        exchanged
    }

    fn ask<L: Link>(&mut self, link: Option<&L>, request: NodeRequest) {
        let Some(link) = link.cloned() else { return };
        self.asking = Some(Box::pin(async move {
            let asked = timeout(PATIENCE, exchange(&link, &request)).await;
            asked.map_err(|_| "the coordinator did not answer in time".to_owned()).flatten()
        }));
    }

    /// Waits for an answer, or for a word to look at everything.
    pub(super) async fn happens(&mut self) -> Option<Answer> {
        let answered = async {
            match &mut self.asking {
                Some(asking) => asking.await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            // Where nobody can say a word any more, none is waited for.
            if self.told.recv().await.is_none() {
                std::future::pending().await
            }
        };
        tokio::select! {
            answer = answered => {
                self.asking = None;
                Some(answer)
            }
            () = told => None,
        }
    }

    /// Takes what [`Upkeep::happens`] brought. Whether another identity is in force since.
    pub(super) fn take(&mut self, now: Timestamp, what: Option<Answer>, entropy: &mut dyn Entropy) -> bool {
        match what {
            None => {
                self.renewal.handle(now, Event::Look, entropy);
                self.glance(now, entropy)
            }
            Some(Err(reason)) => {
                self.failed(now, reason, entropy);
                false
            }
            // Of a notice, which is none of this one's questions.
            Some(Ok(NodeReply::Noted)) => {
                self.failed(now, "the coordinator answered something else".to_owned(), entropy);
                false
            }
            Some(Ok(NodeReply::Refused(error))) => {
                let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; hint: {hint}"));
                self.failed(now, format!("the coordinator refuses: {error}{hint}"), entropy);
                false
            }
            Some(Ok(NodeReply::Roots { roots, renew })) => match self.trust(&roots, now) {
                Ok(_) => {
                    self.renewal.handle(now, Event::Told { renew }, entropy);
                    false
                }
                Err(reason) => {
                    self.failed(now, reason, entropy);
                    false
                }
            },
            Some(Ok(NodeReply::Renewed { chain, roots })) => match self.renewed(&chain, &roots, now) {
                Ok(()) => {
                    let life = life(&self.identities.current());
                    tracing::info!(until = %life.until, "certificate renewed");
                    self.renewal.handle(now, Event::Exchanged(life), entropy);
                    true
                }
                Err(reason) => {
                    self.failed(now, reason, entropy);
                    false
                }
            },
        }
    }

    fn failed(&mut self, now: Timestamp, reason: String, entropy: &mut dyn Entropy) {
        self.key = None;
        self.renewal.handle(now, Event::Failed { reason }, entropy);
    }

    fn adopted(&self, told: &[Vec<u8>], now: Timestamp) -> Result<(Identity, Adopted), String> {
        let current = self.identities.current();
        let adopted =
            adopt(&current, told, now).map_err(|e| format!("the coordinator tells of unusable roots: {e}"))?;
        if adopted.refused > 0 {
            tracing::error!(
                refused = adopted.refused,
                "the coordinator tells of a root that no trusted root vouches for: it is not trusted; hint: tell the network's operator"
            );
        }
        Ok((current.trusting(&adopted), adopted))
    }

    fn trust(&mut self, told: &[Vec<u8>], now: Timestamp) -> Result<(), String> {
        let (identity, adopted) = self.adopted(told, now)?;
        if adopted.is_change() {
            self.keep(identity)?;
            tracing::info!(added = adopted.added, dropped = adopted.dropped, "the roots of the network have changed");
        }
        Ok(())
    }

    fn renewed(&mut self, chain: &[Vec<u8>], roots: &[Vec<u8>], now: Timestamp) -> Result<(), String> {
        let key = self.key.take().ok_or("a certificate came that was not asked for")?;
        let (identity, _) = self.adopted(roots, now)?;
        let unusable = |e: CertificateError| format!("the new certificate is of no use: {e}");
        let renewed = identity.renewed(&key, chain).map_err(unusable)?;
        renewed.proves(&self.site, now).map_err(unusable)?;
        self.keep(renewed)
    }

    /// Writes an identity into the key's file; from then on it is in force.
    fn keep(&mut self, identity: Identity) -> Result<(), String> {
        write_atomically(&self.tls.key_file, identity.to_pem().as_bytes(), 0o600).map_err(|error| {
            format!("what is new cannot be kept: {error}; hint: give tls.key_file a folder of its own, in which the node's user may write")
        })?;
        // What was written here is no news.
        self.watched.changed();
        self.identities.replace(identity);
        Ok(())
    }

    /// Looks whether somebody has put other files in place. A broken one changes nothing.
    fn glance(&mut self, now: Timestamp, entropy: &mut dyn Entropy) -> bool {
        self.glance_at = Timestamp(now.0.saturating_add(GLANCE_MS));
        if !self.watched.changed() {
            return false;
        }
        let current = self.identities.current();
        match read_identity(&self.tls) {
            Ok(identity) if identity.site().is_ok_and(|site| site == self.site) => {
                if identity.to_pem() == current.to_pem() {
                    return false;
                }
                tracing::info!(until = %identity.valid_until(), "certificate and roots were read anew");
                let other = identity.leaf() != current.leaf();
                if other {
                    self.renewal.handle(now, Event::Exchanged(life(&identity)), entropy);
                }
                self.identities.replace(identity);
                other
            }
            Ok(_) => {
                tracing::error!("the files of [tls] are not used: the certificate is not this site's");
                false
            }
            Err((key, message, hint)) => {
                tracing::error!("the files of [tls] are not used: {key}: {message}; hint: {hint}");
                false
            }
        }
    }
}

fn life(identity: &Identity) -> Life {
    Life { from: identity.valid_from(), until: identity.valid_until() }
}

pub(super) async fn exchange<L: Link>(link: &L, request: &NodeRequest) -> Answer {
    let said = async {
        let mut stream = link.open().await.map_err(|e| e.to_string())?;
        let request = codec::encode(request).map_err(|e| e.to_string())?;
        write_frame(&mut stream, &request).await.map_err(|e| e.to_string())?;
        stream.shutdown().await.map_err(|e| e.to_string())?;
        let frame = read_frame(&mut stream, RENEWAL_BYTES).await.map_err(|e: FrameError| e.to_string())?;
        codec::decode::<NodeReply>(&frame, RENEWAL_BYTES).map_err(|e| e.to_string())
    };
    match said.await {
        Ok(reply) if reply.is_bounded() => Ok(reply),
        Ok(_) => Err("the coordinator's answer is too large".to_owned()),
        Err(error) => Err(format!("the coordinator did not answer: {error}")),
    }
}

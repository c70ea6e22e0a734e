//! The sites of the network: who is in the roster, who is connected now, and what was last heard of each.
//!
//! The roster decides who may connect; the certificate decides who somebody is. A site has one live session: a newer one replaces the older,
//! which is closed. Nothing here outlives the process, and nothing here knows a study.

pub mod enrolment;
mod greet;
pub mod invitations;
pub mod issuing;
mod own;
pub mod revocation;
pub mod roster;
mod session;
mod skew;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bocage_net::identity::Leaf;
use bocage_net::{CloseCode, Denylist, Identities, Link, Peer};
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::{ContractId, Digest, NetworkId, SiteId};
use bocage_protocol::limits::{HELLOS_AT_ONCE, HELLOS_PER_SEC, KNOWN_CONTRACTS};
use bocage_protocol::trust::KeptCheckpoints;
use bocage_protocol::wire::hello::{Hello, PARTICULARS, VERSIONS, WITNESS, negotiate};
use bocage_protocol::wire::inquiry::Known;
use bocage_protocol::wire::message::{Catalogue, Offer, Particulars};
use tokio::sync::watch;
use tokio::time::Instant;

use self::issuing::Issuing;
use self::own::Desk;
use self::roster::Roster;
use self::skew::Skew;
use crate::api::types::{OfferInfo, SiteInfo};
use crate::bucket::{Bucket, Measure};
use crate::counts::Counts;
use crate::permits::AccessBodies;
use crate::store::Store;

pub use session::{Answered, Lost, Session};

/// Before a catalogue is asked for again that a site did not give, or in which a snapshot was still missing: a node that has just started
/// takes its first snapshots then. Doubles up to [`CATALOGUE_RETRY`].
const CATALOGUE_FIRST_RETRY: Duration = Duration::from_millis(50);
/// Links that a site may have at a time: one lives, others are being replaced. A site that opens more is cut off at once, so that a fault or a
/// stolen key at one site takes no place from another.
const LINKS: usize = 8;
/// How often a site may greet.
const HELLOS: Measure = Measure { most: HELLOS_AT_ONCE, a_second: HELLOS_PER_SEC };
/// Links of all peers with a good certificate but no place in the roster, while they are told so.
const STRANGERS: usize = 64;
/// The longest pause between two attempts.
const CATALOGUE_RETRY: Duration = Duration::from_secs(5);

/// Before a whole catalogue is asked for again: sites take snapshots while they are connected.
const CATALOGUE_RENEWAL: Duration = Duration::from_secs(600);

/// The roster with its live sessions.
pub struct Members {
    network: NetworkId,
    /// The contracts that this coordinator holds.
    contracts: Vec<(ContractId, Digest)>,
    /// Whose lists of revoked permits it hands on.
    access_bodies: Option<Arc<AccessBodies>>,
    clock: Arc<dyn Clock>,
    /// Who has a release key; without it all sites do.
    roster: Option<Arc<Roster>>,
    /// What is remembered of the sites' ledgers; none where nothing is.
    remembered: Option<Store>,
    sites: BTreeMap<SiteId, Member>,
    serial: AtomicU64,
    strangers: AtomicUsize,
    /// What sites renew their certificates by. None: of a transport without certificates.
    desk: OnceLock<Desk>,
    denylist: Denylist,
    counts: Arc<Counts>,
}

struct Member {
    name: String,
    links: AtomicUsize,
    hellos: Mutex<Bucket>,
    session: watch::Sender<Option<Arc<Session>>>,
    heard: Mutex<Heard>,
    renewals: Mutex<own::Rate>,
    moves: Mutex<own::Rate>,
}

/// The ends of a coordinator's certificates.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Of its own.
    pub certificate: Timestamp,
    /// Of the one by which it certifies sites, if it does.
    pub authority: Option<Timestamp>,
}

/// What was last heard of a site.
#[derive(Debug, Clone, Default)]
struct Heard {
    last_seen: Option<Timestamp>,
    /// When its session began, or the first of those that took each other's place.
    since: Option<Timestamp>,
    skew: Option<Skew>,
    software: Option<String>,
    catalogue: Option<Catalogue>,
    particulars: Option<Particulars>,
    certificate: Option<Leaf>,
    /// The roots that it has said to trust.
    roots: Vec<Digest>,
}

impl Member {
    /// Whether its site may greet once more, which counts.
    fn may_greet(&self) -> bool {
        self.hellos.lock().unwrap_or_else(PoisonError::into_inner).take(HELLOS, Instant::now()).is_ok()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the links of a site, given back when it is dropped.
struct Seat<'a>(&'a AtomicUsize);

impl<'a> Seat<'a> {
    fn take(links: &'a AtomicUsize, most: usize) -> Option<Self> {
        let seat = Self(links);
        (links.fetch_add(1, Ordering::Relaxed) < most).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Members {
    /// A roster of sites with their names; nobody is connected.
    pub fn new(network: NetworkId, sites: impl IntoIterator<Item = (SiteId, String)>, clock: Arc<dyn Clock>) -> Self {
        let member = |name| Member {
            name,
            links: AtomicUsize::new(0),
            hellos: Mutex::new(Bucket::full(HELLOS, Instant::now())),
            session: watch::channel(None).0,
            heard: Mutex::default(),
            renewals: Mutex::default(),
            moves: Mutex::default(),
        };
        let sites = sites.into_iter().map(|(id, name)| (id, member(name))).collect();
        let (serial, strangers) = (AtomicU64::new(0), AtomicUsize::new(0));
        let (desk, denylist, counts) = (OnceLock::new(), Denylist::default(), Arc::default());
        let (contracts, access_bodies, roster, remembered) = (Vec::new(), None, None, None);
        Self {
            network,
            contracts,
            access_bodies,
            clock,
            roster,
            remembered,
            sites,
            serial,
            strangers,
            desk,
            denylist,
            counts,
        }
    }

    /// The same, of a coordinator that tells each site what this store remembers of the site's ledger.
    #[must_use]
    pub fn remembering(self, store: Store) -> Self {
        Self { remembered: Some(store), ..self }
    }

    /// The same, of a coordinator that holds these contracts.
    #[must_use]
    pub fn holding(self, contracts: impl IntoIterator<Item = (ContractId, Digest)>) -> Self {
        Self { contracts: contracts.into_iter().take(KNOWN_CONTRACTS).collect(), ..self }
    }

    /// The same, of a coordinator that hands these access bodies' lists on.
    #[must_use]
    pub fn under(self, access_bodies: Arc<AccessBodies>) -> Self {
        Self { access_bodies: Some(access_bodies), ..self }
    }

    /// From now on sites renew their certificates here, and learn of roots. Counts once.
    pub fn renew_by(&self, identities: Identities, issuing: Arc<Issuing>) {
        let _ = self.desk.set(Desk { identities, issuing });
    }

    /// Until when the certificates hold by which it is known and certifies sites; none of a transport without certificates.
    pub fn ends(&self) -> Option<Ends> {
        let desk = self.desk.get()?;
        let authority = desk.issuing.authority().map(|authority| authority.valid_until());
        Some(Ends { certificate: desk.identities.current().valid_until(), authority })
    }

    /// Who is refused although the certificate would hold: in handshakes, of sessions, and of requests.
    pub fn denylist(&self) -> &Denylist {
        self.desk.get().map_or(&self.denylist, |desk| desk.identities.denylist())
    }

    /// The same, where sites that have yet to enrol get no session.
    #[must_use]
    pub fn known_by(self, roster: Arc<Roster>) -> Self {
        Self { roster: Some(roster), ..self }
    }

    /// Whether a site is in the roster and has a release key.
    fn enrolled(&self, site: &SiteId) -> bool {
        let known = || self.roster.as_ref().is_none_or(|roster| roster.release_key(site).is_some());
        self.sites.contains_key(site) && known()
    }

    /// What is told of a site to its doctor.
    fn known(&self, site: &SiteId) -> Known {
        let bodies = self.access_bodies.iter().flat_map(|bodies| bodies.all());
        Known {
            release_key: self.roster.as_ref().and_then(|roster| roster.release_key(site)),
            contracts: self.contracts.clone(),
            lists: bodies.map(|(body, newest)| (body.key, newest.map(|taken| taken.list.issued_at))).collect(),
        }
    }

    /// Ends the session of a site, if it has one.
    pub fn part_with(&self, site: &SiteId, reason: &str) {
        let session = self.sites.get(site).and_then(|member| member.session.borrow().clone());
        if let Some(session) = session {
            tracing::info!(%site, reason, "session ended");
            session.close(CloseCode::DENIED, reason);
        }
    }

    /// The same, which says there whom it does not let in.
    #[must_use]
    pub fn counting(self, counts: Arc<Counts>) -> Self {
        Self { counts, ..self }
    }

    /// Every site of the roster, and whether it is connected.
    pub fn presence(&self) -> Vec<(String, bool)> {
        self.sites.iter().map(|(id, member)| (id.to_string(), member.session.borrow().is_some())).collect()
    }

    /// Serves a link for as long as it lives: hello, catalogue, then the session is the site's.
    pub async fn serve<L: Link>(&self, link: L) {
        let Peer::Site(site) = link.peer().clone() else {
            return link.close(CloseCode::DENIED, "not a site");
        };
        let (links, most) = match self.sites.get(&site) {
            Some(member) => (&member.links, LINKS),
            None => (&self.strangers, STRANGERS),
        };
        if self.denylist().denies(&site, link.certificate()) {
            tracing::warn!(%site, "site cut off: it is revoked");
            return link.close(CloseCode::DENIED, own::REVOKED);
        }
        let Some(_seat) = Seat::take(links, most) else {
            self.counts.rejected("too_many_links");
            tracing::warn!(%site, most, "site cut off: too many links");
            return link.close(CloseCode::DENIED, "too many links of this site");
        };
        if self.sites.get(&site).is_some_and(|member| !member.may_greet()) {
            self.counts.rejected("too_many_hellos");
            tracing::warn!(%site, most = HELLOS_AT_ONCE, "site cut off: too many hellos");
            return link.close(CloseCode::DENIED, "this site greets too often");
        }
        let enrolled = self.enrolled(&site);
        let (hello, heard) =
            match greet::greet(&link, &site, enrolled, &self.network, &self.clock, || self.known(&site)).await {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                Err(reason) => return self.counts.rejected(reason),
            };
        let Some(member) = self.sites.get(&site) else { return };
        let version = negotiate(VERSIONS, hello.versions).unwrap_or_default();
        let session = Arc::new(Session::new(
            self.serial.fetch_add(1, Ordering::Relaxed),
            version,
            site.clone(),
            link.clone(),
            self.denylist().clone(),
        ));
        let catalogue = greet::catalogue(&session, &site).await;
        let complete = |c: &Catalogue| c.datasets.iter().all(|d| d.snapshot_at.is_some());
        let mut known = catalogue.as_ref().is_some_and(complete);
        let mut pause = CATALOGUE_FIRST_RETRY;
        let mut untold = version >= PARTICULARS;
        self.hear_particulars(member, &site, &session, catalogue.as_ref(), &mut untold).await;
        // Before it is anybody's session: no round overtakes it.
        let mut unwitnessed = version >= WITNESS && !self.witness(&site, &session).await;
        self.register(member, &site, &session, (&hello, heard), catalogue);
        let ended = link.closed();
        let attending = self.attend(&site, member, &link, &session, version);
        tokio::pin!(ended, attending);
        let why = loop {
            tokio::select! {
                why = &mut ended => break why,
                never = &mut attending => match never {},
                () = tokio::time::sleep(if known { CATALOGUE_RENEWAL } else { pause }) => {
                    pause = (pause * 2).min(CATALOGUE_RETRY);
                    if let Some(catalogue) = greet::catalogue(&session, &site).await {
                        known = complete(&catalogue);
                        unwitnessed = unwitnessed && !self.witness(&site, &session).await;
                        self.hear_particulars(member, &site, &session, Some(&catalogue), &mut untold).await;
                        member.heard().catalogue = Some(catalogue);
                    }
                }
            }
        };
        member.heard().last_seen = Some(self.clock.now());
        member.session.send_if_modified(|current| {
            let own = current.as_ref().is_some_and(|s| s.serial() == session.serial());
            if own {
                *current = None;
            }
            own
        });
        tracing::info!(%site, session = session.serial(), reason = %why, "site disconnected");
    }

    /// Asks what is to be known of a site's datasets: once a session, and not of a site that offers nothing.
    async fn hear_particulars(
        &self,
        member: &Member,
        site: &SiteId,
        session: &Session,
        catalogue: Option<&Catalogue>,
        untold: &mut bool,
    ) {
        if *untold && catalogue.is_some_and(|catalogue| !catalogue.datasets.is_empty()) {
            *untold = false;
            let known: Vec<Digest> = self.contracts.iter().map(|(_, hash)| *hash).collect();
            let particulars = greet::particulars(session, site, &known).await;
            member.heard().particulars = particulars;
        }
    }

    /// Tells a site what is remembered of its ledger; answers whether it has heard.
    async fn witness(&self, site: &SiteId, session: &Session) -> bool {
        let Some(store) = &self.remembered else { return true };
        let of = site.clone();
        match store.with(move |store| store.checkpoints(&of)).await {
            Ok(kept) => {
                let known = kept.iter().flat_map(KeptCheckpoints::all).cloned().collect();
                greet::witness(session, site, known).await
            }
            Err(error) => {
                tracing::error!(%site, %error, "what is remembered of the site's ledger cannot be read");
                false
            }
        }
    }

    fn register(
        &self,
        member: &Member,
        site: &SiteId,
        session: &Arc<Session>,
        (hello, heard_at): (&Hello, Timestamp),
        catalogue: Option<Catalogue>,
    ) {
        let now = self.clock.now();
        let datasets = catalogue.as_ref().map_or(0, |c| c.datasets.len());
        {
            let mut heard = member.heard();
            let goes_on = member.session.borrow().is_some();
            heard.since = heard.since.filter(|_| goes_on).or(Some(now));
            heard.last_seen = Some(now);
            heard.skew = Some(Skew::of(hello.now, heard_at, session.shortest()));
            heard.software = Some(hello.software.clone());
            heard.certificate = session.leaf().cloned();
            heard.catalogue = catalogue.or_else(|| heard.catalogue.take());
        }
        if let Some(older) = member.session.send_replace(Some(Arc::clone(session))) {
            older.replace();
        }
        let (serial, software) = (session.serial(), &hello.software);
        tracing::info!(%site, session = serial, software, datasets, "site connected");
    }

    /// The live session of a site; waits until there is one. None where the site is not in the roster.
    pub async fn session(&self, site: &SiteId) -> Option<Arc<Session>> {
        let mut sessions = self.sites.get(site)?.session.subscribe();
        let live = sessions.wait_for(Option::is_some).await.ok()?;
        live.clone()
    }

    /// Waits until the site has a session that is newer than `failed`.
    pub async fn other_session(&self, site: &SiteId, failed: &Session) {
        let Some(member) = self.sites.get(site) else { return std::future::pending().await };
        let mut sessions = member.session.subscribe();
        let gone = sessions.wait_for(|s| s.as_ref().is_some_and(|s| s.serial() > failed.serial())).await.is_err();
        if gone {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a site is connected now.
    pub fn online(&self, site: &SiteId) -> bool {
        self.sites.get(site).is_some_and(|member| member.session.borrow().is_some())
    }

    /// All sites of the roster, in the order of their ids.
    pub fn sites(&self) -> Vec<SiteInfo> {
        let now = self.clock.now();
        let info = |(id, member): (&SiteId, &Member)| {
            let online = member.session.borrow().is_some();
            let heard = member.heard().clone();
            let certificate = self.certificate(&heard);
            let offers = heard.catalogue.map(|c| c.datasets).unwrap_or_default();
            let mut told = heard.particulars.map(|p| p.datasets).unwrap_or_default();
            let mut offer = |offer: Offer| {
                let at = told.iter().position(|of| of.contract == offer.contract);
                let (absent, columns) =
                    at.map(|at| told.swap_remove(at)).map_or((None, None), |p| (Some(p.absent), p.columns));
                OfferInfo {
                    contract: offer.contract,
                    hash: offer.hash,
                    snapshot_at: offer.snapshot_at,
                    needs_permit: offer.needs_permit,
                    absent,
                    columns,
                }
            };
            SiteInfo {
                id: id.clone(),
                name: member.name.clone(),
                enrolled: self.enrolled(id),
                online,
                connected_since: heard.since.filter(|_| online),
                last_seen: if online { Some(now) } else { heard.last_seen },
                skew_ms: heard.skew.map(|skew| skew.ms),
                skew_within_ms: heard.skew.and_then(|skew| skew.within_ms),
                software: heard.software,
                ledger_warning: None,
                revoked: self.denylist().denies(id, None),
                certificate,
                datasets: offers.into_iter().map(&mut offer).collect(),
            }
        };
        self.sites.iter().map(info).collect()
    }

    /// The sites that last offered data under exactly this contract.
    pub fn offering(&self, contract: &ContractId, hash: &Digest) -> Vec<SiteId> {
        let offers = |member: &Member| {
            member.heard().catalogue.as_ref().is_some_and(|catalogue| {
                catalogue.datasets.iter().any(|offer| offer.contract == *contract && offer.hash == *hash)
            })
        };
        self.sites.iter().filter(|(_, member)| offers(member)).map(|(id, _)| id.clone()).collect()
    }

    /// Closes every live session.
    pub fn close(&self, code: CloseCode, reason: &str) {
        for member in self.sites.values() {
            if let Some(session) = member.session.borrow().as_ref() {
                session.close(code, reason);
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The owner of everything that runs: it accepts links, works on studies and serves HTTP, each in tasks that it started and ends.
//!
//! ```text
//!  nodes ──QUIC──▶ accept ──▶ Members::serve (a task per link)
//!  HTTP  ──▶ api ──Command──▶ owner ──▶ dispatch::run (a task per open study)
//! ```
//! A task that fails or panics ends alone. Asked to drain, it takes no further study and lets rounds under way end, for a bounded time. Then it stops: it accepts nobody, lets HTTP
//! requests finish, drops what it works on (studies are resumed from the store at the next start), closes the sessions, closes the store.

mod certificates;
mod drain;
mod reload;
mod switches;
mod watched;
mod web;
mod web_tls;

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bocage_daemon::notify::Notify;
use bocage_daemon::process::Process;
use bocage_daemon::pulse::{BEAT, Pulse};
use bocage_daemon::status::{self, Door, Watched};
use bocage_net::certificates::Authority;
use bocage_net::env::SystemEntropy;
use bocage_net::https::WebIdentity;
use bocage_net::tcp::{EnrolmentStream, Enrolments};
use bocage_net::transport::Refusals;
use bocage_net::{CloseCode, Identities, Listener};
use bocage_protocol::env::Clock;
use bocage_protocol::ids::{ContractId, StudyId};
use bocage_protocol::settings::Problem;
use bocage_protocol::trust::SignedRevocations;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument as _;

use crate::api::{self, App, Command, Gate};
use crate::config::{ApiTls, Config, KnownContract};
use crate::counts::Counts;
use crate::dispatch::{self, Context, DispatchError, Notices};
use crate::members::roster::Roster;
use crate::members::{Members, enrolment};
use crate::people::{People, PeopleError};
use crate::permits::{AccessBodies, Researchers};
use crate::publisher::Publisher;
use crate::store::{Store, StoreError};

use self::web_tls::WebTls;
pub use certificates::Certificates;
pub use drain::Drain;
pub use reload::Reloading;
pub use switches::{AtMoment, Moment, Patience, Switches};
pub use watched::Status;

/// Commands that may wait for the owner. Beyond, an HTTP request waits.
const COMMANDS: usize = 64;
/// Links that may stand beyond two for each site of the roster.
const SPARE_LINKS: usize = 256;
/// Between a failure of the store and the next attempt at a study.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// How long HTTP requests may take to finish on shutdown.
const FINISH: Duration = Duration::from_secs(5);

/// Why the server ended otherwise than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of users and tokens cannot be opened.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The key that signs results cannot be used.
    #[error("{0}")]
    Publisher(Problem),
    /// The HTTP server failed.
    #[error("the HTTP interface failed: {0}")]
    Http(std::io::Error),
    /// A part ended that never should.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

/// What the server is told while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Read the configuration again.
    Reload,
    /// Let rounds under way end, then stop.
    Drain,
    /// Stop now.
    Stop,
}

/// The coordinator's parts, joined.
pub struct Server {
    context: Arc<Context>,
    app: App,
    commands: mpsc::Receiver<Command>,
    stopping: watch::Sender<bool>,
    studies: JoinSet<Result<(), DispatchError>>,
    working: HashMap<StudyId, AbortHandle>,
    tasks: HashMap<Id, StudyId>,
    links: JoinSet<()>,
    most_links: usize,
    api_tls: Option<(WebIdentity, ApiTls)>,
    revocations: Vec<SignedRevocations>,
    enrolments: Option<Enrolments>,
    enrolling: JoinSet<()>,
    stop_within: Duration,
    reloading: Option<Reloading>,
    notify: Notify,
    pulse: Arc<Pulse>,
    doors: Vec<(Door, Arc<Status>)>,
    /// As whom it is known, where nodes come over links with certificates.
    identities: Option<Identities>,
}

impl Server {
    /// Opens the store and joins the parts. Nothing runs yet.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub fn new(
        config: &Config,
        contracts: BTreeMap<ContractId, KnownContract>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        Self::with(config, contracts, Switches { clock, ..Switches::default() })
    }

    /// [`Server::new`] with everything that tests may exchange.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub fn with(
        config: &Config,
        contracts: BTreeMap<ContractId, KnownContract>,
        switches: Switches,
    ) -> Result<Self, ServeError> {
        let Switches { clock, patience, grace, at } = switches;
        let held: Vec<_> = contracts.iter().map(|(id, known)| (id.clone(), known.hash)).collect();
        let names = config.sites.iter().map(|(id, site)| (id.clone(), site.name.clone()));
        let roster = Arc::new(Roster::new(&config.sites));
        let counts = Arc::new(Counts::default());
        let store = Store::open(&config.state_dir)?;
        let publisher = Publisher::open(&config.state_dir, &mut SystemEntropy).map_err(ServeError::Publisher)?;
        let members = Members::new(config.network.clone(), names, Arc::clone(&clock)).holding(held);
        let members = members.known_by(Arc::clone(&roster)).counting(Arc::clone(&counts)).remembering(store.clone());
        let access_bodies = Arc::new(AccessBodies::new(config.access_bodies.clone()));
        let members = members.under(Arc::clone(&access_bodies));
        let context = Arc::new(Context {
            network: config.network.clone(),
            min_sites: config.min_sites,
            roster: Arc::clone(&roster),
            researchers: Researchers::new(config.researchers.clone()),
            access_bodies,
            contracts,
            store,
            publisher,
            members,
            issuing: Arc::default(),
            invitations: config.invitations.clone(),
            notices: Notices::default(),
            clock,
            grace,
            at,
            counts,
            drain: Arc::default(),
        });
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (stopping, seen) = watch::channel(false);
        let gate = Arc::new(Gate::new(People::open(&config.state_dir, &config.users, context.clock.now())?));
        let app = App { context: Arc::clone(&context), gate, commands: sender, stopping: seen, patience };
        Ok(Self {
            most_links: 2 * context.roster.len() + SPARE_LINKS,
            context,
            app,
            commands,
            stopping,
            studies: JoinSet::new(),
            working: HashMap::new(),
            tasks: HashMap::new(),
            links: JoinSet::new(),
            api_tls: None,
            revocations: Vec::new(),
            enrolments: None,
            enrolling: JoinSet::new(),
            stop_within: Duration::from_secs(u64::from(config.stop_secs)),
            reloading: None,
            notify: Notify::default(),
            pulse: Arc::default(),
            doors: Vec::new(),
            identities: None,
        })
    }

    /// The same, with these lists of revoked permits in force where no newer one is.
    #[must_use]
    pub fn with_revocations(self, revocations: Vec<SignedRevocations>) -> Self {
        Self { revocations, ..self }
    }

    /// The same, with this authority to certify sites.
    #[must_use]
    pub fn with_issuing(self, authority: Option<Authority>) -> Self {
        if let Some(authority) = authority {
            self.context.issuing.replace(authority);
        }
        self
    }

    /// The same, taking in those who come by this door with an invitation. How many there are at a time is the door's to bound.
    #[must_use]
    pub fn with_enrolments(self, enrolments: Option<Enrolments>) -> Self {
        Self { enrolments, ..self }
    }

    /// The same, where nodes come over links with certificates: it renews these, tells of roots, and refuses who is revoked from the handshake on.
    #[must_use]
    pub fn with_identities(mut self, identities: &Identities) -> Self {
        self.context.members.renew_by(identities.clone(), Arc::clone(&self.context.issuing));
        self.identities = Some(identities.clone());
        self
    }

    /// The same, with TLS on its HTTP interface, by what stands in these files now and later.
    #[must_use]
    pub fn with_api_tls(self, api_tls: Option<(WebIdentity, ApiTls)>) -> Self {
        Self { api_tls, ..self }
    }

    /// The same, which reads its configuration again when it is told to.
    #[must_use]
    pub fn reloading(self, reloading: Reloading) -> Self {
        Self { reloading: Some(reloading), ..self }
    }

    /// The same, which tells systemd how it is.
    #[must_use]
    pub fn notifying(self, notify: Notify) -> Self {
        Self { notify, ..self }
    }

    /// The same, which shows how it is on `door`, with the handshakes that its listener refuses.
    #[must_use]
    pub fn watched_at(mut self, door: Door, refused: Vec<(&'static str, Arc<Refusals>)>) -> Self {
        let status = Status {
            context: Arc::clone(&self.context),
            pulse: Arc::clone(&self.pulse),
            process: Process::this(),
            serving: AtomicBool::new(false),
            refused,
            identities: self.identities.clone(),
        };
        self.doors.push((door, Arc::new(status)));
        self
    }

    /// The coordinator's parts, for those who look on.
    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    /// Serves until `shutdown` ends, and stops then without draining.
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn run<L: Listener>(
        self,
        listener: &L,
        http: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let (orders, ordered) = mpsc::channel(1);
        let telling = async {
            shutdown.await;
            let _ = orders.send(Order::Stop).await;
            pending().await
        };
        tokio::select! {
            ended = self.serve(listener, http, ordered) => ended,
            () = telling => Ok(()),
        }
    }

    /// Serves nodes on `listener` and HTTP on `http` until it is ordered to stop; resumes every open study first.
    ///
    /// # Errors
    /// The store cannot be read, or a part ends that never should.
    pub async fn serve<L: Listener>(
        mut self,
        listener: &L,
        http: TcpListener,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<(), ServeError> {
        self.context.roster.load(&self.context.store).await?;
        self.context.members.refuse(&self.context.store).await?;
        self.take_revocations().await?;
        for study in self.context.store.with(|store| store.unfinished()).await? {
            tracing::info!(%study, "resumed");
            self.start(study, Duration::ZERO);
        }
        let router = api::router(self.app.clone());
        let tls = self.api_tls.take();
        let tls = tls.map(|(identity, files)| WebTls::new(identity, files, Arc::clone(&self.context.clock)));
        let door = web::Door { http, tls };
        let mut web = JoinSet::from_iter([web::serve(door, router, self.app.patience, self.stopping.subscribe())]);
        let mut looking = JoinSet::new();
        for (door, status) in std::mem::take(&mut self.doors) {
            status.serving.store(true, Ordering::Release);
            looking.spawn(status::serve(door, status as Arc<dyn Watched>));
        }
        self.notify.ready();
        let mut beat = tokio::time::interval(self.notify.watchdog().map_or(BEAT, |every| BEAT.min(every / 3)));
        let mut drained: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(pending());
        let ended = loop {
            tokio::select! {
                order = orders.recv() => match order {
                    // What drains is not made ready again.
                    Some(Order::Reload) if self.context.drain.is_draining() => {}
                    Some(Order::Reload) => {
                        self.notify.reloading();
                        let reloaded = self.reload().await;
                        self.notify.ready();
                        if let Err(error) = reloaded {
                            tracing::error!(%error, "the lists of revoked permits could not be kept");
                        }
                    }
                    // Asked a second time it does not wait.
                    Some(Order::Drain) if !self.context.drain.is_draining() => drained = self.drain(),
                    _ => break Ok(()),
                },
                () = &mut drained => break Ok(()),
                _ = beat.tick() => {
                    self.pulse.beat();
                    self.notify.alive();
                    self.notify.status(&self.standing());
                }
                link = listener.accept() => match link {
                    Some(link) => self.accept(link),
                    None => break Err(ServeError::Ended("the listener for nodes")),
                },
                Some(command) = self.commands.recv() => match command {
                    Command::Start(study) => self.start(study, Duration::ZERO),
                    Command::Stop(study) => self.stop(study),
                },
                Some(done) = self.studies.join_next_with_id() => self.ended(done),
                Some(_) = self.links.join_next() => {}
                Some(stream) = next(&mut self.enrolments) => self.enrol(stream),
                Some(_) = self.enrolling.join_next() => {}
                done = web.join_next() => break match done {
                    Some(Ok(Err(error))) => Err(ServeError::Http(error)),
                    _ => Err(ServeError::Ended("the HTTP interface")),
                },
            }
        };
        tracing::info!("stopping");
        self.notify.stopping();
        listener.close();
        self.stopping.send_replace(true);
        if tokio::time::timeout(FINISH, web.join_next()).await.is_err() {
            web.shutdown().await;
        }
        self.studies.shutdown().await;
        self.context.members.close(CloseCode::SHUTDOWN, "the coordinator is stopping");
        self.links.shutdown().await;
        self.enrolling.shutdown().await;
        self.app.gate.settle(self.context.clock.now()).await;
        self.context.store.close().await;
        ended
    }

    /// No further round begins; those that are under way may take a while.
    fn drain(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let drain = Arc::clone(&self.context.drain);
        drain.start();
        self.notify.stopping();
        let secs = self.stop_within.as_secs();
        tracing::info!(rounds = drain.under_way(), secs, "draining: no study is taken, rounds under way may end");
        let within = self.stop_within;
        Box::pin(async move {
            if tokio::time::timeout(within, drain.idle()).await.is_err() {
                tracing::warn!(
                    rounds = drain.under_way(),
                    "rounds are still under way: they are asked again at the next start"
                );
            }
        })
    }

    /// For `systemctl status`.
    fn standing(&self) -> String {
        let sites = self.context.members.presence();
        let connected = sites.iter().filter(|(_, connected)| *connected).count();
        format!("{connected} of {} sites connected, {} studies worked on", sites.len(), self.working.len())
    }

    /// What the store keeps is in force, unless a file has something newer.
    async fn take_revocations(&mut self) -> Result<(), StoreError> {
        let context = &self.context;
        context.access_bodies.load(&context.store).await?;
        for list in std::mem::take(&mut self.revocations) {
            // What was published since is in the store alone: the file's list is older then, and nothing is wrong.
            let in_force =
                list.verify().ok().and_then(|of| Some((of.number, context.access_bodies.newest(&of.issuer)?)));
            if let Some((number, newer)) = in_force.filter(|(number, newest)| newest.list.number > *number) {
                tracing::info!(issuer = %newer.list.issuer, number = newer.list.number, file = number,
                    "a list of revoked permits is in force, newer than the file's");
                continue;
            }
            let taken = context.access_bodies.take(&context.store, list, context.clock.now()).await;
            match taken {
                Ok(taken) => {
                    tracing::info!(issuer = %taken.list.issuer, number = taken.list.number, issued_at = %taken.list.issued_at,
                        "a list of revoked permits is in force");
                }
                Err(error) => tracing::warn!(%error, "a file's list of revoked permits is not used"),
            }
        }
        Ok(())
    }

    fn accept(&mut self, link: impl bocage_net::Link) {
        if self.links.len() >= self.most_links {
            tracing::warn!(peer = %link.peer(), links = self.links.len(), "too many links");
            return link.close(CloseCode::TIMEOUT, "too many links");
        }
        let context = Arc::clone(&self.context);
        self.links.spawn(async move { context.members.serve(link).await });
    }

    fn enrol(&mut self, stream: EnrolmentStream) {
        let context = Arc::clone(&self.context);
        let from = stream.remote_address().map_or_else(String::new, |address| address.to_string());
        self.enrolling.spawn(async move { enrolment::serve(&context, stream, &from, enrolment::PATIENCE).await });
    }

    fn start(&mut self, study: StudyId, after: Duration) {
        if self.working.contains_key(&study) {
            return;
        }
        let context = Arc::clone(&self.context);
        let work = async move {
            tokio::time::sleep(after).await;
            dispatch::run(&context, study).await
        };
        let task = self.studies.spawn(work.instrument(tracing::error_span!("study", %study)));
        self.tasks.insert(task.id(), study);
        self.working.insert(study, task);
    }

    fn stop(&mut self, study: StudyId) {
        if let Some(task) = self.working.remove(&study) {
            task.abort();
        }
    }

    fn ended(&mut self, done: Result<(Id, Result<(), DispatchError>), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(study) = self.tasks.remove(&task) else { return };
        if self.working.get(&study).is_some_and(|handle| handle.id() == task) {
            self.working.remove(&study);
        }
        match done {
            Ok((_, Ok(()))) => {}
            Ok((_, Err(error @ DispatchError::Store(_)))) => {
                tracing::error!(%study, %error, "the study waits for the store");
                self.start(study, STORE_RETRY);
            }
            Ok((_, Err(error))) => {
                tracing::error!(%study, %error, "the study stays open and is tried again at the next start");
            }
            Err(error) if error.is_cancelled() => {}
            Err(_) => {
                tracing::error!(%study, "the study's task panicked; it is tried again at the next start")
            }
        }
    }
}

/// The next who comes to enrol. Never, where there is no door for it.
async fn next(enrolments: &mut Option<Enrolments>) -> Option<EnrolmentStream> {
    match enrolments {
        Some(door) => door.accept().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

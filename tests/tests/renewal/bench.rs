//! A coordinator and the agents of its sites, in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bocage::network::{Network, init};
use bocage_coordinator::api::types::SiteInfo;
use bocage_coordinator::config::{Config, Setup};
use bocage_coordinator::dispatch::Context;
use bocage_coordinator::server::{Certificates, ServeError, Server, Switches};
use bocage_net::certificates::{Authority, COORDINATOR_NAME};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::frame::{read_frame, write_message};
use bocage_net::quic::{QuicClient, QuicServer};
use bocage_net::secret::write_atomically;
use bocage_net::{Identities, Identity};
use bocage_node::agent::{Agent, Upkeep};
use bocage_node::config::Tls;
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits::FRAME_BYTES;
use bocage_protocol::session::SessionConfig;
use bocage_protocol::wire::message::{Catalogue, Reply, Request};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

pub const DAY: i64 = 24 * 3600;
/// Nothing here takes longer unless it never ends.
const LONG: Duration = Duration::from_secs(120);

/// The machine's time, moved.
pub struct Moved(AtomicI64);

impl Moved {
    pub fn by_days(&self, days: i64) {
        self.0.fetch_add(days * DAY * 1000, Ordering::SeqCst);
    }
}

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}

/// A running coordinator.
pub struct Coordinator {
    pub context: Arc<Context>,
    pub certificates: Certificates,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    address: String,
}

/// A site's agent, and who it is.
pub struct Site {
    pub id: SiteId,
    pub identities: Identities,
    tell: mpsc::Sender<()>,
}

pub struct Bench {
    pub out: PathBuf,
    pub config: Config,
    pub clock: Arc<Moved>,
    running: Option<Coordinator>,
    pub sites: Vec<Site>,
    agents: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/templates");
        let network = Network::read(&templates.join("network.toml")).expect("a network");
        let (out, clock) = (dir.path().join("net"), Arc::new(Moved(AtomicI64::new(0))));
        init(&network, &out, clock.as_ref(), &mut SystemEntropy).expect("a network");
        let free = [("quic.listen", "127.0.0.1:0"), ("api.listen", "127.0.0.1:0")];
        let free: Vec<_> = free.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let config = Config::load(&out.join("coordinator/coordinator.toml"), &free).expect("a configuration");
        let coordinator = Coordinator::start(&config, &clock).await;
        let mut bench = Self {
            out,
            config,
            clock,
            running: Some(coordinator),
            sites: Vec::new(),
            agents: JoinSet::new(),
            _dir: dir,
        };
        let sites: Vec<SiteId> = bench.config.sites.keys().cloned().collect();
        sites.into_iter().for_each(|site| bench.agent(site));
        for site in &bench.sites {
            timeout(LONG, bench.coordinator().context.members.session(&site.id)).await.expect("a session");
        }
        bench
    }

    fn agent(&mut self, id: SiteId) {
        let home = self.out.join("sites").join(id.as_str());
        let at = |name: &str| home.join(name);
        let tls = Tls { ca_file: at("ca.pem"), cert_file: at("tls/cert.pem"), key_file: at("tls/key.pem") };
        let identities = Identities::new(read(&tls));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let client = QuicClient::new(&*self.coordinator().address, COORDINATOR_NAME, &identities, clock.clone());
        let (socket, custodian) = (at("custodian.sock"), at("custodian.sock"));
        let listening = UnixListener::bind(&custodian).expect("a socket");
        self.agents.spawn(custodian_of(listening));
        let (tell, told) = mpsc::channel(1);
        let mut config = SessionConfig::new(id.clone(), self.config.network.clone(), "test 1");
        config.backoff_max_ms = 500;
        let upkeep = Upkeep::new(id.clone(), tls, identities.clone(), told, clock.now(), &mut SystemEntropy);
        let agent = Agent::new(config, client.expect("a client"), socket, clock, Box::new(SystemEntropy)).with(upkeep);
        self.agents.spawn(async move { drop(agent.run(std::future::pending()).await) });
        self.sites.push(Site { id, identities, tell });
    }

    /// What the coordinator says of a site.
    pub fn info(&self, site: &Site) -> SiteInfo {
        let all = self.coordinator().context.members.sites();
        all.into_iter().find(|of| of.id == site.id).expect("a site")
    }

    /// Has agents and coordinator look at everything until `done` is true of every site.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self, &Site) -> bool) {
        let waiting = async {
            loop {
                self.running.as_mut().expect("a coordinator").certificates.look(self.clock.as_ref());
                let behind: Vec<&Site> = self.sites.iter().filter(|site| !done(self, site)).collect();
                let Some(first) = behind.first() else { return };
                for site in &behind {
                    // One word that waits already is enough.
                    let _ = site.tell.try_send(());
                }
                let _ = timeout(Duration::from_millis(50), first.identities.subscribe().changed()).await;
            }
        };
        timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("{what}: never came"));
    }

    /// Whether the site's session is one under the certificate that its agent has now.
    pub fn has_moved(&self, site: &Site) -> bool {
        let serial = site.identities.current().leaf().serial;
        self.info(site).certificate.is_some_and(|of| of.serial == serial)
    }

    pub fn coordinator(&self) -> &Coordinator {
        self.running.as_ref().expect("a coordinator")
    }

    /// Ends the sites' agents, which would come back.
    pub async fn stop_agents(&mut self) {
        self.agents.shutdown().await;
    }

    /// Stops the coordinator and starts another one on the same state.
    pub async fn restart_coordinator(&mut self) {
        // With all that holds its links, or its port stays taken.
        let Coordinator { context, certificates, stop, serving, address } = self.running.take().expect("a coordinator");
        let _ = stop.send(());
        timeout(LONG, serving).await.expect("an end").expect("no panic").expect("a good end");
        drop((context, certificates));
        self.config.quic_listen = address.parse().expect("an address");
        self.running = Some(Coordinator::start(&self.config, &self.clock).await);
    }

    /// The offline root.
    pub fn root(&self) -> Authority {
        let read = |name: &str| std::fs::read_to_string(self.out.join("ca").join(name)).expect("a file");
        Authority::from_pem(&read("root.pem"), &read("root.key")).expect("a root")
    }

    pub fn put_issuing(&self, authority: &Authority) {
        let files = self.config.issuing.as_ref().expect("an authority");
        write_atomically(&files.key_file, authority.key_pem().as_bytes(), 0o600).expect("a file");
        write_atomically(&files.cert_file, authority.links_pem().as_bytes(), 0o644).expect("a file");
    }

    pub fn put_roots(&self, bundle: &str) {
        write_atomically(&self.config.ca_file, bundle.as_bytes(), 0o644).expect("a file");
    }

    /// Asks every site again and again, three questions at a time each.
    pub fn load(&self) -> Load {
        let load = Load::default();
        let mut asking = JoinSet::new();
        for site in &self.sites {
            for _ in 0..3 {
                let (context, id) = (Arc::clone(&self.coordinator().context), site.id.clone());
                let (done, failed, stop) = (load.done.clone(), load.failed.clone(), load.stop.clone());
                asking.spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        let session = context.members.session(&id).await.expect("a member");
                        match session.ask(&Request::Catalogue).await {
                            Ok(answered) if matches!(answered.reply, Reply::Catalogue(_)) => {}
                            other => {
                                eprintln!("{id}: {other:?}");
                                failed.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        }
        Load { asking, ..load }
    }
}

/// Questions that go on.
#[derive(Default)]
pub struct Load {
    done: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    asking: JoinSet<()>,
}

impl Load {
    /// Waits until so many more were answered.
    pub async fn more(&self, count: usize) {
        let wanted = self.done.load(Ordering::SeqCst) + count;
        let waiting = async {
            while self.done.load(Ordering::SeqCst) < wanted {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, waiting).await.expect("answers");
    }

    /// How many were asked, and how many of them in vain.
    pub async fn end(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(done) = self.asking.join_next().await {
            done.expect("no panic");
        }
        (self.done.load(Ordering::SeqCst), self.failed.load(Ordering::SeqCst))
    }
}

impl Coordinator {
    async fn start(config: &Config, clock: &Arc<Moved>) -> Self {
        let setup = Setup::load(config, clock.now()).expect("a setup");
        let identities = Identities::new(setup.identity);
        let bound = async {
            loop {
                // After a restart the port is free as soon as the last connection of before is told.
                match QuicServer::bind(config.quic_listen, &identities, clock.clone()) {
                    Ok(quic) => break quic,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let quic = timeout(LONG, bound).await.expect("a port");
        let address = quic.local_address().expect("an address").to_string();
        let http = TcpListener::bind(config.api_listen).await.expect("a port");
        let switches = Switches { clock: clock.clone(), ..Switches::default() };
        let server = Server::with(config, setup.contracts, switches).expect("a server");
        let server = server.with_issuing(setup.issuing).with_identities(&identities);
        let context = server.context();
        let certificates = Certificates::new(config, &identities, &context.issuing);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let ended = server.run(&quic, http, async { drop(stopped.await) }).await;
            quic.shutdown("the test restarts it").await;
            ended
        });
        Self { context, certificates, stop, serving, address }
    }
}

pub fn read(tls: &Tls) -> Identity {
    let read = |file: &Path| std::fs::read_to_string(file).expect("a file");
    Identity::from_pem(&read(&tls.cert_file), &read(&tls.key_file), &read(&tls.ca_file)).expect("an identity")
}

/// Answers every question by offering nothing.
async fn custodian_of(listening: UnixListener) {
    let mut answering = JoinSet::new();
    while let Ok((mut stream, _)) = listening.accept().await {
        while answering.try_join_next().is_some() {}
        answering.spawn(async move {
            if read_frame(&mut stream, FRAME_BYTES).await.is_ok() {
                let _ = write_message(&mut stream, &Reply::Catalogue(Catalogue { datasets: vec![] })).await;
            }
        });
    }
}

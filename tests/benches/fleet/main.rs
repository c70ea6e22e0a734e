//! One coordinator and its fleet: a round over thousands of real QUIC connections on loopback against the floor, the same
//! connections with nothing but bytes on them; and a round over the memory transport. Coordinator and sites are two processes,
//! so that the coordinator's memory is its own.
//!
//! `cargo bench -p bocage-tests --bench fleet`; `BOCAGE_BENCH_SITES` sets the sites (2,000), `BOCAGE_BENCH_MEMORY_SITES` those
//! in memory (10,000).

#[path = "../hospital/mod.rs"]
mod hospital;
mod site;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bocage_coordinator::config::{Config, KnownContract};
use bocage_coordinator::dispatch::Context;
use bocage_coordinator::server::Server;
use bocage_net::certificates::{Authority, COORDINATOR_NAME};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::identity::Identity;
use bocage_net::memory::MemoryListener;
use bocage_net::quic::{QuicClient, QuicLink, QuicServer};
use bocage_net::{Link as _, Listener, Peer};
use bocage_protocol::env::{Clock as _, Timestamp};
use bocage_protocol::ids::{NetworkId, SiteId};
use bocage_protocol::trust::{PublicKey, SecretKey, SignedStudy, Tree};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::Request;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use hospital::{is_a_bench, median};
use site::{Fleet, Floor, ask_floor, dial, floor, release_key};

const RUNS: usize = 5;
/// Handshakes at a time.
const DIALLING: usize = 64;
/// How the bench starts itself as the fleet.
const FLEET: &str = "--fleet";

fn main() {
    if !is_a_bench() {
        return;
    }
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let Some(at) = args.iter().position(|arg| arg == FLEET) {
        return runtime.block_on(fleet(&args[at + 1], &args[at + 2], number(&args[at + 3])));
    }
    runtime.block_on(over_quic(sites_from("BOCAGE_BENCH_SITES", 2000)));
    runtime.block_on(over_memory(sites_from("BOCAGE_BENCH_MEMORY_SITES", 10_000)));
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn sites_from(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().map_or(otherwise, |text| number(&text))
}

fn names(sites: usize) -> Vec<SiteId> {
    (0..sites).map(|i| format!("s{i:05}").parse().expect("a site")).collect()
}

fn network() -> NetworkId {
    "bench".parse().expect("a network")
}

/// A coordinator without HTTP: its parts, and who asks.
struct Coordinator {
    context: Arc<Context>,
    _server: Server,
    researcher: SecretKey,
    sites: Vec<SiteId>,
}

/// How long a round took, and the bytes of a reply.
struct Took {
    published: Duration,
    last_reply: Duration,
    reply: u64,
}

impl Coordinator {
    fn new(folder: &Path, sites: usize) -> Self {
        let (sites, researcher) = (names(sites), hospital::researcher());
        let roster: Vec<_> = sites
            .iter()
            .map(|s| serde_json::json!({ "id": s, "release_key": release_key(s).public().to_string() }))
            .collect();
        let value = serde_json::json!({
            "network": "bench",
            "quic": { "listen": "127.0.0.1:0" },
            "tls": { "ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem" },
            "api": { "listen": "127.0.0.1:0" },
            "site": roster,
            "researcher": [{ "name": "Bench", "key": researcher.public().to_string() }],
        });
        let config = Config::from_value(&value, "coordinator.toml", folder).expect("a configuration");
        let contract = hospital::contract();
        let id = contract.id().clone();
        let known =
            KnownContract { hash: contract.hash(), contract: Arc::new(contract), text: hospital::contract_text() };
        let server = Server::new(&config, BTreeMap::from([(id, known)]), Arc::new(SystemClock)).expect("a server");
        Self { context: server.context(), _server: server, researcher, sites }
    }

    /// Serves whoever comes; returns once all are here.
    async fn gather<L: Listener>(&self, listener: Arc<L>) {
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            while let Some(link) = listener.accept().await {
                let context = Arc::clone(&context);
                tokio::spawn(async move { context.members.serve(link).await });
            }
        });
        while !self.sites.iter().all(|site| self.context.members.online(site)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn study(&self) -> SignedStudy {
        // One cell for each year of age: some 4 KiB of answer.
        let years: Vec<String> = (19..100).map(|year| year.to_string()).collect();
        let text = format!(
            "title = \"Laboratory values\"\npurpose = \"scientific_research\"\ndataset = \"labs@1\"\nmin_sites = 1\n\
             [[analysis]]\nname = \"labs\"\ntable = {{ by = [\"cut(age, {})\"], show = [\"count\", \"mean(lab1)\"] }}\n",
            years.join(", ")
        );
        hospital::signed(&text, &self.sites, &hospital::contract(), &self.researcher)
    }

    /// A study of one round from its acceptance to its publication, every site's answer verified and recorded.
    async fn round(&self) -> Took {
        let (elapsed, record) = hospital::published(&self.context, self.study()).await;
        assert!(record.published_at.is_some() && record.refusals.is_empty(), "{:?}", record.refusals.first());
        assert_eq!(record.releases.len(), self.sites.len());
        let last_us = record.releases.iter().map(|release| release.round_trip_us).max().unwrap_or_default();
        Took { published: elapsed, last_reply: Duration::from_micros(last_us), reply: record.releases[0].reply_bytes }
    }

    /// The bytes of a request: the signed study, and the site's place in it.
    fn request_bytes(&self) -> u64 {
        let request = Request::Round(hospital::round(self.study().at(Tree::over(&self.sites).place(0))));
        codec::encode(&request).expect("bytes").len() as u64 + 4
    }
}

async fn over_quic(sites: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (now, entropy) = (SystemClock.now(), &mut SystemEntropy);
    let root = Authority::new_root(&network(), now, entropy).expect("a root");
    let issuing = root.issue_intermediate(&network(), now, entropy).expect("an intermediate");
    let own = issuing.issue_coordinator(&[], now, 30, entropy).expect("a certificate");
    let identity = Identity::from_pem(&own.chain_pem, &own.key_pem, root.certificate_pem()).expect("an identity");
    let papers = [
        ("ca.pem", root.certificate_pem().to_owned()),
        ("issuing.pem", issuing.certificate_pem().to_owned()),
        ("issuing.key", issuing.key_pem().to_string()),
    ];
    for (name, text) in papers {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let listen = || {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        Arc::new(QuicServer::bind(any, &identity, Arc::new(SystemClock)).expect("a socket"))
    };
    let (door, bare) = (listen(), listen());
    let coordinator = Coordinator::new(folder.path(), sites);
    let before = resident_kib();
    let [door_at, bare_at] = [&door, &bare].map(|server| server.local_address().expect("an address").to_string());
    let mut fleet = start_fleet(folder.path(), &door_at, sites);
    let (gathered, ()) = timed(coordinator.gather(Arc::clone(&door))).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = (resident_kib() - before) as f64 / sites as f64;
    println!("{sites} sites over QUIC, all connected after {:.1} s", gathered.as_secs_f64());
    println!("  memory of the coordinator per idle site  {idle:7.1} KiB");
    // Only now the bare links, so that they do not count as the coordinator's memory.
    writeln!(fleet.0.stdin.take().expect("a pipe"), "{bare_at}").expect("the fleet listens");
    let mut links = Vec::new();
    while links.len() < sites {
        let link = bare.accept().await.expect("a link");
        let Peer::Site(site) = link.peer() else { panic!("not a site") };
        let key = release_key(site).public();
        links.push((link, key));
    }
    let (request, mut reply) = (coordinator.request_bytes(), 0);
    let (mut rounds, mut replies, mut floors) = (vec![], vec![], [vec![], vec![], vec![]]);
    // Of the coordinator and of all sites together.
    let mut worked = [vec![], vec![]];
    let processes = [std::process::id(), fleet.0.id()];
    for run in 0..=RUNS {
        let before = processes.map(processor_time);
        let took = coordinator.round().await;
        let after = processes.map(processor_time);
        reply = took.reply;
        let plain = Floor { question: 1 << 10, answer: 4 << 10, signed: false };
        let same = Floor { question: request as u32, answer: reply as u32, signed: false };
        let rounds_of = [plain, same, Floor { signed: true, ..same }];
        let mut measured = Vec::new();
        for of in rounds_of {
            measured.push(floor_round(&links, of).await);
        }
        // The first finds cold connections.
        if run > 0 {
            rounds.push(took.published);
            replies.push(took.last_reply);
            floors.iter_mut().zip(measured).for_each(|(floors, floor)| floors.push(floor));
            worked
                .iter_mut()
                .zip(after.into_iter().zip(before))
                .for_each(|(w, (after, before))| w.push(after - before));
        }
    }
    drop(fleet);
    let round = median(&mut rounds).as_secs_f64();
    println!("  a round, {request} bytes out and {reply} back      {:7.0} ms", round * 1000.0);
    println!("  its last reply after                     {:7.0} ms", median(&mut replies).as_secs_f64() * 1000.0);
    for (who, times) in ["the coordinator", "all sites"].into_iter().zip(&mut worked) {
        let (all, each) = (median(times), median(times).as_secs_f64() * 1e6 / sites as f64);
        println!("  processor time of {who:<22}{:7.0} ms    {each:.0} µs a site", all.as_secs_f64() * 1000.0);
    }
    let floors_of = ["1 KiB out and 4 KiB back", "the same bytes", "the same, signed and verified"];
    for (what, times) in floors_of.into_iter().zip(&mut floors) {
        let floor = median(times).as_secs_f64();
        println!("  floor, {what:<33}{:7.0} ms    round / floor = {:.2}", floor * 1000.0, round / floor);
    }
}

/// What a process has worked on all cores, in steps of 10 ms.
fn processor_time(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    // After the name, which may hold anything: user and system time are the 14th and 15th value of all.
    let values = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(values.map(|ticks| ticks.parse::<u64>().expect("ticks") * 10).sum())
}

async fn over_memory(sites: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let coordinator = Coordinator::new(folder.path(), sites);
    let (listener, fleet) = (Arc::new(MemoryListener::new()), Fleet::new(hospital::contract()));
    let before = resident_kib();
    let mut nodes = JoinSet::new();
    for site in names(sites) {
        let (dialler, fleet) = (listener.dialler(site.clone()), Arc::clone(&fleet));
        nodes.spawn(async move { fleet.node(dial(&dialler).await, site).await });
    }
    coordinator.gather(listener).await;
    let idle = (resident_kib() - before) as f64 / sites as f64;
    let mut rounds = Vec::new();
    for run in 0..=2 {
        let took = coordinator.round().await;
        if run > 0 {
            rounds.push(took.published);
        }
    }
    println!("{sites} sites over the memory transport, in this process");
    println!("  memory per idle site, both ends          {idle:7.1} KiB");
    println!(
        "  a round, {} bytes out                 {:7.0} ms",
        coordinator.request_bytes(),
        median(&mut rounds).as_secs_f64() * 1000.0
    );
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let result = work.await;
    (begun.elapsed(), result)
}

/// So many bytes to every link at once, and so many back.
async fn floor_round(links: &[(QuicLink, PublicKey)], of: Floor) -> Duration {
    let asked = async {
        let mut asking = JoinSet::new();
        for (link, key) in links {
            let (link, key) = (link.clone(), *key);
            asking.spawn(async move { ask_floor(&link, of, &key).await });
        }
        asking.join_all().await;
    };
    timed(asked).await.0
}

/// This process' resident memory.
fn resident_kib() -> i64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: i64 = text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("pages");
    pages * 4
}

/// The other process; it ends with this value.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_fleet(folder: &Path, door: &str, sites: usize) -> Started {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.arg("--bench").arg(FLEET).arg(folder).arg(door).arg(sites.to_string()).stdin(Stdio::piped());
    Started(command.spawn().expect("the fleet"))
}

/// The process of the sites: each has a session with the coordinator and, from when standard input says where, a bare link for
/// the floor.
async fn fleet(folder: &str, door: &str, sites: usize) {
    let read = |name: &str| std::fs::read_to_string(Path::new(folder).join(name)).expect("a paper");
    let (ca, now) = (read("ca.pem"), Timestamp(SystemClock.now().0));
    let issuing = Authority::from_pem(&read("issuing.pem"), &read("issuing.key")).expect("an intermediate");
    let fleet = Fleet::new(hospital::contract());
    let dialling = Arc::new(Semaphore::new(DIALLING));
    let bare = tokio::sync::watch::Sender::new(None::<String>);
    let mut nodes = JoinSet::new();
    for site in names(sites) {
        let own = issuing.issue_site(&site, now, 30, &mut SystemEntropy).expect("a certificate");
        let identity = Identity::from_pem(&own.chain_pem, &own.key_pem, &ca).expect("an identity");
        let (fleet, dialling, door) = (Arc::clone(&fleet), Arc::clone(&dialling), door.to_owned());
        let mut bare = bare.subscribe();
        nodes.spawn(async move {
            let connect = async |address: String| {
                let client = QuicClient::new(address, COORDINATOR_NAME, &identity, Arc::new(SystemClock));
                let _place = dialling.acquire().await.expect("never closed");
                dial(&client.expect("a client")).await
            };
            let session = connect(door).await;
            let floor = async {
                let address = bare.wait_for(Option::is_some).await.expect("an address").clone();
                floor(connect(address.unwrap_or_default()).await, site.clone()).await;
            };
            tokio::join!(fleet.node(session, site.clone()), floor);
        });
    }
    let address = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await.expect("read");
    if let Some(Ok(address)) = address {
        bare.send_replace(Some(address));
    }
    nodes.join_all().await;
}

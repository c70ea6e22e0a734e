//! What a table costs: against the pooled query in Polars and DuckDB ([`pooled`]), by discovered keys ([`keys`]), and what a round costs beside its computation: over
//! next to nothing, on the wire, and after a custodian's restart. There the whole way is real: dispatch, QUIC on loopback, agent, the
//! custodian's socket, ledger.
//!
//! `cargo bench -p bocage-tests --bench table`; `BOCAGE_BENCH_ROWS` sets the rows (10,000,000).

#[path = "../hospital/mod.rs"]
mod hospital;
mod keys;
mod pooled;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bocage_coordinator::config::{Config, KnownContract, Token};
use bocage_coordinator::dispatch::Context;
use bocage_coordinator::server::Server;
use bocage_net::Listener as _;
use bocage_net::certificates::{Authority, COORDINATOR_NAME};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::identity::Identity;
use bocage_net::quic::{QuicClient, QuicServer};
use bocage_node::agent::Agent;
use bocage_node::custodian::server::Server as CustodianServer;
use bocage_protocol::env::Clock as _;
use bocage_protocol::session::SessionConfig;
use bocage_protocol::trust::SecretKey;
use tokio::task::JoinSet;

use hospital::{Hospital, is_a_bench, median, rows, study_text, timed};

const RUNS: usize = 50;
/// Rounds over all rows, of which each takes a moment.
const RUNS_OF_CHECKS: usize = 9;
/// Rounds before those that count: until the ledger's log has the length that it keeps and is written over, as in any node that has been up
/// for a while.
const BEFORE: usize = 60;

fn main() {
    if !is_a_bench() {
        return;
    }
    pooled::compare_all();
    keys::compare();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(overhead());
    runtime.block_on(bytes_on_the_wire());
    restart();
    checks();
}

/// A network of one site. Its tasks end with it.
struct Network {
    context: Arc<Context>,
    _server: Server,
    researcher: SecretKey,
    hospital: Hospital,
    _tasks: JoinSet<()>,
}

impl Network {
    async fn new(folder: &Path, rows: u64) -> Self {
        let researcher = hospital::researcher();
        let hospital = Hospital::new(folder, "site-0", rows, 0, &researcher);
        let custodian = Arc::new(hospital.custodian());
        let state = hospital.config().state;
        let served = CustodianServer::bind(&state, &hospital.config().steward).expect("a socket");
        let (identity, client) = certificates(&hospital);
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listener = QuicServer::bind(any, &identity, Arc::new(SystemClock)).expect("a socket");
        let address = listener.local_address().expect("an address").to_string();
        let server = coordinator(folder, &hospital, &researcher);
        let context = server.context();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(served.run(custodian, std::future::pending()).await) });
        let members = Arc::clone(&context);
        tasks.spawn(async move {
            while let Some(link) = listener.accept().await {
                members.members.serve(link).await;
            }
        });
        let config = SessionConfig::new(hospital.site.clone(), "bench".parse().expect("a network"), "bench 1");
        let client = QuicClient::new(address, COORDINATOR_NAME, &client, Arc::new(SystemClock)).expect("a client");
        let agent = Agent::new(config, client, state.socket(), Arc::new(SystemClock), Box::new(SystemEntropy));
        tasks.spawn(async move { drop(agent.run(std::future::pending()).await) });
        context.members.session(&hospital.site).await.expect("in the roster");
        Self { context, _server: server, researcher, hospital, _tasks: tasks }
    }

    /// A round that is computed: the time from dispatch to publication, that from request to reply, and the reply's bytes.
    async fn round(&self, cells: u32) -> (Duration, Duration, u64) {
        self.hospital.forget_answers();
        let sites = [self.hospital.site.clone()];
        let signed = hospital::signed(&study_text(cells), &sites, &hospital::contract(), &self.researcher);
        let (elapsed, record) = hospital::published(&self.context, signed).await;
        let release = record.releases.first().unwrap_or_else(|| panic!("refused: {:?}", record.refusals));
        (elapsed, Duration::from_micros(release.round_trip_us), release.reply_bytes)
    }
}

/// The coordinator's identity and the site's.
fn certificates(hospital: &Hospital) -> (Identity, Identity) {
    let (now, entropy) = (SystemClock.now(), &mut SystemEntropy);
    let network = "bench".parse().expect("a network");
    let root = Authority::new_root(&network, now, entropy).expect("a root");
    let issuing = root.issue_intermediate(&network, now, entropy).expect("an intermediate");
    let own = issuing.issue_coordinator(&[], now, 30, entropy).expect("a certificate");
    let site = issuing.issue_site(&hospital.site, now, 30, entropy).expect("a certificate");
    let [own, site] = [own, site].map(|issued| {
        Identity::from_pem(&issued.chain_pem, &issued.key_pem, root.certificate_pem()).expect("an identity")
    });
    (own, site)
}

fn coordinator(folder: &Path, hospital: &Hospital, researcher: &SecretKey) -> Server {
    let value = serde_json::json!({
        "network": "bench",
        "quic": { "listen": "127.0.0.1:0" },
        "tls": { "ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem" },
        "api": { "listen": "127.0.0.1:0", "token_file": "api.token" },
        "site": [{ "id": hospital.site, "release_key": hospital.release_key.to_string() }],
        "researcher": [{ "name": "Bench", "key": researcher.public().to_string() }],
    });
    let config = Config::from_value(&value, "coordinator.toml", folder).expect("a configuration");
    let contract = hospital::contract();
    let id = contract.id().clone();
    let known = KnownContract { hash: contract.hash(), contract: Arc::new(contract), text: hospital::contract_text() };
    let token = Token::new(&"0".repeat(32)).expect("a token");
    Server::new(&config, token, BTreeMap::from([(id, known)]), Arc::new(SystemClock)).expect("a server")
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A table of 500 cells over one row: a file without any gives no snapshot.
async fn overhead() {
    let folder = tempfile::tempdir().expect("a folder");
    let network = Network::new(folder.path(), 1).await;
    let (mut wholes, mut trips) = (Vec::new(), Vec::new());
    for run in 0..BEFORE + RUNS {
        let (whole, trip, _) = network.round(500).await;
        if run >= BEFORE {
            wholes.push(whole);
            trips.push(trip);
        }
    }
    println!("a round of 500 cells over a dataset of one row, median of {RUNS}");
    println!("  from request to reply                    {:7.2} ms", millis(median(&mut trips)));
    println!("  from dispatch to publication             {:7.2} ms", millis(median(&mut wholes)));
    println!("  two commits of as many bytes alone       {:7.2} ms", millis(2 * commit(folder.path())));
}

/// What the disk takes for one durable commit of the size of a release: a round has two, before it computes and before anything leaves.
fn commit(folder: &Path) -> Duration {
    let log = rusqlite::Connection::open(folder.join("alone.sqlite")).expect("a file");
    log.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    log.pragma_update(None, "synchronous", "FULL").expect("FULL");
    log.execute("CREATE TABLE t (x BLOB)", []).expect("a table");
    let mut insert = log.prepare("INSERT INTO t VALUES (zeroblob(32000))").expect("SQL");
    let mut times: Vec<Duration> = (0..200).map(|_| timed(|| insert.execute([]).expect("written")).0).collect();
    median(&mut times[150..])
}

/// The same question over more and more rows.
async fn bytes_on_the_wire() {
    println!("bytes of a reply of 500 cells");
    let mut count = 1000;
    while count <= rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let network = Network::new(folder.path(), count).await;
        let (_, trip, bytes) = network.round(500).await;
        println!("  {count:>12} rows  {bytes:>8} bytes    first answer after {:7.1} ms", millis(trip));
        count *= 10;
    }
}

/// From an ended custodian to its first answer: configuration, ledger, the snapshot verified and mapped, one round.
fn restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let researcher = hospital::researcher();
    let hospital = Hospital::new(folder.path(), "site-0", rows(), 0, &researcher);
    drop(hospital.custodian());
    let mut times = Vec::new();
    for _ in 0..5 {
        let text = study_text(1500);
        let sites = [hospital.site.clone()];
        let request = hospital::round(hospital::signed(&text, &sites, &hospital::contract(), &researcher));
        times.push(timed(|| hospital.custodian().round(&request)).0);
        hospital.forget_answers();
    }
    let time = median(&mut times);
    println!("a custodian's restart to its first answer, {} rows, 1,500 cells  {:7.0} ms", rows(), millis(time));
}

/// What is not computation in a round under a permit: the same question to a site of one row, where permit, policy, ledger, gate and signature
/// are all that there is, beside a site of many.
fn checks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (researcher, body) = (hospital::researcher(), hospital::researcher());
    let (permit, list) = hospital::permit(&body, &researcher);
    let hospitals = [1, rows()].map(|n| Hospital::new(folder.path(), &format!("site-{n}"), n, 0, &researcher));
    hospitals.iter().for_each(|hospital| hospital.accept_permits_of(&body));
    let custodians = hospitals.each_ref().map(Hospital::custodian);
    let sites = hospitals.each_ref().map(|hospital| hospital.site.clone());
    let mut times = [vec![], vec![]];
    for run in 0..=RUNS_OF_CHECKS {
        hospitals.iter().for_each(Hospital::forget_answers);
        let signed =
            hospital::signed_under(Some(&permit), &study_text(1500), &sites, &hospital::contract(), &researcher);
        let mut request = hospital::round(signed);
        request.revocations = Some(list.clone());
        for (custodian, times) in custodians.iter().zip(&mut times) {
            let time = timed(|| custodian.round(&request)).0;
            // The first one learns the list.
            if run > 0 {
                times.push(time);
            }
        }
    }
    let [none, all] = times.each_mut().map(|times| median(times));
    println!("a round of 1,500 cells under a permit, median of {RUNS_OF_CHECKS}");
    println!("  over one row: permit, policy, ledger, gate, signature  {:7.2} ms", millis(none));
    let share = 100.0 * none.as_secs_f64() / all.as_secs_f64();
    println!("  over {} rows  {:7.1} ms    one row / this = {share:.1} %", rows(), millis(all));
}

//! What a table costs: against the pooled query in Polars and DuckDB ([`pooled`]), by discovered keys ([`keys`]), and what a round costs beside its computation: over
//! next to nothing, on the wire, and after a custodian's restart. There the whole way is real: dispatch, QUIC on loopback, agent, the
//! custodian's socket, ledger.
//!
//! `cargo bench -p bocage-tests --bench table`; `BOCAGE_BENCH_ROWS` sets the rows (10,000,000), and `-- NAME` runs one of its parts alone: `pooled`, `keys`,
//! `overhead`, `bytes`, `idle`, `restart` or `checks`.

#[path = "../hospital/mod.rs"]
mod hospital;
mod keys;
mod pooled;
mod query;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::anonymous_kib;
use hospital::network::Network;
use hospital::{Hospital, is_a_bench, is_wanted, median, rows, study_text, timed};

const RUNS: usize = 50;
/// Rounds over all rows, of which each takes a moment.
const RUNS_OF_CHECKS: usize = 15;
/// Rounds before those that count: until the ledger's log has the length that it keeps and is written over, as in any node that has been up
/// for a while.
const BEFORE: usize = 120;

fn main() {
    if !is_a_bench() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let parts: [(&str, &dyn Fn()); 7] = [
        ("pooled", &pooled::compare_all),
        ("keys", &keys::compare),
        ("overhead", &|| runtime.block_on(overhead())),
        ("bytes", &|| runtime.block_on(bytes_on_the_wire())),
        ("idle", &idle),
        ("restart", &restart),
        ("checks", &checks),
    ];
    parts.iter().filter(|(name, _)| is_wanted(name)).for_each(|(_, run)| run());
}

/// A network of one site.
async fn network(folder: &Path, rows: u64) -> Network {
    let researcher = hospital::researcher();
    let hospital = Hospital::new(folder, "site-0", rows, 0, &researcher);
    Network::of(folder, vec![hospital], &[("labs", &hospital::contract_text())], researcher).await
}

/// A round that is computed: the time from dispatch to publication, that from request to reply, and the reply's bytes.
async fn ask(network: &Network, cells: u32) -> (Duration, Duration, u64) {
    let (elapsed, record, _) = network.ask(&study_text(cells), &hospital::contract_text()).await;
    let release = record.releases.first().unwrap_or_else(|| panic!("refused: {:?}", record.refusals));
    (elapsed, Duration::from_micros(release.round_trip_us), release.reply_bytes)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A table of 500 cells over one row: a file without any gives no snapshot.
async fn overhead() {
    let folder = tempfile::tempdir().expect("a folder");
    let network = network(folder.path(), 1).await;
    let (mut wholes, mut trips) = (Vec::new(), Vec::new());
    for run in 0..BEFORE + RUNS {
        let (whole, trip, _) = ask(&network, 500).await;
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

/// The same question over more and more rows: a site's reply is filled up to a length of its plan.
async fn bytes_on_the_wire() {
    println!("bytes of a reply of 500 cells");
    let (mut count, mut lengths) = (1000, BTreeSet::new());
    while count <= rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let network = network(folder.path(), count).await;
        let (_, trip, bytes) = ask(&network, 500).await;
        println!("  {count:>12} rows  {bytes:>8} bytes    first answer after {:7.1} ms", millis(trip));
        lengths.insert(bytes);
        count *= 10;
    }
    assert_eq!(lengths.len(), 1, "the length of a reply depends on the data: {lengths:?}");
}

/// What the processes of a node that has answered hold of their own, beside the pages of its mapped snapshot.
fn idle() {
    let lab = Lab::new(env!("CARGO_BIN_EXE_bocage-lab"));
    let coordinator = lab.coordinator();
    let nodes: Vec<_> = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    lab.study("idle", &bocage_tests::days::study("5m")).published();
    println!("memory of an idle node beyond its snapshot: supervisor, agent, custodian");
    for (site, node) in HOSPITALS.iter().zip(&nodes) {
        let children = ["agent", "custodian"].map(|role| node.child_pid(role).expect("a child"));
        let held =
            [node.pid(), children[0], children[1]].map(|pid| anonymous_kib(pid).expect("it lives") as f64 / 1024.0);
        println!(
            "  {site:<12} {:5.1} + {:5.1} + {:5.1} = {:5.1} MiB",
            held[0],
            held[1],
            held[2],
            held.iter().sum::<f64>()
        );
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

/// What is not computation in a round under a permit, with the ledger on the disk and, where there is such a folder, in memory: what it takes by itself,
/// without waiting for a disk.
fn checks() {
    println!("a round of 1,500 cells under a permit, median of {RUNS_OF_CHECKS}");
    let folder = tempfile::tempdir().expect("a folder");
    checks_in(folder.path(), "on the disk");
    if let Ok(folder) = tempfile::tempdir_in("/dev/shm") {
        checks_in(folder.path(), "in memory");
    }
}

/// The same question to a site of one row, where permit, policy, ledger, gate and signature are nearly all that there is, beside a site of many. What the query
/// of one row takes by itself is no part of what they add.
fn checks_in(folder: &Path, ledger: &str) {
    let (researcher, body) = (hospital::researcher(), hospital::researcher());
    let (permit, list) = hospital::permit(&body, &researcher);
    let hospitals = [1, rows()].map(|n| Hospital::new(folder, &format!("site-{n}"), n, 0, &researcher));
    hospitals.iter().for_each(|hospital| hospital.accept_permits_of(&body));
    let custodians = hospitals.each_ref().map(Hospital::custodian);
    let sites = hospitals.each_ref().map(|hospital| hospital.site.clone());
    let query = query::Query::of(&hospitals[0]);
    let (mut times, mut queries) = ([vec![], vec![]], vec![]);
    for run in 0..BEFORE + RUNS_OF_CHECKS {
        hospitals.iter().for_each(Hospital::forget_answers);
        let signed =
            hospital::signed_under(Some(&permit), &study_text(1500), &sites, &hospital::contract(), &researcher);
        let alone = query.timed(&signed);
        let mut request = hospital::round(signed);
        request.revocations = Some(list.clone());
        for (custodian, times) in custodians.iter().zip(&mut times) {
            let time = timed(|| custodian.round(&request)).0;
            // The first one learns the list.
            if run >= BEFORE {
                times.push(time);
            }
        }
        if run >= BEFORE {
            queries.push(alone);
        }
    }
    let [none, all] = times.each_mut().map(|times| median(times));
    let alone = median(&mut queries);
    let share = 100.0 * none.saturating_sub(alone).as_secs_f64() / all.as_secs_f64();
    println!(
        "  ledgers {ledger}: over one row {:5.2} ms, of which its query {:5.2} ms; over {} rows {:6.1} ms    {share:.1} %",
        millis(none),
        millis(alone),
        rows(),
        millis(all)
    );
}

//! A network over thousands of rounds, with restarts at random: what its long-lived processes hold of memory and open files stays what it was.

use std::collections::BTreeMap;
use std::fmt;

use bocage_protocol::trust::SignedStudy;
use rusqlite::OpenFlags;

use crate::days::{Network, Victim};
use crate::lab::{HOSPITALS, status};
use crate::process::{anonymous_kib, open_files};
use crate::relay::mixed;

/// Rounds at scale 1; the soak's scale of 10 makes them 10,000.
pub const ROUNDS: u64 = 1000;
/// Studies that are open at the same time.
const BATCH: u64 = 6;
/// So many batches lie between two restarts.
const CALM: u64 = 6;
/// A life with fewer samples says nothing of a slope.
const SAMPLES: usize = 12;
/// The site whose node nobody hits; the coordinator is restarted once, in the middle.
const SPARED: usize = 0;
/// What memory may grow by for certain, in KiB a round: a node's books remember what was asked, some digests a round.
const KIB_PER_ROUND: f64 = 0.5;
/// What caches take that still fill, in KiB, however long the life.
const CACHES_KIB: f64 = 3.0 * 1024.0;
/// Open files more than before: sockets of requests that are under way.
const FILES: f64 = 12.0;

/// A straight line through what was seen of a process against the number of rounds.
#[derive(Debug, Clone, Copy)]
pub struct Slope {
    /// At the middle of the life.
    level: f64,
    /// By round.
    slope: f64,
    /// The standard error of `slope`.
    error: f64,
    /// The rounds that the line spans.
    span: f64,
}

impl Slope {
    /// By least squares, from two places at least.
    fn through(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let xx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / xx;
        let left: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).powi(2)).sum();
        let span = points.last().map_or(0.0, |last| last.0 - points[0].0);
        Self { level: y, slope, error: (left / (n - 2.0) / xx).sqrt(), span }
    }

    /// Whether it comes to no more than `once`, and `most` a round, over the life; three standard errors are noise.
    fn flat(&self, most: f64, once: f64) -> bool {
        (self.slope - 3.0 * self.error - most) * self.span <= once
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, slope, error, span } = self;
        let (slope, error) = (slope * 1000.0, error * 1000.0);
        write!(f, "{level:.0}, {slope:+.1} ± {error:.1} per 1,000 rounds over {span:.0}")
    }
}

/// What a process held over its life.
#[derive(Debug)]
pub struct Life {
    name: String,
    memory: Slope,
    files: Option<Slope>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Steady {
    rounds: u64,
    restarts: u64,
    lives: Vec<Life>,
}

impl fmt::Display for Steady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rounds at each site, {} restarts", self.rounds, self.restarts)?;
        for life in &self.lives {
            writeln!(f, "  {}: KiB of its own {}", life.name, life.memory)?;
            if let Some(files) = &life.files {
                writeln!(f, "  {}: open files {files}", life.name)?;
            }
        }
        Ok(())
    }
}

/// At least so many rounds at each site. Every study is published with all sites' answers, every ledger is whole at the end, and no process that lived
/// long enough to tell has grown.
pub fn steady(exe: &str, rounds: u64, seed: u64) -> Steady {
    let mut network = Network::start(exe, &[]);
    network.published(network.submit("5m").id());
    let (mut seen, mut restarts, mut batch, mut halved) = (Seen::default(), 0, 0, false);
    let mut answered = rounds_answered(&network);
    while answered < rounds {
        let chance = mixed(seed ^ batch);
        let open: Vec<SignedStudy> =
            (0..BATCH).map(|i| network.submit_text(&question(batch * BATCH + i, "5m"))).collect();
        if batch % CALM == CALM - 1 {
            restarts += u64::from(hit_somebody(&mut network, chance));
        }
        if !halved && answered * 2 >= rounds {
            halved = network.kill(Victim::Coordinator, SPARED);
            restarts += 1;
        }
        for study in &open {
            let result = network.published(study.id());
            for site in HOSPITALS {
                assert_eq!(status(&result, site)["status"], "answered", "batch {batch}: {result:#}");
            }
        }
        batch += 1;
        answered = rounds_answered(&network);
        seen.look(&network, answered);
    }
    network.ledgers_hold();
    let steady = Steady { rounds: answered, restarts, lives: seen.lives() };
    for life in &steady.lives {
        assert!(life.memory.flat(KIB_PER_ROUND, CACHES_KIB), "{} grows:\n{steady}", life.name);
        assert!(life.files.is_none_or(|files| files.flat(0.0, FILES)), "{} keeps files open:\n{steady}", life.name);
    }
    steady
}

/// A process of a node that is not spared ends at once.
fn hit_somebody(network: &mut Network, chance: u64) -> bool {
    let victims = [Victim::Supervisor, Victim::Agent, Victim::Custodian];
    let node = 1 + (chance >> 8) as usize % (HOSPITALS.len() - 1);
    network.kill(victims[(chance % 3) as usize], node)
}

/// A table of one round and a model of several, which no other study asks.
pub(crate) fn question(number: u64, answer_within: &str) -> String {
    format!(
        "title = \"Steady\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nanswer_within = \"{answer_within}\"\nsites = {HOSPITALS:?}\n\
         where = \"age between 20 and 90 and trestbps < {}.5\"\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(age)\"] }}\n[[analysis]]\nname = \"risk\"\n\
         model = {{ formula = \"disease ~ age\" }}\n",
        1000 + number
    )
}

/// How many rounds the spared site has answered, by its ledger.
pub(crate) fn rounds_answered(network: &Network) -> u64 {
    let file = network.lab.site(HOSPITALS[SPARED]).join("state/ledger.sqlite");
    let ledger = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the ledger");
    let sql = "select count(*) from record where kind = 'release'";
    ledger.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count").unsigned_abs()
}

/// What was seen of each process, by its id.
#[derive(Default)]
struct Seen(BTreeMap<u32, Process>);

#[derive(Default)]
struct Process {
    name: String,
    memory: Vec<(f64, f64)>,
    files: Vec<(f64, f64)>,
}

impl Seen {
    fn look(&mut self, network: &Network, rounds: u64) {
        for (name, pid) in network.processes() {
            let process = self.0.entry(pid).or_default();
            process.name = name;
            let Some(kib) = anonymous_kib(pid) else { continue };
            process.memory.push((rounds as f64, kib as f64));
            process.files.extend(open_files(pid).map(|files| (rounds as f64, files as f64)));
        }
    }

    /// Of each name the longest life, if it was long enough, without its first third: until then buffers and caches fill.
    fn lives(self) -> Vec<Life> {
        let settled = |points: Vec<(f64, f64)>| points[points.len() / 3..].to_vec();
        let life = |process: Process| {
            let (memory, files) = (settled(process.memory), settled(process.files));
            let line = |points: &[(f64, f64)]| (points.len() >= SAMPLES).then(|| Slope::through(points));
            Some(Life { name: process.name, memory: line(&memory)?, files: line(&files) })
        };
        let mut longest: BTreeMap<String, Process> = BTreeMap::new();
        for process in self.0.into_values() {
            let known = longest.entry(process.name.clone()).or_default();
            if process.memory.len() > known.memory.len() {
                *known = process;
            }
        }
        longest.into_values().filter_map(life).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_some_kibibytes_a_round_is_told_from_what_only_wavers() {
        let noise = |i: u64| (mixed(i) % 1000) as f64;
        let points =
            |slope: f64| (0..2000).map(|i| (i as f64, 20_000.0 + noise(i) + slope * i as f64)).collect::<Vec<_>>();
        assert!(Slope::through(&points(0.0)).flat(KIB_PER_ROUND, CACHES_KIB));
        let leaking = Slope::through(&points(3.0));
        assert!(!leaking.flat(KIB_PER_ROUND, CACHES_KIB), "{leaking}");
        assert!((leaking.slope - 3.0).abs() < 4.0 * leaking.error, "{leaking}");
    }
}

//! A network over years: certificates renew, the intermediate and the root are exchanged by the operator's commands, and studies are answered all
//! the while. The clock of all processes jumps five days at a time; the studies that are open then stay open.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bocage_net::env::SystemClock;
use bocage_protocol::env::{Clock as _, Timestamp};
use bocage_protocol::trust::SignedStudy;
use rustix::process::Signal;
use serde_json::Value;

use crate::clock::Steps;
use crate::days::Network;
use crate::lab::{HOSPITALS, status};
use crate::process::PATIENCE;
use crate::steady::{question, rounds_answered};

/// Rounds at each site at scale 1; the soak's scale of 10 makes them 5,000.
pub const ROUNDS: u64 = 500;
/// Studies that are open at the same time.
const ASKERS: usize = 3;
/// A study has seven days to be answered, and is open over one jump at most.
const JUMP_SECS: i64 = 5 * 24 * 3600;
/// After so many, a certificate of thirty days was due and has not ended.
const JUMPS: usize = 5;
/// Between two looks at what the sites have come to.
const LOOK: Duration = Duration::from_millis(200);
/// Looks between two words to the processes: what they have begun may end first.
const LOOKS: u32 = 25;

/// What a run came to.
#[derive(Debug, Clone, Copy)]
pub struct Years {
    /// At each site.
    pub rounds: u64,
    /// Studies, all published with all sites.
    pub studies: u64,
    /// Rounds that were asked in vain and had to be asked again.
    pub failed: usize,
    /// Certificates that the sites got, by the coordinator's log.
    pub renewed: usize,
    /// Times that everything was exchanged once: certificates by their time, the intermediate, the root.
    pub turns: u64,
    /// Days that went by.
    pub days: i64,
}

impl fmt::Display for Years {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, studies, failed, renewed, turns, days } = self;
        write!(f, "{rounds} rounds at each site in {studies} studies, {failed} of them in vain; ")?;
        write!(f, "{renewed} certificates of sites, {turns} intermediates and as many roots, over {days} days")
    }
}

/// A network whose time is moved.
struct Aging {
    network: Network,
    steps: Steps,
    ahead_secs: AtomicI64,
    studies: AtomicU64,
    ended: [AtomicU64; ASKERS],
    stopped: AtomicBool,
}

/// At least so many rounds at each site, and every exchange at least once, with about as many rounds between any two.
pub fn years(exe: &str, rounds: u64) -> Years {
    let folder = tempfile::tempdir().expect("a folder");
    let steps = Steps::new(folder.path());
    let network = Network::start(exe, &[steps.env()]);
    network.lab.wait_for_offers(&HOSPITALS);
    let aging = Aging {
        network,
        steps,
        ahead_secs: AtomicI64::new(0),
        studies: AtomicU64::new(0),
        ended: Default::default(),
        stopped: AtomicBool::new(false),
    };
    let turns = std::thread::scope(|scope| {
        let askers: Vec<_> = aging.ended.iter().map(|ended| scope.spawn(|| aging.ask(ended))).collect();
        let turns = aging.turn_until(rounds);
        aging.stopped.store(true, Ordering::SeqCst);
        askers.into_iter().for_each(|asker| asker.join().expect("an asker"));
        turns
    });
    aging.network.ledgers_hold();
    let log = aging.network.coordinator().log();
    let lines = |words: &[&str]| log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    Years {
        rounds: rounds_answered(&aging.network),
        studies: aging.studies.load(Ordering::SeqCst),
        failed: lines(&["asked in vain"]),
        renewed: lines(&["certificate renewed", "site="]),
        turns,
        days: aging.ahead_secs.load(Ordering::SeqCst) / (24 * 3600),
    }
}

impl Aging {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_secs(self.ahead_secs.load(Ordering::SeqCst))
    }

    /// One study after another, each answered by every site.
    fn ask(&self, ended: &AtomicU64) {
        let lab = &self.network.lab;
        while !self.stopped.load(Ordering::SeqCst) {
            let number = self.studies.fetch_add(1, Ordering::SeqCst);
            let text = question(number, "7d");
            let signed = SignedStudy::sign(&lab.bound_study_at(&text, self.now()), &lab.researcher()).expect("signed");
            let (code, body) = lab.post(&signed);
            assert_eq!(code, 201, "{body}");
            let result = self.network.published(signed.id());
            for site in HOSPITALS {
                assert_eq!(status(&result, site)["status"], "answered", "study {number}: {result:#}");
            }
            ended.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Everything is exchanged, again and again, until there were so many rounds.
    fn turn_until(&self, rounds: u64) -> u64 {
        let between = rounds / 40;
        let mut turns = 0;
        while turns == 0 || rounds_answered(&self.network) < rounds {
            self.some(between);
            let (before, from) = (self.serials(), self.network.coordinator().lines());
            for _ in 0..JUMPS {
                let ahead = self.ahead_secs.fetch_add(JUMP_SECS, Ordering::SeqCst) + JUMP_SECS;
                self.steps.set(ahead);
                self.network.look_now();
                self.some(between);
            }
            self.until("certificates by their time", |site, at| site["serial"] != before[at]);
            self.network.coordinator().wait_for_line_after(from, &["the coordinator's certificate", "read anew"]);
            self.rotate(&["intermediate"]);
            self.until("certificates of the new intermediate", |site, _| site["current"] == true);
            self.some(between);
            self.rotate(&["root"]);
            self.until("the new root", |site, _| site["current"] == true && site["roots"] == true);
            self.some(between);
            let profile = self.path("net/operator/profile.toml");
            self.rotate(&["root", "--finish", "--profile", &profile]);
            self.until("the end of the old root", |site, _| site["roots"] == true);
            turns += 1;
        }
        turns
    }

    /// Waits until every site has answered so many rounds more, and no study is open any more that is open now.
    fn some(&self, rounds: u64) {
        let wanted = rounds_answered(&self.network) + rounds;
        let mut until = Instant::now() + PATIENCE;
        let mut seen = 0;
        let ended = || self.ended.iter().map(|ended| ended.load(Ordering::SeqCst));
        let before: Vec<u64> = ended().collect();
        while seen < wanted || ended().zip(&before).any(|(now, before)| now == *before) {
            std::thread::park_timeout(LOOK);
            let now = rounds_answered(&self.network);
            if now > seen {
                (seen, until) = (now, Instant::now() + PATIENCE);
            }
            assert!(Instant::now() < until, "no round for long: {}", self.network.coordinator().log());
        }
    }

    /// The operator's command on the machine with the root's key, and a word to the coordinator.
    fn rotate(&self, what: &[&str]) {
        let (ca, coordinator) = (self.path("net/ca"), self.path("net/coordinator/coordinator.toml"));
        let args = [&["network", "rotate"], what, &["--ca", &ca, "--coordinator", &coordinator]].concat();
        let said = self.network.lab.run(&args);
        assert!(said.status.success(), "{what:?}: {}", String::from_utf8_lossy(&said.stderr));
        let from = self.network.coordinator().lines();
        self.network.coordinator().signal(Signal::HUP);
        self.network.coordinator().wait_for_line_after(from, &["read anew"]);
        self.network.look_now();
    }

    /// Tells all processes to look, until this holds of every site's certificate as the coordinator sees it.
    fn until(&self, what: &str, holds: impl Fn(&Value, usize) -> bool) {
        let until = Instant::now() + 2 * PATIENCE;
        for look in 1_u32.. {
            let all = self.certificates();
            if all.iter().enumerate().all(|(at, certificate)| holds(certificate, at)) {
                return;
            }
            assert!(Instant::now() < until, "{what}: {all:#?}\n{}", self.network.coordinator().log());
            if look.is_multiple_of(LOOKS) {
                self.network.look_now();
            }
            std::thread::park_timeout(LOOK);
        }
    }

    fn certificates(&self) -> Vec<Value> {
        let sites = self.network.lab.get("/v1/sites");
        let of = |id: &str| sites["sites"].as_array().and_then(|all| all.iter().find(|site| site["id"] == id));
        HOSPITALS.iter().map(|id| of(id).expect("a site")["certificate"].clone()).collect()
    }

    fn serials(&self) -> Vec<Value> {
        self.certificates().into_iter().map(|certificate| certificate["serial"].clone()).collect()
    }

    fn path(&self, below: &str) -> String {
        self.network.lab.path(below).display().to_string()
    }
}

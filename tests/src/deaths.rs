//! Rounds of death: a study, and while it runs, the sudden end of one process at a random moment of it.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use bocage_net::env::SystemClock;
use bocage_protocol::env::Clock as _;

use crate::days::{Network, Victim, question};
use crate::lab::{HOSPITALS, status};
use crate::relay::mixed;

/// Rounds at scale 1; the soak's scale of 10 makes them 2,000.
pub const ROUNDS: u64 = 200;
/// Networks that live through their rounds at the same time: most of a round is waiting for what died to come back.
const NETWORKS: u64 = 6;
/// After so many rounds every ledger is verified by the node's own command too; after each, from here.
const ALL_LEDGERS: u64 = 20;

/// What the rounds came to.
#[derive(Debug, Default)]
pub struct Toll {
    /// Deaths of each victim.
    pub of: BTreeMap<String, u64>,
    /// Deaths between the submission of a study and its publication.
    pub mid_round: u64,
}

impl Toll {
    /// All deaths.
    pub fn deaths(&self) -> u64 {
        self.of.values().sum()
    }
}

impl AddAssign for Toll {
    fn add_assign(&mut self, other: Self) {
        self.mid_round += other.mid_round;
        for (victim, deaths) in other.of {
            *self.of.entry(victim).or_default() += deaths;
        }
    }
}

/// So many rounds, over several networks. Every study is published with the answers of all sites; a seed gives the same victims again.
pub fn random_deaths(exe: &str, rounds: u64, seed: u64) -> Toll {
    std::thread::scope(|scope| {
        let share = |network| (rounds + network) / NETWORKS;
        let network = |network| scope.spawn(move || one_network(exe, share(network), mixed(seed ^ (network << 32))));
        let networks: Vec<_> = (0..NETWORKS).map(network).collect();
        let mut toll = Toll::default();
        networks.into_iter().for_each(|network| toll += network.join().expect("a network that held"));
        toll
    })
}

fn one_network(exe: &str, rounds: u64, seed: u64) -> Toll {
    let mut network = Network::start(exe, &[]);
    let (mut toll, mut studies) = (Toll::default(), Vec::new());
    // The first answers wait for the first snapshots.
    network.published(network.submit("5m").id());
    let mut usual = usual_time(&network);
    for round in 0..rounds {
        let chance = mixed(seed ^ round);
        let victims = [Victim::Coordinator, Victim::Supervisor, Victim::Agent, Victim::Custodian];
        let victim = victims[(chance % 4) as usize];
        let first = (chance >> 8) as usize % HOSPITALS.len();
        let signed = network.submit_text(&question(round, "5m"));
        pause(usual.mul_f64((chance >> 32) as f64 / f64::from(u32::MAX)));
        let killed_at = SystemClock.now();
        // A child that still waits to be started again cannot die; another node's can.
        let hit = (0..HOSPITALS.len()).map(|next| (first + next) % HOSPITALS.len());
        let hit = hit.into_iter().find(|node| network.kill(victim, *node)).expect("somebody to kill");
        let result = network.published(signed.id());
        for site in HOSPITALS {
            assert_eq!(status(&result, site)["status"], "answered", "{victim:?} of {}: {result:#}", HOSPITALS[hit]);
        }
        let published_at = result["study"]["published_at"].as_i64().expect("a time");
        let accepted_at = result["study"]["accepted_at"].as_i64().expect("a time");
        let mid_round = published_at > killed_at.0;
        if !mid_round {
            usual = (usual + Duration::from_millis((published_at - accepted_at).unsigned_abs())) / 2;
        }
        toll.mid_round += u64::from(mid_round);
        *toll.of.entry(format!("{victim:?}")).or_default() += 1;
        studies.push(signed);
        HOSPITALS.iter().for_each(|site| network.ledger_holds(site));
        if round % ALL_LEDGERS == ALL_LEDGERS - 1 {
            network.ledgers_hold();
        }
    }
    network.repeats_are_the_same(&studies);
    toll
}

/// How long a study takes here when nobody dies: the moments of death are drawn from that time.
fn usual_time(network: &Network) -> Duration {
    let mut took: Vec<Duration> = Vec::new();
    for round in 0..3 {
        let signed = network.submit_text(&question(u64::MAX - round, "5m"));
        let begun = Instant::now();
        network.published(signed.id());
        took.push(begun.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

/// Lets a random moment come: nothing is waited for, so there is no event to wait for.
fn pause(time: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}

//! Networks that live through deaths of their processes, for the tests and for the soak program: what must hold after every one of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bocage_protocol::analysis::RoundState;
use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest, Step};
use rusqlite::OpenFlags;

use crate::lab::{HOSPITALS, Lab};
use crate::process::{PATIENCE, Process, kill_pid};
use crate::relay::mixed;

/// Whom a death meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The coordinator.
    Coordinator,
    /// A node's supervisor, and with it both children.
    Supervisor,
    /// A node's agent.
    Agent,
    /// A node's custodian.
    Custodian,
}

/// A study of all hospitals with two tables.
pub fn study(answer_within: &str) -> String {
    format!(
        "title = \"Days\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nwhere = \"age between 30 and 80\"\n\
         answer_within = \"{answer_within}\"\nsites = {HOSPITALS:?}\n[[analysis]]\nname = \"by_sex\"\n\
         table = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n[[analysis]]\nname = \"by_age\"\n\
         table = {{ by = [\"cut(age, 50, 60)\"], show = [\"count\"] }}\n"
    )
}

/// The request for the only round of [`study`].
pub fn request(study: SignedStudy) -> Request {
    let steps = (0..2).map(|analysis| Step { analysis, state: RoundState::First }).collect();
    Request::Round(RoundRequest { study, round: 0, steps })
}

/// A network whose processes are killed and started again.
pub struct Network {
    /// Its folder.
    pub lab: Lab,
    coordinator: Option<Process>,
    nodes: Vec<Option<Process>>,
}

impl Network {
    /// All processes, connected; `env` is for the coordinator and the nodes.
    pub fn start(exe: &str, env: &[(String, String)]) -> Self {
        let lab = Lab::new(exe);
        let coordinator = lab.coordinator_with(env);
        let nodes = HOSPITALS.iter().map(|site| Some(lab.node(site, env))).collect();
        for site in HOSPITALS {
            coordinator.wait_for_line(&["connected", site]);
        }
        Self { lab, coordinator: Some(coordinator), nodes }
    }

    /// The coordinator.
    pub fn coordinator(&self) -> &Process {
        self.coordinator.as_ref().expect("it runs")
    }

    /// Waits until the coordinator has ended by itself, and starts it again.
    pub fn coordinator_dies(&mut self) {
        self.coordinator.take().expect("it runs").wait();
        self.coordinator = Some(self.lab.coordinator());
    }

    /// Kills a process at once. What no supervisor starts again, the next line does.
    pub fn kill(&mut self, victim: Victim, node: usize) {
        let site = HOSPITALS[node];
        match victim {
            Victim::Coordinator => {
                self.coordinator.take().expect("it runs").kill();
                self.coordinator = Some(self.lab.coordinator());
            }
            Victim::Supervisor => {
                let node = &mut self.nodes[node];
                node.take().expect("it runs").kill();
                *node = Some(self.lab.node(site, &[]));
            }
            Victim::Agent => self.kill_child(node, "agent"),
            Victim::Custodian => self.kill_child(node, "custodian"),
        }
    }

    /// The child may be between two lives; then there is nothing to kill.
    fn kill_child(&self, node: usize, role: &str) {
        if let Some(pid) = self.nodes[node].as_ref().and_then(|node| node.child_pid(role)) {
            kill_pid(pid);
        }
    }

    /// A study, handed in.
    pub fn submit(&self, answer_within: &str) -> SignedStudy {
        let study = self.lab.bound_study(&study(answer_within));
        let signed = SignedStudy::sign(&study, &self.lab.researcher()).expect("a signature");
        let (status, body) = self.lab.post(&signed);
        assert_eq!(status, 201, "{body}");
        signed
    }

    /// Waits, over restarts of the coordinator, until a study is published; answers its result.
    pub fn published(&self, id: StudyId) -> serde_json::Value {
        let until = Instant::now() + PATIENCE;
        let mut seen = String::new();
        loop {
            if let Some(status) = self.lab.try_get(&format!("/v1/studies/{id}?wait_secs=5{seen}")) {
                if status["state"] == "published" {
                    return self.lab.get(&format!("/v1/studies/{id}/result"));
                }
                seen = format!("&seen={}", status["version"]);
            }
            let logs = || self.nodes.iter().flatten().map(Process::log).collect::<Vec<_>>().join("\n---\n");
            assert!(Instant::now() < until, "{id} does not end:\n{}\n---\n{}", self.coordinator().log(), logs());
        }
    }

    /// Every ledger is whole, and of every round of every study one release at most was ever recorded.
    pub fn ledgers_hold(&self) {
        for site in HOSPITALS {
            let (code, said) = self.lab.verify_ledger(site);
            assert_eq!(code, Some(0), "{site}: {said}");
            let file = self.lab.site(site).join("state/ledger.sqlite");
            let ledger =
                rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the ledger");
            let sql = "select count(*) from (select 1 from record where kind = 'release' group by study, round having count(*) > 1)";
            let twice: i64 = ledger.query_row(sql, [], |row| row.get(0)).expect("a count");
            assert_eq!(twice, 0, "{site} released a round twice");
        }
    }

    /// The end of the network: what the coordinator holds of these studies is, byte for byte, what every site hands out again.
    pub fn repeats_are_the_same(mut self, studies: &[SignedStudy]) {
        self.ledgers_hold();
        // The coordinator keeps its store to itself while it runs.
        self.coordinator.take().expect("it runs").kill();
        let store = self.lab.path("net/coordinator/state/coordinator.sqlite");
        let store = rusqlite::Connection::open(store).expect("the store");
        for study in studies {
            for site in HOSPITALS {
                let sql = "select body from releases where study = ? and site = ?";
                let of = [study.id().to_string(), site.to_owned()];
                let held: Vec<u8> = store.query_row(sql, of, |row| row.get(0)).expect("a release");
                assert!(self.released(site, study) == held, "{site} hands out other bytes for {}", study.id());
            }
        }
    }

    /// What a site hands out for a study, once its custodian is up.
    fn released(&self, site: &str, study: &SignedStudy) -> Vec<u8> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lab.try_ask_custodian(site, &request(study.clone())) {
                Some(Reply::Released(again)) => return again.body,
                other => assert!(Instant::now() < until, "{site}: {other:?}"),
            }
        }
    }
}

/// Rounds of one study and one death each, at a random moment of it. Every study is published with the answers of all sites.
pub fn random_deaths(exe: &str, rounds: u64, seed: u64) -> HashMap<String, u64> {
    let mut network = Network::start(exe, &[]);
    let (mut counts, mut studies) = (HashMap::new(), Vec::new());
    for round in 0..rounds {
        let chance = mixed(seed ^ round);
        let victims = [Victim::Coordinator, Victim::Supervisor, Victim::Agent, Victim::Custodian];
        let victim = victims[(chance % 4) as usize];
        let node = (chance >> 8) as usize % HOSPITALS.len();
        let signed = network.submit("5m");
        pause(Duration::from_micros((chance >> 16) % 60_000));
        network.kill(victim, node);
        let result = network.published(signed.id());
        for site in result["sites"].as_array().expect("sites") {
            assert_eq!(site["status"], "answered", "{victim:?} of {}: {result:#}", HOSPITALS[node]);
        }
        studies.push(signed);
        if round % 10 == 9 {
            network.ledgers_hold();
        }
        *counts.entry(format!("{victim:?}")).or_default() += 1;
    }
    network.repeats_are_the_same(&studies);
    counts
}

/// Lets a random moment come: nothing is waited for, so there is no event to wait for.
fn pause(time: Duration) {
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}

//! Networks that live through deaths of their processes, for the tests and for the soak program: what must hold after every one of them.

use std::time::Instant;

use bocage_node::custodian::ledger::Ledger;
use bocage_protocol::analysis::RoundState;
use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest, Step};
use rusqlite::OpenFlags;
use rustix::process::Signal;

use crate::lab::{HOSPITALS, Lab};
use crate::process::{PATIENCE, Process, kill_pid, signal_pid};

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

/// The same of a cohort that no other number has, though it is everybody: it is computed, not looked up.
pub fn question(number: u64, answer_within: &str) -> String {
    let limit = format!("chol < {}.5 and age between", 1000 + number % 1_000_000);
    study(answer_within).replacen("age between", &limit, 1)
}

/// The request for the only round of [`study`].
pub fn request(study: SignedStudy) -> Request {
    let steps = (0..2).map(|analysis| Step { analysis, state: RoundState::First }).collect();
    Request::Round(RoundRequest { study, round: 0, steps, revocations: None })
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
        Self::start_with(exe, env, env)
    }

    /// The same; `others` is for the nodes of all hospitals but the first.
    pub fn start_with(exe: &str, env: &[(String, String)], others: &[(String, String)]) -> Self {
        let lab = Lab::new(exe);
        let coordinator = lab.coordinator_with(env);
        let env_of = |site| if site == HOSPITALS[0] { env } else { others };
        let nodes = HOSPITALS.iter().map(|site| Some(lab.node(site, env_of(*site)))).collect();
        for site in HOSPITALS {
            coordinator.wait_for_line(&["connected", site]);
        }
        Self { lab, coordinator: Some(coordinator), nodes }
    }

    /// The coordinator.
    pub fn coordinator(&self) -> &Process {
        self.coordinator.as_ref().expect("it runs")
    }

    /// The coordinator and every node's processes that live just now, by name.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let coordinator = self.coordinator.iter().map(|process| ("the coordinator".to_owned(), process.pid()));
        let node = |(site, node): (&&str, &Process)| {
            let children = ["agent", "custodian"].map(|role| (format!("{site}'s {role}"), node.child_pid(role)));
            let own = (format!("{site}'s supervisor"), Some(node.pid()));
            children.into_iter().chain([own]).filter_map(|(name, pid)| Some((name, pid?))).collect::<Vec<_>>()
        };
        let running = HOSPITALS.iter().zip(&self.nodes).filter_map(|(site, node)| Some((site, node.as_ref()?)));
        coordinator.chain(running.flat_map(node)).collect()
    }

    /// Has the coordinator and every agent look at its files and certificates now. A supervisor would start its custodian anew.
    pub fn look_now(&self) {
        self.coordinator().signal(Signal::HUP);
        for agent in self.nodes.iter().flatten().filter_map(|node| node.child_pid("agent")) {
            signal_pid(agent, Signal::HUP);
        }
    }

    /// Waits until the coordinator has ended by itself, and starts it again.
    pub fn coordinator_dies(&mut self) {
        self.coordinator.take().expect("it runs").wait();
        self.coordinator = Some(self.lab.coordinator());
    }

    /// Kills the coordinator and starts it again with this environment.
    pub fn coordinator_again(&mut self, env: &[(String, String)]) {
        self.coordinator.take().expect("it runs").kill();
        self.coordinator = Some(self.lab.coordinator_with(env));
    }

    /// Waits until the first hospital's supervisor has died, and starts the node again.
    pub fn first_node_dies(&mut self) {
        self.nodes[0].take().expect("it runs").wait();
        self.nodes[0] = Some(self.lab.node(HOSPITALS[0], &[]));
    }

    /// Kills a process at once; what no supervisor starts again, this does. Answers whether there was one: a child may be between two lives.
    pub fn kill(&mut self, victim: Victim, node: usize) -> bool {
        let site = HOSPITALS[node];
        match victim {
            Victim::Coordinator => {
                self.coordinator.take().expect("it runs").kill();
                self.coordinator = Some(self.lab.coordinator());
                true
            }
            Victim::Supervisor => {
                let node = &mut self.nodes[node];
                node.take().expect("it runs").kill();
                *node = Some(self.lab.node(site, &[]));
                true
            }
            Victim::Agent => self.kill_child(node, "agent"),
            Victim::Custodian => self.kill_child(node, "custodian"),
        }
    }

    fn kill_child(&self, node: usize, role: &str) -> bool {
        let child = self.nodes[node].as_ref().and_then(|node| node.child_pid(role));
        child.inspect(|pid| kill_pid(*pid)).is_some()
    }

    /// A study, handed in.
    pub fn submit(&self, answer_within: &str) -> SignedStudy {
        self.submit_text(&study(answer_within))
    }

    /// The same of a text.
    pub fn submit_text(&self, text: &str) -> SignedStudy {
        let study = self.lab.bound_study(text);
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

    /// Every ledger is whole, as the node's own command finds too, and of every round of every study one release at most was ever recorded.
    pub fn ledgers_hold(&self) {
        for site in HOSPITALS {
            let (code, said) = self.lab.verify_ledger(site);
            assert_eq!(code, Some(0), "{site}: {said}");
            self.ledger_holds(site);
        }
    }

    /// The same of one ledger, looked at from here.
    pub fn ledger_holds(&self, site: &str) {
        let file = self.lab.site(site).join("state/ledger.sqlite");
        let verified = Ledger::open_read_only(&file).and_then(|ledger| ledger.verify()).expect("a ledger");
        assert!(verified.is_ok(), "{site}: {verified:?}");
        let ledger = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the ledger");
        let sql = "select count(*) from (select 1 from record where kind = 'release' group by study, round having count(*) > 1)";
        let twice: i64 = ledger.query_row(sql, [], |row| row.get(0)).expect("a count");
        assert_eq!(twice, 0, "{site} released a round twice");
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
                let sql = "select signed from releases where study = ? and site = ?";
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
                Some(Reply::Released(again)) => return codec::encode(&again).expect("its bytes"),
                other => assert!(Instant::now() < until, "{site}: {other:?}"),
            }
        }
    }
}

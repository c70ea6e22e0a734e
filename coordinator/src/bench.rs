//! What the tests of this crate share: a contract, signed studies, and nodes that answer as they are told over an in-memory link.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bocage_net::frame::{read_frame, read_message, write_frame, write_message};
use bocage_net::memory::{MemoryLink, MemoryListener};
use bocage_net::{Dialler as _, Link as _};
use bocage_protocol::PublicError;
use bocage_protocol::analysis::plan_for;
use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::{ContractId, Digest, SiteId};
use bocage_protocol::limits;
use bocage_protocol::plan::{MeasureLayout, ValidPlan};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, Outcome, Part, Release, TableRelease};
use bocage_protocol::trust::{SecretKey, SignedRelease, SignedStudy, Study};
use bocage_protocol::wire::hello::{Answer, Hello, VERSIONS};
use bocage_protocol::wire::message::{Catalogue, Offer, Reply, Request, RoundRequest};
use tokio::io::AsyncWriteExt as _;

use crate::config::{Config, KnownContract};

pub const START: Timestamp = Timestamp(1_790_000_000_000);
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const SITES: [&str; 4] = ["cleveland", "hungary", "long-beach", "switzerland"];
const RESEARCHER: u8 = 99;

pub const CONTRACT: &str = r#"
    id = "heart@1"
    title = "Heart"
    subject = "row"
    [[column]]
    name = "age"
    type = "int"
    range = [0, 120]
    required = true
    groupings = [{ name = "halves", breaks = [60] }]
    [[column]]
    name = "sex"
    type = "code"
    required = true
    codes = [{ code = "f", label = "female" }, { code = "m", label = "male" }]
    [[column]]
    name = "chol"
    type = "float"
    range = [100, 600]
    [[column]]
    name = "sick"
    type = "bool"
"#;

pub const STUDY: &str = r#"
    title = "Heart disease"
    purpose = "scientific_research"
    dataset = "heart@1"
    answer_within = "10m"
    [[analysis]]
    name = "by_sex_and_age"
    table = { by = ["sex", "cut(age, 50, 60)"], show = ["count", "rows", "mean(chol)", "sd(chol)", "sum(chol)", "share(sick)"] }
"#;

/// Time that goes on from a set point and can be moved.
pub struct TestClock {
    offset_ms: AtomicI64,
    begun: Instant,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { offset_ms: AtomicI64::new(0), begun: Instant::now() })
    }

    pub fn advance_secs(&self, secs: i64) {
        self.offset_ms.fetch_add(secs * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(START.0 + self.offset_ms.load(Ordering::SeqCst) + self.begun.elapsed().as_millis() as i64)
    }
}

struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::generate(&mut Fixed(seed))
}

pub fn site(name: &str) -> SiteId {
    name.parse().unwrap()
}

fn site_key(name: &str) -> SecretKey {
    key(1 + SITES.iter().position(|s| *s == name).unwrap() as u8)
}

pub fn contract() -> Contract {
    parse(CONTRACT, "heart.toml").unwrap()
}

pub fn contracts() -> BTreeMap<ContractId, KnownContract> {
    let contract = contract();
    let known = KnownContract { hash: contract.hash(), contract: Arc::new(contract), text: CONTRACT.to_owned() };
    BTreeMap::from([(known.contract.id().clone(), known)])
}

/// A coordinator's configuration with four sites and its state in `dir`.
pub fn config(dir: &Path) -> Config {
    let sites: Vec<_> = SITES
        .iter()
        .map(|s| serde_json::json!({ "id": s, "release_key": site_key(s).public().to_string() }))
        .collect();
    let value = serde_json::json!({
        "network": "heart-demo",
        "quic": { "listen": "127.0.0.1:0" },
        "tls": { "ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem" },
        "api": { "listen": "127.0.0.1:0", "token_file": "api.token" },
        "site": sites,
        "researcher": [{ "name": "Ada", "key": key(RESEARCHER).public().to_string() }],
    });
    Config::from_value(&value, "coordinator.toml", dir).unwrap()
}

/// A study of `sites`, bound.
pub fn study(text: &str, sites: &[&str], nonce: u8) -> Study {
    let sites: Vec<SiteId> = sites.iter().map(|s| site(s)).collect();
    let context = BindContext {
        network: "heart-demo".parse().unwrap(),
        researcher: key(RESEARCHER).public(),
        offering: &sites,
        roster: &sites,
        min_sites_floor: 3,
        now: START,
        nonce: [nonce; 16],
    };
    StudyText::parse(text, "study.toml").unwrap().bind(&contract(), &context).unwrap()
}

/// [`STUDY`] of all sites, signed.
pub fn signed(nonce: u8) -> SignedStudy {
    SignedStudy::sign(&study(STUDY, &SITES, nonce), &key(RESEARCHER)).unwrap()
}

/// How a node answers a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// 20 patients in every cell, each with every value in the middle of its range.
    Honest,
    /// Says busy once, then answers.
    BusyOnce,
    /// Breaks the link at the first request, and answers after that.
    Breaks,
    /// Takes requests and says nothing.
    Silent,
    /// Says no.
    Refuses,
    /// Signs with a key that is not the site's.
    WrongKey,
    /// Claims to have derived another plan.
    OtherPlan,
    /// Answers for another study.
    OtherStudy,
    /// Sends bytes that are no message.
    Babbles,
}

/// Connects `name` and answers until its task is aborted. A link that ends is made anew.
pub async fn node(listener: Arc<MemoryListener>, name: &'static str, manner: Manner) {
    let requests = Mutex::new(0);
    loop {
        let link = match listener.dialler(site(name)).connect().await {
            Ok(link) => link,
            Err(_) => return,
        };
        if matches!(hello(&link, name).await, Answer::Reject(_)) {
            return;
        }
        while let Ok(mut stream) = link.accept().await {
            let request: Request = match read_message(&mut stream, limits::FRAME_BYTES).await {
                Ok(request) => request,
                Err(_) => continue,
            };
            let reply = match request {
                Request::Catalogue => Some(catalogue()),
                Request::Round(round) => {
                    let number = {
                        let mut requests = requests.lock().unwrap();
                        *requests += 1;
                        *requests
                    };
                    match (manner, number) {
                        (Manner::Silent, _) => {
                            std::mem::forget(stream);
                            continue;
                        }
                        (Manner::Breaks, 1) => {
                            link.sever("cut");
                            continue;
                        }
                        (Manner::Babbles, _) => {
                            let _ = write_frame(&mut stream, &[255; 40]).await;
                            None
                        }
                        _ => Some(reply(&round, name, manner, number)),
                    }
                }
            };
            if let Some(reply) = reply {
                let _ = write_message(&mut stream, &reply).await;
            }
            let _ = stream.shutdown().await;
        }
    }
}

/// Says hello as `name` and returns the answer.
pub async fn hello(link: &MemoryLink, name: &str) -> Answer {
    let hello = Hello { versions: VERSIONS, site: site(name), software: "test 1".into(), now: START };
    let mut stream = link.open().await.unwrap();
    write_frame(&mut stream, &hello.encode()).await.unwrap();
    Answer::decode(&read_frame(&mut stream, limits::HELLO_BYTES).await.unwrap()).unwrap()
}

pub fn catalogue() -> Reply {
    let contract = contract();
    let offer = Offer { contract: contract.id().clone(), hash: contract.hash(), snapshot_at: Some(START) };
    Reply::Catalogue(Catalogue { datasets: vec![offer] })
}

fn reply(round: &RoundRequest, name: &str, manner: Manner, number: u32) -> Reply {
    match (manner, number) {
        (Manner::BusyOnce, 1) => return Reply::Refused(PublicError::new(bocage_protocol::ErrorCode::Busy, "later")),
        (Manner::Refuses, _) => {
            return Reply::Refused(PublicError::new(bocage_protocol::ErrorCode::PolicyRefused, "not for this purpose"));
        }
        _ => {}
    }
    let study = round.study.verify().unwrap();
    let parts = round.steps.iter().map(|step| {
        let spec = &study.analyses[usize::from(step.analysis)].spec;
        let plan = plan_for(spec, study.query(), round.round, &step.state).unwrap();
        let plan = ValidPlan::check(plan, &contract()).unwrap();
        let digest = if manner == Manner::OtherPlan { Digest::of("other", &[]) } else { plan.digest() };
        Part { analysis: step.analysis, plan: digest, outcome: Outcome::Table(full_table(&plan)) }
    });
    let release = Release {
        study: if manner == Manner::OtherStudy { Digest::of("other", &[]) } else { round.study.id() },
        site: site(name),
        round: round.round,
        snapshot: Digest::of("snapshot", &[name.as_bytes()]),
        snapshot_at: START,
        parts: parts.collect(),
    };
    let key = if manner == Manner::WrongKey { key(77) } else { site_key(name) };
    Reply::Released(SignedRelease::sign(&release, &key).unwrap())
}

fn full_table(plan: &ValidPlan) -> TableRelease {
    let count = Count { subjects: 20, rows: 20 };
    let measure = |layout: &MeasureLayout| match layout {
        MeasureLayout::Number(_) => MeasureRelease::Number { valid: count, sum: 0, sum_sq: 0 },
        MeasureLayout::Condition => MeasureRelease::Condition { valid: count, holds_rows: 10 },
    };
    let measures: Vec<_> = plan.layout().measures().iter().map(measure).collect();
    let cells = vec![CellRelease::Shown { count, measures }; plan.layout().cells_at(0)];
    let total = Count { subjects: 20 * cells.len() as u64, rows: 20 * cells.len() as u64 };
    TableRelease { threshold: 11, step: 0, total: Some(total), cells }
}

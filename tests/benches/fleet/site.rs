//! Sites that answer as a node with nothing to compute: hello, catalogue, one prepared table, signed anew for every study.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bocage_net::env::SystemClock;
use bocage_net::frame::{read_frame, read_message, write_frame, write_message};
use bocage_net::{Dialler, Link};
use bocage_protocol::analysis::plan_for;
use bocage_protocol::contract::Contract;
use bocage_protocol::env::{Clock as _, Entropy, Timestamp};
use bocage_protocol::ids::{Digest, SiteId, StudyId};
use bocage_protocol::limits;
use bocage_protocol::plan::{MeasureLayout, Quantum, ValidPlan};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, Outcome, Part, Release, TableRelease};
use bocage_protocol::trust::{PublicKey, SecretKey, Signature, SignedRelease, Standing};
use bocage_protocol::wire::hello::{Answer, Hello, VERSIONS};
use bocage_protocol::wire::message::{Catalogue, Offer, Particulars, Reply, Request, RoundRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What all sites of a process share.
pub struct Fleet {
    contract: Contract,
    snapshot_at: Timestamp,
    /// Real nodes verify a study each on its own machine; here they would only take turns on the same cores.
    prepared: Mutex<HashMap<String, Prepared>>,
}

#[derive(Clone)]
struct Prepared {
    study: StudyId,
    part: Arc<Part>,
}

impl Fleet {
    /// Sites that offer data under this contract.
    pub fn new(contract: Contract) -> Arc<Self> {
        Arc::new(Self { contract, snapshot_at: SystemClock.now(), prepared: Mutex::default() })
    }

    /// A node's session for as long as its link lives.
    pub async fn node<L: Link>(&self, link: L, site: SiteId) {
        let key = release_key(&site);
        let hello =
            Hello { versions: VERSIONS, site: site.clone(), software: "bench 1".into(), now: SystemClock.now() };
        let mut control = link.open().await.expect("a stream");
        write_frame(&mut control, &hello.encode()).await.expect("a hello");
        let answer = read_frame(&mut control, limits::HELLO_BYTES).await.expect("an answer");
        assert!(matches!(Answer::decode(&answer), Ok(Answer::Welcome(_))), "rejected");
        while let Ok(mut stream) = link.accept().await {
            let Ok(request) = read_message::<Request, _>(&mut stream, limits::FRAME_BYTES).await else { continue };
            let reply = match request {
                Request::Catalogue => self.catalogue(),
                Request::Particulars(_) => Reply::Particulars(Particulars { datasets: Vec::new() }),
                Request::Witness(_) => Reply::Witnessed,
                Request::Round(round) | Request::Filled(round) => self.release(&round, &site, &key),
            };
            if write_message(&mut stream, &reply).await.is_ok() {
                let _ = stream.shutdown().await;
            }
        }
    }

    fn catalogue(&self) -> Reply {
        let hash = self.contract.hash();
        let offer = Offer {
            contract: self.contract.id().clone(),
            hash,
            snapshot_at: Some(self.snapshot_at),
            needs_permit: false,
        };
        Reply::Catalogue(Catalogue { datasets: vec![offer] })
    }

    fn release(&self, round: &RoundRequest, site: &SiteId, key: &SecretKey) -> Reply {
        let Prepared { study, part } = self.prepared(round);
        let ledger = Standing { records: 1, head: Digest::of("head", &[]), at: self.snapshot_at };
        let release = Release {
            study,
            site: site.clone(),
            round: round.round,
            snapshot: Digest::of("snapshot", &[site.as_str().as_bytes()]),
            snapshot_at: self.snapshot_at,
            parts: vec![Part::clone(&part)],
        };
        Reply::Released(SignedRelease::sign(&release, ledger, key).expect("signed"))
    }

    fn prepared(&self, round: &RoundRequest) -> Prepared {
        let signature = String::from(round.study.signature);
        let mut prepared = self.prepared.lock().expect("no panic holds it");
        let make = || {
            let study = round.study.verify().expect("a study");
            let (spec, step) = (&study.analyses[0].spec, &round.steps[0]);
            let plan = plan_for(spec, study.query(), round.round, &step.state).expect("a plan");
            let plan = ValidPlan::check(plan, &self.contract).expect("a valid plan");
            let outcome = Outcome::Table(table(&plan));
            let part = Arc::new(Part { analysis: 0, plan: plan.digest(), outcome });
            Prepared { study: round.study.id(), part }
        };
        prepared.entry(signature).or_insert_with(make).clone()
    }
}

/// The key of a bench's site follows from its name, so that two processes agree on it.
pub fn release_key(site: &SiteId) -> SecretKey {
    struct Named<'a>(&'a SiteId);
    impl Entropy for Named<'_> {
        fn fill(&mut self, bytes: &mut [u8]) {
            let digest = Digest::of("bench", &[self.0.as_str().as_bytes()]);
            bytes.iter_mut().zip(digest.as_bytes()).for_each(|(byte, named)| *byte = *named);
        }
    }
    SecretKey::generate(&mut Named(site))
}

/// A full table with numbers of usual length.
fn table(plan: &ValidPlan) -> TableRelease {
    let count = Count { subjects: 1234, rows: 4321 };
    let largest = i128::from(Quantum::LARGEST);
    let measure = |layout: &MeasureLayout| match layout {
        MeasureLayout::Number(_) => {
            MeasureRelease::Number { valid: count, sum: 1000 * largest, sum_sq: 1000 * largest * largest }
        }
        MeasureLayout::Condition => MeasureRelease::Condition { valid: count, holds_rows: 2000 },
    };
    let measures: Vec<_> = plan.layout().measures().iter().map(measure).collect();
    TableRelease {
        threshold: 11,
        step: 0,
        total: None,
        cells: vec![CellRelease::Shown { count, measures }; plan.layout().cells_at(0)],
        held_back: false,
        rounded: false,
    }
}

/// What a round of the floor is, for every link.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// Bytes to the site.
    pub question: u32,
    /// Bytes back, a signature's included.
    pub answer: u32,
    /// Whether each site signs its answer, and the asker verifies it.
    pub signed: bool,
}

const DOMAIN: &str = "bench/floor";

/// A site's part in a round of the floor, as the first bytes of each stream say.
pub async fn floor<L: Link>(link: L, site: SiteId) {
    let key = release_key(&site);
    while let Ok(mut stream) = link.accept().await {
        let mut question = Vec::new();
        if stream.read_to_end(&mut question).await.is_err() {
            continue;
        }
        let wanted = question.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let mut answer = vec![7; wanted as usize];
        if question.get(4) == Some(&1) {
            let signature = String::from(key.sign(DOMAIN, &answer)).into_bytes();
            answer.truncate(answer.len() - signature.len());
            answer.extend(signature);
        }
        if stream.write_all(&answer).await.is_ok() {
            let _ = stream.shutdown().await;
        }
    }
}

/// Asks a site, reads its answer, and verifies it where it is signed.
pub async fn ask_floor<L: Link>(link: &L, of: Floor, key: &PublicKey) {
    let mut stream = link.open().await.expect("a stream");
    let mut bytes = of.answer.to_be_bytes().to_vec();
    bytes.push(u8::from(of.signed));
    bytes.resize(of.question as usize, 7);
    stream.write_all(&bytes).await.expect("sent");
    stream.shutdown().await.expect("sent");
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.expect("read");
    assert_eq!(read.len(), of.answer as usize);
    if of.signed {
        let begins = read.iter().rposition(|byte| *byte == 7).map_or(0, |last| last + 1);
        let signature = String::from_utf8(read.split_off(begins)).ok().and_then(|text| Signature::try_from(text).ok());
        read.resize(of.answer as usize, 7);
        assert!(key.verifies(DOMAIN, &read, &signature.expect("a signature")), "not the site's");
    }
}

/// Dials until the coordinator, which takes so many handshakes at a time, has room.
pub async fn dial<D: Dialler>(dialler: &D) -> D::Link {
    loop {
        match dialler.connect().await {
            Ok(link) => return link,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

//! A hospital in this process: a contract, a file of rows, a trusted researcher, and its custodian, which answers what a coordinator would send.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use bocage_net::env::SystemEntropy;
use bocage_net::secret::write_secret;
use bocage_node::config::environment::read_release_key;
use bocage_node::config::{Config, CustodianConfig, Origin};
use bocage_node::custodian::ledger::Ledger;
use bocage_node::custodian::snapshot::Manifest;
use bocage_node::custodian::{Controls, Custodian, Switches, data};
use bocage_node::ingest::Why;
use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::env::{Clock, Timestamp};
use bocage_protocol::error::PublicError;
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::limits;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::release::{Outcome, Release};
use bocage_protocol::trust::{SecretKey, SignedRelease, SignedStudy, Study};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, RoundRequest, Step};
use tempfile::TempDir;

use super::ward::{Patient, WARD, csv};

/// When every attack happens.
pub const NOW: Timestamp = Timestamp(1_790_000_000_000);
/// This site's k, unless an attack edits it.
pub const K: u64 = 3;

/// A clock that an attack moves: by so many seconds since [`NOW`].
#[derive(Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        NOW.plus_secs(self.0.load(Ordering::Relaxed))
    }
}

/// What lies on the hospital's disk.
pub struct Hospital {
    folder: TempDir,
    pub researcher: SecretKey,
    pub contract: Contract,
    nonce: AtomicU32,
    clock: Arc<Moved>,
}

impl Hospital {
    /// A hospital with one dataset.
    pub fn new(contract: &str, csv: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let researcher = SecretKey::generate(&mut SystemEntropy);
        let bound = contract::parse(contract, "dataset.toml").expect("a contract");
        let hospital = Self { folder, researcher, contract: bound, nonce: AtomicU32::new(0), clock: Arc::default() };
        fs::create_dir_all(hospital.path("contracts")).expect("a folder");
        fs::write(hospital.path("contracts/dataset.toml"), contract).expect("the contract");
        let release = SecretKey::generate(&mut SystemEntropy);
        write_secret(&hospital.path("release.key"), release.to_text().as_bytes()).expect("the release key");
        hospital.replace_data(csv);
        fs::write(hospital.path("node.toml"), hospital.settings()).expect("node.toml");
        hospital
    }

    /// A hospital with these patients.
    pub fn ward(rows: &[Patient]) -> Self {
        Self::new(WARD, &csv(rows))
    }

    fn settings(&self) -> String {
        format!(
            "network = \"attacked\"\nsite = \"north\"\n[coordinator]\naddress = \"127.0.0.1:4433\"\n\
             [tls]\nca_file = \"ca.pem\"\ncert_file = \"site.pem\"\nkey_file = \"site.key\"\n\
             [release]\nkey_file = \"release.key\"\n[policy]\nthreshold = {K}\n\
             [[trust]]\nkind = \"researcher\"\nname = \"Ada\"\nkey = \"{}\"\nmode = \"exact\"\n\
             allow_without_permit = true\n\
             [dataset.all]\ncontract = \"{}\"\nsource = {{ kind = \"csv\", path = \"rows.csv\" }}\n",
            self.researcher.public(),
            self.contract.id(),
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Other rows in the source; the snapshot stays until it is refreshed.
    pub fn replace_data(&self, csv: &str) {
        fs::write(self.path("rows.csv"), csv).expect("the rows");
    }

    /// Replaces text in `node.toml`.
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("node.toml")).expect("node.toml");
        assert!(text.contains(from), "{from}");
        fs::write(self.path("node.toml"), text.replace(from, to)).expect("node.toml");
    }

    pub fn config(&self) -> CustodianConfig {
        let origin = Origin { file: self.path("node.toml"), overrides: Vec::new() };
        Config::load(&origin).expect("node.toml").custodian()
    }

    fn site(&self) -> (CustodianConfig, Ledger) {
        let config = self.config();
        fs::create_dir_all(&config.state.0).expect("the state folder");
        let ledger = Ledger::open(&config.state.ledger()).expect("the ledger");
        (config, ledger)
    }

    /// Lets time pass.
    pub fn later(&self, secs: i64) {
        self.clock.0.fetch_add(secs, Ordering::Relaxed);
    }

    /// Starts the custodian.
    pub fn open(&self, controls: Controls) -> Desk<'_> {
        self.open_with(Switches { controls, ..Switches::default() })
    }

    /// The same, with what it calls at a query or at a moment of a round.
    pub fn open_with(&self, switches: Switches) -> Desk<'_> {
        let (config, ledger) = self.site();
        let queries = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&queries);
        let also = switches.before_query.clone();
        let switches = Switches {
            before_query: Some(Arc::new(move |study| {
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(also) = &also {
                    also(study);
                }
            })),
            ..switches
        };
        let key = read_release_key(&config.release_key_file).expect("the release key");
        let custodian = Custodian::new(config, ledger, key, Arc::clone(&self.clock) as _, Arc::new(|_| {}), switches);
        custodian.take_due_snapshots();
        Desk { hospital: self, custodian: Arc::new(custodian), queries }
    }

    /// Takes a new snapshot, as the site's operator does.
    pub fn refresh(&self) -> Result<Manifest, data::RefreshError> {
        let (config, ledger) = self.site();
        let dataset = config.datasets.values().next().expect("the dataset");
        data::refresh(&config, &ledger, dataset, None, Why::Refresh, NOW.plus_secs(1))
    }

    /// A study of these analyses (`name = …` lines below `[[analysis]]`) over the rows for which `filter` is true.
    pub fn study(&self, filter: &str, analyses: &str) -> Study {
        let nonce = u128::from(self.nonce.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
        let filter = if filter.is_empty() { String::new() } else { format!("where = \"{filter}\"\n") };
        let text = format!(
            "title = \"Attack\"\npurpose = \"scientific_research\"\ndataset = \"{}\"\nmin_sites = 1\n{filter}{analyses}",
            self.contract.id(),
        );
        let site = "north".parse().expect("a site");
        let sites = std::slice::from_ref(&site);
        let context = BindContext {
            network: "attacked".parse().expect("a network"),
            researcher: self.researcher.public(),
            offering: sites,
            roster: sites,
            min_sites_floor: 1,
            now: NOW,
            nonce,
            permit: None,
        };
        StudyText::parse(&text, "study.toml").and_then(|text| text.bind(&self.contract, &context)).expect("a study")
    }

    /// Round 0 of a study, with all its analyses.
    pub fn request(&self, study: &Study) -> RoundRequest {
        let steps = (0..study.analyses.len() as u16).map(|analysis| Step { analysis, state: RoundState::First });
        let study = SignedStudy::sign(study, &self.researcher).expect("a signature");
        RoundRequest { study, round: 0, steps: steps.collect(), revocations: None }
    }
}

/// A hospital whose custodian runs.
pub struct Desk<'a> {
    pub hospital: &'a Hospital,
    pub custodian: Arc<Custodian>,
    queries: Arc<AtomicU32>,
}

impl Desk<'_> {
    /// The frame that answers a round.
    pub fn reply(&self, request: &RoundRequest) -> Result<Release, PublicError> {
        // Whether it is signed is a receiver's question; an attacker reads it all the same.
        self.signed_reply(request).map(|signed| codec::decode(&signed.body, limits::FRAME_BYTES).expect("a release"))
    }

    /// [`Desk::reply`] as it travels.
    pub fn signed_reply(&self, request: &RoundRequest) -> Result<SignedRelease, PublicError> {
        match codec::decode(&self.custodian.round(request), limits::FRAME_BYTES).expect("a reply") {
            Reply::Released(signed) => Ok(signed),
            Reply::Refused(error) | Reply::Pending(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// What comes of a study's analyses, as the site answers.
    pub fn ask(&self, filter: &str, analyses: &str) -> Vec<Outcome> {
        let study = self.hospital.study(filter, analyses);
        self.answered(&study)
    }

    fn answered(&self, study: &Study) -> Vec<Outcome> {
        let release = self.reply(&self.hospital.request(study)).expect("a release");
        release.parts.into_iter().map(|part| part.outcome).collect()
    }

    /// What comes of one analysis (`table = { … }`), in its own order.
    pub fn one(&self, filter: &str, analysis: &str) -> Outcome {
        let study = self.hospital.study(filter, &format!("[[analysis]]\nname = \"a\"\n{analysis}\n"));
        let plan = plan_for(&study.analyses[0].spec, study.query(), 0, &RoundState::First).expect("a plan");
        let plan = ValidPlan::check(plan, &self.hospital.contract).expect("a plan");
        plan.as_written(&self.answered(&study)[0]).into_owned()
    }

    /// How many plans were computed.
    pub fn queries(&self) -> u32 {
        self.queries.load(Ordering::Relaxed)
    }
}

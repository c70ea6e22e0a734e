//! A generated hospital for benches: laboratory values by diagnosis, the same bytes on every machine, and a custodian over them.
//!
//! Shared by the benches; what one of them does not use is unused there.
#![allow(dead_code)]

pub mod network;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bocage_coordinator::dispatch::{self, Context};
use bocage_coordinator::store::StudyRecord;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::secret::write_secret;
use bocage_node::config::environment::read_release_key;
use bocage_node::config::{Config, CustodianConfig, Origin};
use bocage_node::custodian::ledger::Ledger;
use bocage_node::custodian::{Custodian, Switches};
use bocage_protocol::analysis::RoundState;
use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::{Clock as _, Entropy as _};
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::Contracts;
use bocage_protocol::trust::{
    Holder, PERMIT_FORMAT, Permit, PermitMode, PublicKey, Purpose, REVOCATIONS_FORMAT, Revocations, Scope, SecretKey,
    SignedPermit, SignedRevocations, SignedStudy,
};
use bocage_protocol::wire::message::{RoundRequest, Step};

/// Rows in all, from `BOCAGE_BENCH_ROWS`.
pub fn rows() -> u64 {
    std::env::var("BOCAGE_BENCH_ROWS").ok().and_then(|s| s.parse().ok()).unwrap_or(10_000_000)
}

/// Whether `cargo bench` started the process: `cargo test --all-targets` starts benches too.
pub fn is_a_bench() -> bool {
    let started = std::env::args().any(|arg| arg == "--bench");
    if !started {
        println!("run it with `cargo bench`");
    }
    started
}

/// Whether a part of a bench is to run: one that an argument after `--` is in the name of, or every one where there is none.
pub fn is_wanted(part: &str) -> bool {
    let mut wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).peekable();
    wanted.peek().is_none() || wanted.any(|name| part.contains(&name))
}

/// How long something took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let result = work();
    (begun.elapsed(), result)
}

/// Between two looks of [`watched`].
const LOOK: Duration = Duration::from_millis(2);

/// The most that `look` sees while a work is done, and what the work gives.
pub fn watched<T>(look: impl Fn() -> Option<u64> + Send, work: impl FnOnce() -> T) -> (u64, T) {
    let (ends, ended) = channel::<()>();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let mut most = 0;
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                most = most.max(look().unwrap_or(0));
            }
            most
        });
        let done = work();
        drop(ends);
        (watch.join().expect("a number"), done)
    })
}

/// The median; of an even number the upper one.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Diagnoses, half of which are rare.
pub const DIAGNOSES: u64 = 500;

/// The contract's text.
pub fn contract_text() -> String {
    let codes: Vec<String> = (0..DIAGNOSES).map(|i| format!("{{ code = \"D{i:03}\", label = \"D{i:03}\" }}")).collect();
    format!(
        "id = \"labs@1\"\ntitle = \"Laboratory values\"\nsubject = \"patient\"\n\
         [[column]]\nname = \"patient\"\ntype = \"text\"\nrequired = true\n\
         [[column]]\nname = \"diagnosis\"\ntype = \"code\"\nrequired = true\ncodes = [{}]\n\
         [[column]]\nname = \"age\"\ntype = \"int\"\nrange = [18, 100]\nrequired = true\n\
         [[column]]\nname = \"lab1\"\ntype = \"float\"\nrange = [0, 100]\nrequired = true\n\
         [[column]]\nname = \"lab2\"\ntype = \"float\"\nrange = [100, 200]\nrequired = true\n",
        codes.join(", ")
    )
}

/// The contract.
pub fn contract() -> Contract {
    parse(&contract_text(), "labs.toml").expect("a contract")
}

/// A study's text: 500 cells, or 1,500.
pub fn study_text(cells: u32) -> String {
    let by = if cells == 500 { "\"diagnosis\"" } else { "\"diagnosis\", \"cut(age, 45, 65)\"" };
    format!(
        "title = \"Laboratory values\"\npurpose = \"scientific_research\"\ndataset = \"labs@1\"\nmin_sites = 1\n\
         [[analysis]]\nname = \"labs\"\n\
         table = {{ by = [{by}], show = [\"count\", \"rows\", \"mean(lab1)\", \"sd(lab1)\", \"mean(lab2)\", \"sd(lab2)\"] }}\n"
    )
}

/// The researcher of all benches.
pub fn researcher() -> SecretKey {
    SecretKey::generate(&mut SystemEntropy)
}

/// A study of `sites`, signed, with a nonce of its own.
pub fn signed(text: &str, sites: &[SiteId], contract: &Contract, researcher: &SecretKey) -> SignedStudy {
    signed_under(None, text, sites, contract, researcher)
}

/// A study that relies on a permit.
pub fn signed_under(
    permit: Option<&SignedPermit>,
    text: &str,
    sites: &[SiteId],
    contract: &Contract,
    researcher: &SecretKey,
) -> SignedStudy {
    let text = StudyText::parse(text, "study.toml").expect("a study's text");
    signed_across(permit, &text, sites, contract.into(), researcher)
}

/// A study that may look into further tables.
pub fn signed_across(
    permit: Option<&SignedPermit>,
    text: &StudyText,
    sites: &[SiteId],
    contracts: Contracts<'_>,
    researcher: &SecretKey,
) -> SignedStudy {
    let mut nonce = [0; 16];
    SystemEntropy.fill(&mut nonce);
    let context = BindContext {
        network: "bench".parse().expect("a network"),
        researcher: researcher.public(),
        offering: sites,
        roster: sites,
        min_sites_floor: 1,
        now: SystemClock.now(),
        nonce,
        permit,
    };
    let study = text.bind(contracts, &context).expect("a study");
    SignedStudy::sign(&study, researcher).expect("signed").with_permit(permit.cloned())
}

/// A permit for every column, and a list that revokes nothing.
pub fn permit(body: &SecretKey, researcher: &SecretKey) -> (SignedPermit, SignedRevocations) {
    let (now, issuer) = (SystemClock.now(), body.public());
    let holder = Holder { name: "Bench".to_owned(), organisation: "Bench".to_owned(), key: researcher.public() };
    let permit = Permit {
        format: PERMIT_FORMAT,
        network: "bench".parse().expect("a network"),
        id: "bench".parse().expect("a permit's id"),
        title: "Laboratory values".to_owned(),
        issuer,
        holder,
        purposes: vec![Purpose::ScientificResearch],
        datasets: vec![Scope { dataset: "labs@1".parse().expect("a contract"), columns: None }],
        sites: None,
        min_sites: 1,
        threshold: 11,
        mode: PermitMode::Exact,
        max_cells: 1 << 40,
        valid_from: now.plus_secs(-60),
        valid_to: now.plus_secs(86_400),
        nonce: "ab".repeat(16),
    };
    let list = Revocations { format: REVOCATIONS_FORMAT, issuer, number: 1, issued_at: now, revoked: vec![] };
    (SignedPermit::sign(&permit, body).expect("a permit"), SignedRevocations::sign(&list, body).expect("a list"))
}

/// Works on a study from its acceptance to its publication, and answers how long that took and what is recorded.
pub async fn published(context: &Arc<Context>, signed: SignedStudy) -> (Duration, StudyRecord) {
    let (id, now) = (signed.id(), SystemClock.now());
    let until = now.plus_secs(600);
    context.store.with(move |store| store.accept(&signed, now, until)).await.expect("accepted");
    let begun = Instant::now();
    dispatch::run(context, id).await.expect("published");
    let elapsed = begun.elapsed();
    (elapsed, context.store.with(move |store| store.study(id)).await.expect("read").expect("there"))
}

/// Round 0 of a study with one analysis.
pub fn round(study: SignedStudy) -> RoundRequest {
    RoundRequest { study, round: 0, steps: vec![Step { analysis: 0, state: RoundState::First }], revocations: None }
}

/// What a site's rows are.
pub struct Data {
    /// The dataset's name, and that of its contract, of version 1.
    pub name: &'static str,
    /// The contract's text.
    pub contract: fn() -> String,
    /// Writes so many rows, from this patient on, into a CSV file.
    pub write: fn(&Path, u64, u64),
}

/// Laboratory values by diagnosis.
pub const LABS: Data = Data { name: "labs", contract: contract_text, write: write_rows };

/// A site with its data below a folder.
pub struct Hospital {
    /// Its name.
    pub site: SiteId,
    /// The key that its releases are signed with.
    pub release_key: PublicKey,
    folder: PathBuf,
    dataset: String,
}

impl Hospital {
    /// A site with laboratory values.
    pub fn new(folder: &Path, name: &str, rows: u64, first_patient: u64, researcher: &SecretKey) -> Self {
        Self::with(&LABS, folder, name, rows, first_patient, researcher)
    }

    /// Writes a site's data and configuration. `first_patient` keeps the patients of several sites apart.
    pub fn with(data: &Data, folder: &Path, name: &str, rows: u64, first_patient: u64, researcher: &SecretKey) -> Self {
        let hospital = Self::of(folder, name, &[(data.name, &(data.contract)())], researcher);
        (data.write)(&hospital.csv(), rows, first_patient);
        hospital
    }

    /// Writes a site's configuration: a dataset of CSV for each contract, by its name. The data are to be written yet; [`Hospital::csv`] is the first's.
    pub fn of(folder: &Path, name: &str, contracts: &[(&str, &str)], researcher: &SecretKey) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("contracts")).expect("a folder");
        let key = SecretKey::generate(&mut SystemEntropy);
        write_secret(&folder.join("release.key"), key.to_text().as_bytes()).expect("a key");
        let mut text = format!(
            "network = \"bench\"\nsite = \"{name}\"\n[coordinator]\naddress = \"127.0.0.1:1\"\n\
             [tls]\nca_file = \"ca.pem\"\ncert_file = \"site.pem\"\nkey_file = \"site.key\"\n\
             [release]\nkey_file = \"release.key\"\n[policy]\nthreshold = 11\n\
             [[trust]]\nkind = \"researcher\"\nname = \"Bench\"\nkey = \"{}\"\nmode = \"exact\"\nallow_without_permit = true\n",
            researcher.public()
        );
        for (dataset, contract) in contracts {
            fs::write(folder.join(format!("contracts/{dataset}.toml")), contract).expect("the contract");
            text += &format!(
                "[dataset.{dataset}]\ncontract = \"{dataset}@1\"\nsource = {{ kind = \"csv\", path = \"{dataset}.csv\" }}\n"
            );
        }
        fs::write(folder.join("node.toml"), text).expect("node.toml");
        Self {
            site: name.parse().expect("a site"),
            release_key: key.public(),
            folder,
            dataset: contracts.first().map_or_else(String::new, |(dataset, _)| (*dataset).to_owned()),
        }
    }

    /// A file of its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its data.
    pub fn csv(&self) -> PathBuf {
        self.folder.join(format!("{}.csv", self.dataset))
    }

    /// Its snapshot, as a file.
    pub fn snapshot(&self) -> File {
        let folder = self.config().state.snapshots().join(&self.dataset);
        let entries = fs::read_dir(folder).expect("snapshots").flatten();
        let found = entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "arrow"));
        File::open(found.expect("a snapshot")).expect("readable")
    }

    /// Its configuration.
    pub fn config(&self) -> CustodianConfig {
        let origin = Origin { file: self.folder.join("node.toml"), overrides: Vec::new() };
        Config::load(&origin).expect("a configuration").custodian()
    }

    /// From now on it accepts an access body's permits.
    pub fn accept_permits_of(&self, body: &SecretKey) {
        let file = self.folder.join("node.toml");
        let mut text = fs::read_to_string(&file).expect("node.toml");
        let key = body.public();
        text += &format!("[[trust]]\nkind = \"access_body\"\nname = \"Body\"\nkey = \"{key}\"\nmode = \"exact\"\n");
        fs::write(&file, text).expect("node.toml");
    }

    /// A custodian with a snapshot.
    pub fn custodian(&self) -> Custodian {
        let config = self.config();
        fs::create_dir_all(&config.state.0).expect("a folder");
        let ledger = Ledger::open(&config.state.ledger()).expect("a ledger");
        let key = read_release_key(&config.release_key_file).expect("a key");
        let custodian =
            Custodian::new(config, ledger, key, Arc::new(SystemClock), Arc::new(|_| {}), Switches::default());
        custodian.take_due_snapshots();
        custodian
    }

    /// Makes the next answer a computed one.
    pub fn forget_answers(&self) {
        let ledger = rusqlite::Connection::open(self.config().state.ledger()).expect("the ledger");
        ledger.execute("DELETE FROM answer", []).expect("forgotten");
    }
}

/// Numbers that look random (splitmix64; Steele, Lea, Flood 2014).
pub struct Numbers(pub u64);

impl Numbers {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// One row a visit, ten visits for three patients; a diagnosis is the rarer the larger its number.
fn write_rows(path: &Path, rows: u64, first_patient: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    writeln!(file, "patient,diagnosis,age,lab1,lab2").expect("written");
    let mut numbers = Numbers::new(first_patient + 1);
    for row in 0..rows {
        let patient = first_patient + row * 3 / 10;
        let (a, b) = (numbers.below(DIAGNOSES), numbers.below(DIAGNOSES));
        let lab1: u64 = (0..4).map(|_| numbers.below(25_000)).sum();
        let lab2 = 100_000 + lab1 / 2 + numbers.below(50_000);
        writeln!(
            file,
            "p{patient},D{:03},{},{}.{:03},{}.{:03}",
            a.min(b),
            18 + numbers.below(83),
            lab1 / 1000,
            lab1 % 1000,
            lab2 / 1000,
            lab2 % 1000
        )
        .expect("written");
    }
    file.flush().expect("written");
}

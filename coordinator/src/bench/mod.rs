//! What the tests of this crate share: a contract, signed studies, and nodes that answer as they are told over an in-memory link.

mod lab;
mod node;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bocage_net::certificates::Authority;
use bocage_net::env::SystemEntropy;
use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::{ContractId, Digest, SiteId, UserName};
use bocage_protocol::plan::Contracts;
use bocage_protocol::trust::{
    Holder, PERMIT_FORMAT, Permit, PermitMode, Purpose, Scope, SecretKey, SignedPermit, SignedRelease, SignedStudy,
    Standing, Study,
};

use crate::config::{Config, InvitationSettings, KnownContract};
use crate::people::{NewToken, PeopleFile, Role, Token};
use crate::store::Witnessed;

pub use lab::{Lab, report};
pub use node::{Manner, hello};

pub const START: Timestamp = Timestamp(1_790_000_000_000);
/// Of [`config`]'s only user, who has every role.
pub const TOKEN: &str = "bocage_070707070707070707070707070707070707070707070707070707070707070785ffc07c";
pub const SITES: [&str; 4] = ["cleveland", "hungary", "long-beach", "switzerland"];
pub const RESEARCHER: u8 = 99;
pub const ACCESS_BODY: u8 = 98;
/// Whose key the coordinator knows by a permit alone.
pub const HOLDER: u8 = 97;

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

/// A ledger of so many records.
pub fn standing(records: u64, at: Timestamp) -> Standing {
    Standing { records, head: Digest::of("head", &[&records.to_be_bytes()]), at }
}

/// These bytes as a release of a site with some key, and the checkpoint that came with it.
pub fn witnessed(body: Vec<u8>, site: &SiteId) -> (SignedRelease, Witnessed) {
    let key = key(1);
    let signed = SignedRelease::of_bytes(body, site.clone(), standing(3, START), &key).unwrap();
    let witnessed = Witnessed { key: key.public(), checkpoint: signed.ledger.clone(), at: START };
    (signed, witnessed)
}

/// A coordinator's configuration with four sites and its state in `dir`.
pub fn config(dir: &Path) -> Config {
    let sites: Vec<_> =
        SITES.iter().map(|s| serde_json::json!({ "id": s, "release_key": site_key(s).public().to_string() })).collect();
    let value = serde_json::json!({
        "network": "heart-demo",
        "quic": { "listen": "127.0.0.1:0" },
        "tls": { "ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem" },
        "api": { "listen": "127.0.0.1:0" },
        "site": sites,
        "researcher": [{ "name": "Ada", "key": key(RESEARCHER).public().to_string() }],
        "user": [{ "name": "ada", "roles": Role::ALL, "token": Token::parse(TOKEN).unwrap().hash(), "days": 366 }],
        "access_body": [{ "name": "Body", "key": key(ACCESS_BODY).public().to_string() }],
    });
    Config::from_value(&value, "coordinator.toml", dir).unwrap()
}

/// [`config`] of a coordinator that certifies sites, with the network's root and intermediate: long-beach has yet to enrol.
pub fn enrolling(dir: &Path) -> (Config, Authority, Authority) {
    let mut config = config(dir);
    let root = Authority::new_root(&config.network, START, &mut SystemEntropy).unwrap();
    let issuing = root.issue_intermediate(&config.network, START, &mut SystemEntropy).unwrap();
    std::fs::write(&config.ca_file, root.certificate_pem()).unwrap();
    config.sites.get_mut(&site("long-beach")).unwrap().release_key = None;
    config.invitations = Some(InvitationSettings {
        quic: "127.0.0.1:4433".into(),
        tcp: "127.0.0.1:443".into(),
        mode: PermitMode::Exact,
        threshold: 11,
        policy: serde_json::Map::new(),
        ca_file: config.ca_file.clone(),
    });
    (config, root, issuing)
}

/// A study of `sites`, bound.
pub fn study(text: &str, sites: &[&str], nonce: u8) -> Study {
    let text = StudyText::parse(text, "study.toml").unwrap();
    study_across(&text, &contract(), sites, nonce)
}

/// A study of `sites`, bound to these contracts.
pub fn study_across<'a>(text: &StudyText, contracts: impl Into<Contracts<'a>>, sites: &[&str], nonce: u8) -> Study {
    let sites: Vec<SiteId> = sites.iter().map(|s| site(s)).collect();
    let context = BindContext {
        network: "heart-demo".parse().unwrap(),
        researcher: key(RESEARCHER).public(),
        offering: &sites,
        roster: &sites,
        min_sites_floor: 3,
        now: START,
        nonce: [nonce; 16],
        permit: None,
    };
    text.bind(contracts, &context).unwrap()
}

/// [`STUDY`] of all sites, signed.
pub fn signed(nonce: u8) -> SignedStudy {
    SignedStudy::sign(&study(STUDY, &SITES, nonce), &key(RESEARCHER)).unwrap()
}

/// A permit for everything that [`STUDY`] asks, changed as wanted, signed by the access body.
pub fn permit(change: impl FnOnce(&mut Permit)) -> SignedPermit {
    let mut permit = Permit {
        format: PERMIT_FORMAT,
        network: "heart-demo".parse().unwrap(),
        id: "DK-2026/17".parse().unwrap(),
        title: "Heart".into(),
        issuer: key(ACCESS_BODY).public(),
        holder: Holder { name: "Grace".into(), organisation: "University".into(), key: key(HOLDER).public() },
        purposes: vec![Purpose::ScientificResearch],
        datasets: vec![Scope { dataset: "heart@1".parse().unwrap(), columns: None }],
        sites: None,
        min_sites: 3,
        threshold: 11,
        mode: PermitMode::Exact,
        max_cells: 10_000,
        valid_from: START.plus_secs(-86_400),
        valid_to: START.plus_secs(365 * 86_400),
        nonce: "cd".repeat(16),
    };
    change(&mut permit);
    SignedPermit::sign(&permit, &key(ACCESS_BODY)).unwrap()
}

/// [`STUDY`] of all sites under a permit, signed by its holder.
pub fn under(permit: &SignedPermit, nonce: u8) -> (SignedStudy, Study) {
    let reference = permit.reference().ok();
    let study = Study { permit: reference, researcher: key(HOLDER).public(), ..study(STUDY, &SITES, nonce) };
    (SignedStudy::sign(&study, &key(HOLDER)).unwrap().with_permit(Some(permit.clone())), study)
}

/// Makes a user and a token in the state below `dir`, as the operator's commands do; answers the token.
pub fn person(dir: &Path, name: &str, roles: &[Role], scope: &str) -> String {
    let mut people = PeopleFile::open(&dir.join("state")).unwrap();
    let (user, roles) = (name.parse::<UserName>().unwrap(), roles.iter().copied().collect());
    people.add_user(&user, &roles, START, None).unwrap();
    let new = NewToken { user, scope: scope.parse().unwrap(), days: 90 };
    people.make_token(&new, START, &mut SystemEntropy, None).unwrap().0.reveal().to_owned()
}

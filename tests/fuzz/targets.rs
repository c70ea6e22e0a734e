//! What the fuzzer runs: each function takes any bytes and may neither panic nor keep more memory than its bound. Where bytes are accepted, a law
//! is checked as well.
//!
//! Shared by the fuzz targets beside it and by `tests/tests/fuzz_smoke.rs`, which runs them on stable Rust. Depends on the protocol alone.

use std::sync::OnceLock;

use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::front::{BindContext, StudyText, bind_mapping};
use bocage_protocol::ids::{ColumnName, ContractId, Digest, SiteId};
use bocage_protocol::limits;
use bocage_protocol::plan::{Contracts, Discovered, Expr, Plan, Statistic, Table, ValidPlan};
use bocage_protocol::release::Release;
use bocage_protocol::trust::{SecretKey, SignedRelease, SignedStudy, Standing, Study, canonical};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::hello::{Answer, Hello};
use bocage_protocol::wire::inquiry::Known;
use bocage_protocol::wire::message::{Reply, Request};
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest};

/// A target: its name, which is that of its corpus, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
#[allow(dead_code)]
pub const ALL: [Target; 7] = [
    ("codec", codec),
    ("contract", contract),
    ("study_text", study_text),
    ("expression", expression),
    ("canonical_json", canonical_json),
    ("release", release),
    ("hello", hello),
];

struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// The key by which everything is signed.
pub fn key() -> &'static SecretKey {
    static KEY: OnceLock<SecretKey> = OnceLock::new();
    KEY.get_or_init(|| SecretKey::generate(&mut Sevens))
}

fn heart() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        contract::parse(include_str!("../../deploy/templates/heart.toml"), "heart.toml").expect("a contract")
    })
}

/// The contracts that a study may name: the one of the demo, and those that come with Bocage for FHIR.
fn known(id: &ContractId) -> Option<&'static Contract> {
    static PACK: OnceLock<Vec<Contract>> = OnceLock::new();
    let pack = PACK.get_or_init(|| {
        let texts = contract::pack("fhir-r4-core").expect("a pack").contracts.iter();
        texts.map(|text| contract::parse(text, "pack.toml").expect("a contract")).collect()
    });
    std::iter::once(heart()).chain(pack).find(|contract| contract.id() == id)
}

/// A plan for each form of answer, by the name of the corpus file that fits it.
pub fn plans() -> &'static [(&'static str, ValidPlan)] {
    const ASKED: [(&str, &str); 4] = [
        ("table", "table = { by = [\"sex\"], show = [\"count\", \"mean(chol)\", \"share(disease)\"] }"),
        ("bins", "quantiles = { of = \"chol\" }"),
        ("lines", "survival = { time = \"age\", event = \"disease\", by = [\"sex\"], every = 20, until = 80 }"),
        ("model", "model = { formula = \"disease ~ age + sex\", standard_errors = \"hc0\" }"),
    ];
    static PLANS: OnceLock<Vec<(&str, ValidPlan)>> = OnceLock::new();
    PLANS.get_or_init(|| {
        let asked = ASKED.map(|(name, of)| (name, plan(of)));
        asked.into_iter().chain([("discovered", discovered())]).collect()
    })
}

/// A study of this analysis.
pub fn study(analysis: &str) -> Study {
    let text = format!(
        "title = \"t\"\npurpose = \"statistics\"\ndataset = \"heart@1\"\n[[analysis]]\nname = \"a\"\n{analysis}\n"
    );
    StudyText::parse(&text, "fuzz.toml").expect("a study").bind(heart(), &context(&sites())).expect("a study")
}

/// The plan of an analysis' first round.
fn plan(analysis: &str) -> ValidPlan {
    let study = study(analysis);
    let plan = plan_for(&study.analyses[0].spec, study.query(), 0, &RoundState::First).expect("a plan");
    ValidPlan::check(plan, heart()).expect("a plan")
}

/// A plan whose answers hold the data's own words.
fn discovered() -> ValidPlan {
    let by = vec![Expr::Column("sex".parse().expect("a column"))];
    let table = Table { by, measures: vec![], roll_up: false };
    let key = "age".parse().expect("a column");
    let plan = Plan { query: heart().rows(None), statistic: Statistic::Discovered(Discovered { key, table }) };
    ValidPlan::check(plan, heart()).expect("a plan")
}

fn sites() -> Vec<SiteId> {
    ["aa", "bb", "cc"].iter().filter_map(|s| s.parse().ok()).collect()
}

fn context(sites: &[SiteId]) -> BindContext<'_> {
    BindContext {
        network: "fuzz".parse().expect("a network"),
        researcher: key().public(),
        offering: sites,
        roster: sites,
        min_sites_floor: 2,
        now: Timestamp(1_760_000_000_000),
        nonce: [7; 16],
        permit: None,
    }
}

/// A message of this kind, which is written again as the same.
macro_rules! written_again {
    ($kind:ty, $bytes:expr) => {
        codec::decode::<$kind>($bytes, limits::FRAME_BYTES).ok().inspect(|message| {
            let again = codec::encode(message).and_then(|bytes| codec::decode::<$kind>(&bytes, limits::FRAME_BYTES));
            assert_eq!(again.as_ref(), Ok(message));
        })
    };
}

/// Bytes of a message. What is read is written again as the same message.
pub fn codec(bytes: &[u8]) {
    written_again!(Request, bytes);
    if written_again!(Reply, bytes).is_none() {
        let _ = codec::decode_filled::<Reply>(bytes, limits::FRAME_BYTES);
    }
    let _ = written_again!(NodeRequest, bytes).map(|request| request.is_bounded());
    let _ = written_again!(NodeReply, bytes).map(|reply| reply.is_bounded());
}

/// A contract's text. A contract that is read has one hash.
pub fn contract(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(read) = contract::parse(text, "fuzz.toml") {
        assert_eq!(contract::parse(text, "fuzz.toml").map(|c| c.hash()).ok(), Some(read.hash()));
    }
}

/// A study's text, bound to contracts. What binds can be signed, and verifies, and every site can derive a plan of its first round, or says why not.
pub fn study_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(study) = StudyText::parse(text, "fuzz.toml") else { return };
    let sites = sites();
    let Some(base) = known(study.dataset()) else { return };
    let related = study.tables().iter().filter_map(|(name, id)| Some((name.clone(), known(id)?))).collect();
    if let Ok(study) = study.bind(Contracts { base, related }, &context(&sites)) {
        for analysis in &study.analyses {
            if let Ok(plan) = plan_for(&analysis.spec, study.query(), 0, &RoundState::First) {
                let _ = ValidPlan::check(plan, Contracts::of(base, &study.related, known));
            }
        }
        let signed = SignedStudy::sign(&study, key()).expect("what binds can be signed");
        assert_eq!(signed.verify().as_ref(), Ok(&study));
    }
}

/// An expression of a mapping, whose columns are texts, and of a study's cohort.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let columns: Vec<ColumnName> = ["a", "b", "num"].iter().filter_map(|c| c.parse().ok()).collect();
    let _ = bind_mapping(text, Some(&columns));
    let _ = bind_mapping(text, None);
    let quoted = format!("{text:?}");
    if !quoted.contains("\\u{") {
        study_text(
            format!(
                "title = \"t\"\npurpose = \"statistics\"\ndataset = \"heart@1\"\nwhere = {quoted}\n[[analysis]]\nname = \"a\"\n\
                 table = {{ show = [\"count\"] }}\n"
            )
            .as_bytes(),
        );
    }
}

/// A signed study's JSON: what verifies is canonical, so no other bytes have the same meaning under the same signature.
pub fn canonical_json(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes)
        && let Ok(first) = canonical(&value)
    {
        let read: serde_json::Value = serde_json::from_slice(&first).expect("canonical JSON is JSON");
        assert_eq!(canonical(&read).ok().as_ref(), Some(&first));
    }
    if let Ok(signed) = serde_json::from_slice::<SignedStudy>(bytes)
        && let Ok(study) = signed.verify()
    {
        assert_eq!(canonical(&study).ok().as_deref(), Some(signed.study.as_bytes()));
    }
}

/// Where the ledger of a release stands.
pub fn standing() -> Standing {
    Standing { records: 1, head: Digest::from_bytes([1; 32]), at: Timestamp(1) }
}

/// A signed release: only what the key signed verifies, and what was signed is read as it was. Whether it fits a plan is answered for any, of a plan of each form.
pub fn release(bytes: &[u8]) {
    if let Ok(signed) = codec::decode::<SignedRelease>(bytes, limits::FRAME_BYTES) {
        let _ = signed.verify(&key().public());
    }
    if let Ok(release) = codec::decode::<Release>(bytes, limits::FRAME_BYTES) {
        let signed = SignedRelease::sign(&release, standing(), key()).expect("a release");
        assert_eq!(signed.verify(&key().public()).as_ref(), Ok(&release));
        for part in &release.parts {
            for (_, plan) in plans() {
                let _ = part.outcome.fits(plan);
            }
        }
        let mut body = signed.body.clone();
        body.push(0);
        assert!(SignedRelease { body, ..signed }.verify(&key().public()).is_err());
    }
}

/// The first frames of a session, and what stands behind a welcome.
pub fn hello(bytes: &[u8]) {
    if let Ok(hello) = Hello::decode(bytes) {
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
    }
    if let Ok(answer) = Answer::decode(bytes) {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
    if let Ok((answer, Some(known))) = Known::read(bytes) {
        assert_eq!(Known::read(&known.behind(&answer)), Ok((answer, Some(known))));
    }
}

//! Bytes that must never change within a version: a signed study, a signed release, the messages that carry them.

mod filled;
mod models;
mod predictions;
mod published;
mod rounded;
mod statistics;

use std::path::Path;

use bocage_protocol::analysis::{RoundState, Spec, plan_for};
use bocage_protocol::contract;
use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::{ContractId, Digest, SiteId};
use bocage_protocol::plan::{Contracts, ValidPlan};
use bocage_protocol::release::{
    BinRelease, BinsRelease, CellRelease, Count, DiscoveredRelease, KeyRelease, LinesRelease, MeasureRelease, Outcome,
    Part, Release, TableRelease,
};
use bocage_protocol::trust::{
    Holder, PERMIT_FORMAT, Permit, PermitMode, Purpose, REVOCATIONS_FORMAT, Revocations, Revoked, Scope, SecretKey,
    SignedPermit, SignedRelease, SignedRevocations, SignedStudy, Standing, Study, Tree,
};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Catalogue, Offer, Particular, Particulars, Reply, Request, RoundRequest, Step};
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest, root_digest};
use serde_json::{Value, json};

/// Bytes 0, 1, 2, …: the private key of the test vectors.
struct Counting;
impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = i as u8;
        }
    }
}

/// Bytes 255, 254, …: that of the access body.
struct CountingDown;
impl Entropy for CountingDown {
    fn fill(&mut self, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = 255 - i as u8;
        }
    }
}

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("a golden file")).expect("JSON")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

const CONTRACT: &str = r#"
id = "vector@1"
subject = "row"
[[column]]
name = "age"
type = "int"
range = [0, 120]
required = true
[[column]]
name = "sex"
type = "code"
codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
[[column]]
name = "chol"
type = "float"
range = [50, 700.5]
"#;

const STUDY: &str = r#"
title = "Test vector é"
purpose = "statistics"
dataset = "vector@1"
where = "age between 30 and 80 and chol > 1.5e-7"
permit = "DK-2026/17"
[[analysis]]
name = "table"
table = { by = ["sex", "cut(age, 50, 60)"], show = ["count", "mean(chol)", "share(chol > 200)"] }
"#;

fn sites() -> Vec<SiteId> {
    ["aa", "bb", "cc"].map(|site| site.parse().expect("a site")).to_vec()
}

/// The permit that the first study relies on, signed by the access body's key: bytes 255, 254, …
fn permit(holder: &SecretKey) -> SignedPermit {
    let issuer = SecretKey::generate(&mut CountingDown);
    let permit = Permit {
        format: PERMIT_FORMAT,
        network: "vectors".parse().expect("a network"),
        id: "DK-2026/17".parse().expect("an id"),
        title: "Test vector é".to_owned(),
        issuer: issuer.public(),
        holder: Holder { name: "Ada".to_owned(), organisation: "University".to_owned(), key: holder.public() },
        purposes: vec![Purpose::ScientificResearch, Purpose::Statistics],
        datasets: vec![Scope {
            dataset: "vector@1".parse().expect("a dataset"),
            columns: Some(["age", "chol", "sex"].map(|name| name.parse().expect("a column")).to_vec()),
        }],
        sites: Some(sites()),
        min_sites: 3,
        threshold: 11,
        mode: PermitMode::Exact,
        max_cells: 10_000,
        valid_from: Timestamp(1_759_000_000_000),
        valid_to: Timestamp(1_790_000_000_000),
        nonce: "cd".repeat(16),
    };
    SignedPermit::sign(&permit, &issuer).expect("a permit")
}

fn revocations(permit: &SignedPermit) -> SignedRevocations {
    let issuer = SecretKey::generate(&mut CountingDown);
    let revoked = Revoked {
        digest: permit.digest(),
        id: "DK-2026/17".parse().expect("an id"),
        at: Timestamp(1_761_000_000_000),
        valid_to: Timestamp(1_790_000_000_000),
    };
    let list = Revocations {
        format: REVOCATIONS_FORMAT,
        issuer: issuer.public(),
        number: 2,
        issued_at: Timestamp(1_761_000_000_000),
        revoked: vec![revoked],
    };
    SignedRevocations::sign(&list, &issuer).expect("a list")
}

#[test]
fn a_permit_and_a_list_of_revoked_ones_have_these_bytes_digests_and_signatures() {
    let (permit, issuer) = (permit(&SecretKey::generate(&mut Counting)), SecretKey::generate(&mut CountingDown));
    let list = revocations(&permit);
    assert_eq!(list.verify().expect("sound").revokes(&permit.digest()).map(|r| r.id.as_str()), Some("DK-2026/17"));
    let found = json!({
        "secret_key": issuer.to_text().trim(),
        "public_key": issuer.public(),
        "permit": permit,
        "permit_digest": permit.digest(),
        "revocations": list,
    });
    assert_eq!(found, golden("permit-v1.json"), "found:\n{found:#}");
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let manual = std::fs::read_to_string(manual).expect("the protocol's description");
    let (signed, digest) = (&found["permit"], &found["permit_digest"]);
    let lines = [("issuer", &found["public_key"]), ("document", &signed["document"]), ("digest", digest)];
    for (name, text) in lines.into_iter().chain([("signature", &signed["signature"])]) {
        let text = text.as_str().expect("a text");
        let line = format!("\n{name:<9}  {text}\n");
        assert!(manual.contains(&line), "docs/PROTOCOL.md has no line{line}");
    }
}

/// A text as the study that it is to these three sites.
fn bound(text: &str, key: &SecretKey) -> Study {
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let permit = permit(key);
    let parsed = StudyText::parse(text, "study.toml").expect("a text");
    bound_across(&parsed, &contract, key, text.contains("permit = ").then_some(&permit))
}

/// A text as the study that it is to these three sites, under these contracts.
fn bound_across<'a>(
    text: &StudyText,
    contracts: impl Into<Contracts<'a>>,
    key: &SecretKey,
    permit: Option<&SignedPermit>,
) -> Study {
    let offering = sites();
    let context = BindContext {
        network: "vectors".parse().expect("a network"),
        researcher: key.public(),
        offering: &offering,
        roster: &offering,
        min_sites_floor: 3,
        now: Timestamp(1_760_000_000_000),
        nonce: [0xab; 16],
        permit,
    };
    text.bind(contracts, &context).expect("a study")
}

fn signed_study() -> (SecretKey, SignedStudy) {
    let key = SecretKey::generate(&mut Counting);
    let signed = SignedStudy::sign(&bound(STUDY, &key), &key).expect("a signature").with_permit(Some(permit(&key)));
    (key, signed)
}

#[test]
fn a_study_has_these_canonical_bytes_this_id_and_this_signature() {
    let (key, signed) = signed_study();
    let found = json!({
        "contract_hash": contract::parse(CONTRACT, "vector.toml").expect("a contract").hash(),
        "secret_key": key.to_text().trim(),
        "public_key": key.public(),
        "id": signed.id(),
        "signed": signed,
        "at_each_site": (0..3).map(|site| signed.at(Tree::over(&sites()).place(site)).sites).collect::<Vec<_>>(),
    });
    assert_eq!(found, golden("study-v1.json"), "found:\n{found:#}");
}

fn standing() -> Standing {
    Standing { records: 12, head: Digest::of("head", &[]), at: Timestamp(1_760_000_000_500) }
}

fn release(study: Digest) -> Release {
    let count = |subjects| Count { subjects, rows: subjects };
    let shown = CellRelease::Shown {
        count: count(40),
        measures: vec![
            MeasureRelease::Number { valid: count(38), sum: -123_456_789_012, sum_sq: 1 << 70 },
            MeasureRelease::Condition { valid: count(38), holds_rows: 20 },
        ],
    };
    let partly =
        CellRelease::Shown { count: count(11), measures: vec![MeasureRelease::Hidden, MeasureRelease::Hidden] };
    let table = TableRelease {
        threshold: 11,
        step: 0,
        total: Some(count(60)),
        cells: vec![shown, partly, CellRelease::FewerThanK],
        held_back: false,
        rounded: false,
    };
    let refused = PublicError::new(ErrorCode::QueryTooHeavy, "the query exceeded 60 s").hint("ask for fewer cells");
    let part = |analysis, outcome| Part { analysis, plan: Digest::of("plan", &[]), outcome };
    Release {
        study,
        site: "aa".parse().expect("a site"),
        round: 0,
        snapshot: Digest::of("snapshot", &[]),
        snapshot_at: Timestamp(1_759_000_000_000),
        parts: vec![part(0, Outcome::Table(table)), part(1, Outcome::Refused(refused))],
    }
}

#[test]
fn releases_and_messages_have_these_bytes() {
    let (key, study) = signed_study();
    let release = SignedRelease::sign(&release(study.id()), standing(), &key).expect("a release");
    assert_eq!(release.verify(&key.public()).expect("a release").parts.len(), 2);
    let offer = Offer {
        contract: "vector@1".parse().expect("a contract"),
        hash: Digest::of("contract", &[]),
        snapshot_at: Some(Timestamp(1_759_000_000_000)),
        needs_permit: true,
    };
    let step = Step { analysis: 0, state: bocage_protocol::analysis::RoundState::First };
    let encoded = |message: &Request| hex(&codec::encode(message).expect("bytes"));
    let replied = |message: &Reply| hex(&codec::encode(message).expect("bytes"));
    let found = json!({
        "release": hex(&release.body),
        "salt": release.salt,
        "checkpoint": release.ledger,
        "request_catalogue": encoded(&Request::Catalogue),
        "request_round": encoded(&Request::Round(RoundRequest { study, round: 0, steps: vec![step], revocations: Some(revocations(&permit(&SecretKey::generate(&mut Counting)))) })),
        "reply_catalogue": replied(&Reply::Catalogue(Catalogue { datasets: vec![offer] })),
        "reply_released": replied(&Reply::Released(release)),
        "reply_pending": replied(&Reply::Pending(PublicError::new(ErrorCode::ApprovalPending, "the steward decides"))),
        "reply_refused": replied(&Reply::Refused(PublicError::new(ErrorCode::Busy, "too many requests wait"))),
    });
    assert_eq!(found, golden("messages-v1.json"), "found:\n{found:#}");
}

/// What version 2 adds; the bytes of version 1 stay as they are.
#[test]
fn the_messages_of_version_2_have_these_bytes() {
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let absent = vec!["chol".parse().expect("a column")];
    let known = Particular { contract: contract.id().clone(), absent, columns: None };
    let unknown = Particular {
        contract: "other@3".parse().expect("a contract"),
        absent: vec![],
        columns: Some(contract.traits().into_iter().take(2).collect()),
    };
    let request = Request::Particulars(vec![contract.hash()]);
    let reply = Reply::Particulars(Particulars { datasets: vec![known, unknown] });
    let found = json!({
        "request_particulars": hex(&codec::encode(&request).expect("bytes")),
        "reply_particulars": hex(&codec::encode(&reply).expect("bytes")),
    });
    assert_eq!(found, golden("messages-v2.json"), "found:\n{found:#}");
}

/// What a node asks for itself, from version 3 on; the bytes of versions 1 and 2 stay as they are.
#[test]
fn what_a_node_of_version_3_asks_for_itself_has_these_bytes() {
    let encode = |request: &NodeRequest| hex(&codec::encode(request).expect("bytes"));
    let answer = |reply: &NodeReply| hex(&codec::encode(reply).expect("bytes"));
    let refused = PublicError::new(ErrorCode::SiteRevoked, "revoked").hint("ask");
    let found = json!({
        "request_roots": encode(&NodeRequest::Roots(vec![root_digest(b"root")])),
        "request_renew": encode(&NodeRequest::Renew(b"request".to_vec())),
        "request_moves": encode(&NodeRequest::Moves),
        "reply_roots": answer(&NodeReply::Roots { roots: vec![b"root".to_vec(), b"cross".to_vec()], renew: true }),
        "reply_renewed": answer(&NodeReply::Renewed { chain: vec![b"leaf".to_vec()], roots: vec![b"root".to_vec()] }),
        "reply_refused": answer(&NodeReply::Refused(refused)),
        "reply_noted": answer(&NodeReply::Noted),
    });
    assert_eq!(found, golden("renewal-v3.json"), "found:\n{found:#}");
}

/// What version 3 adds; the bytes of the earlier versions stay as they are.
#[test]
fn the_messages_of_version_3_have_these_bytes() {
    let (key, study) = signed_study();
    let release = SignedRelease::sign(&release(study.id()), standing(), &key).expect("a release");
    let restored = PublicError::new(ErrorCode::LedgerRestored, "the ledger is an older copy");
    let found = json!({
        "request_witness": hex(&codec::encode(&Request::Witness(vec![release.ledger])).expect("bytes")),
        "reply_witnessed": hex(&codec::encode(&Reply::Witnessed).expect("bytes")),
        "reply_pending_restored": hex(&codec::encode(&Reply::Pending(restored)).expect("bytes")),
    });
    assert_eq!(found, golden("messages-v3.json"), "found:\n{found:#}");
}

const ANALYSES: &str = r#"
title = "Every kind of analysis"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "h"
histogram = { of = "chol", bins = [100, 200.5], by = ["sex"] }
[[analysis]]
name = "c"
crosstab = { rows = "sex", columns = "age >= 50" }
[[analysis]]
name = "q"
quantiles = { of = "chol", at = [0.1, 0.5] }
[[analysis]]
name = "f"
attrition = { steps = ["age >= 18", "chol is not null"] }
[[analysis]]
name = "s"
summary = { columns = ["sex"] }
"#;

/// What every site derives of an analysis in its first round.
fn first_plan(study: &Study, spec: &Spec) -> ValidPlan {
    let contract = contract::parse(CONTRACT, "vector.toml").expect("a contract");
    let plan = plan_for(spec, study.query(), 0, &RoundState::First).expect("a plan");
    ValidPlan::check(plan, &contract).expect("a valid plan")
}

#[test]
fn every_kind_of_analysis_has_this_canonical_form_this_plan_and_these_released_bytes() {
    let (key, signed) = signed_study();
    let study = bound(ANALYSES, &key);
    let bin = |upto, subjects| BinRelease { upto, count: Count { subjects, rows: subjects } };
    let bins = BinsRelease {
        threshold: 11,
        missing: Some(Count { subjects: 12, rows: 12 }),
        bins: vec![bin(300, 11), bin(1000, 40)],
        held_back: false,
        rounded: false,
    };
    let mut release = release(signed.id());
    release.parts[0].outcome = Outcome::Bins(bins);
    let found = json!({
        "analyses": study.analyses,
        "plans": study.analyses.iter().map(|a| first_plan(&study, &a.spec).digest()).collect::<Vec<_>>(),
        "release": hex(&SignedRelease::sign(&release, standing(), &key).expect("a release").body),
    });
    assert_eq!(found, golden("analyses-v1.json"), "found:\n{found:#}");
}

const DISCOVERED: &str = r#"
title = "Keys that the data has"
purpose = "statistics"
dataset = "vector@1"
[[analysis]]
name = "d"
table = { by = ["discovered(age)", "sex"], show = ["count", "mean(chol)"], top = 20 }
"#;

#[test]
fn a_table_of_discovered_keys_has_this_canonical_form_this_plan_and_these_released_bytes() {
    let (key, signed) = signed_study();
    let study = bound(DISCOVERED, &key);
    let plan = first_plan(&study, &study.analyses[0].spec);
    let count = |subjects| Count { subjects, rows: subjects };
    let shown = CellRelease::Shown { count: count(40), measures: vec![MeasureRelease::Hidden] };
    let key_of = |name: &str| KeyRelease {
        key: Some(name.to_owned()),
        cells: vec![shown.clone(), CellRelease::FewerThanK, CellRelease::FewerThanK],
    };
    let keys = vec![key_of("9"), key_of("50")];
    let outcome = Outcome::Discovered(DiscoveredRelease {
        threshold: 11,
        keys,
        beyond: Some(16),
        held_back: false,
        rounded: false,
    });
    assert!(outcome.fits(&plan));
    let mut release = release(signed.id());
    release.parts[0].outcome = outcome;
    let found = json!({
        "analyses": study.analyses,
        "plan": plan.digest(),
        "release": hex(&SignedRelease::sign(&release, standing(), &key).expect("a release").body),
    });
    assert_eq!(found, golden("discovered-v1.json"), "found:\n{found:#}");
}

const PATIENTS: &str = r#"
id = "vector-patient@1"
subject = "patient"
one_row_per_subject = true
birth = "born"
[[column]]
name = "patient"
type = "text"
[[column]]
name = "born"
type = "date"
range = ["1900-01-01", "2030-12-31"]
"#;

const LAB: &str = r#"
id = "vector-lab@1"
subject = "person"
time = "taken"
[[column]]
name = "person"
type = "text"
[[column]]
name = "taken"
type = "datetime"
range = ["1900-01-01T00:00:00Z", "2030-12-31T00:00:00Z"]
[[column]]
name = "code"
type = "text"
system = "loinc"
[[column]]
name = "value"
type = "float"
range = [0, 100]
"#;

const COHORT: &str = r#"
title = "A cohort over two tables"
purpose = "statistics"
[tables]
patient = "vector-patient@1"
lab = "vector-lab@1"
[codes]
hba1c = { system = "loinc", codes = ["4548-4", "17856-6"], prefix = ["59261"] }
[cohort]
from = "patient"
index = "first(lab.date where code in @hba1c)"
include = ["age_at(index) >= 18", "has(lab, code in @hba1c, at_least = 2)"]
exclude = ["max(lab.value where code in @hba1c, before = index + days(365)) > 14"]
[features]
later = "mean(lab.value where code in @hba1c, after = index, within = days(90))"
many = "count(lab)"
[[analysis]]
name = "t"
table = { by = ["many > 3"], show = ["count", "mean(later)"] }
[[analysis]]
name = "f"
attrition = {}
"#;

#[test]
fn a_cohort_over_several_tables_has_these_canonical_bytes_and_these_plans() {
    let key = SecretKey::generate(&mut Counting);
    let base = contract::parse(PATIENTS, "patient.toml").expect("a contract");
    let lab = contract::parse(LAB, "lab.toml").expect("a contract");
    let text = StudyText::parse(COHORT, "study.toml").expect("a text");
    let find = |id: &ContractId| [&base, &lab].into_iter().find(|contract| contract.id() == id);
    let named = text.tables().iter().filter_map(|(name, id)| Some((name.clone(), find(id)?))).collect();
    let study = bound_across(&text, Contracts { base: &base, related: named }, &key, None);
    let plan = |spec: &Spec| {
        let plan = plan_for(spec, study.query(), 0, &RoundState::First).expect("a plan");
        ValidPlan::check(plan, Contracts::of(&base, &study.related, find)).expect("a valid plan")
    };
    let plans: Vec<ValidPlan> = study.analyses.iter().map(|analysis| plan(&analysis.spec)).collect();
    let found = json!({
        "contracts": { "vector-patient@1": base.hash(), "vector-lab@1": lab.hash() },
        "id": SignedStudy::sign(&study, &key).expect("a signature").id(),
        "study": study,
        "plans": plans.iter().map(|p| json!({ "digest": p.digest(), "plan": p.plan() })).collect::<Vec<_>>(),
    });
    assert_eq!(found, golden("relations-v1.json"), "found:\n{found:#}");
}

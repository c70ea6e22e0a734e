//! Studies under permits: what an access body allows is answered and nothing else, whoever holds the coordinator's and the authority's keys.

use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::quic::QuicLink;
use bocage_protocol::env::{Clock as _, Timestamp};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::trust::{
    Holder, Permit, Revocations, SecretKey, SignedPermit, SignedRevocations, SignedStudy, Study,
};
use bocage_protocol::wire::message::{Reply, Request};
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::peer::{FakeCoordinator, ask};
use serde_json::Value;

use super::intruders::{intermediate, replace_secret};
use super::{EXE, everyone, request, study};

const FIRST: &str = HOSPITALS[0];

/// A study that its signer says to rely on a permit.
pub(super) fn under(lab: &Lab, permit: &SignedPermit, key: &SecretKey) -> SignedStudy {
    let reference = permit.reference().ok().or_else(|| lab.permit().reference().ok());
    let study = Study { permit: reference, researcher: key.public(), ..lab.bound_study(&study("5m")) };
    SignedStudy::sign(&study, key).expect("a signature").with_permit(Some(permit.clone()))
}

/// The lab's permit, changed and signed anew by `key`.
pub(super) fn changed(lab: &Lab, key: &SecretKey, change: impl FnOnce(&mut Permit)) -> SignedPermit {
    let mut permit = lab.permit().verify().expect("a permit");
    permit.issuer = key.public();
    change(&mut permit);
    SignedPermit::sign(&permit, key).expect("a permit")
}

/// A list of revoked permits of the lab's access body.
pub(super) fn list(lab: &Lab, number: u64, issued_at: Timestamp, revoked: &[&SignedPermit]) -> SignedRevocations {
    let body = lab.access_body();
    let mut list = Revocations { number, ..Revocations::first(body.public(), issued_at) };
    for signed in revoked {
        list = list.with(&signed.verify().expect("a permit"), signed.digest(), issued_at);
    }
    SignedRevocations::sign(&list, &body).expect("a list")
}

pub(super) fn with_list(study: SignedStudy, list: Option<SignedRevocations>) -> Request {
    match request(study) {
        Request::Round(round) => {
            Request::Round(bocage_protocol::wire::message::RoundRequest { revocations: list, ..round })
        }
        other => other,
    }
}

pub(super) fn code(reply: &Reply) -> Option<ErrorCode> {
    match reply {
        Reply::Refused(error) => Some(error.code),
        _ => None,
    }
}

/// `bocage permit …` by the access body, to a good end.
fn permit(lab: &Lab, args: &[&str]) -> String {
    let output = lab.run(&[&["permit"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn path(lab: &Lab, below: &str) -> String {
    lab.path("net").join(below).to_str().expect("UTF-8").to_owned()
}

/// Takes the researcher's permit back, and tells the coordinator.
fn take_back(lab: &Lab) {
    let (key, file) = (path(lab, "access-body/access-body.key"), path(lab, "access-body/revocations.list"));
    permit(lab, &["revoke", &path(lab, "access-body/researcher.permit"), "--key", &key, "--list", &file]);
    let said = permit(lab, &["publish", &file, "--profile", &path(lab, "access-body/profile.toml")]);
    assert!(said.contains("list 2 of Access body of heart-lab is in force"), "{said}");
}

#[test]
fn a_permits_holder_is_answered_and_nobody_is_without_one() {
    let lab = Lab::under_permits(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let result = lab.study("permitted", &study("5m")).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    let named = &result["study"]["permit"];
    assert_eq!((named["id"].as_str(), named["holder"].as_str()), (Some("heart-lab/1"), Some("Lab")), "{named}");
    assert_eq!(named["access_body"], "Access body of heart-lab");
    let listed = lab.get("/v1/studies");
    assert_eq!(listed["studies"][0]["researcher"], "Lab", "the coordinator knows it by its permit");

    let without = SignedStudy::sign(&lab.bound_study(&study("5m")), &lab.researcher()).expect("a signature");
    let (http, problem) = lab.post(&without);
    assert_eq!((http, &problem["code"]), (403, &Value::from("signer_unknown")), "{problem}");
    for site in HOSPITALS {
        assert_eq!(code(&lab.ask_custodian(site, &request(without.clone()))), Some(ErrorCode::PermitRequired));
    }
}

#[test]
fn a_study_beyond_its_permit_is_refused_before_it_is_signed_and_at_the_door() {
    let lab = Lab::under_permits(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let narrow =
        changed(&lab, &lab.access_body(), |p| p.datasets[0].columns = Some(vec!["sex".parse().expect("a name")]));
    let file = lab.path("narrow.permit");
    std::fs::write(&file, narrow.to_text()).expect("written");
    let text = lab.path("wide.toml");
    std::fs::write(&text, study("5m")).expect("written");
    let (file, text) = (file.to_str().expect("UTF-8"), text.to_str().expect("UTF-8"));
    let checked = lab.run(&["study", "check", text, "--permit", file]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("does not cover the columns age, chol of heart@1"), "{said}");
    let covered = lab.run(&["study", "check", text]);
    let said = String::from_utf8_lossy(&covered.stdout).into_owned();
    assert!(said.contains("permit heart-lab/1 of Lab (heart-lab) covers it"), "{said}");
    let told = lab.run(&["study", "check", text, "--format", "json"]).stdout;
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    assert_eq!(told["needs_permit"].as_array().map(Vec::len), Some(HOSPITALS.len()), "{told:#}");
    let (http, problem) = lab.post(&under(&lab, &narrow, &lab.researcher()));
    assert_eq!((http, &problem["code"]), (403, &Value::from("permit_scope")), "{problem}");
    let elsewhere = changed(&lab, &lab.access_body(), |p| {
        p.sites = Some(HOSPITALS[..3].iter().map(|s| s.parse().expect("a site")).collect())
    });
    let (_, problem) = lab.post(&under(&lab, &elsewhere, &lab.researcher()));
    assert_eq!(problem["code"], "permit_sites", "{problem}");
}

#[test]
fn what_the_coordinator_would_refuse_and_what_a_permit_lets_leave_is_told_before_anything_is_signed() {
    let lab = Lab::under_permits(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let path = |below: &str| lab.path(below).to_str().expect("UTF-8").to_owned();
    let (text, strange, bare) = (path("study.toml"), path("strange.permit"), path("net/researcher/bare.toml"));
    std::fs::write(&text, study("5m")).expect("written");
    let stranger = SecretKey::generate(&mut SystemEntropy);
    std::fs::write(&strange, changed(&lab, &stranger, |_| ()).to_text()).expect("written");
    let profile = std::fs::read_to_string(lab.path("net/researcher/profile.toml")).expect("a profile");
    let without: Vec<&str> = profile.lines().filter(|line| !line.starts_with("permit")).collect();
    std::fs::write(&bare, without.join("\n")).expect("written");
    let cases = [
        (["--permit", &strange], "permit_issuer_unknown", "[[access_body]]"),
        (["--profile", &bare], "signer_unknown", "--permit"),
    ];
    for (args, code, hint) in cases {
        let checked = lab.run(&[&["study", "check", &text], &args[..]].concat());
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!((checked.status.code(), checked.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains(code) && said.contains(hint), "{said}");
    }
    let checked = lab.run(&["study", "check", &text]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("; 1000000 cells may leave each site under it in all, this study takes "), "{said}");
}

#[test]
fn a_permit_that_is_taken_back_stops_a_study_that_waits_for_a_site_and_every_later_one() {
    let lab = Lab::under_permits(EXE);
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    for site in &HOSPITALS[1..] {
        coordinator.wait_for_line(&["connected", site]);
    }
    let waiting = under(&lab, &lab.permit(), &lab.researcher());
    let (http, body) = lab.post(&waiting);
    assert_eq!(http, 201, "{body}");
    for site in &HOSPITALS[1..] {
        coordinator.wait_for_line(&["site answered", site]);
    }
    take_back(&lab);
    let _first = lab.node(FIRST, &[]);
    coordinator.wait_for_line(&["site refused", FIRST, "permit_revoked"]);
    let (http, problem) = lab.post(&under(&lab, &lab.permit(), &lab.researcher()));
    assert_eq!((http, &problem["code"]), (403, &Value::from("permit_revoked")), "{problem}");
    let (exit, _, said) = lab.study("later", &study("5m")).end();
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("permit heart-lab/1 was taken back at"), "{said}");
}

#[test]
fn the_coordinator_keeps_the_newest_list_over_a_restart_and_never_goes_back() {
    let lab = Lab::under_permits(EXE);
    let coordinator = lab.coordinator();
    take_back(&lab);
    coordinator.kill();
    let _again = lab.coordinator();
    let lists = lab.get("/v1/revocations");
    assert_eq!((&lists["lists"][0]["number"], &lists["lists"][0]["revoked"]), (&Value::from(2), &Value::from(1)));
    let old = path(&lab, "coordinator/revocations.list");
    let bodys = path(&lab, "access-body/profile.toml");
    let output = lab.run(&["permit", "publish", &old, "--profile", &bodys]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("list 2 is in force, and this is list 1"), "{said}");
    assert_eq!(lab.get("/v1/revocations")["lists"][0]["number"], 2);
}

/// A node whose coordinator is an attacker with the coordinator's certificate.
pub(super) async fn captured(lab: &Lab) -> (bocage_tests::process::Process, QuicLink, impl Sized) {
    let coordinator = FakeCoordinator::listen(lab);
    let node = lab.node(FIRST, &[]);
    let (link, control) = coordinator.welcome().await;
    loop {
        if let Reply::Catalogue(catalogue) = ask(&link, &Request::Catalogue).await
            && catalogue.datasets.iter().all(|d| d.snapshot_at.is_some())
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    (node, link, (control, coordinator))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_withholds_lists_or_sends_old_ones_stops_studies_and_revives_no_permit() {
    let lab = Lab::under_permits(EXE);
    let (_node, link, _kept) = captured(&lab).await;
    let now = SystemClock.now();
    let day = |days: i64| now.plus_secs(-days * 86_400);
    let (researcher, good) = (lab.researcher(), lab.permit());
    let other = changed(&lab, &lab.access_body(), |p| p.nonce = "12".repeat(16));
    let asked =
        async |permit: &SignedPermit, list| ask(&link, &with_list(under(&lab, permit, &researcher), list)).await;

    assert_eq!(code(&asked(&good, None).await), Some(ErrorCode::RevocationsStale), "no list was ever seen");
    let old = list(&lab, 1, day(40), &[]);
    assert_eq!(code(&asked(&good, Some(old.clone())).await), Some(ErrorCode::RevocationsStale), "the list is old");
    let forged = Revocations { number: 9, ..Revocations::first(lab.access_body().public(), now) };
    let mut altered = old.clone();
    altered.document = altered.document.replace(&day(40).0.to_string(), &now.0.to_string());
    assert_eq!(code(&asked(&good, Some(altered)).await), Some(ErrorCode::RevocationsStale), "nobody makes it newer");
    let attacker = SecretKey::generate(&mut SystemEntropy);
    let theirs =
        SignedRevocations::sign(&Revocations { issuer: attacker.public(), ..forged }, &attacker).expect("a list");
    assert!(matches!(asked(&good, Some(theirs)).await, Reply::Refused(_)), "a list of another issuer helps nobody");

    let fresh = list(&lab, 3, day(1), &[&other]);
    assert!(matches!(asked(&good, Some(fresh)).await, Reply::Released(_)));
    assert_eq!(code(&asked(&other, None).await), Some(ErrorCode::PermitRevoked));
    let before = list(&lab, 2, day(2), &[]);
    assert_eq!(
        code(&asked(&other, Some(before)).await),
        Some(ErrorCode::PermitRevoked),
        "an older list revives nothing"
    );
    assert!(matches!(asked(&good, None).await, Reply::Released(_)), "what the site knows is still fresh");
}

/// With the authority's key, the attacker makes a coordinator's certificate of their own.
pub(super) fn with_the_authoritys_key(lab: &Lab) {
    let issued =
        intermediate(lab).issue_coordinator(&[], SystemClock.now(), 30, &mut SystemEntropy).expect("a certificate");
    replace_secret(&lab.path("net/coordinator/tls/cert.pem"), &issued.chain_pem);
    replace_secret(&lab.path("net/coordinator/tls/key.pem"), &issued.key_pem);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinators_and_the_authoritys_keys_run_no_forged_study() {
    let lab = Lab::under_permits(EXE);
    with_the_authoritys_key(&lab);
    let (_node, link, _kept) = captured(&lab).await;
    let fresh = list(&lab, 2, SystemClock.now(), &[]);
    let (attacker, researcher, body) = (SecretKey::generate(&mut SystemEntropy), lab.researcher(), lab.access_body());
    let good = lab.permit();
    let own = |p: &mut Permit| {
        p.holder = Holder { name: "Eve".into(), organisation: "Elsewhere".into(), key: attacker.public() }
    };
    let asked = async |study: SignedStudy| code(&ask(&link, &with_list(study, Some(fresh.clone()))).await);

    let bare = Study { researcher: attacker.public(), ..lab.bound_study(&study("5m")) };
    let bare = SignedStudy::sign(&bare, &attacker).expect("a signature");
    assert_eq!(asked(bare.clone()).await, Some(ErrorCode::PermitRequired), "a study without a permit");
    assert_eq!(
        asked(bare.with_permit(Some(good.clone()))).await,
        Some(ErrorCode::PermitRequired),
        "a permit beside it"
    );
    assert_eq!(asked(under(&lab, &good, &attacker)).await, Some(ErrorCode::PermitHolder), "another holder's permit");
    let resigned = changed(&lab, &attacker, own);
    assert_eq!(
        asked(under(&lab, &resigned, &attacker)).await,
        Some(ErrorCode::PermitIssuerUnknown),
        "a body of their own"
    );
    let mut altered = good.clone();
    altered.document = altered.document.replace(&researcher.public().to_string(), &attacker.public().to_string());
    assert_eq!(asked(under(&lab, &altered, &attacker)).await, Some(ErrorCode::PermitInvalid), "an altered permit");
    let mut claimed = resigned.clone();
    claimed.document = claimed.document.replace(&attacker.public().to_string(), &body.public().to_string());
    assert_eq!(
        asked(under(&lab, &claimed, &attacker)).await,
        Some(ErrorCode::PermitInvalid),
        "signed by another than it says"
    );

    let genuine = under(&lab, &good, &researcher);
    assert_eq!(asked(genuine.clone().with_permit(None)).await, Some(ErrorCode::PermitRequired), "its permit withheld");
    let wider = changed(&lab, &body, |p| p.nonce = "34".repeat(16));
    assert_eq!(
        asked(genuine.clone().with_permit(Some(wider))).await,
        Some(ErrorCode::PermitMismatch),
        "its permit swapped"
    );
    let mut later = genuine.clone();
    later.study = later.study.replace("\"int\":30", "\"int\":31");
    assert_eq!(asked(later).await, Some(ErrorCode::SignatureInvalid), "another question under the same signature");
    assert_eq!(released(&lab), 0, "nothing left");
    assert_eq!(asked(genuine).await, None, "the genuine study is answered");
    assert_eq!(released(&lab), 1);
}

/// How many releases the first hospital's ledger has.
pub(super) fn released(lab: &Lab) -> i64 {
    let file = lab.site(FIRST).join("state/ledger.sqlite");
    let ledger =
        rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the ledger");
    ledger.query_row("select count(*) from record where kind = 'release'", [], |row| row.get(0)).expect("a count")
}

#[test]
fn the_demo_without_a_permit_shows_how_every_hospital_refuses() {
    let output =
        std::process::Command::new(EXE).args(["demo", "--no-permit", "--format", "json"]).output().expect("a demo");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&shown["holds"], &shown["pooled"]), (&Value::from(true), &Value::Null), "{shown:#}");
    let checks = shown["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 4);
    for check in checks {
        assert!(check["how"].as_str().is_some_and(|how| how.contains("(permit_required)")), "{check}");
    }
}

//! Those who should not get in: each is refused by name, and no other site or study notices.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bocage_net::certificates::Authority;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::env::Clock as _;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::trust::{SecretKey, SignedStudy, Study, canonical};
use bocage_protocol::wire::message::Reply;
use bocage_tests::lab::{HOSPITALS, Lab, status};

use super::{EXE, everyone, request, study, study_of};

pub(super) fn replace_secret(path: &Path, text: &str) {
    std::fs::remove_file(path).expect("the old file");
    std::fs::write(path, text).expect("the new file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(super) fn intermediate(lab: &Lab) -> Authority {
    let ca = lab.path("net/ca");
    Authority::from_pem(&read(&ca.join("intermediate.pem")), &read(&ca.join("intermediate.key")))
        .expect("the intermediate")
}

/// Gives a site another certificate and key.
fn equip(lab: &Lab, site: &str, chain: &str, key: &str) {
    replace_secret(&lab.site(site).join("tls/cert.pem"), chain);
    replace_secret(&lab.site(site).join("tls/key.pem"), key);
}

/// The first hospital cannot connect, says why in `words`, and the other three are published.
fn the_others_are_published_while_the_first_says(lab: &Lab, words: &[&str]) {
    let coordinator = lab.coordinator();
    let _others: Vec<_> = HOSPITALS[1..].iter().map(|site| lab.node(site, &[])).collect();
    let first = lab.node(HOSPITALS[0], &[]);
    for site in &HOSPITALS[1..] {
        coordinator.wait_for_line(&["connected", site]);
    }
    first.wait_for_line(words);
    let result = lab.study("others", &study_of(&HOSPITALS[1..], "5m")).published();
    for site in &HOSPITALS[1..] {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
}

#[test]
fn a_node_of_another_authority_does_not_get_in() {
    let lab = Lab::new(EXE);
    let (now, mut entropy) = (SystemClock.now(), SystemEntropy);
    let network = "heart-lab".parse().expect("a network");
    let root = Authority::new_root(&network, now, &mut entropy).expect("a root");
    let other = root.issue_intermediate(&network, now, &mut entropy).expect("an intermediate");
    let issued =
        other.issue_site(&HOSPITALS[0].parse().expect("a site"), now, 30, &mut entropy).expect("a certificate");
    equip(&lab, HOSPITALS[0], &issued.chain_pem, &issued.key_pem);
    the_others_are_published_while_the_first_says(&lab, &["unknown issuer"]);
}

#[test]
fn an_expired_certificate_does_not_get_in() {
    let lab = Lab::new(EXE);
    let then = SystemClock.now().plus_secs(-40 * 86_400);
    let site = HOSPITALS[0].parse().expect("a site");
    let issued = intermediate(&lab).issue_site(&site, then, 30, &mut SystemEntropy).expect("a certificate");
    equip(&lab, HOSPITALS[0], &issued.chain_pem, &issued.key_pem);
    the_others_are_published_while_the_first_says(&lab, &["expired"]);
}

#[test]
fn a_site_with_another_sites_certificate_does_not_get_in() {
    let lab = Lab::new(EXE);
    let stolen =
        (read(&lab.site(HOSPITALS[1]).join("tls/cert.pem")), read(&lab.site(HOSPITALS[1]).join("tls/key.pem")));
    equip(&lab, HOSPITALS[0], &stolen.0, &stolen.1);
    the_others_are_published_while_the_first_says(&lab, &[HOSPITALS[1]]);
}

#[test]
fn an_altered_study_is_refused_by_the_coordinator_and_by_every_node() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let study = lab.bound_study(&study("5m"));
    let good = SignedStudy::sign(&study, &lab.researcher()).expect("a signature");
    let altered = SignedStudy { study: good.study.replace("\"int\":30", "\"int\":31"), ..good.clone() };
    assert_ne!(altered, good);
    let (status, problem) = lab.post(&altered);
    assert_eq!((status, problem["code"].as_str()), (403, Some("signature_invalid")), "{problem}");
    for site in HOSPITALS {
        assert!(matches!(lab.ask_custodian(site, &request(good.clone())), Reply::Released(_)));
        let Reply::Refused(error) = lab.ask_custodian(site, &request(altered.clone())) else {
            panic!("{site} answered")
        };
        assert_eq!(error.code, ErrorCode::SignatureInvalid);
    }
}

#[test]
fn a_study_of_an_unknown_signer_is_refused_by_the_coordinator_and_by_every_node() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let stranger = SecretKey::generate(&mut SystemEntropy);
    let study = Study { researcher: stranger.public(), ..lab.bound_study(&study("5m")) };
    let signed = SignedStudy::sign(&study, &stranger).expect("a signature");
    assert_eq!(lab.post(&signed).1["code"], "signer_unknown");
    for site in HOSPITALS {
        let Reply::Refused(error) = lab.ask_custodian(site, &request(signed.clone())) else {
            panic!("{site} answered")
        };
        assert_eq!(error.code, ErrorCode::PermitRequired, "the sites trust an access body, and nobody of this key");
    }
}

#[test]
fn a_study_that_reads_as_the_same_but_is_spelt_otherwise_is_refused() {
    let lab = Lab::new(EXE);
    let (_coordinator, _nodes) = everyone(&lab);
    let study = lab.bound_study(&study("5m"));
    let canonical = String::from_utf8(canonical(&study).expect("canonical")).expect("UTF-8");
    let spaced = SignedStudy {
        study: canonical.replacen(':', ": ", 1),
        ..SignedStudy::sign(&study, &lab.researcher()).expect("a signature")
    };
    let Reply::Refused(error) = lab.ask_custodian(HOSPITALS[0], &request(spaced)) else { panic!("answered") };
    assert_eq!(error.code, ErrorCode::NotCanonical);
}

//! A study that waits for a person survives what happens in the meantime.

use bocage_net::certificates::Authority;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::secret::write_secret;
use bocage_protocol::env::Clock as _;
use bocage_tests::clock::Steps;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use rustix::process::Signal;

use super::{ASKING, everyone, lab, records, said, submitted};

const THREE_DAYS: i64 = 3 * 24 * 3600;

/// A certificate for a site that is to be renewed within three days.
fn aged(lab: &Lab, site: &str) {
    let read = |file: &str| std::fs::read_to_string(lab.path("net/ca").join(file)).expect("the authority");
    let issuing = Authority::from_pem(&read("intermediate.pem"), &read("intermediate.key")).expect("an authority");
    let at = SystemClock.now().plus_secs(-18 * 24 * 3600);
    let issued = issuing.issue_site(&site.parse().expect("a site"), at, 30, &mut SystemEntropy).expect("a certificate");
    let tls = lab.site(site).join("tls");
    std::fs::write(tls.join("cert.pem"), issued.chain_pem).expect("the certificate");
    std::fs::remove_file(tls.join("key.pem")).expect("the old key");
    write_secret(&tls.join("key.pem"), issued.key_pem.as_bytes()).expect("the key");
}

#[test]
fn a_study_that_waits_completes_after_restarts_three_days_and_a_renewal_of_the_certificate() {
    let lab = lab();
    aged(&lab, ASKING);
    let steps = Steps::new(lab.path("").as_path());
    let env = [steps.env()];
    let (coordinator, mut nodes) = everyone(&lab, &env);
    let study = submitted(&lab);
    coordinator.wait_for_line(&["site waits for its steward", ASKING]);
    let path = format!("/v1/studies/{}", study.id());
    // Their time to compute does not wait for a steward, nor does it for their first snapshots.
    let mut answers = lab.get(&path);
    while HOSPITALS.iter().any(|site| *site != ASKING && status(&answers, site)["status"] != "answered") {
        assert_eq!(answers["state"], "open", "{answers:#}");
        answers = lab.get(&format!("{path}?wait_secs=20&seen={}", answers["version"]));
    }
    let since = status(&lab.get(&path), ASKING)["pending_since"].clone();
    assert!(since.is_i64());

    let from = coordinator.lines();
    nodes.remove(0).kill();
    let node = lab.node(ASKING, &env);
    coordinator.wait_for_line_after(from, &["site connected", ASKING]);

    coordinator.kill();
    steps.set(THREE_DAYS);
    let coordinator = lab.coordinator_with(&env);
    let connected = coordinator.wait_for_line(&["site connected", ASKING]);

    // Due since the clock went on: by itself within the minute, or now.
    node.signal(Signal::HUP);
    coordinator.wait_for_line(&["certificate renewed", ASKING]);
    coordinator.wait_for_line_after(connected, &["site connected", ASKING]);

    let open = lab.get(&path);
    assert_eq!((&open["state"], &status(&open, ASKING)["status"]), (&"open".into(), &"pending".into()), "{open:#}");
    assert_eq!(status(&open, ASKING)["pending_since"], since, "{open:#}");
    assert_eq!(records(&lab, "pending"), 1);
    said(&lab, &["studies", "approve", &study.id().to_string()]);
    coordinator.wait_for_line(&["published"]);
    let result = lab.get(&format!("{path}/result"));
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    let (code, said) = lab.verify_ledger(ASKING);
    assert_eq!(code, Some(0), "{said}");
}

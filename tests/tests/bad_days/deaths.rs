//! Sudden ends (SIGKILL) at named moments and at random ones.

use bocage_coordinator::server;
use bocage_node::cli::Moment;
use bocage_tests::crash::{Armed, Whom};
use bocage_tests::days::Network;
use bocage_tests::deaths::{ROUNDS, random_deaths};
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::scale;

use super::EXE;

#[test]
fn a_node_of_which_a_process_dies_at_any_moment_of_a_round_answers_after_it_with_one_release() {
    let folder = tempfile::tempdir().expect("a folder");
    for (moment, whom) in Moment::ALL.into_iter().flat_map(|moment| Whom::ALL.map(|whom| (moment, whom))) {
        let armed = Armed::new(folder.path(), moment.name(), whom);
        let mut network = Network::start_with(EXE, &[armed.env()], &[]);
        let signed = network.submit("5m");
        if whom == Whom::Supervisor {
            network.first_node_dies();
        }
        let result = network.published(signed.id());
        assert!(armed.went_off(), "nobody came to {moment:?}");
        for site in HOSPITALS {
            assert_eq!(status(&result, site)["status"], "answered", "{moment:?}, {whom:?}: {result:#}");
        }
        network.repeats_are_the_same(&[signed]);
    }
}

#[test]
fn a_coordinator_that_dies_at_any_moment_of_a_study_publishes_it_once_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for moment in server::Moment::OF_A_STUDY {
        let armed = Armed::new(folder.path(), moment.name(), Whom::Itself);
        let mut network = Network::start(EXE, &[armed.env()]);
        let signed = sign(&network.lab);
        // The coordinator may die before it has answered this.
        let _ = network.lab.try_post(&signed);
        network.coordinator_dies();
        assert!(armed.went_off(), "nobody came to {moment:?}");
        let result = network.published(signed.id());
        for site in HOSPITALS {
            assert_eq!(status(&result, site)["status"], "answered", "{moment:?}: {result:#}");
        }
        assert_eq!(network.published(signed.id()), result);
        network.repeats_are_the_same(&[signed]);
    }
}

#[test]
fn a_coordinator_that_dies_in_the_middle_of_a_change_has_it_in_its_audit_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for moment in server::Moment::OF_A_CHANGE {
        let armed = Armed::new(folder.path(), moment.name(), Whom::Itself);
        let lab = Lab::new(EXE);
        let mut coordinator = lab.coordinator_with(&[armed.env()]);
        let network = |args: &[&str]| {
            let profile = lab.path("net/operator/profile.toml");
            let said = lab.run(&[&["network"], args, &["--profile", profile.to_str().expect("UTF-8")]].concat());
            (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
        };
        assert!(!network(&["revoke", HOSPITALS[0]]).0, "{moment:?}: who was told of it?");
        coordinator.wait();
        assert!(armed.went_off(), "nobody came to {moment:?}");
        let _coordinator = lab.coordinator();
        let (_, revoked) = network(&["revoked"]);
        assert_eq!(revoked.contains(HOSPITALS[0]), moment == server::Moment::Changed, "{moment:?}: {revoked}");
        let config = lab.path("net/coordinator/coordinator.toml");
        let audit = lab.run(&["coordinator", "audit", "list", "--config", config.to_str().expect("UTF-8")]);
        let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
        let entry = audit.lines().find(|line| line.contains("revocation")).unwrap_or_else(|| panic!("{audit}"));
        assert!(entry.contains(HOSPITALS[0]) && entry.contains("cut short"), "{entry}");
    }
}

fn sign(lab: &Lab) -> bocage_protocol::trust::SignedStudy {
    let study = lab.bound_study(&bocage_tests::days::study("5m"));
    bocage_protocol::trust::SignedStudy::sign(&study, &lab.researcher()).expect("a signature")
}

#[test]
fn deaths_at_random_moments_lose_no_study_and_change_no_release() {
    let rounds = ROUNDS * u64::from(scale());
    let toll = random_deaths(EXE, rounds, 3);
    println!("{toll:?}");
    assert_eq!(toll.deaths(), rounds, "{toll:?}");
    assert!(toll.of.len() == 4, "{toll:?}");
    assert!(toll.mid_round * 2 > rounds, "too few deaths in the middle of a round: {toll:?}");
}

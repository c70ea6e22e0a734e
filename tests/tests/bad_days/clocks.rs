//! Clocks that are set forward and back, between studies and while one runs.

use bocage_tests::clock::{GRACE, Steps};
use bocage_tests::days::{Network, question};
use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, status};

use super::EXE;

#[test]
fn studies_end_while_the_clock_of_all_is_set_forward_and_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let steps = Steps::new(folder.path());
    let network = Network::start(EXE, &[steps.env()]);
    let mut studies = Vec::new();
    // The researcher's own clock is right: within the tolerance of 300 s a study is neither from the future nor expired.
    for (number, secs) in [0, 200, -200, 250, -250, 0].into_iter().enumerate() {
        steps.set(secs);
        let signed = network.submit_text(&question(number as u64, "10m"));
        let result = network.published(signed.id());
        for site in HOSPITALS {
            assert_eq!(status(&result, site)["status"], "answered", "{secs} s: {result:#}");
        }
        studies.push(signed);
    }
    network.repeats_are_the_same(&studies);
}

#[test]
fn a_study_is_answered_by_all_although_the_clock_passes_its_deadline_while_a_hospital_computes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (steps, hold) = (Steps::new(folder.path()), Hold::new(folder.path()));
    let mut network = Network::start_with(EXE, &[steps.env(), hold.env()], &[steps.env()]);
    let signed = network.submit("10m");
    let first = hold.next();
    steps.set(1000);
    drop(first);
    let second = hold.next();
    // Now it is a coordinator that has just come back, and waits for its sites until they are there.
    steps.set(2000);
    let long = (GRACE.to_owned(), "600".to_owned());
    network.coordinator_again(&[steps.env(), long]);
    drop(second);
    let result = network.published(signed.id());
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    network.repeats_are_the_same(&[signed]);
}

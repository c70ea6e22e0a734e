//! Clocks that are set forward and back while studies run.

use bocage_tests::clock::Steps;
use bocage_tests::days::{Network, question};
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

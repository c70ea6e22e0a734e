//! The same as real processes, by the operator's commands: what `bocage-soak` does for thousands of rounds.

use bocage_tests::years::years;

const EXE: &str = env!("CARGO_BIN_EXE_bocage-lab");

#[test]
fn a_network_answers_every_round_while_certificates_renew_and_intermediate_and_root_are_exchanged() {
    let years = years(EXE, 200);
    println!("{years}");
    assert_eq!(years.failed, 0, "{years}");
    // By their time, under another intermediate, under another root: three of each of four sites.
    assert!(years.rounds >= 200 && years.renewed >= 12, "{years}");
}

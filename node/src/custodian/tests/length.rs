//! How long the frame of a release is: a matter of its plans, whatever rows there are.

use super::answer::Length;
use super::*;

/// The frame for the site's study over `count` rows, and for the same round once more.
fn frame(count: usize, length: Length) -> Vec<u8> {
    let site = Site::new();
    let rows: String = (0..count).map(|i| format!("{},{},{}\n", 30 + i % 60, i % 2, 180 + 7 * i % 400)).collect();
    std::fs::write(site.path("heart.csv"), format!("age,sex,chol\n{rows}")).unwrap();
    let custodian = ready(&site);
    let request = site.request(&site.study());
    let first = custodian.round_of(&request, length);
    assert_eq!(custodian.round_of(&request, length), first, "a repeat");
    first
}

#[test]
fn a_frame_that_is_filled_up_is_as_long_over_three_rows_as_over_a_hundred_thousand() {
    let filled = [3, 60, 1_000, 100_000].map(|count| frame(count, Length::OfPlans));
    assert!(filled.iter().all(|frame| frame.len() == filled[0].len()));
    let own = [3, 60, 1_000, 100_000].map(|count| frame(count, Length::Own).len());
    assert!(own.is_sorted_by(|a, b| a < b) && own[3] < filled[0].len(), "{own:?}");
    for frame in filled {
        let Reply::Released(signed) = codec::decode_filled(&frame, limits::FRAME_BYTES).unwrap() else { panic!() };
        assert!(signed.is_named());
    }
}

//! No few patients show in what is settled, whatever was asked before.

use bocage_protocol::limits;
use bocage_protocol::plan::Centroids;
use proptest::prelude::*;

use super::patients::{Partition, Patients, Start};
use super::settle::Answered;
use super::{at_centroids, replayed};
use crate::custodian::engine::model::at_risk::Times;
use crate::custodian::engine::model::design::Cases;

const K: u32 = 3;

fn cases(values: &[f64]) -> Vec<Cases> {
    let times = Times::default();
    vec![Cases { rows: values.len(), x: values.to_vec(), y: vec![], offset: vec![], weight: vec![], times, fold: 0 }]
}

fn start(at: &[f64]) -> Start {
    let steps: Vec<Vec<i32>> = at.iter().map(|z| vec![Centroids::step(*z)]).collect();
    Start::new(&steps, &[1.0])
}

fn settled(answered: &mut Answered, values: &[f64], at: &[f64]) -> Option<Partition> {
    let parts = cases(values);
    let patients = Patients::of(&parts, 1);
    let start = start(at);
    let nearest = Partition::of(patients.nearest(&start), at.len());
    answered.answer(&patients, start, &nearest, K).1
}

/// Forty points from −1 to 0.95.
fn even() -> Vec<f64> {
    (0..40).map(|i| f64::from(i) / 20.0 - 1.0).collect()
}

#[test]
fn a_patient_far_from_all_is_with_the_next_cluster() {
    let mut values: Vec<f64> = even().iter().map(|z| z / 4.0).collect();
    values.push(1.0);
    let found = settled(&mut Answered::default(), &values, &[0.0, 1.0]).unwrap();
    assert_eq!(found.sizes, [41, 0]);
}

#[test]
fn a_cluster_whose_points_are_all_one_is_with_the_next() {
    let values: Vec<f64> = even().into_iter().map(|z| z / 4.0 - 0.5).chain([0.9; 12]).collect();
    let found = settled(&mut Answered::default(), &values, &[-0.5, 0.9]).unwrap();
    assert_eq!(found.sizes, [52, 0]);
}

#[test]
fn a_centroid_that_moves_past_two_patients_changes_nothing_and_past_three_it_does() {
    let mut answered = Answered::default();
    let values = even();
    let before = settled(&mut answered, &values, &[-0.5, 0.45]).unwrap();
    assert_eq!(before.sizes, [20, 20]);
    for moved in [0.5, 0.55, 0.6, 0.64] {
        let now = settled(&mut answered, &values, &[-0.5, moved]).unwrap();
        assert_eq!(now, before, "{moved}");
    }
    let now = settled(&mut answered, &values, &[-0.5, 0.99]).unwrap();
    assert_eq!(now.sizes, [25, 15]);
}

#[test]
fn a_cluster_that_is_nearly_an_earlier_one_is_that_one_though_others_have_changed() {
    let mut answered = Answered::default();
    let values: Vec<f64> = (0..60).map(|i| f64::from(i) / 30.0 - 1.0).collect();
    let before = settled(&mut answered, &values, &[-0.9, -0.3, 0.5]).unwrap();
    // The first would win one patient; the other two change by many.
    let now = settled(&mut answered, &values, &[-0.87, -0.3, 0.9]).unwrap();
    let members = |of: &Partition, cluster: u8| of.of.iter().map(|c| *c == cluster).collect::<Vec<bool>>();
    assert_eq!(members(&now, 0), members(&before, 0));
    assert!(now.sizes[1].abs_diff(before.sizes[1]) >= u64::from(K));
}

#[test]
fn what_is_asked_again_under_other_names_is_the_same() {
    let mut answered = Answered::default();
    let before = settled(&mut answered, &even(), &[-0.5, 0.5]).unwrap();
    let again = settled(&mut answered, &even(), &[0.5, -0.5]).unwrap();
    let other: Vec<u8> = before.of.iter().map(|cluster| 1 - cluster).collect();
    assert_eq!(again.of, other);
}

#[test]
fn as_many_starts_as_there_is_room_for_are_answered_and_what_is_recalled_is_as_many() {
    let parts = cases(&even());
    let patients = Patients::of(&parts, 1);
    let at = |i: usize| vec![vec![-1000], vec![i as i32]];
    let round = |starts: Vec<Vec<Vec<i32>>>| Centroids { weights: vec![1.0], starts };
    let mut answered = Answered::default();
    for first in (0..limits::CLUSTER_ANSWERS).step_by(20) {
        let found = at_centroids(&patients, &round((first..first + 20).map(at).collect()), K, &mut answered);
        assert!(!found.spent && found.settled.len() == 20);
    }
    assert!(answered.memory() > 0);
    let one = round(vec![at(0)]);
    let more = at_centroids(&patients, &one, K, &mut answered);
    assert!(more.spent && more.settled.is_empty() && more.nearest.is_empty());
    let twice = vec![one.clone(); limits::CLUSTER_ANSWERS + 7];
    assert!(at_centroids(&patients, &one, K, &mut replayed(&patients, &twice[1..], K)).spent);
    assert!(!at_centroids(&patients, &one, K, &mut replayed(&patients, &twice[8..], K)).spent);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_cluster_of_any_answer_is_few_or_differs_from_any_other_by_few(
        values in prop::collection::vec(-1.0f64..1.0, 10..80),
        asked in prop::collection::vec(prop::collection::vec(-1.0f64..1.0, 1..5), 1..12),
    ) {
        let (mut answered, mut forgetful) = (Answered::default(), Answered::default());
        let few = |n: usize| (1..K as usize).contains(&n);
        let mut clusters: Vec<Vec<bool>> = Vec::new();
        for at in &asked {
            let found = settled(&mut answered, &values, at);
            prop_assert_eq!(&found, &settled(&mut forgetful, &values, at), "whether memberships are kept shows");
            forgetful.forget_memberships();
            let Some(found) = found else { continue };
            prop_assert_eq!(found.sizes.iter().sum::<u64>() as usize, values.len());
            for cluster in 0..at.len() {
                let members: Vec<bool> = found.of.iter().map(|of| usize::from(*of) == cluster).collect();
                let size = members.iter().filter(|is| **is).count();
                prop_assert_eq!(size as u64, found.sizes[cluster]);
                prop_assert!(!few(size), "{} of {:?}", size, at);
                if size == 0 {
                    continue;
                }
                for earlier in &clusters {
                    let differ = members.iter().zip(earlier).filter(|(now, before)| now != before).count();
                    prop_assert!(!few(differ), "{} between two clusters", differ);
                }
                clusters.push(members);
            }
        }
    }
}

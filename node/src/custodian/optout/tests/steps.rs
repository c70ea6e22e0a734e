//! The sets that answers are given from: whatever the list does, two of them are the same or k patients apart.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::sets::{self, Set, Settling};
use super::super::{IdForm, SubjectIds, Token};
use bocage_protocol::trust::SecretKey;

const K: usize = 5;
const PATIENTS: u32 = 400;

fn form(seed: u8) -> IdForm {
    struct Fixed(u8);
    impl bocage_protocol::env::Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }
    IdForm::of(None, &SecretKey::generate(&mut Fixed(seed))).unwrap()
}

fn patients() -> Vec<Token> {
    let form = form(1);
    (0..PATIENTS).map(|i| form.of_subject(&format!("p{i}"))).collect()
}

proptest! {
    #[test]
    fn any_two_sets_that_were_answered_from_are_the_same_or_k_patients_apart(
        lists in proptest::collection::vec(proptest::collection::btree_set(0..40usize, 0..30), 1..8),
        start in any::<bool>(),
    ) {
        let (all, form) = (patients(), form(1));
        let mut used: Vec<Set> = if start { vec![Set::new()] } else { vec![] };
        for (step, list) in lists.iter().enumerate() {
            let out: Set = list.iter().map(|i| all[*i]).collect();
            let seed = bocage_protocol::ids::Digest::of("step", &[&[step as u8]]);
            let mut turns = 0..;
            let draw = || Some(all[form.draw(&seed, turns.next()?, PATIENTS) as usize]);
            let set = sets::choose(&out, &used, K, draw).unwrap();
            prop_assert!(out.is_subset(&set), "an opt-out never waits");
            prop_assert!(set.len() <= out.len() + 2 * K, "few others go with them");
            for before in &used {
                let apart = sets::distance(before, &set);
                prop_assert!(apart == 0 || apart >= K, "{apart}");
            }
            used.push(set);
        }
    }
}

#[test]
fn without_anybody_to_draw_there_is_no_set() {
    let all = patients();
    let out: Set = all[..1].iter().copied().collect();
    let few = sets::choose(&out, &[Set::new()], K, || Some(all[0]).filter(|_| false));
    assert_eq!(few, Err(Settling));
    assert_eq!(sets::choose(&out, &[], K, || None), Ok(out), "nothing was answered before");
}

#[test]
fn who_is_drawn_depends_on_the_sites_key_and_the_step() {
    let seed = |n: u8| bocage_protocol::ids::Digest::of("step", &[&[n]]);
    let drawn = |key: u8, step: u8| (0..20).map(|turn| form(key).draw(&seed(step), turn, 1000)).collect::<Vec<_>>();
    assert_eq!(drawn(1, 1), drawn(1, 1));
    assert_ne!(drawn(1, 1), drawn(2, 1));
    assert_ne!(drawn(1, 1), drawn(1, 2));
    assert_eq!(drawn(1, 1).into_iter().collect::<BTreeSet<_>>().len(), 20);
}

#[test]
fn tokens_are_read_as_they_were_written_and_nothing_else_is() {
    let ids = SubjectIds { tokens: patients(), flagged: [0, 7].into() };
    let bytes = ids.to_bytes();
    assert_eq!(SubjectIds::from_bytes(&bytes), Some(ids));
    for end in [0, 15, 20, bytes.len() - 1] {
        assert_eq!(SubjectIds::from_bytes(&bytes[..end]), None);
    }
    assert_ne!(form(1).of_subject("p1"), form(2).of_subject("p1"));
}

#[test]
fn a_whole_number_names_the_same_patient_however_it_is_written() {
    let contract = |kind: &str| {
        let text = format!(
            "id = \"persons@1\"\nsubject = \"patient\"\n[[column]]\nname = \"patient\"\n{kind}\n[[column]]\nname = \"age\"\ntype = \"int\"\nrange = [0, 120]"
        );
        bocage_protocol::contract::parse(&text, "a.toml").unwrap()
    };
    let (number, text) = (contract("type = \"int\"\nrange = [0, 1000]"), contract("type = \"text\""));
    let form = form(1);
    for listed in ["7", "007", "+7", "7.0"] {
        assert_eq!(form.of_listed(listed, &number), Some(form.of_subject("7")));
    }
    assert_eq!(form.of_listed("p7", &number), None);
    assert_eq!(form.of_listed("007", &text), Some(form.of_subject("007")));
}

//! The sets that answers are given from: whatever the list does, nobody who opted out can be told from k others.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::sets::{self, Purposes, Rule, Set, Settling};
use super::super::{IdForm, SubjectIds, Token};
use bocage_protocol::ids::Digest;
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

/// A site that is asked again and again: its groups, and what it answered without.
struct Answers {
    all: Vec<Token>,
    groups: Vec<(Set, usize)>,
    sets: Vec<Set>,
}

impl Answers {
    fn new() -> Self {
        Self { all: patients(), groups: Vec::new(), sets: Vec::new() }
    }

    /// Answers for a purpose (a bit), when these patients have opted out of these purposes.
    fn ask(&mut self, list: &BTreeMap<Token, Purposes>, purpose: Purposes) -> Result<Set, Settling> {
        let out: Set = list.iter().filter(|(_, of)| *of & purpose != 0).map(|(token, _)| *token).collect();
        let grouped: Set = self.groups.iter().flat_map(|(set, _)| set).copied().collect();
        let new: BTreeMap<Token, Purposes> =
            list.iter().filter(|(token, _)| !grouped.contains(*token)).map(|(token, of)| (*token, *of)).collect();
        if out.iter().any(|token| new.contains_key(token)) {
            let (form, seed) = (form(1), Digest::of("step", &[&[self.groups.len() as u8]]));
            let mut turns = 0..64 * u64::from(PATIENTS);
            let mut draws = std::iter::from_fn(|| Some(self.all[form.draw(&seed, turns.next()?, PATIENTS) as usize]))
                .filter(|token| !grouped.contains(token) && !list.contains_key(token));
            let drawn: usize = self.groups.iter().map(|(_, drawn)| drawn).sum();
            let room = sets::most_drawn(self.all.len(), K) - drawn;
            let rule = Rule { k: K, room, first: self.sets.is_empty() };
            self.groups.extend(sets::gather(&new, rule, || draws.next())?);
        }
        let set = sets::left_out(self.groups.iter().map(|(set, _)| set), &out, |_| true, K);
        self.sets.push(set.clone());
        Ok(set)
    }
}

type Lists = Vec<(BTreeMap<usize, Purposes>, bool)>;

fn chains() -> impl Strategy<Value = Lists> {
    let list = proptest::collection::btree_map(0..60usize, 1..4u32, 0..30);
    proptest::collection::vec((list, any::<bool>()), 1..12)
}

proptest! {
    #[test]
    fn no_answers_tell_an_opted_out_patient_from_k_others(lists in chains()) {
        let mut site = Answers::new();
        site.ask(&BTreeMap::new(), 1).unwrap();
        let mut real = Set::new();
        for (list, which) in lists {
            let list: BTreeMap<Token, Purposes> = list.into_iter().map(|(i, of)| (site.all[i], of)).collect();
            let purpose = 1 + u32::from(which);
            let Ok(set) = site.ask(&list, purpose) else { continue };
            real.extend(list.keys().copied());
            let out: Set = list.iter().filter(|(_, of)| **of & purpose != 0).map(|(token, _)| *token).collect();
            prop_assert!(out.is_subset(&set), "an opt-out never waits where it is answered");
        }
        // Whatever is computed from the answers is about patients who are in and out of the same ones.
        let alike = |token: &Token| site.sets.iter().map(|set| set.contains(token)).collect::<Vec<bool>>();
        let mut classes: BTreeMap<Vec<bool>, Set> = BTreeMap::new();
        for token in &site.all {
            classes.entry(alike(token)).or_default().insert(*token);
        }
        for class in classes.values() {
            prop_assert!(class.len() >= K, "{}", class.len());
        }
        for (group, drawn) in &site.groups {
            let always = group.iter().map(alike).reduce(|a, b| if a == b { a } else { vec![] }).unwrap();
            prop_assert!(!always.is_empty(), "a group is out as a whole, for ever");
            prop_assert!(*drawn >= K || group.iter().filter(|token| real.contains(*token)).count() >= K);
        }
        let drawn: usize = site.groups.iter().map(|(_, drawn)| drawn).sum();
        prop_assert!(drawn <= sets::most_drawn(site.all.len(), K));
    }
}

/// The same list for all purposes.
fn list(tokens: &[Token]) -> BTreeMap<Token, Purposes> {
    tokens.iter().map(|token| (*token, 1)).collect()
}

#[test]
fn whoever_is_out_of_every_answer_since_an_opt_out_is_one_of_k_and_more() {
    let mut site = Answers::new();
    let all = site.all.clone();
    site.ask(&BTreeMap::new(), 1).unwrap();
    let mut suspects = site.ask(&list(&all[3..4]), 1).unwrap();
    for n in 0..6 {
        let later = site.ask(&list(&[&all[3..4], &all[20..=20 + n]].concat()), 1).unwrap();
        suspects = suspects.intersection(&later).copied().collect();
    }
    assert_eq!(suspects.len(), K + 1, "the first day's group, whole");
}

#[test]
fn no_more_than_a_bounded_part_of_the_patients_is_drawn_and_k_opt_outs_together_need_none() {
    let mut site = Answers::new();
    let all = site.all.clone();
    site.ask(&BTreeMap::new(), 1).unwrap();
    let mut out = Vec::new();
    let next = |site: &Answers| {
        let taken: Set = site.groups.iter().flat_map(|(set, _)| set).copied().collect();
        all.iter().filter(|token| !taken.contains(*token)).copied().collect::<Vec<_>>()
    };
    for _ in 0..10 {
        out.push(next(&site)[0]);
        site.ask(&list(&out), 1).unwrap();
    }
    let free = next(&site);
    out.push(free[0]);
    assert_eq!(site.ask(&list(&out), 1), Err(Settling), "ten times k are drawn");
    out.extend(&free[1..K]);
    assert!(site.ask(&list(&out), 1).is_ok(), "k together");
    // Where they opted out of different purposes as well.
    let free = next(&site);
    let mut mixed = list(&out);
    mixed.extend(free[..K].iter().map(|token| (*token, 2)));
    mixed.insert(free[K], 1);
    assert!(site.ask(&mixed, 1).unwrap().contains(&free[K]));
    assert_eq!(site.groups.last().unwrap().0.len(), K + 1);
}

#[test]
fn a_group_of_whom_few_are_left_in_a_snapshot_never_comes_back_there() {
    let all = patients();
    let group: Set = all[..K + 1].iter().copied().collect();
    let gone = |count: usize| sets::left_out([&group], &Set::new(), |token| !all[..count].contains(token), K);
    assert_eq!(gone(1), Set::new());
    assert_eq!(gone(2).len(), K - 1);
}

#[test]
fn without_anybody_to_draw_there_is_no_group() {
    let one = list(&patients()[..1]);
    let rule = |first| Rule { k: K, room: 50, first };
    assert_eq!(sets::gather(&one, rule(false), || None), Err(Settling));
    assert_eq!(sets::gather(&one, rule(true), || None).unwrap()[0].1, 0, "nothing was answered before");
}

#[test]
fn letters_with_marks_are_one_id_however_they_are_composed() {
    assert_eq!(form(1).of_subject("Ren\u{e9}"), form(1).of_subject("Rene\u{301}"));
}

#[test]
fn who_is_drawn_depends_on_the_sites_key_and_the_step() {
    let seed = |n: u8| Digest::of("step", &[&[n]]);
    let drawn = |key: u8, step: u8| (0..20).map(|turn| form(key).draw(&seed(step), turn, 1000)).collect::<Vec<_>>();
    assert_eq!(drawn(1, 1), drawn(1, 1));
    assert_ne!(drawn(1, 1), drawn(2, 1));
    assert_ne!(drawn(1, 1), drawn(1, 2));
    assert_eq!(drawn(1, 1).into_iter().collect::<BTreeSet<_>>().len(), 20);
}

#[test]
fn tokens_are_read_as_they_were_written_and_nothing_else_is() {
    let ids = SubjectIds { tokens: patients(), flagged: [0, 7].into(), strangers: patients()[2..4].to_vec() };
    let mut bytes = SubjectIds::header(ids.tokens.len() as u32, ids.flagged.len() as u32, ids.strangers.len() as u32);
    ids.tokens.iter().for_each(|token| bytes.extend(token.to_bytes()));
    ids.flagged.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
    // An earlier version wrote no strangers, and did not count them.
    let earlier = [b"bocage subjects\n".as_slice(), &bytes[16..24], &bytes[28..]].concat();
    let without = SubjectIds { strangers: Vec::new(), ..ids.clone() };
    assert_eq!(SubjectIds::from_bytes(&earlier), Some(without));
    ids.strangers.iter().for_each(|token| bytes.extend(token.to_bytes()));
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

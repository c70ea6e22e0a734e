//! Discovered keys against every small set of cells: what leaves, and what an attacker who knows the rules can tell from it.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::contract::{Contract, parse};
use bocage_protocol::plan::{Discovered, Expr, Plan, Statistic, Table, ValidPlan};
use bocage_protocol::release::{CellRelease, DiscoveredRelease, Outcome};
use bocage_protocol::tally::{Cell, Size, Tally};
use bocage_protocol::wire::codec;

use super::super::{
    Computed, Controls, Counted, CountedKeys, GatePolicy, Mode, Moved, MovedPart, Private, Withheld, release,
    release_under,
};

const K: u32 = 3;
const LARGEST: i128 = 5;
/// Two keys of two cells each.
const NAMES: [&str; 2] = ["asthma", "gout"];
type Truth = [[i128; 2]; 2];
/// What leaves of each key: its cells.
type Seen = BTreeMap<String, Vec<Option<u64>>>;

fn contract(subject: &str) -> Contract {
    let text = format!(
        "id = \"demo@1\"\nsubject = \"{subject}\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
         [[column]]\nname = \"note\"\ntype = \"text\"\n\
         [[column]]\nname = \"ill\"\ntype = \"bool\"\nrequired = true\n"
    );
    parse(&text, "demo.toml").unwrap()
}

fn plan(contract: &Contract) -> ValidPlan {
    let query = contract.rows(None);
    let table = Table { by: vec![Expr::Column("ill".parse().unwrap())], measures: vec![], roll_up: false };
    let discovered = Discovered { key: "note".parse().unwrap(), table };
    ValidPlan::check(Plan { query, statistic: Statistic::Discovered(discovered) }, contract).unwrap()
}

fn counted(cells: &[i128], plan: &ValidPlan) -> Counted {
    let size = |n: i128| Size { subjects: n, rows: n };
    let of = cells.iter().map(|n| Cell { size: size(*n), measures: vec![] }).collect();
    Counted::wide(Tally { total: size(cells.iter().sum()), cells: of }, plan.layout(), K)
}

fn found(keys: &[(Option<&str>, &[i128])], plan: &ValidPlan) -> CountedKeys {
    let keys = keys.iter().map(|(name, cells)| (name.map(str::to_owned), counted(cells, plan))).collect();
    CountedKeys { keys, beyond: None }
}

/// What leaves where these have moved since an earlier answer.
fn out_moved(keys: CountedKeys, moved: CountedKeys, plan: &ValidPlan, contract: &Contract) -> DiscoveredRelease {
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    let (of, moved) = (
        Private::keys(keys),
        Private::new(Moved(vec![MovedPart {
            inside: false,
            twin: None,
            stays: false,
            counted: Computed::Keys(moved),
        }])),
    );
    match release_under(Controls::default(), of, moved, plan, contract, &policy).unwrap().outcome() {
        Outcome::Discovered(found) => found.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_named_by_the_cells_in_which_nobody_or_k_have_moved() {
    let contract = contract("row");
    let plan = plan(&contract);
    let all: [(Option<&str>, &[i128]); 3] = [(None, &[9, 9]), (Some("asthma"), &[9, 0]), (Some("gout"), &[9, 9])];
    let names = |release: &DiscoveredRelease| release.keys.iter().map(|key| key.key.clone()).collect::<Vec<_>>();
    let moved = found(&[(Some("asthma"), &[1, 0]), (Some("gout"), &[2, 3])], &plan);
    let release = out_moved(found(&all, &plan), moved, &plan, &contract);
    assert_eq!(names(&release), [None, Some("gout".to_owned())], "all that asthma has is held back");
    assert_eq!((release.keys[1].cells[0].is_shown(), release.keys[1].cells[1].is_shown()), (false, true));
    assert!(release.held_back && release.most_hidden().is_none());
    let other = out_moved(found(&all, &plan), found(&[(Some("other"), &[1, 1])], &plan), &plan, &contract);
    assert_eq!((other.keys.len(), other.held_back), (3, true), "one that has few by now was perhaps named before");
    let none = out_moved(found(&all, &plan), found(&[(Some("other"), &[3, 0])], &plan), &plan, &contract);
    assert_eq!((none.keys.len(), none.held_back), (3, false));
    // There was no room for all keys of those who have moved.
    let moved = CountedKeys { beyond: Some(1), ..found(&[(Some("gout"), &[3, 3])], &plan) };
    let some = out_moved(found(&all, &plan), moved, &plan, &contract);
    assert_eq!((names(&some), some.held_back), (vec![Some("gout".to_owned())], true));
}

fn out(keys: CountedKeys, plan: &ValidPlan, contract: &Contract) -> Result<DiscoveredRelease, Withheld> {
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    release(Private::keys(keys), plan, contract, &policy).map(|released| match released.outcome() {
        Outcome::Discovered(found) => found.clone(),
        other => panic!("{other:?}"),
    })
}

/// What leaves of a truth; the engine hands on the keys with K subjects or more.
fn observed(truth: &Truth, plan: &ValidPlan, contract: &Contract) -> Seen {
    let frequent = |cells: &&[i128; 2]| cells.iter().sum::<i128>() >= i128::from(K);
    let keys = NAMES.iter().zip(truth).filter(|(_, cells)| frequent(cells));
    let keys: Vec<(Option<&str>, &[i128])> = keys.map(|(name, cells)| (Some(*name), &cells[..])).collect();
    let release = out(found(&keys, plan), plan, contract).unwrap();
    let shown = |cell: &CellRelease| match cell {
        CellRelease::FewerThanK => None,
        CellRelease::Shown { count, .. } => Some(count.subjects),
    };
    release.keys.into_iter().map(|key| (key.key.unwrap(), key.cells.iter().map(shown).collect())).collect()
}

/// For each number, by key and cell, the values that it can have.
type Values = BTreeMap<(usize, usize), BTreeSet<i128>>;

/// The fewest values that a number which did not leave can have, over everything that an attacker may see.
fn weakest<S: Ord>(see: impl Fn(&Truth) -> (S, Seen)) -> usize {
    let base = LARGEST + 1;
    let mut candidates: BTreeMap<S, (Seen, Values)> = BTreeMap::new();
    for n in 0..base.pow(4) {
        let truth = [[n % base, n / base % base], [n / base.pow(2) % base, n / base.pow(3)]];
        let (sight, seen) = see(&truth);
        let entry = candidates.entry(sight).or_insert_with(|| (seen, BTreeMap::new()));
        for (key, cells) in truth.iter().enumerate() {
            for (at, value) in cells.iter().enumerate() {
                entry.1.entry((key, at)).or_default().insert(*value);
            }
        }
    }
    let hidden = |(seen, values): (Seen, Values)| {
        let is_hidden = |key: usize, at: usize| seen.get(NAMES[key]).is_none_or(|cells| cells[at].is_none());
        values.into_iter().filter(|((key, at), _)| is_hidden(*key, *at)).map(|(_, values)| values.len()).min()
    };
    candidates.into_values().filter_map(hidden).min().unwrap()
}

#[test]
fn every_number_that_does_not_leave_keeps_k_possible_values() {
    let contract = contract("row");
    let plan = plan(&contract);
    let weakest = weakest(|truth| {
        let seen = observed(truth, &plan, &contract);
        (seen.clone(), seen)
    });
    assert_eq!(weakest, K as usize);
}

#[test]
fn the_attack_succeeds_against_a_gate_that_names_a_key_by_its_size_alone() {
    let contract = contract("row");
    let plan = plan(&contract);
    let careless = |truth: &Truth| {
        let mut seen = observed(truth, &plan, &contract);
        for (name, cells) in NAMES.iter().zip(truth).filter(|(_, cells)| cells.iter().sum::<i128>() >= i128::from(K)) {
            seen.entry((*name).to_owned()).or_insert_with(|| vec![None; cells.len()]);
        }
        (seen.clone(), seen)
    };
    assert!(weakest(careless) < K as usize);
}

#[test]
fn the_attack_succeeds_against_a_gate_that_shows_the_total_of_all_keys() {
    let contract = contract("row");
    let plan = plan(&contract);
    let careless = |truth: &Truth| {
        let seen = observed(truth, &plan, &contract);
        ((truth.iter().flatten().sum::<i128>(), seen.clone()), seen)
    };
    assert_eq!(weakest(careless), 1);
}

#[test]
fn the_attack_succeeds_against_a_gate_that_shows_a_keys_own_total() {
    let contract = contract("row");
    let plan = plan(&contract);
    let careless = |truth: &Truth| {
        let seen = observed(truth, &plan, &contract);
        let total = |(name, cells): (&&str, &[i128; 2])| seen.contains_key(*name).then(|| cells.iter().sum::<i128>());
        (((NAMES.iter().zip(truth).map(total).collect::<Vec<_>>()), seen.clone()), seen)
    };
    assert_eq!(weakest(careless), 1);
}

#[test]
fn a_rare_text_and_one_that_may_not_be_said_are_not_in_the_bytes_that_leave() {
    let contract = contract("row");
    let plan = plan(&contract);
    let long = "a letter about Anna Meyer ".repeat(10);
    let keys: [(Option<&str>, &[i128]); 6] = [
        (None, &[2, 3]),
        (Some(&long), &[40, 40]),
        (Some("Anna\nMeyer"), &[40, 40]),
        (Some("Anna Meyer"), &[2, 2]),
        (Some("asthma"), &[K.into(), 0]),
        (Some("gout"), &[0, 0]),
    ];
    let release = out(found(&keys, &plan), &plan, &contract).unwrap();
    let names: Vec<Option<&str>> = release.keys.iter().map(|key| key.key.as_deref()).collect();
    assert_eq!(names, [None, Some("asthma")]);
    let bytes = codec::encode(&release).unwrap();
    let has = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(has("asthma") && !has("Anna") && !has("gout"));
    // A gate that lets out what it was handed has them in its bytes.
    let careless = keys.iter().map(|(name, _)| name.map(str::to_owned)).collect::<Vec<_>>();
    let bytes = codec::encode(&careless).unwrap();
    assert!(bytes.windows(4).any(|w| w == b"Anna"));
}

#[test]
fn what_had_no_room_is_bounded_by_a_power_of_two_that_is_the_size_of_no_key() {
    let contract = contract("row");
    let plan = plan(&contract);
    let beyond = |most: Option<i128>| {
        let keys = CountedKeys { beyond: most, ..found(&[(Some("asthma"), &[5, 5])], &plan) };
        out(keys, &plan, &contract).unwrap().beyond
    };
    assert_eq!([beyond(None), beyond(Some(3)), beyond(Some(5)), beyond(Some(64))], [None, Some(4), Some(8), Some(64)]);
}

#[test]
fn keys_that_contradict_themselves_or_their_plan_are_withheld() {
    let contract = contract("row");
    let plan = plan(&contract);
    let good = || found(&[(Some("asthma"), &[5, 5]), (Some("gout"), &[4, 0])], &plan);
    assert!(out(good(), &plan, &contract).is_ok());
    let mut total = good();
    total.keys[0].1.tally.total.rows += 1;
    let mut shape = good();
    shape.keys[1].1.tally.cells.pop();
    let mut threshold = good();
    threshold.keys[0].1.threshold = 2;
    let mut order = good();
    order.keys.reverse();
    let mut twice = good();
    twice.keys[1].0 = Some("asthma".to_owned());
    let mut negative = good();
    negative.beyond = Some(-1);
    let mut hidden = good();
    hidden.beyond = Some(i128::from(K) - 1);
    for bad in [total, shape, threshold, order, twice, negative, hidden] {
        assert_eq!(out(bad, &plan, &contract), Err(Withheld::Inconsistent));
    }
    let policy = GatePolicy { threshold: K, joint: 3, mode: Mode::Exact };
    let table = Private::table(counted(&[5, 5], &plan));
    assert_eq!(release(table, &plan, &contract, &policy), Err(Withheld::Inconsistent));
}

#[test]
fn subjects_of_several_rows_have_no_total_either() {
    let contract = contract("patient");
    let plan = plan(&contract);
    let mut keys = found(&[(Some("asthma"), &[5, 6])], &plan);
    let tally = &mut keys.keys[0].1.tally;
    // One patient is in both cells.
    tally.total.subjects = 10;
    let release = out(keys, &plan, &contract).unwrap();
    assert_eq!(release.keys[0].cells.iter().filter(|cell| cell.is_shown()).count(), 2);
    let bytes = codec::encode(&release).unwrap();
    assert!(!bytes.contains(&10), "{bytes:?}");
}

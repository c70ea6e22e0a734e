//! Room for fewer keys than there are: which are kept, and what is said of the others, follows from cells that are shown anyway.

use std::collections::BTreeMap;

use bocage_protocol::contract::Contract;
use bocage_protocol::plan::{Discovered, Expr, Plan, Statistic, Table, ValidPlan};
use bocage_protocol::release::{CellRelease, DiscoveredRelease, Outcome};

use super::discovered::WHOLE;
use super::generate::{contract, frame};
use super::{asked, column};
use crate::custodian::engine::interpreter::{self, Row, Value};
use crate::custodian::gate::{CountedKeys, GatePolicy, Mode, Private, release};

/// The threshold.
const LEAST: u32 = 2;
/// Two hidden cells can make up a shown one, and change in which power of two a key's size is.
const LARGEST: usize = 2;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Patients by key, without and with a value for `chol`.
type Truth = [[usize; 2]; NAMES.len()];

fn plan(contract: &Contract) -> ValidPlan {
    let query = contract.rows(None);
    let known = Expr::Not(Box::new(Expr::IsNull(Box::new(column("chol")))));
    let table = Table { by: vec![known], measures: vec![], roll_up: false };
    let discovered = Discovered { key: "note".parse().unwrap(), table };
    ValidPlan::check(Plan { query, statistic: Statistic::Discovered(discovered) }, contract).unwrap()
}

/// Every truth with cells of up to [`LARGEST`] patients.
fn truths() -> impl Iterator<Item = Truth> {
    let base = LARGEST + 1;
    (0..base.pow(6)).map(move |n| {
        let digit = |at: u32| n / base.pow(at) % base;
        [[digit(0), digit(1)], [digit(2), digit(3)], [digit(4), digit(5)]]
    })
}

fn rows(truth: &Truth) -> Vec<Row> {
    let patients = |(name, cells): (&&'static str, &[usize; 2])| {
        let name = *name;
        let cell = move |(at, n): (usize, usize)| {
            let chol = (at == 1).then(|| ("chol".to_owned(), Value::Number(200.0)));
            let note = ("note".to_owned(), Value::Text(name.to_owned()));
            let values: BTreeMap<String, Value> = std::iter::once(note).chain(chol).collect();
            std::iter::repeat_n(values, n)
        };
        (*cells).into_iter().enumerate().flat_map(cell)
    };
    (0..).zip(NAMES.iter().zip(truth).flat_map(patients)).map(|(subject, values)| Row { subject, values }).collect()
}

fn let_out(keys: CountedKeys, plan: &ValidPlan, contract: &Contract) -> DiscoveredRelease {
    let policy = GatePolicy { threshold: LEAST, joint: 3, mode: Mode::Exact };
    match release(Private::keys(keys), plan, contract, &policy).unwrap().outcome() {
        Outcome::Discovered(found) => found.clone(),
        other => panic!("{other:?}"),
    }
}

/// What the threshold shows of a truth: its cells, those of fewer patients as if nobody were in them.
fn shown(truth: &Truth) -> Truth {
    truth.map(|cells| cells.map(|n| if n < LEAST as usize { 0 } else { n }))
}

/// The first two truths with the same shown cells that look different, if there are any.
fn told_apart(mut look: impl FnMut(&Truth) -> DiscoveredRelease) -> Option<(Truth, Truth)> {
    let mut seen: BTreeMap<Truth, (Truth, DiscoveredRelease)> = BTreeMap::new();
    truths().find_map(|truth| {
        let found = look(&truth);
        let (first, before) = seen.entry(shown(&truth)).or_insert_with(|| (truth, found.clone()));
        (*before != found).then_some((*first, truth))
    })
}

#[test]
fn data_that_differ_only_in_hidden_cells_look_the_same_however_few_keys_there_is_room_for() {
    let contract = contract();
    let plan = plan(&contract);
    for most in [1, 2] {
        let (mut full, mut bounded) = (0, 0);
        let told_apart = told_apart(|truth| {
            let frame = frame(&rows(truth), &contract);
            let keys = asked(LEAST, &frame, &plan, &contract).keys(WHOLE, most, LEAST).unwrap();
            let found = let_out(keys, &plan, &contract);
            full += usize::from(found.keys.len() == most);
            bounded += usize::from(found.beyond.is_some());
            assert!(
                found.keys.len() <= most && found.keys.iter().all(|key| key.cells.iter().any(CellRelease::is_shown))
            );
            assert!(found.beyond.is_none() || found.keys.len() == most, "the others were left out for want of room");
            found
        });
        assert_eq!(told_apart, None, "room for {most}");
        assert!(full > bounded && bounded > 100, "{full}, {bounded}");
    }
}

#[test]
fn data_that_differ_only_in_hidden_cells_are_told_apart_where_keys_are_ranked_by_their_size() {
    let contract = contract();
    let plan = plan(&contract);
    for most in [1, 2] {
        let by_size = |truth: &Truth| {
            let rows = rows(truth);
            let mut found = interpreter::keys(&rows, &plan, &contract, LEAST, NAMES.len());
            let size =
                |name: &str| NAMES.iter().zip(truth).find(|(n, _)| **n == name).map_or(0, |(_, c)| c.iter().sum());
            let mut sizes: Vec<(usize, &str)> = NAMES.iter().map(|name| (size(name), *name)).collect();
            sizes.retain(|(size, _)| *size >= LEAST as usize);
            sizes.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
            let left_out = sizes.split_off(most.min(sizes.len()));
            found.keys.retain(|(name, _)| sizes.iter().any(|(_, kept)| name.as_deref() == Some(*kept)));
            found.beyond = left_out.first().map(|(size, _)| *size as i128);
            let_out(found, &plan, &contract)
        };
        assert!(told_apart(by_size).is_some(), "room for {most}");
    }
}

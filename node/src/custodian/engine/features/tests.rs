//! Features against the row-by-row reference, under any partition, and with patients left out of any table.

mod generate;
mod linked;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::ContractId;
use bocage_protocol::plan::{Contracts, Plan, ValidPlan};
use polars::prelude::DataFrame;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use self::generate::{cohorts, people};
use self::reference::{Slip, extended};
use super::{Features, Table, Tables};
use crate::custodian::engine::interpreter::{self, Row, Value};
use crate::custodian::engine::parts::Partition;
use crate::custodian::engine::pass::Pass;
use crate::custodian::engine::tests::generate::frame;
use crate::custodian::engine::tests::{cases, snapshot};
use crate::custodian::engine::{Asked, EngineError};
use crate::custodian::gate::Counted;
use crate::custodian::links::Link;
use crate::custodian::snapshot::{Rows, gaps};

const K: u32 = 1;

/// A table as a snapshot holds it.
struct Held {
    contract: Contract,
    frame: DataFrame,
    gaps: Vec<Range<usize>>,
    /// The patient of each number.
    patients: Vec<u32>,
}

impl Held {
    /// Patients are numbered as they come; those in `out` are left out.
    fn of(contract: &Contract, rows: &[Row], out: &BTreeSet<u32>) -> Self {
        let mut patients: Vec<u32> = Vec::new();
        let mut numbered: Vec<Row> = Vec::new();
        for row in rows {
            let at = patients.iter().position(|patient| *patient == row.subject).unwrap_or(patients.len());
            if at == patients.len() {
                patients.push(row.subject);
            }
            numbered.push(Row { subject: at as u32, values: row.values.clone() });
        }
        numbered.sort_by_key(|row| row.subject);
        let frame = frame(&numbered, contract);
        let out: Vec<u32> = (0..).zip(&patients).filter(|(_, p)| out.contains(p)).map(|(number, _)| number).collect();
        Self { contract: contract.clone(), gaps: gaps(&frame, &out), frame, patients }
    }
}

fn plan_of(plan: Plan, tables: &reference::Tables) -> Option<ValidPlan> {
    let base = &tables[&plan.query.dataset].0;
    let related = plan.query.related.clone();
    let contracts = Contracts::of(base, &related, |id| tables.get(id).map(|(contract, _)| contract));
    ValidPlan::check(plan, contracts).ok()
}

/// What the engine counts, with these patients left out of these tables.
fn engine(
    tables: &reference::Tables,
    out: &BTreeMap<ContractId, BTreeSet<u32>>,
    plan: &ValidPlan,
    partition: Partition,
) -> Result<Counted, EngineError> {
    let nobody = BTreeSet::new();
    let hold = |(id, (contract, rows)): (&ContractId, &(Contract, Vec<Row>))| {
        (id.clone(), Held::of(contract, rows, out.get(id).unwrap_or(&nobody)))
    };
    let held: BTreeMap<ContractId, Held> = tables.iter().map(hold).collect();
    let base = &held[&people()];
    let link = |related: &Held| {
        let of = |patient| base.patients.iter().position(|p| p == patient).map_or(Link::NOBODY, |at| at as u32);
        Link::made(related.patients.iter().map(of).collect())
    };
    let links: Vec<Link> = held.values().map(link).collect();
    let related = held.iter().zip(&links).map(|((id, held), link)| {
        let rows = Rows::made(&held.frame, &held.gaps);
        (id, Table { rows, contract: &held.contract, link: Some(link), snapshot: snapshot() })
    });
    let rows = Rows::made(&base.frame, &base.gaps);
    let tables = Tables {
        base: rows,
        contract: &base.contract,
        subjects: base.patients.len(),
        snapshot: snapshot(),
        related: related.collect(),
        folds: None,
    };
    let features = &Features::default().columns(plan, &tables, partition)?;
    let asked = Asked {
        rows,
        plan,
        contract: plan.contract(&base.contract),
        features,
        folds: None,
        k: K,
        snapshot: snapshot(),
    };
    asked.pass(partition).map(Pass::finish)
}

/// What the reference counts, of tables without these patients.
fn expected(
    tables: &reference::Tables,
    out: &BTreeMap<ContractId, BTreeSet<u32>>,
    plan: &ValidPlan,
    slip: Slip,
) -> Counted {
    let mut tables = tables.clone();
    for (id, (_, rows)) in &mut tables {
        rows.retain(|row| out.get(id).is_none_or(|out| !out.contains(&row.subject)));
    }
    let rows = extended(&people(), &tables, plan, slip);
    interpreter::counted(&rows, plan, plan.contract(&tables[&people()].0), K)
}

fn partitions() -> impl Strategy<Value = Partition> {
    (1usize..20, 1usize..4).prop_map(|(rows, threads)| Partition { rows, threads })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn cohorts_over_related_tables_are_what_the_reference_counts(
        (tables, plan) in cohorts(),
        partition in partitions(),
    ) {
        let Some(plan) = plan_of(plan, &tables) else { return Err(TestCaseError::reject("the checker refuses it")) };
        let nobody = BTreeMap::new();
        prop_assert_eq!(engine(&tables, &nobody, &plan, partition).unwrap(), expected(&tables, &nobody, &plan, Slip::Nothing));
    }
}

fn outs() -> impl Strategy<Value = BTreeMap<ContractId, BTreeSet<u32>>> {
    let out = || proptest::collection::btree_set(0u32..7, 0..4);
    (out(), out(), out(), out()).prop_map(|(people, events, home, visits)| {
        [("people@1", people), ("events@1", events), ("home@1", home), ("visits@1", visits)]
            .map(|(id, out)| (id.parse().unwrap(), out))
            .into()
    })
}

/// Other values in the rows of those who are left out.
fn perturbed(tables: &reference::Tables, out: &BTreeMap<ContractId, BTreeSet<u32>>) -> reference::Tables {
    let mut tables = tables.clone();
    for (id, (_, rows)) in &mut tables {
        let others: Vec<BTreeMap<String, Value>> = rows.iter().rev().map(|row| row.values.clone()).collect();
        for (row, values) in rows.iter_mut().zip(others).filter(|(row, _)| out[id].contains(&row.subject)) {
            row.values = values;
        }
    }
    tables
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn who_is_left_out_of_a_table_influences_nothing_through_it(
        (tables, plan) in cohorts(),
        out in outs(),
        partition in partitions(),
    ) {
        let Some(plan) = plan_of(plan, &tables) else { return Err(TestCaseError::reject("the checker refuses it")) };
        let counted = engine(&tables, &out, &plan, partition).unwrap();
        prop_assert_eq!(&counted, &expected(&tables, &out, &plan, Slip::Nothing));
        prop_assert_eq!(&counted, &engine(&perturbed(&tables, &out), &out, &plan, partition).unwrap());
    }
}

#[test]
fn random_cohorts_tell_every_mistake_from_the_truth() {
    let mut runner = TestRunner::deterministic();
    let (mut drawn, mut checked) = (0, 0);
    let mut noticed: BTreeMap<String, u32> = Slip::ALL.iter().map(|slip| (format!("{slip:?}"), 0)).collect();
    // As many as the properties look at.
    while checked < 200 {
        let (tables, plan) = cohorts().new_tree(&mut runner).unwrap().current();
        drawn += 1;
        assert!(drawn <= 400, "the checker refuses too many cohorts: {} of {drawn}", drawn - checked);
        let Some(plan) = plan_of(plan, &tables) else { continue };
        checked += 1;
        let nobody = BTreeMap::new();
        let truth = expected(&tables, &nobody, &plan, Slip::Nothing);
        for slip in Slip::ALL {
            let differs = expected(&tables, &nobody, &plan, slip) != truth;
            *noticed.entry(format!("{slip:?}")).or_default() += u32::from(differs);
        }
    }
    // By more than one cohort, so that no other draw of as many misses it.
    assert!(noticed.values().all(|cohorts| *cohorts >= 5), "of {drawn} drawn: {noticed:?}");
}

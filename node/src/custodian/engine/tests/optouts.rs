//! Who is left out has no influence: not on a table, not on discovered keys, not on bins or lines, in any partition, and not on a bit of a model's sums.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use bocage_net::env::SystemEntropy;
use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::contract::Contract;
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::plan::{Bins, Measure, Plan, Statistic, ValidPlan};
use bocage_protocol::trust::SecretKey;
use proptest::prelude::*;

use super::generate::{contract, discovered_plans, frame, plans, rows, together};
use super::{K, NO_FEATURES, cases, check, column, snapshot};
use crate::custodian::engine::interpreter::{Row, Value};
use crate::custodian::engine::model::Whom;
use crate::custodian::engine::parts::Partition;
use crate::custodian::engine::{Asked, EngineError};
use crate::custodian::gate::{Counted, CountedKeys};
use crate::custodian::snapshot::{Rows, gaps};
use crate::fixture::NOW;

/// What the engine computes.
#[derive(Debug, PartialEq)]
enum Computed {
    Table(Counted),
    Keys(CountedKeys),
    /// As text: what has no value equals itself there.
    Model(String),
}

/// What the engine computes over rows without those of `out`; with nobody in it, the control is off.
fn without(out: &[u32], rows: &[Row], plan: &ValidPlan, contract: &Contract, partition: Partition) -> Computed {
    let frame = frame(rows, contract);
    let gaps = gaps(&frame, out);
    let rows = Rows::made(&frame, &gaps);
    let asked = Asked { rows, plan, contract, features: &NO_FEATURES, folds: None, k: K, snapshot: snapshot() };
    let computed: Result<Computed, EngineError> = match plan.discovered() {
        None if plan.model().is_some() => {
            asked.model(Whom::Moved(None)).map(|counted| Computed::Model(format!("{counted:?}")))
        }
        None => asked.pass(partition).map(|pass| Computed::Table(pass.finish())),
        Some(_) => asked.keys(partition, plan.most_keys(), K).map(Computed::Keys),
    };
    computed.unwrap()
}

/// The rows of `out` with other rows' values.
fn perturbed(rows: &[Row], out: &BTreeSet<u32>, others: &[Row]) -> Vec<Row> {
    let mut others = others.iter().cycle();
    let mut row = |row: &Row| match out.contains(&row.subject) {
        true => Row { values: others.next().map(|other| other.values.clone()).unwrap_or_default(), ..row.clone() },
        false => row.clone(),
    };
    rows.iter().map(&mut row).collect()
}

fn all_plans() -> impl Strategy<Value = Plan> {
    let bins = prop::sample::select(vec!["age", "chol", "weight", "ca"]).prop_map(|of| {
        let contract = contract();
        let query = contract.rows(None);
        Plan { query, statistic: Statistic::Bins(Bins::Column(of.parse().unwrap())) }
    });
    let others = (plans(), prop::sample::select(questions().to_vec()))
        .prop_map(|(plan, statistic)| Plan { query: plan.query, statistic });
    prop_oneof![3 => plans(), 2 => discovered_plans(), 1 => bins, 4 => others]
}

/// Lines, and first steps of models of each kind: of means and shares, of an event, along a grid and by groups, and without an outcome.
const QUESTIONS: [&str; 7] = [
    "survival = { time = 'weight', event = 'smoker', by = ['cp'], every = 60, until = 240 }",
    "model = { formula = 'chol ~ age + smoker' }",
    "model = { formula = 'smoker ~ age + cp', family = 'binomial' }",
    "cox = { formula = 'surv(weight, smoker) ~ age' }",
    "cox = { formula = 'surv(weight, smoker) ~ age', ties = 'breslow', grid = [60, 120, 240] }",
    "pca = { columns = ['age', 'weight', 'chol'] }",
    "kmeans = { columns = ['age', 'weight'], clusters = 2, starts = 1 }",
];

/// What they ask of a row, over whatever rows.
fn questions() -> &'static [Statistic] {
    static ASKED: OnceLock<Vec<Statistic>> = OnceLock::new();
    ASKED.get_or_init(|| QUESTIONS.iter().map(|question| statistic(question)).collect())
}

fn statistic(question: &str) -> Statistic {
    let text = format!(
        "title = 't'\npurpose = 'statistics'\ndataset = 'visits@1'\nmin_sites = 1\n[[analysis]]\nname = 'a'\n{question}\n"
    );
    let site = "cleveland".parse().unwrap();
    let sites = std::slice::from_ref(&site);
    let context = BindContext {
        network: "heart-demo".parse().unwrap(),
        researcher: SecretKey::generate(&mut SystemEntropy).public(),
        offering: sites,
        roster: sites,
        min_sites_floor: 1,
        now: NOW,
        nonce: [7; 16],
        permit: None,
    };
    let study = StudyText::parse(&text, "study.toml").and_then(|text| text.bind(&contract(), &context)).unwrap();
    plan_for(&study.analyses[0].spec, study.query(), 0, &RoundState::First).unwrap().statistic
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn patients_who_are_left_out_influence_no_tally_of_any_plan(
        rows in rows(60),
        others in rows(20),
        plan in all_plans(),
        per_subject in 1u32..4,
        out in proptest::collection::btree_set(0u32..60, 0..30),
        part_rows in 1usize..40,
        threads in 1usize..3,
    ) {
        let contract = contract();
        let Ok(plan) = ValidPlan::check(plan, &contract) else { return Ok(()) };
        // Bins, lines and models are of datasets with one row a patient.
        let rows = if plan.grid().is_some() || plan.model().is_some() { rows } else { together(rows, per_subject) };
        let partition = Partition { rows: part_rows, threads };
        let numbers: Vec<u32> = out.iter().copied().collect();
        let computed = without(&numbers, &rows, &plan, &contract, partition);
        let kept: Vec<Row> = rows.iter().filter(|row| !out.contains(&row.subject)).cloned().collect();
        prop_assert_eq!(&computed, &without(&[], &kept, &plan, &contract, partition));
        let other = perturbed(&rows, &out, &others);
        prop_assert_eq!(&computed, &without(&numbers, &other, &plan, &contract, partition));
    }
}

#[test]
fn without_the_control_a_patient_who_opted_out_shows_in_every_kind_of_answer() {
    let contract = contract();
    let row = |subject: u32, chol: f64| Row {
        subject,
        values: [
            ("age".to_owned(), Value::Number(50.0)),
            ("chol".to_owned(), Value::Number(chol)),
            ("note".to_owned(), Value::Text("x".to_owned())),
        ]
        .into(),
    };
    let rows: Vec<Row> = (0..20).map(|i| row(i, f64::from(i))).collect();
    let other = perturbed(&rows, &BTreeSet::from([7]), &[row(0, 699.0)]);
    let table = check(&contract, None, vec![], vec![Measure::Column("chol".parse().unwrap())]);
    let query = table.plan().query.clone();
    let bins = Plan { query: query.clone(), statistic: Statistic::Bins(Bins::Column("chol".parse().unwrap())) };
    let bins = ValidPlan::check(bins, &contract).unwrap();
    let Statistic::Table(measured) = table.plan().statistic.clone() else { panic!("a table") };
    let keys = bocage_protocol::plan::Discovered { key: "note".parse().unwrap(), table: measured };
    let keys = ValidPlan::check(Plan { query, statistic: Statistic::Discovered(keys) }, &contract).unwrap();
    let filter = super::compare(bocage_protocol::plan::Comparison::Less, column("chol"), super::number(100.0));
    let filtered = check(&contract, Some(filter), vec![], vec![]);
    let model = statistic("model = { formula = 'chol ~ age' }");
    let model = ValidPlan::check(Plan { query: filtered.plan().query.clone(), statistic: model }, &contract).unwrap();
    for plan in [table, bins, keys, filtered, model] {
        let whole = Partition { rows: usize::MAX, threads: 1 };
        assert_eq!(without(&[7], &rows, &plan, &contract, whole), without(&[7], &other, &plan, &contract, whole));
        assert_ne!(without(&[], &rows, &plan, &contract, whole), without(&[], &other, &plan, &contract, whole));
    }
}

//! Several sites in one process: real snapshots, the real engine and gate, and the coordinator's drivers, without sockets, ledgers and signatures. For
//! what is computed; what happens to it on its way is the business of the tests with processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bocage_coordinator::analysis::{Answer, Driver, Next, SiteAnswer, coefficients, summarise, unanswered};
use bocage_coordinator::api::types::{AnalysisResult, Block, Value};
use bocage_node::custodian::engine::{self, Designs, Features, Ground, Joined};
use bocage_node::custodian::folds::{FoldKey, Folds};
use bocage_node::custodian::gate::{self, GatePolicy};
use bocage_node::custodian::links::Link;
use bocage_node::custodian::optout::{IdForm, SubjectIds};
use bocage_node::custodian::snapshot::{Offered, Snapshot, Taking, subject_ids};
use bocage_node::custodian::source::DatasetSpec;
use bocage_protocol::PublicError;
use bocage_protocol::analysis::{Ends, RoundState, awaits, plan_of};
use bocage_protocol::contract::{Contract, Subject, parse};
use bocage_protocol::env::{Entropy, Timestamp};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::front::{BindContext, Files, StudyText};
use bocage_protocol::ids::{ContractId, SiteId, TableName};
use bocage_protocol::plan::{Contracts, RelatedTable, ValidPlan};
use bocage_protocol::release::Outcome;
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::{SecretKey, Study};
use serde_json::json;

pub use bocage_node::custodian::gate::Mode;

/// When every study is signed and every snapshot taken.
pub const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// Sites with data under one contract, and perhaps other tables of the same patients.
pub struct Federation {
    contract: Contract,
    others: BTreeMap<ContractId, Contract>,
    sites: BTreeMap<SiteId, Site>,
    _dir: tempfile::TempDir,
}

struct Site {
    offered: Offered,
    designs: Designs,
    folds: Arc<Folds>,
    /// The tables that its studies may look into, with who of each is who of its own.
    others: BTreeMap<ContractId, (Offered, Arc<Link>)>,
}

/// The fold of a patient of a federation, of so many, where its contract names patients.
pub fn fold(id: &str, count: u8) -> usize {
    let key = release_key();
    let token = IdForm::of(None, &key).expect("a form").of_subject(id);
    Folds::by_tokens(&FoldKey::of(&key), std::iter::once(&token)).of(0, count).expect("a fold")
}

/// That of every site: where a patient is follows from the id.
fn release_key() -> SecretKey {
    SecretKey::generate(&mut Counting(41))
}

/// Bytes that are the same in every run.
pub struct Counting(pub u8);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| (*byte, self.0) = (self.0, self.0.wrapping_add(1)));
    }
}

/// How the sites' gates are minded.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// k.
    pub threshold: u32,
    /// Of two columns of a model together.
    pub joint: u32,
    /// How many sites a published number needs.
    pub min_sites: u32,
    /// What happens to what is shown.
    pub mode: Mode,
}

impl Gate {
    /// No disclosure control at all: what is computed equals the pooled answer.
    pub const OPEN: Gate = Gate { threshold: 1, joint: 1, min_sites: 1, mode: Mode::Exact };
    /// As nodes are delivered, for a network of few sites.
    pub const USUAL: Gate = Gate { threshold: 11, joint: 11, min_sites: 2, mode: Mode::Exact };
    /// The same with DataSHIELD's threshold for two columns of a model.
    pub const PAIRS: Gate = Gate { joint: 3, ..Gate::USUAL };
}

impl Federation {
    /// Sites by name, each with the text of a CSV file whose columns are the contract's.
    pub fn new(contract: &str, sites: &[(&str, String)]) -> Self {
        let contract = parse(contract, "contract.toml").expect("a contract");
        let sites: Vec<(&str, Vec<String>)> = sites.iter().map(|(name, csv)| (*name, vec![csv.clone()])).collect();
        Self::across(&[contract], &sites)
    }

    /// Sites by name, each with a CSV file for each contract. The rows of the first are counted; all name their patients.
    pub fn across(contracts: &[Contract], sites: &[(&str, Vec<String>)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (contract, others) = contracts.split_first().expect("a contract");
        let site = |(name, csvs): &(&str, Vec<String>)| {
            let id: SiteId = name.parse().expect("a site");
            let taken = |at: usize| offered(&dir.path().join(format!("{name}-{at}")), &contracts[at], &csvs[at]);
            let (base, folds, ids) = taken(0);
            let other = |(at, contract): (usize, &Contract)| {
                let (offered, _, its_ids) = taken(at);
                let (ids, its_ids) = ids.as_ref().zip(its_ids).expect("patients with ids");
                (contract.id().clone(), (offered, Arc::new(Link::between(ids, &its_ids))))
            };
            let others = (1..).zip(others).map(other).collect();
            (id.clone(), Site { offered: base, designs: Designs::new(id), folds, others })
        };
        let sites = sites.iter().map(site).collect();
        let others = others.iter().map(|other| (other.id().clone(), other.clone())).collect();
        Self { contract: contract.clone(), others, sites, _dir: dir }
    }

    /// The contracts that a study of these tables reads.
    fn contracts<'a>(&'a self, related: &BTreeMap<TableName, RelatedTable>) -> Contracts<'a> {
        Contracts::of(&self.contract, related, |id| self.others.get(id))
    }

    /// Binds a study's text.
    ///
    /// # Errors
    /// What is wrong with it, as a person reads it.
    pub fn bind(&self, study: &str) -> Result<Study, String> {
        self.bind_with(study, Files::new())
    }

    /// The same of a text that names files.
    ///
    /// # Errors
    /// As of one that names none.
    pub fn bind_with(&self, study: &str, files: Files) -> Result<Study, String> {
        let sites: Vec<SiteId> = self.sites.keys().cloned().collect();
        let key = SecretKey::generate(&mut Counting(7));
        let context = BindContext {
            network: "lab".parse().expect("a network"),
            researcher: key.public(),
            roster: &sites,
            offering: &sites,
            min_sites_floor: 1,
            permit: None,
            now: NOW,
            nonce: [3; 16],
        };
        let text = StudyText::parse(study, "study.toml").map_err(|problems| problems.to_string())?;
        let tables = text.tables().iter();
        let related = tables.filter_map(|(name, id)| Some((name.clone(), self.others.get(id)?))).collect();
        let contracts = Contracts { base: &self.contract, related };
        text.with_files(files).bind(contracts, &context).map_err(|problems| problems.to_string())
    }

    /// Runs a study's analyses.
    pub fn run(&self, analyses: &str, gate: Gate) -> Vec<AnalysisResult> {
        let text = format!(
            "title = \"A test\"\npurpose = \"scientific_research\"\ndataset = \"{}\"\n{analyses}",
            self.contract.id()
        );
        let study = self.bind(&text).unwrap_or_else(|problems| panic!("{problems}"));
        self.answer(&study, gate)
    }

    /// Answers a bound study.
    pub fn answer(&self, study: &Study, gate: Gate) -> Vec<AnalysisResult> {
        self.answer_but(study, gate, |_, _| false)
    }

    /// The same, where a site's steward says no to the rounds for which `refuses` is true.
    pub fn answer_but(&self, study: &Study, gate: Gate, refuses: impl Fn(&SiteId, u16) -> bool) -> Vec<AnalysisResult> {
        self.answer_in(study, gate, refuses, false)
    }

    /// Runs a study's analyses, the last site's answers first.
    pub fn run_backwards(&self, study: &Study, gate: Gate) -> Vec<AnalysisResult> {
        self.answer_in(study, gate, |_, _| false, true)
    }

    fn answer_in(
        &self,
        study: &Study,
        gate: Gate,
        refuses: impl Fn(&SiteId, u16) -> bool,
        backwards: bool,
    ) -> Vec<AnalysisResult> {
        let mut ends = Ends::default();
        let results = (0..).zip(&study.analyses).map(|(position, spec)| {
            let awaited = awaits(study, position).expect("an order");
            if !ends.have(&awaited) {
                return (spec, unanswered(spec, "no answer: what it waits for has no fit".to_owned(), vec![]));
            }
            // Those that wait begin one round after those that they wait for, which here all end with the first.
            let begun = u16::from(!awaited.is_empty());
            let plan = |round: u16, state: &RoundState| {
                let plan = plan_of(study, position, begun + round, state, &ends).expect("a plan");
                ValidPlan::check(plan, self.contracts(&study.related)).unwrap_or_else(|problems| panic!("{problems}"))
            };
            let (mut round, mut state) = (0, RoundState::First);
            let mut own: BTreeMap<SiteId, RoundState> = BTreeMap::new();
            let mut driver = Driver::new(spec, &plan(0, &state), &self.contract, gate.min_sites).expect("a driver");
            // What a steward is told before the first round holds in every one.
            let later = spec.spec.later_rounds(self.sites.len()).into_iter();
            let later: Vec<_> = later.map(|(rounds, state)| (rounds, plan(1, &state).most_cells())).collect();
            let (most_rounds, most) = (1 + later.iter().map(|of| of.0).sum::<u16>(), later.iter().map(|of| of.1).max());
            let result = loop {
                let outcome = |site| match refuses(site, round) {
                    true => Err(PublicError::new(ErrorCode::ApprovalRefused, "the steward says no")),
                    false => {
                        let plan = plan(round, own.get(site).unwrap_or(&state));
                        let (cells, known) = (plan.most_cells(), round == 0 || round < most_rounds);
                        assert!(known && (round == 0 || Some(cells) <= most), "round {round}: {cells}, told {later:?}");
                        self.outcome_by(gate, site, &plan)
                    }
                };
                let mut outcomes: Vec<(&SiteId, Result<Outcome, PublicError>)> =
                    self.sites.keys().map(|site| (site, outcome(site))).collect();
                if backwards {
                    outcomes.reverse();
                }
                let answers: Vec<SiteAnswer<'_>> =
                    outcomes.iter().map(|(site, outcome)| SiteAnswer { site, answer: answer(outcome) }).collect();
                match driver.step(&answers) {
                    Next::Round(next) => (round, state) = (round + 1, next),
                    Next::Each(next) => (round, own) = (round + 1, next),
                    Next::Publish(result) => break *result,
                }
            };
            if let Some(beta) = coefficients(&spec.spec, &result) {
                ends.add(position, 0, beta);
            }
            (spec, result)
        });
        summarise(results.collect(), self.contract.one_row_per_subject())
    }

    /// What a site's gate makes of a plan, in the order in which the study asks.
    pub fn outcome(&self, site: &SiteId, plan: &ValidPlan, threshold: u32) -> Result<Outcome, PublicError> {
        self.outcome_by(Gate { threshold, joint: threshold, ..Gate::OPEN }, site, plan)
    }

    /// The same by this gate.
    fn outcome_by(&self, gate: Gate, site: &SiteId, plan: &ValidPlan) -> Result<Outcome, PublicError> {
        self.released(gate, site, plan).map(|outcome| plan.as_written(&outcome).into_owned())
    }

    /// What a site's gate makes of a plan, as it leaves.
    ///
    /// # Errors
    /// The gate's.
    pub fn released(&self, gate: Gate, site: &SiteId, plan: &ValidPlan) -> Result<Outcome, PublicError> {
        let Gate { threshold, joint, mode, .. } = gate;
        let Site { offered, designs, folds, others } = &self.sites[site];
        let joined = |table: &RelatedTable| {
            let (offered, link) = &others[&table.dataset];
            (table.dataset.clone(), Joined { offered, contract: &self.others[&table.dataset], link: Arc::clone(link) })
        };
        let related = plan.related().values().map(joined).collect();
        let ground = Ground { related, ..Ground::alone(offered, &self.contract) }.in_folds(Some(Arc::clone(folds)));
        designs.begin(&ground.identity(), threshold, NOW);
        let policy = GatePolicy { threshold, joint, mode };
        let counted =
            engine::run(&ground, &mut Features::default(), designs, plan, threshold).expect("an engine's answer");
        gate::release(counted, plan, plan.contract(&self.contract), &policy)
            .map(|released| released.outcome().clone())
            .map_err(PublicError::from)
    }

    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }
}

fn answer(outcome: &Result<Outcome, PublicError>) -> Answer<'_> {
    match outcome {
        Ok(Outcome::Table(table)) => Answer::Table(table),
        Ok(Outcome::Bins(bins)) => Answer::Bins(bins),
        Ok(Outcome::Discovered(found)) => Answer::Discovered(found),
        Ok(Outcome::Lines(lines)) => Answer::Lines(lines),
        Ok(Outcome::Model(model)) => Answer::Model(model),
        Ok(Outcome::Refused(error)) | Err(error) => Answer::Refused(error),
    }
}

/// What is offered of a CSV file whose columns are some of the contract's, in which folds its patients are, and who they are where the contract says it.
fn offered(folder: &Path, contract: &Contract, csv: &str) -> (Offered, Arc<Folds>, Option<SubjectIds>) {
    std::fs::create_dir(folder).expect("a folder");
    std::fs::write(folder.join("data.csv"), csv).expect("a file");
    let there: Vec<&str> = csv.lines().next().unwrap_or_default().split(',').collect();
    let absent = contract.columns().iter().map(|column| column.name.as_str()).filter(|name| !there.contains(name));
    let section = json!({
        "contract": contract.id().to_string(),
        "source": { "kind": "csv", "path": "data.csv" },
        "absent": absent.collect::<Vec<_>>(),
    });
    let mut problems = Problems::default();
    let spec = DatasetSpec::read("data", &section, "node.toml", folder, &mut problems);
    let spec = spec.unwrap_or_else(|| panic!("{problems}"));
    let key = release_key();
    let form = IdForm::of(None, &key).expect("a form");
    let form = matches!(contract.subject(), Subject::Column(_)).then_some(&form);
    let manifest = Taking { form, ..Taking::into(folder) }.take(&spec, contract, NOW).expect("a snapshot");
    let key = FoldKey::of(&key);
    let ids = form.map(|_| subject_ids(folder, &manifest).expect("tokens"));
    let folds = match &ids {
        Some(ids) => Folds::by_tokens(&key, ids.tokens.iter()),
        None => Folds::by_rows(&key, manifest.content.as_bytes(), manifest.subjects),
    };
    let snapshot = Snapshot::open_current(folder, "data").expect("a snapshot");
    (Offered::new(Arc::new(snapshot), None), Arc::new(folds), ids)
}

/// The number in a block's column, in the row whose first value is this text.
pub fn number(block: &Block, row: &str, column: &str) -> f64 {
    let at = block.columns.iter().position(|name| name == column).unwrap_or_else(|| panic!("{:?}", block.columns));
    let first = |values: &&Vec<Value>| values.first() == Some(&Value::Text(row.to_owned()));
    let values = block.rows.iter().find(first).unwrap_or_else(|| panic!("no row {row}: {block:#?}"));
    match &values[at] {
        Value::Number(x) => *x,
        Value::Count(n) => *n as f64,
        other => panic!("{row}, {column}: {other:?}"),
    }
}

/// The further block with this title.
pub fn block<'a>(result: &'a AnalysisResult, title: &str) -> &'a Block {
    let found = result.also.iter().find(|named| named.title == title);
    &found.unwrap_or_else(|| panic!("no block {title}: {:?}", result.notes)).block
}

//! From a study's text to a signed study: what it needs is fetched, everything in it is bound, and only then is it signed.

use std::collections::BTreeMap;

use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::analysis::{AnalysisSpec, RoundState, Spec, plan_for};
use bocage_protocol::contract::Contract;
use bocage_protocol::env::{Clock as _, Entropy as _, Timestamp};
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::{AnalysisName, ContractId, Digest, PermitId, SiteId, TableName};
use bocage_protocol::plan::{Contracts, Explained, ValidPlan};
use bocage_protocol::settings::{Problem, Problems, nearest};
use bocage_protocol::trust::{PublicKey, SecretKey, SignedStudy, Study};
use serde::Serialize;

use super::estimate::Estimate;
use super::permit::GivenPermit;
use super::preflight::{SiteLook, Wanted, looks, recent};
use super::{Api, ClientError, Profile};
use crate::analysis::{answer_columns, answer_values, check_values, warnings};
use crate::api::types::{DatasetInfo, SiteInfo, StudyStatus};
use crate::permits;

/// A study that is bound, but not signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The study.
    pub study: Study,
    /// The contract that it is bound to.
    pub contract: Contract,
    /// Those of its other tables, by its names for them.
    pub related: BTreeMap<TableName, Contract>,
    /// The permit that it relies on.
    pub permit: Option<GivenPermit>,
    /// Whether the coordinator knows who issued that.
    pub issuer_known: bool,
    /// The sites of the study that answer under a permit only, as far as they have said.
    pub needs_permit: Vec<SiteId>,
    /// From when on snapshots are wanted.
    pub not_before: Option<Timestamp>,
    /// The network's sites, as the coordinator knew them.
    pub roster: Vec<SiteInfo>,
    /// What the text names and never uses, each in a sentence with a hint.
    pub unused: Vec<String>,
    /// Whether the text names the sites: else those are asked that offer all its data now.
    pub sites_named: bool,
}

/// What a bound study would ask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// Its title.
    pub title: String,
    /// The dataset.
    pub dataset: ContractId,
    /// The sites.
    pub sites: Vec<SiteId>,
    /// A combined cell is published only if so many sites contribute to it.
    pub min_sites: u32,
    /// The permit that it relies on, and that covers it.
    pub permit: Option<AskedPermit>,
    /// The sites that answer about one of the datasets under a permit only, as far as they have said so to the coordinator.
    pub needs_permit: Vec<SiteId>,
    /// The questions.
    pub analyses: Vec<AskedAnalysis>,
    /// The sites that it asks or that have the dataset in another form, with what is to be known of them.
    pub looks: Vec<SiteLook>,
    /// What it will take.
    pub estimate: Estimate,
}

/// The permit that a study relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskedPermit {
    /// As its access body names it.
    pub id: PermitId,
    /// Who holds it.
    pub holder: String,
    /// Where they work.
    pub organisation: String,
    /// From when it is valid.
    pub valid_from: Timestamp,
    /// Until when it is valid.
    pub valid_to: Timestamp,
    /// So many cells may leave each site of each dataset under it, in all.
    pub max_cells: u64,
    /// Whether the coordinator knows the access body that issued it. Each site has its own answer.
    pub issuer_known: bool,
}

/// What one analysis would ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskedAnalysis {
    /// Its name.
    pub name: AnalysisName,
    /// Its kind.
    pub kind: String,
    /// How many cells each site computes at most, in all rounds.
    pub cells: usize,
    /// The columns of the answer, keys first; of a summary, the columns that it is about.
    pub columns: Vec<String>,
    /// What every site computes: one plan, or several of a summary.
    pub plans: Vec<Explained>,
    /// What is to be known of it before it is asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Reads and binds a study's text. `file` names it in problems.
///
/// # Errors
/// Every problem of the text at once, then everything that the permit does not cover; or the coordinator cannot be asked, or is another network's.
pub fn bind(
    api: &Api,
    profile: &Profile,
    researcher: PublicKey,
    permit: Option<&GivenPermit>,
    text: StudyText,
    file: &str,
) -> Result<Bound, ClientError> {
    let network = api.network()?;
    if network.network != profile.network {
        let (theirs, ours) = (network.network, profile.network.clone());
        return Err(ClientError::OtherNetwork { url: api.url().to_owned(), theirs, ours });
    }
    let datasets = api.datasets()?.datasets;
    let known: Vec<ContractId> = datasets.iter().map(|dataset| dataset.contract.clone()).collect();
    let text = text.among(&known);
    let (offered, tables) = data(&datasets, &text, file)?;
    let contract = contract(api, &offered)?;
    let mut related = BTreeMap::new();
    for (name, offered) in &tables {
        related.insert(name.clone(), self::contract(api, offered)?);
    }
    let sites = api.sites()?.sites;
    let is_asked = |id: &ContractId| *id == offered.contract || tables.values().any(|table| table.contract == *id);
    let demands = |site: &&SiteInfo| site.datasets.iter().any(|o| is_asked(&o.contract) && o.needs_permit);
    let demanding: Vec<SiteId> = sites.iter().filter(demands).map(|site| site.id.clone()).collect();
    let roster: Vec<_> = sites.iter().map(|site| site.id.clone()).collect();
    // A site that lacks one of the tables can answer nothing.
    let mut offering: Vec<SiteId> =
        offered.sites.iter().filter(|site| tables.values().all(|t| t.sites.contains(site))).cloned().collect();
    let (not_before, sites_named) = (text.snapshot_not_before(), text.names_sites());
    let mut older = Problems::default();
    if let Some(day) = not_before {
        for dataset in std::iter::once(&offered).chain(tables.values()) {
            match recent(&offering, &text.sites(), &sites, (&dataset.contract, &dataset.hash), day, file) {
                Ok(recent) => offering = recent,
                Err(problems) => older.extend(problems),
            }
        }
    }
    let mut nonce = [0; 16];
    SystemEntropy.fill(&mut nonce);
    let context = BindContext {
        network: network.network,
        researcher,
        offering: &offering,
        roster: &roster,
        // What a permit wants, its studies want.
        min_sites_floor: permit.map_or(0, |given| given.permit.min_sites).max(network.min_sites),
        now: SystemClock.now(),
        nonce,
        permit: permit.map(|given| &given.signed),
    };
    let study = match text.bind(joined(&contract, &related), &context) {
        Ok(study) => older.into_result(study)?,
        Err(mut problems) => {
            problems.extend(older);
            return Err(problems.into());
        }
    };
    let unused = text.unused(&study);
    // An older coordinator does not say whom it knows.
    let admitted = match (&network.researchers, &network.access_bodies) {
        (Some(researchers), Some(bodies)) => {
            permits::admitted(&study, permit.map(|given| &given.permit), researchers, bodies)
        }
        _ => Ok(()),
    };
    let issuer_known =
        permit.zip(network.access_bodies.as_ref()).is_none_or(|(given, bodies)| bodies.contains(&given.permit.issuer));
    let needs_permit = |site: &&SiteId| study.sites.names().is_some_and(|asked| asked.contains(site));
    let needs_permit = demanding.iter().filter(needs_permit).cloned().collect();
    let permit = permit.cloned();
    let roster = sites;
    let bound =
        Bound { study, contract, related, permit, issuer_known, needs_permit, not_before, roster, unused, sites_named };
    match &bound.permit {
        Some(given) => given.covers(&bound, admitted.err(), &api.revocations()?.lists)?,
        None => admitted?,
    }
    Ok(bound)
}

fn joined<'a>(base: &'a Contract, related: &'a BTreeMap<TableName, Contract>) -> Contracts<'a> {
    Contracts { base, related: related.iter().map(|(name, contract)| (name.clone(), contract)).collect() }
}

fn contract(api: &Api, offered: &DatasetInfo) -> Result<Contract, ClientError> {
    let contract = api.contract(&offered.contract)?;
    if contract.hash() != offered.hash {
        let reason = format!("its text of {} does not have the hash that it announces", offered.contract);
        return Err(ClientError::Answer { url: api.url().to_owned(), reason });
    }
    Ok(contract)
}

/// The study's own dataset, and its tables by its names for them.
type Data = (DatasetInfo, BTreeMap<TableName, DatasetInfo>);

/// Who offers each; of what nobody does all is said, with what else is wrong with the text by itself.
fn data(datasets: &[DatasetInfo], text: &StudyText, file: &str) -> Result<Data, Problems> {
    let said = text.problems();
    let mut problems = Problems::default();
    let mut look = |wanted: &ContractId, key: &str| {
        let found = find(datasets, wanted, (key, file));
        // What is wrong with its name is not said twice.
        let missing = found.as_ref().err().filter(|_| !said.0.iter().any(|problem| problem.key == key));
        problems.extend(missing.cloned().unwrap_or_default());
        found.ok()
    };
    // A table that is the base is its own key's fault.
    let is_table = text.tables().values().any(|table| table == text.dataset());
    let base =
        if is_table { find(datasets, text.dataset(), ("dataset", file)).ok() } else { look(text.dataset(), "dataset") };
    let found =
        |(name, wanted): (&TableName, &ContractId)| Some((name.clone(), look(wanted, &format!("tables.{name}"))?));
    let tables: BTreeMap<TableName, DatasetInfo> = text.tables().iter().filter_map(found).collect();
    match base {
        Some(base) if tables.len() == text.tables().len() => Ok((base, tables)),
        _ => {
            problems.extend(said);
            Err(problems)
        }
    }
}

fn find(datasets: &[DatasetInfo], wanted: &ContractId, (key, file): (&str, &str)) -> Result<DatasetInfo, Problems> {
    if let Some(found) = datasets.iter().find(|d| d.contract == *wanted) {
        return Ok(found.clone());
    }
    let known: Vec<String> = datasets.iter().map(|d| d.contract.to_string()).collect();
    let problem = Problem::new(file, key, format!("the network has no dataset `{wanted}`"));
    let hint = match nearest(&wanted.to_string(), known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "its coordinator knows no contract yet".to_owned(),
        None => format!("it has {}", known.join(", ")),
    };
    Err(problem.hint(hint).into())
}

impl Asked {
    /// How many cells each site computes in all rounds: no more can leave it.
    pub fn cells(&self) -> usize {
        self.analyses.iter().map(|analysis| analysis.cells).sum()
    }
}

impl Bound {
    /// What every site computes first, analysis by analysis.
    ///
    /// # Errors
    /// A plan does not pass the check that every site repeats.
    pub fn plans(&self) -> Result<Vec<ValidPlan>, ClientError> {
        self.study.analyses.iter().map(|analysis| self.plan(analysis, 0, &RoundState::First)).collect()
    }

    /// The plans of later rounds, each as large as it may be, with how many of it there are at most.
    fn later_plans(&self, analysis: &AnalysisSpec) -> Result<Vec<(u16, ValidPlan)>, ClientError> {
        let later = analysis.spec.later_rounds(self.study.sites.count()).into_iter();
        later.map(|(rounds, state)| Ok((rounds, self.plan(analysis, 1, &state)?))).collect()
    }

    fn plan(&self, analysis: &AnalysisSpec, round: u16, state: &RoundState) -> Result<ValidPlan, ClientError> {
        let plan = plan_for(&analysis.spec, self.study.query(), round, state)?;
        Ok(ValidPlan::check(plan, joined(&self.contract, &self.related))?)
    }

    /// Sites of the network that are not asked, though the text does not say so: they do not offer all of the study's data at the moment.
    pub fn left_out(&self) -> Vec<&SiteId> {
        if self.sites_named {
            return Vec::new();
        }
        let asked = self.study.sites.names().unwrap_or_default();
        self.roster.iter().map(|site| &site.id).filter(|site| !asked.contains(site)).collect()
    }

    /// The contracts of a plan, by the plan's own names for its tables.
    fn contracts_of(&self, plan: &ValidPlan) -> Contracts<'_> {
        let find = |id: &ContractId| self.related.values().find(|contract| contract.id() == id);
        Contracts::of(&self.contract, plan.related(), find)
    }

    /// What a plan and its later rounds compute.
    fn in_words(&self, plan: &ValidPlan, later: &[(u16, ValidPlan)]) -> Explained {
        let explain = |plan: &ValidPlan| plan.explain(self.contracts_of(plan), None);
        later.iter().fold(explain(plan), |all, (n, plan)| all.followed_by(*n, &explain(plan)))
    }

    /// What is computed in all rounds, analysis by analysis of the signed study: of a summary each part.
    ///
    /// # Errors
    /// A plan of the study does not pass the check that every site repeats.
    pub(super) fn explained(&self) -> Result<Vec<Explained>, ClientError> {
        let plans = self.study.analyses.iter().zip(self.plans()?);
        plans.map(|(analysis, plan)| Ok(self.in_words(&plan, &self.later_plans(analysis)?))).collect()
    }

    /// The sites as they look from here, by dataset. Contracts that the coordinator holds are asked for where a site has one of them instead of the
    /// study's.
    ///
    /// # Errors
    /// A plan of the study does not pass the check that every site repeats.
    fn looks(&self, api: &Api) -> Result<Vec<SiteLook>, ClientError> {
        let touched = permits::reads(&self.plans()?);
        let asks = self.study.sites.names().unwrap_or_default();
        let mut known = |id: &ContractId, hash: &Digest| {
            let contract = api.contract(id).ok().filter(|contract| contract.hash() == *hash);
            contract.map(|contract| contract.traits())
        };
        let contracts: BTreeMap<&ContractId, &Contract> =
            std::iter::once(&self.contract).chain(self.related.values()).map(|c| (c.id(), c)).collect();
        let mut found = Vec::new();
        for (id, contract) in contracts {
            let reads = touched.get(id).cloned().unwrap_or_default();
            let wanted = Wanted { contract, reads: &reads, not_before: self.not_before, asks };
            found.extend(looks(&self.roster, &wanted, &mut known));
        }
        Ok(found)
    }

    /// What the study would ask of every site, and what is to be known of the sites.
    ///
    /// # Errors
    /// A plan of the study does not pass the check that every site repeats, or the answer would be too large.
    pub fn asked(&self, api: &Api) -> Result<Asked, ClientError> {
        let study = &self.study;
        let mut analyses: Vec<AskedAnalysis> = Vec::new();
        let mut values = Vec::new();
        for (analysis, plan) in study.analyses.iter().zip(self.plans()?) {
            values.push(answer_values(&analysis.spec, &plan, study.sites.count()));
            let later = self.later_plans(analysis)?;
            let explained = self.in_words(&plan, &later);
            let in_later: usize = later.iter().map(|(rounds, plan)| usize::from(*rounds) * plan.most_cells()).sum();
            let cells = plan.most_cells() + in_later;
            let warnings = warnings(&analysis.spec, &plan);
            let (name, kind, columns) = match &analysis.part {
                Some(part) => {
                    let columns = match &analysis.spec {
                        Spec::Correlation(pair) => pair.labels().map(str::to_owned).to_vec(),
                        _ => vec![part.column.to_string()],
                    };
                    (part.of.clone(), part.whole.kind().to_owned(), columns)
                }
                None => (analysis.name.clone(), analysis.spec.kind().to_owned(), answer_columns(&analysis.spec)),
            };
            match analyses.last_mut().filter(|last| analysis.part.is_some() && last.name == name) {
                Some(summary) => {
                    summary.cells += cells;
                    let new = columns.into_iter().filter(|column| !summary.columns.contains(column));
                    let new: Vec<String> = new.collect();
                    summary.columns.extend(new);
                    summary.plans.push(explained);
                    summary.warnings.extend(warnings);
                }
                None => {
                    analyses.push(AskedAnalysis { name, kind, cells, columns, plans: vec![explained], warnings });
                }
            }
        }
        check_values(values.into_iter())?;
        Ok(Asked {
            title: study.title.clone(),
            dataset: study.dataset.clone(),
            sites: study.sites.names().unwrap_or_default().to_vec(),
            min_sites: study.min_sites,
            permit: self.permit.as_ref().map(|given| given.asked(self.issuer_known)),
            needs_permit: self.needs_permit.clone(),
            analyses,
            looks: self.looks(api)?,
            estimate: self.estimate(api)?,
        })
    }
}

/// Signs a bound study and hands it in.
///
/// # Errors
/// The coordinator refuses it or cannot be reached.
pub fn sign_and_submit(api: &Api, bound: &Bound, key: &SecretKey) -> Result<StudyStatus, ClientError> {
    api.submit(
        &SignedStudy::sign(&bound.study, key)?.with_permit(bound.permit.as_ref().map(|given| given.signed.clone())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_that_the_network_lacks_is_reported_with_what_it_has() {
        let text = find(&[], &"hart@1".parse().unwrap(), ("dataset", "study.toml")).unwrap_err().to_string();
        assert!(text.contains("study.toml: dataset: the network has no dataset `hart@1`"), "{text}");
        let heart = DatasetInfo {
            contract: "heart@1".parse().unwrap(),
            hash: bocage_protocol::ids::Digest::of("test", &[]),
            title: String::new(),
            sites: vec![],
        };
        let text = find(&[heart], &"hart@1".parse().unwrap(), ("dataset", "study.toml")).unwrap_err().to_string();
        assert!(text.contains("did you mean `heart@1`?"), "{text}");
    }
}

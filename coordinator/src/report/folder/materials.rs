//! What a report is made of, read and bound together, and the files that follow from it.

use std::collections::BTreeMap;

use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::ids::{AnalysisName, ContractId, Digest};
use bocage_protocol::limits;
use bocage_protocol::plan::{Contracts, Explained, ValidPlan};
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{Permit, PublicKey, SignedPublication, SignedStudy, Study};

use super::published::Published;
use super::{CONTRACTS, Files, PAGE, PUBLICATION, RESULT, STUDY, TABLES, tables};
use crate::api::types::StudyResult;
use crate::report::page;

/// A study and its result, with what is needed to read them.
#[derive(Debug, Clone)]
pub struct Materials {
    signed: SignedStudy,
    study: Study,
    permit: Option<Permit>,
    contracts: BTreeMap<ContractId, (String, Contract)>,
    text: String,
    result: StudyResult,
    published: Option<Published>,
}

impl Materials {
    /// Takes a study that was signed by the key that it names, a permit that its access body signed, a result, and contracts. Those that the study
    /// was not bound to are left out: a coordinator may hold newer ones by now.
    ///
    /// # Errors
    /// Everything that is not what it must be.
    pub fn new(signed: SignedStudy, contracts: &BTreeMap<ContractId, String>, text: String) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let study = signed.verify().map_err(|error| problems.push(Problem::new(STUDY, "", error.to_string()))).ok();
        let permit = signed.permit.as_ref().map(|permit| permit.verify());
        let permit =
            permit.transpose().map_err(|error| problems.push(Problem::new(STUDY, "permit", error.to_string())));
        let result = serde_json::from_str(&text);
        let result = result.map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            problems.push(Problem::new(RESULT, place, "this is not the result of a study"));
        });
        let (Some(study), Ok(permit), Ok(result)) = (study, permit, result) else { return Err(problems) };
        let mut bound = BTreeMap::new();
        for (id, hash) in wanted(&study) {
            let Some(text) = contracts.get(id) else { continue };
            match contract::parse(text, &contract_file(id)) {
                Ok(contract) if contract.hash() == *hash && contract.id() == id => {
                    bound.insert(id.clone(), (text.clone(), contract));
                }
                Ok(_) => {}
                Err(found) => problems.extend(found),
            }
        }
        problems.into_result(Self { signed, study, permit, contracts: bound, text, result, published: None })
    }

    /// The same with the coordinator's signature over the result.
    ///
    /// # Errors
    /// It does not fit study and result.
    pub fn published(self, signed: SignedPublication) -> Result<Self, Problem> {
        Ok(Self { published: Some(Published::of(&self, signed)?), ..self })
    }

    /// The same from a folder's files.
    ///
    /// # Errors
    /// Everything that is missing, or not what it must be.
    pub fn read(files: &Files) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut text = |name: &str| match files.get(name).map(|bytes| String::from_utf8(bytes.clone())) {
            Some(Ok(text)) => Some(text),
            Some(Err(_)) => {
                problems.push(Problem::new(name, "", "this is not UTF-8"));
                None
            }
            None => {
                problems.push(Problem::new(name, "", "it is missing").hint("ask for the whole folder"));
                None
            }
        };
        let (study, result) = (text(STUDY), text(RESULT));
        let published = files.contains_key(PUBLICATION).then(|| text(PUBLICATION)).flatten();
        let mut contracts = BTreeMap::new();
        for name in files.keys().filter_map(|name| name.strip_prefix(CONTRACTS)?.strip_prefix('/')) {
            let id = name.strip_suffix(".toml").and_then(|id| id.parse::<ContractId>().ok());
            if let Some((id, text)) = id.and_then(|id| Some((id, text(&format!("{CONTRACTS}/{name}"))?))) {
                contracts.insert(id, text);
            }
        }
        let (Some(study), Some(result)) = (study, result) else { return Err(problems) };
        if study.len() > 2 * (limits::STUDY_BYTES + limits::PERMIT_BYTES) + limits::HTTP_BODY_BYTES {
            problems.push(Problem::new(STUDY, "", "it is larger than a signed study can be"));
        }
        match serde_json::from_str(&study) {
            Ok(signed) if problems.is_empty() => {
                let read = Self::new(signed, &contracts, result)?;
                let published = published.map(|text| Published::read(&read, &text)).transpose()?;
                Ok(Self { published, ..read })
            }
            Ok(_) => Err(problems),
            Err(_) => {
                problems.push(Problem::new(STUDY, "", "this is not a signed study"));
                Err(problems)
            }
        }
    }

    /// Every file of the folder but its manifest. The same materials give the same bytes.
    ///
    /// # Errors
    /// A table cannot be written as Parquet.
    pub fn files(&self) -> Result<Files, Problems> {
        let mut files = Files::new();
        files.insert(STUDY.to_owned(), crate::report::json(&self.signed).into_bytes());
        files.insert(RESULT.to_owned(), self.text.clone().into_bytes());
        let published = self.published.iter().map(|of| (PUBLICATION.to_owned(), of.signed.to_text().into_bytes()));
        files.extend(published);
        files.insert(PAGE.to_owned(), page::page(self).into_bytes());
        for (id, (text, _)) in &self.contracts {
            files.insert(contract_file(id), text.clone().into_bytes());
        }
        for table in self.result.analyses.iter().flat_map(tables::tables) {
            let parquet = table
                .parquet(&self.result.study.id)
                .map_err(|error| Problem::new(&table.name, "", format!("cannot be written as Parquet: {error}")))?;
            files.insert(format!("{TABLES}/{}.csv", table.name), table.csv().into_bytes());
            files.insert(format!("{TABLES}/{}.parquet", table.name), parquet);
        }
        Ok(files)
    }

    /// The study as it was signed.
    pub fn signed(&self) -> &SignedStudy {
        &self.signed
    }

    /// What it says.
    pub fn study(&self) -> &Study {
        &self.study
    }

    /// The permit that came with it, as its access body signed it.
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.as_ref()
    }

    /// What was published.
    pub fn result(&self) -> &StudyResult {
        &self.result
    }

    /// What was published, byte for byte.
    pub fn result_text(&self) -> &str {
        &self.text
    }

    /// The key of the coordinator that signed it, if one did.
    pub fn publisher(&self) -> Option<PublicKey> {
        self.published.as_ref().map(|of| of.said.publisher)
    }

    /// The contracts that the study is bound to and that are not here.
    pub fn lacking(&self) -> Vec<&ContractId> {
        wanted(&self.study).into_keys().filter(|id| !self.contracts.contains_key(id)).collect()
    }

    /// What each site computes first, analysis by analysis, if all contracts are here.
    pub fn plans(&self) -> Option<Vec<ValidPlan>> {
        let of = |id: &ContractId| self.contracts.get(id).map(|(_, contract)| contract);
        let base = of(&self.study.dataset)?;
        let related = self.study.related.iter();
        let related = related.map(|(name, table)| Some((name.clone(), of(&table.dataset)?))).collect::<Option<_>>()?;
        let contracts = Contracts { base, related };
        let plan = |analysis: &bocage_protocol::analysis::AnalysisSpec| {
            let plan = plan_for(&analysis.spec, self.study.query(), 0, &RoundState::First).ok()?;
            ValidPlan::check(plan, contracts.clone()).ok()
        };
        self.study.analyses.iter().map(plan).collect()
    }

    /// The same in words, by the names that the result has.
    pub fn explained(&self) -> BTreeMap<&AnalysisName, Vec<Explained>> {
        let mut explained: BTreeMap<&AnalysisName, Vec<Explained>> = BTreeMap::new();
        let Some((_, base)) = self.contracts.get(&self.study.dataset) else { return explained };
        let find = |id: &ContractId| self.contracts.get(id).map(|(_, contract)| contract);
        for (analysis, plan) in self.study.analyses.iter().zip(self.plans().unwrap_or_default()) {
            let name = analysis.part.as_ref().map_or(&analysis.name, |part| &part.of);
            let words = plan.explain(Contracts::of(base, plan.related(), find), None);
            explained.entry(name).or_default().push(words);
        }
        explained
    }
}

/// The contracts that a study is bound to.
fn wanted(study: &Study) -> BTreeMap<&ContractId, &Digest> {
    let related = study.related.values().map(|table| (&table.dataset, &table.contract));
    std::iter::once((&study.dataset, &study.contract)).chain(related).collect()
}

fn contract_file(id: &ContractId) -> String {
    format!("{CONTRACTS}/{id}.toml")
}

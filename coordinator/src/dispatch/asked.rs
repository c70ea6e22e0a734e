//! A signed study, verified and joined to the contract that it names. Nothing but this is ever put to a site.

use std::collections::BTreeMap;
use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::contract::Contract;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{ContractId, Digest, SiteId, StudyId, TableName};
use bocage_protocol::plan::{Contracts, RelatedTable};
use bocage_protocol::trust::{Permit, SignedPermit, SignedStudy, Study};

use crate::config::KnownContract;

/// A study whose signature holds and whose contract is known.
#[derive(Debug)]
pub struct Asked {
    /// Its id.
    pub id: StudyId,
    /// As it was signed.
    pub signed: SignedStudy,
    /// What it says.
    pub study: Study,
    /// The sites that it asks, sorted.
    pub sites: Vec<SiteId>,
    /// What the permit says that came with it. Whether it covers the study is the door's question.
    pub permit: Option<Permit>,
    /// The contract that it names, of the same hash.
    pub contract: Arc<Contract>,
    /// Those of the other tables that it looks into, by its names for them.
    pub related: BTreeMap<TableName, Arc<Contract>>,
}

impl Asked {
    /// Verifies the signature and finds the contract.
    ///
    /// # Errors
    /// Those of [`SignedStudy::verify`] and of a permit's; `study_invalid` where the list of sites is missing; `dataset_not_offered`, `contract_mismatch`.
    pub fn bind(signed: SignedStudy, contracts: &BTreeMap<ContractId, KnownContract>) -> Result<Self, PublicError> {
        let study = signed.verify()?;
        let permit = signed.permit.as_ref().map(SignedPermit::verify).transpose()?;
        let unlisted = || {
            PublicError::new(ErrorCode::StudyInvalid, "the study came without the list of its sites")
                .hint("`bocage study run` sends it along")
        };
        let sites = study.sites.names().ok_or_else(unlisted)?.to_vec();
        let contract = find(contracts, &study.dataset, study.contract)?;
        let table = |(name, table): (&TableName, &RelatedTable)| {
            Ok((name.clone(), find(contracts, &table.dataset, table.contract)?))
        };
        let related = study.related.iter().map(table).collect::<Result<_, PublicError>>()?;
        Ok(Self { id: signed.id(), signed, study, sites, permit, contract, related })
    }

    /// The contracts that its plans are checked against.
    pub fn contracts(&self) -> Contracts<'_> {
        let related = self.related.iter().map(|(name, contract)| (name.clone(), contract.as_ref()));
        Contracts { base: &self.contract, related: related.collect() }
    }
}

/// The contract of this name, of the same hash.
fn find(
    contracts: &BTreeMap<ContractId, KnownContract>,
    dataset: &ContractId,
    hash: Digest,
) -> Result<Arc<Contract>, PublicError> {
    let Some(known) = contracts.get(dataset) else {
        let message = format!("the coordinator does not know the contract {dataset}");
        return Err(
            PublicError::new(ErrorCode::DatasetNotOffered, message).hint("`bocage datasets` lists those that it knows")
        );
    };
    if known.hash != hash {
        let message = format!("the study was written for another text of the contract {dataset}");
        return Err(PublicError::new(ErrorCode::ContractMismatch, message)
            .hint("sign it again: `bocage study run` fetches the contract"));
    }
    Ok(Arc::clone(&known.contract))
}

#[cfg(test)]
mod tests {
    use super::super::course::Course;
    use super::*;
    use crate::bench::{RESEARCHER, SITES, START, key, permit, study_across};
    use crate::permits::{Touches, reads, uncovered};
    use bocage_protocol::contract::parse;
    use bocage_protocol::front::StudyText;
    use bocage_protocol::plan::ValidPlan;
    use bocage_protocol::trust::{PermitRef, Scope};

    const PEOPLE: &str = "id = \"people@1\"\nsubject = \"id\"\none_row_per_subject = true\n[[column]]\nname = \"id\"\ntype = \"text\"\n[[column]]\nname = \"sex\"\ntype = \"bool\"\n";
    const TESTS: &str = "id = \"tests@1\"\nsubject = \"id\"\ntime = \"taken\"\n[[column]]\nname = \"id\"\ntype = \"text\"\n[[column]]\nname = \"taken\"\ntype = \"date\"\nrange = [\"2000-01-01\", \"2030-01-01\"]\n[[column]]\nname = \"value\"\ntype = \"float\"\nrange = [0, 100]\n";
    const COHORT: &str = r#"
        title = "Across tables"
        purpose = "scientific_research"
        [tables]
        people = "people@1"
        test = "tests@1"
        [cohort]
        from = "people"
        include = ["has(test, value > 7, at_least = 2)"]
        [features]
        latest = "last(test.value)"
        [[analysis]]
        name = "glance"
        summary = { columns = ["sex", "latest"] }
        [[analysis]]
        name = "flow"
        attrition = {}
    "#;

    fn known(texts: &[&str]) -> BTreeMap<ContractId, KnownContract> {
        let one = |text: &&str| {
            let contract = parse(text, "c.toml").unwrap();
            let known = KnownContract { hash: contract.hash(), text: (*text).to_owned(), contract: Arc::new(contract) };
            (known.contract.id().clone(), known)
        };
        texts.iter().map(one).collect()
    }

    fn study() -> Study {
        let (people, tests) = (parse(PEOPLE, "p.toml").unwrap(), parse(TESTS, "t.toml").unwrap());
        let related = [("people".parse().unwrap(), &people), ("test".parse().unwrap(), &tests)].into();
        let text = StudyText::parse(COHORT, "study.toml").unwrap();
        study_across(&text, Contracts { base: &people, related }, &SITES, 1)
    }

    #[test]
    fn a_study_across_tables_begins_where_all_its_contracts_are_known_with_their_hashes() {
        let signed = || SignedStudy::sign(&study(), &key(RESEARCHER)).unwrap();
        let asked = Asked::bind(signed(), &known(&[PEOPLE, TESTS])).unwrap();
        assert_eq!(asked.contracts().related.len(), 1, "the base is not one of its related tables");
        let course = Course::begin(&asked, 3).unwrap();
        let round = course.round().unwrap();
        assert_eq!(round.parts.len(), asked.study.analyses.len());
        assert!(round.parts.iter().all(|part| part.plan.related().len() == 1));
        let code = |contracts: &[&str]| Asked::bind(signed(), &known(contracts)).unwrap_err().code;
        assert_eq!(code(&[PEOPLE]), ErrorCode::DatasetNotOffered);
        assert_eq!(code(&[PEOPLE, &TESTS.replace("[0, 100]", "[0, 99]")]), ErrorCode::ContractMismatch);
    }

    #[test]
    fn a_permit_covers_what_a_study_reads_in_every_table_or_says_what_it_does_not() {
        let asked =
            Asked::bind(SignedStudy::sign(&study(), &key(RESEARCHER)).unwrap(), &known(&[PEOPLE, TESTS])).unwrap();
        let course = Course::begin(&asked, 3).unwrap();
        let round = course.round().unwrap();
        let plans: Vec<&ValidPlan> = round.parts.iter().map(|part| &part.plan).collect();
        let reads = reads(plans.iter().copied());
        let scope = |id: &str, columns: Option<&[&str]>| Scope {
            dataset: id.parse().unwrap(),
            columns: columns.map(|names| names.iter().map(|name| name.parse().unwrap()).collect()),
        };
        let told = |datasets: Vec<Scope>| {
            let signed = permit(|permit| permit.datasets = datasets);
            let permit = signed.verify().unwrap();
            let reference = Some(PermitRef { id: permit.id.clone(), digest: signed.digest() });
            let study = Study { permit: reference, researcher: permit.holder.key, ..asked.study.clone() };
            let touches = Touches { study: &study, sites: &asked.sites, reads: &reads };
            let errors = uncovered(&permit, &signed.digest(), touches, START);
            errors.into_iter().map(|error| error.message).collect::<Vec<_>>()
        };
        assert_eq!(told(vec![scope("people@1", None), scope("tests@1", None)]), [] as [&str; 0]);
        assert_eq!(told(vec![scope("people@1", None)]), ["permit DK-2026/17 does not cover dataset tests@1"]);
        let narrow = told(vec![scope("people@1", Some(&["sex"])), scope("tests@1", Some(&["value"]))]);
        assert_eq!(narrow, ["permit DK-2026/17 does not cover the columns taken of tests@1"]);
    }
}

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

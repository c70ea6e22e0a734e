//! A signed study, verified and joined to the contract that it names. Nothing but this is ever put to a site.

use std::collections::BTreeMap;
use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::contract::Contract;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::{ContractId, SiteId, StudyId};
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
        let Some(known) = contracts.get(&study.dataset) else {
            let message = format!("the coordinator does not know the contract {}", study.dataset);
            return Err(PublicError::new(ErrorCode::DatasetNotOffered, message)
                .hint("`bocage datasets` lists those that it knows"));
        };
        if known.hash != study.contract {
            let message = format!("the study was written for another text of the contract {}", study.dataset);
            return Err(PublicError::new(ErrorCode::ContractMismatch, message)
                .hint("sign it again: `bocage study run` fetches the contract"));
        }
        Ok(Self { id: signed.id(), signed, study, sites, permit, contract: Arc::clone(&known.contract) })
    }
}

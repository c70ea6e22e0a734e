//! Who asks, and by what right: a researcher whom the site trusts by name, or the holder of a permit.

use std::collections::BTreeSet;

use bocage_protocol::ids::ContractId;
use bocage_protocol::trust::{PermitRef, PublicKey, Study};

use crate::custodian::ledger::bodies::Account;

/// Who asks. It exists only where a signature and the site's own `[[trust]]` say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// As the `[[trust]]` entry names them, or the permit.
    pub name: String,
    /// Where they work, as the permit says.
    pub organisation: Option<String>,
    /// With which key they signed.
    pub key: PublicKey,
    /// The permit that they rely on.
    pub permit: Option<PermitUse>,
}

/// A permit that is relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitUse {
    /// Which.
    pub reference: PermitRef,
    /// Who issued it, as the `[[trust]]` entry names them.
    pub access_body: String,
    /// With which key.
    pub issuer: PublicKey,
}

/// The datasets that a study looks into beside its own, each once.
pub fn related(study: &Study) -> Vec<ContractId> {
    let others: BTreeSet<&ContractId> = study.related.values().map(|table| &table.dataset).collect();
    others.into_iter().filter(|dataset| **dataset != study.dataset).cloned().collect()
}

impl Requester {
    /// By what right they ask, in words.
    pub fn right(&self) -> String {
        match &self.permit {
            Some(permit) => format!("permit {} of {}", permit.reference.id, permit.access_body),
            None => format!("trust entry of {}", self.name),
        }
    }

    /// On whose account a study's cells leave.
    pub fn account(&self, study: &Study) -> Account {
        Account {
            permit: self.permit.as_ref().map(|p| p.reference.digest),
            access_body: self.permit.as_ref().map(|p| p.issuer),
            researcher: self.key,
            purpose: study.purpose,
            dataset: study.dataset.clone(),
            related: related(study),
            expires_at: study.expires_at,
        }
    }
}

//! The permit that a researcher's study relies on: read from its file, verified, and held against the study before anything is signed.

use std::path::Path;

use bocage_net::env::SystemClock;
use bocage_protocol::PublicError;
use bocage_protocol::env::Clock as _;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{Permit, SignedPermit};

use super::study::{AskedPermit, Bound};
use super::{ClientError, read_file};
use crate::api::types::RevocationsInfo;
use crate::permits::{self, Touches};

/// A permit that is what its access body signed.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenPermit {
    /// The file, as it was named.
    pub file: String,
    /// As it was signed.
    pub signed: SignedPermit,
    /// What it says.
    pub permit: Permit,
}

impl GivenPermit {
    /// Reads a permit's file.
    ///
    /// # Errors
    /// It cannot be read, or is not a sound permit.
    pub fn read(path: &Path) -> Result<Self, ClientError> {
        let text = read_file(path, 2 * limits::PERMIT_BYTES + 1024)?;
        let file = path.display().to_string();
        let read = SignedPermit::from_text(&text).and_then(|signed| Ok((signed.verify()?, signed)));
        let (permit, signed) = read.map_err(|error| Problems::from(problem(&file, error)))?;
        Ok(Self { file, signed, permit })
    }

    /// Whether the study may rely on it, as far as can be told from here. `refused` is what the coordinator would say to it.
    pub(super) fn covers(
        &self,
        bound: &Bound,
        refused: Option<PublicError>,
        lists: &[RevocationsInfo],
    ) -> Result<(), ClientError> {
        let (digest, plans) = (self.signed.digest(), bound.plans()?);
        let reads = permits::reads(&plans);
        let sites = bound.study.sites.names().unwrap_or_default();
        let touches = Touches { study: &bound.study, sites, reads: &reads };
        let mut wrong = Vec::from_iter(refused);
        wrong.extend(permits::uncovered(&self.permit, &digest, touches, SystemClock.now()));
        wrong.extend(self.taken_back(lists));
        let problems = Problems(wrong.into_iter().map(|error| problem(&self.file, error)).collect());
        Ok(problems.into_result(())?)
    }

    /// The refusal that it stands in its access body's list.
    pub(super) fn taken_back(&self, lists: &[RevocationsInfo]) -> Option<PublicError> {
        let digest = self.signed.digest();
        lists.iter().filter(|info| info.issuer == self.permit.issuer).find_map(|info| {
            // The coordinator says whose it is; the signature shows it.
            let list = info.list.verify().ok().filter(|list| list.issuer == self.permit.issuer)?;
            permits::taken_back(&self.permit, &digest, &list)
        })
    }

    pub(super) fn asked(&self, issuer_known: bool) -> AskedPermit {
        AskedPermit {
            id: self.permit.id.clone(),
            holder: self.permit.holder.name.clone(),
            organisation: self.permit.holder.organisation.clone(),
            valid_from: self.permit.valid_from,
            valid_to: self.permit.valid_to,
            max_cells: self.permit.max_cells,
            issuer_known,
        }
    }
}

fn problem(file: &str, error: PublicError) -> Problem {
    let problem = Problem::new(file, "", error.to_string());
    match error.hint {
        Some(hint) => problem.hint(hint),
        None if error.code == ErrorCode::PermitInvalid => {
            problem.hint("use the file as the access body sent it, or ask for it again; `bocage permit sign` makes one")
        }
        None => problem,
    }
}

//! Who opted out by a column of a source. A patient's no in one dataset counts in each that names patients, unless the dataset says that its own is
//! meant alone.
//!
//! What counts is what stands in the snapshots in use, whatever older ones a study began on; where one is not there, nobody can tell.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bocage_protocol::contract::Subject;
use bocage_protocol::error::PublicError;
use bocage_protocol::ids::Digest;

use super::OptOutError;
use super::ids::{IdForm, Token};
use crate::config::{CustodianConfig, Dataset};
use crate::custodian::Custodian;
use crate::custodian::data::usable;
use crate::custodian::server::busy;
use crate::custodian::snapshot::{self, Manifest};

/// In which datasets it counts what a source says of who opted out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptOutScope {
    /// In all of the node whose contracts name patients.
    #[default]
    Node,
    /// In the source's own alone.
    Dataset,
}

/// Whether a dataset's patients are the same persons as another one's.
pub fn names_patients(dataset: &Dataset) -> bool {
    matches!(dataset.contract.subject(), Subject::Column(_))
}

/// Whether a no in a dataset's source is one to all datasets of the node.
pub fn speaks_for_all(dataset: &Dataset) -> bool {
    dataset.spec.flags().is_some() && dataset.optout_scope == OptOutScope::Node && names_patients(dataset)
}

/// The columns of a node that count in all of its datasets, as they stand in the snapshots in use.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// What they are made of; none where there are none.
    pub of: Vec<Digest>,
    /// Who opted out by one of them.
    pub tokens: BTreeSet<Token>,
}

/// Who opted out by what stands in these snapshots.
pub(super) fn tokens(snapshots: &Path, said: &[Manifest], form: &IdForm) -> Result<BTreeSet<Token>, OptOutError> {
    let mut tokens = BTreeSet::new();
    for manifest in said {
        if manifest.ids.is_none_or(|ids| ids.form != form.digest()) {
            return Err(OptOutError::Form { dataset: manifest.dataset.clone() });
        }
        tokens.extend(snapshot::subject_ids(snapshots, manifest)?.opted_out());
    }
    Ok(tokens)
}

impl super::OptOuts {
    /// What these snapshots say. Kept until one of them is another.
    pub(super) fn columns(&self, said: &[Manifest], form: &IdForm) -> Result<Arc<Columns>, OptOutError> {
        let of: Vec<Digest> = said.iter().filter_map(|manifest| manifest.ids.map(|ids| ids.content)).collect();
        let held = Arc::clone(&self.held().columns);
        if held.of == of {
            return Ok(held);
        }
        let columns = Arc::new(Columns { of, tokens: tokens(&self.snapshots, said, form)? });
        self.held().columns = Arc::clone(&columns);
        Ok(columns)
    }
}

impl Custodian {
    /// The snapshots whose sources say who of a dataset opted out, its own aside where it speaks for itself alone.
    pub(super) fn said_for(&self, dataset: &Dataset) -> Result<Vec<Manifest>, PublicError> {
        let said = |speaker: &Dataset| match usable(&self.config, speaker) {
            Ok(manifest) => Ok(manifest),
            Err(_) if self.is_awaited(speaker) => Err(busy()),
            Err(reason) => {
                let error = OptOutError::Column { dataset: speaker.name.clone(), reason };
                let reason = error.to_string();
                tracing::error!(dataset = dataset.name, reason, "nobody can be asked about");
                Err(PublicError::from(&error))
            }
        };
        let speakers = self.config.datasets.values().filter(|speaker| speaks_for_all(speaker));
        let concerned = names_patients(dataset) && !self.optouts.ignored;
        speakers.filter(|_| concerned).map(said).collect()
    }
}

/// Whether any dataset's source speaks for all.
pub(super) fn any(config: &CustodianConfig) -> bool {
    config.datasets.values().any(speaks_for_all)
}

//! References that lead nowhere: rows that refer to a row which their patient does not have in the dataset that is meant, or has more than once.
//!
//! It needs two snapshots, so that no ingest finds it: the hospital's own `check` does. It counts what is below every threshold, and never leaves.
//! A patient's rows stand together in both, so one patient's are in memory at a time, beside a number for each patient.

use std::path::Path;

use bocage_protocol::contract::Contract;
use bocage_protocol::ids::ColumnName;
use polars::prelude::Int64Chunked;

use super::links::{Link, LinkError};
use super::snapshot::{self, LeftOut, Manifest, Offered, Snapshot};
use super::source::SUBJECT;

/// What the references of a column lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dangling {
    /// Rows that refer to some row.
    pub refer: u64,
    /// Those whose patient has no such row.
    pub nowhere: u64,
    /// Those whose patient has several.
    pub several: u64,
}

/// A snapshot with its contract.
pub type Taken<'a> = (&'a Contract, &'a Manifest);

/// What the references of a column of one snapshot find in another.
///
/// # Errors
/// A snapshot or its tokens cannot be read, or they are of two forms.
pub fn dangling(
    (dir, column): (&Path, &ColumnName),
    (_, from): Taken<'_>,
    (contract, to): Taken<'_>,
) -> Result<Dangling, LinkError> {
    let mut dangling = Dangling::default();
    let Some(key) = contract.key() else { return Ok(dangling) };
    let ids = |manifest: &Manifest| snapshot::subject_ids(dir, manifest);
    if from.ids.map(|ids| ids.form) != to.ids.map(|ids| ids.form) {
        return Err(LinkError::Form { base: to.dataset.clone(), related: from.dataset.clone() });
    }
    let link = Link::between(&ids(to)?, &ids(from)?);
    let (from, to) = (Named::open(dir, from)?, Named::open(dir, to)?);
    let ((patients, references), (own, keys)) = (from.rows(column)?, to.rows(key)?);
    let mut known = Vec::new();
    let mut row = 0;
    for same in patients.chunk_by(|a, b| a == b) {
        let base = link.base(same[0]);
        let first = own.partition_point(|patient| *patient < base);
        let theirs = first..first + own[first..].partition_point(|patient| *patient == base);
        known.clear();
        known.extend(theirs.filter_map(|row| keys.get(row)));
        known.sort_unstable();
        for wanted in (row..row + same.len()).filter_map(|row| references.get(row)) {
            let found = known[known.partition_point(|key| *key < wanted)..].iter().take_while(|key| **key == wanted);
            dangling.refer += 1;
            match found.take(2).count() {
                0 => dangling.nowhere += 1,
                1 => {}
                _ => dangling.several += 1,
            }
        }
        row += same.len();
    }
    Ok(dangling)
}

/// A snapshot whose rows have names, as it is mapped: nothing of it is copied.
struct Named(Offered);

impl Named {
    fn open(dir: &Path, manifest: &Manifest) -> Result<Self, LinkError> {
        let opened = Snapshot::open(dir, &manifest.dataset, &manifest.content)?;
        Ok(Self(Offered::new(std::sync::Arc::new(opened), None::<LeftOut<'_>>)))
    }

    /// The patient and the token of each row, patient by patient.
    fn rows(&self, column: &ColumnName) -> Result<(&[u32], &Int64Chunked), LinkError> {
        let shape = || snapshot::SnapshotError::Fault { stage: "reading names of rows" };
        let rows = self.0.rows().ok_or_else(shape)?;
        let patients = rows.column(SUBJECT).and_then(|column| column.u32().ok()?.cont_slice().ok());
        let tokens = rows.column(column.as_str()).and_then(|column| column.i64().ok());
        Ok(patients.zip(tokens).ok_or_else(shape)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use bocage_protocol::contract::parse;
    use bocage_protocol::env::Timestamp;
    use bocage_protocol::settings::Problems;
    use bocage_protocol::trust::SecretKey;
    use serde_json::json;

    use super::*;
    use crate::custodian::optout::IdForm;
    use crate::custodian::snapshot::Taking;
    use crate::custodian::source::DatasetSpec;

    const STAYS: &str = "id = \"stays@1\"\nsubject = \"patient\"\nkey = \"stay\"\n\
        [[column]]\nname = \"patient\"\ntype = \"text\"\n[[column]]\nname = \"stay\"\ntype = \"text\"\n\
        [[rule]]\nname = \"twice\"\nkind = \"duplicate\"\ncolumns = [\"stay\"]\n";
    const FINDINGS: &str = "id = \"findings@1\"\nsubject = \"patient\"\n\
        [[column]]\nname = \"patient\"\ntype = \"text\"\n[[column]]\nname = \"during\"\ntype = \"text\"\nreferences = \"stays\"\n";

    pub fn taken(dir: &Path, text: &str, rows: &str, key: &SecretKey) -> (Contract, Manifest) {
        let contract = parse(text, "contract.toml").unwrap();
        let name = contract.id().name().to_owned();
        fs::write(dir.join(format!("{name}.csv")), rows).unwrap();
        let section = json!({
            "contract": contract.id().to_string(), "source": {"kind": "csv", "path": format!("{name}.csv")}, "map": {},
        });
        let spec = DatasetSpec::read(&name, &section, "node.toml", dir, &mut Problems::default()).unwrap();
        let form = IdForm::of(None, key).unwrap();
        let taking = Taking { form: Some(&form), ..Taking::into(dir) };
        let manifest = taking.take(&spec, &contract, Timestamp(1)).unwrap();
        (contract, manifest)
    }

    #[test]
    fn a_reference_leads_to_one_row_of_the_same_patient_or_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let key = || SecretKey::generate(&mut bocage_net::env::SystemEntropy);
        let own = key();
        let stays = taken(dir.path(), STAYS, "patient,stay\na,1\na,2\nb,3\nb,3\nc,4\n", &own);
        let rows = "patient,during\na,1\na,\na,9\nb,3\nb,1\nstranger,1\nc,4\n";
        let findings = taken(dir.path(), FINDINGS, rows, &own);
        let column: ColumnName = "during".parse().unwrap();
        let of = |stays: &(Contract, Manifest)| {
            dangling((dir.path(), &column), (&findings.0, &findings.1), (&stays.0, &stays.1))
        };
        // Of a: 9 is nowhere. Of b: 3 stands twice, and 1 is another patient's. The stranger has no stay.
        let expected = Dangling { refer: 6, nowhere: 3, several: 1 };
        assert_eq!(of(&stays).unwrap(), expected);
        let other = taken(dir.path(), STAYS, "patient,stay\na,1\n", &key());
        assert!(matches!(of(&other), Err(LinkError::Form { .. })), "tokens of another key would all lead nowhere");
    }
}

//! Events that are dated before their patient was born.
//!
//! Like references that lead nowhere ([`super::dangling`]) it needs two snapshots, so that no ingest finds it: the hospital's own `check` does. It counts
//! what is below every threshold, and never leaves.

use std::path::Path;
use std::sync::Arc;

use bocage_protocol::contract::{Contract, Kind, Precision};
use bocage_protocol::front::dates::{date_text, parse_date};
use bocage_protocol::ids::ColumnName;

use super::dangling::Taken;
use super::links::{Link, LinkError};
use super::snapshot::{self, LeftOut, Manifest, Offered, Snapshot, SnapshotError};
use super::source::SUBJECT;

const DAY_MS: i64 = 86_400_000;

/// What the dates of a dataset say beside the births of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Early {
    /// Rows with a date, of patients whose birth is known.
    pub dated: u64,
    /// Those before the birth.
    pub before_birth: u64,
}

/// How many rows of one snapshot are dated before their patient's birth, which stands in another. None where the one has no date or the other no birth.
///
/// # Errors
/// A snapshot or its tokens cannot be read, or they are of two forms.
pub fn early(dir: &Path, (contract, from): Taken<'_>, (people, births): Taken<'_>) -> Result<Option<Early>, LinkError> {
    let (Some(time), Some(birth)) = (contract.time(), people.birth()) else { return Ok(None) };
    if from.ids.map(|ids| ids.form) != births.ids.map(|ids| ids.form) {
        return Err(LinkError::Form { base: births.dataset.clone(), related: from.dataset.clone() });
    }
    let ids = |manifest: &Manifest| snapshot::subject_ids(dir, manifest);
    let link = Link::between(&ids(births)?, &ids(from)?);
    let precision = people.column(birth.as_str()).and_then(|column| column.precision);
    let mut born = Vec::new();
    for (patient, day) in days(dir, births, people, birth)? {
        let (at, day) = (patient as usize, begins(day, precision));
        if born.len() <= at {
            born.resize(at + 1, None);
        }
        born[at] = Some(born[at].map_or(day, |known: i32| known.min(day)));
    }
    let mut early = Early::default();
    for (patient, day) in days(dir, from, contract, time)? {
        let Some(Some(born)) = born.get(link.base(patient) as usize) else { continue };
        early.dated += 1;
        early.before_birth += u64::from(day < *born);
    }
    Ok(Some(early))
}

/// The first day that a day may stand for: a source may know the month or the year alone.
fn begins(day: i32, precision: Option<Precision>) -> i32 {
    let text = date_text(day);
    let first = match precision {
        Some(Precision::Year) if text.ends_with("-07-01") => {
            text.strip_suffix("07-01").map(|year| format!("{year}01-01"))
        }
        Some(_) if text.ends_with("-15") => text.strip_suffix("15").map(|month| format!("{month}01")),
        _ => None,
    };
    first.and_then(|first| parse_date(&first)).unwrap_or(day)
}

/// The patient and the day of each row that has one in this column.
fn days(dir: &Path, manifest: &Manifest, contract: &Contract, name: &ColumnName) -> Result<Vec<(u32, i32)>, LinkError> {
    let opened = Snapshot::open(dir, &manifest.dataset, &manifest.content)?;
    let offered = Offered::new(Arc::new(opened), None::<LeftOut<'_>>);
    let shape = || SnapshotError::Fault { stage: "reading dates of rows" };
    let rows = offered.rows().ok_or_else(shape)?;
    let subjects = rows.column(SUBJECT).and_then(|column| column.u32().ok()).ok_or_else(shape)?;
    let column = rows.column(name.as_str()).ok_or_else(shape)?;
    let days: Vec<Option<i32>> = match contract.column(name.as_str()).map(|column| &column.kind) {
        Some(Kind::Datetime { .. }) => {
            let day = |ms: i64| i32::try_from(ms.div_euclid(DAY_MS)).ok();
            column.i64().map_err(|_| shape())?.iter().map(|ms| ms.and_then(day)).collect()
        }
        _ => column.i32().map_err(|_| shape())?.iter().collect(),
    };
    Ok(subjects.iter().zip(days).filter_map(|(subject, day)| subject.zip(day)).collect())
}

#[cfg(test)]
mod tests {
    use bocage_protocol::trust::SecretKey;

    use super::*;
    use crate::custodian::dangling::tests::taken;

    const PEOPLE: &str = "id = \"people@1\"\nsubject = \"patient\"\nbirth = \"born\"\none_row_per_subject = true\n\
        [[column]]\nname = \"patient\"\ntype = \"text\"\n\
        [[column]]\nname = \"born\"\ntype = \"date\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\nprecision = \"year\"\n";

    fn visits(kind: &str) -> String {
        format!(
            "id = \"visits@1\"\nsubject = \"patient\"\ntime = \"seen\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
             [[column]]\nname = \"seen\"\ntype = \"{kind}\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\n"
        )
    }

    #[test]
    fn an_event_before_the_first_day_on_which_its_patient_may_be_born_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let own = SecretKey::generate(&mut bocage_net::env::SystemEntropy);
        // Of b the year is known, of c the month, of d nothing.
        let people = taken(dir.path(), PEOPLE, "patient,born\na,2000-03-20\nb,2000\nc,2000-05\nd,\n", &own);
        let rows = "patient,seen\na,2000-03-19\na,2000-03-20\na,\nb,2000-01-01\nb,1999-12-31\nc,2000-05-01\nc,2000-04-30\nd,1950-01-01\nstranger,1950-01-01\n";
        let visits = taken(dir.path(), &visits("date"), rows, &own);
        let of = |people: &(Contract, Manifest), visits: &(Contract, Manifest)| {
            early(dir.path(), (&visits.0, &visits.1), (&people.0, &people.1))
        };
        assert_eq!(of(&people, &visits).unwrap(), Some(Early { dated: 6, before_birth: 3 }));
        assert_eq!(of(&visits, &people).unwrap(), None, "who was born says when, who was seen does not");
    }

    #[test]
    fn a_moment_of_the_day_of_birth_is_not_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let own = SecretKey::generate(&mut bocage_net::env::SystemEntropy);
        let people = taken(dir.path(), PEOPLE, "patient,born\na,2000-03-20\n", &own);
        let rows = "patient,seen\na,2000-03-19T23:59:59Z\na,2000-03-20T00:00:00Z\n";
        let visits = taken(
            dir.path(),
            &visits("datetime").replace("-01-01\"", "-01-01T00:00:00Z\"").replace("-12-31\"", "-12-31T00:00:00Z\""),
            rows,
            &own,
        );
        let found = early(dir.path(), (&visits.0, &visits.1), (&people.0, &people.1)).unwrap();
        assert_eq!(found, Some(Early { dated: 2, before_birth: 1 }));
    }
}

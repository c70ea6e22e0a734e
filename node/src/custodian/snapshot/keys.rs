//! Keys of rows by which rules find those that repeat others, or that another dataset speaks against: put aside with the rows, and compared when all are there, a
//! part of them at a time.
//!
//! ```text
//! keys of a batch ─▶ a piece for each rule and part ──full──▶ a stream each ──at the end──▶ all of one rule's keys in one part, compared
//! ```
//! Equal keys are of one part, and digests spread evenly, so that a part holds one key in [`KEY_PARTS`].

use super::spool::{Spool, Stream};
use super::{SnapshotError, unfinished};
use crate::custodian::source::Key;

/// Parts of one rule's keys: of a thousand million rows, one takes 80 MB.
pub(super) const KEY_PARTS: usize = 256;

/// Keys that are not in the streams yet.
pub(super) struct Keys {
    /// [`KEY_PARTS`] of the first rule, then those of the next.
    pieces: Vec<Vec<u8>>,
}

impl Keys {
    /// Of so many rules.
    pub(super) fn of(rules: usize) -> Self {
        Self { pieces: vec![Vec::new(); rules * KEY_PARTS] }
    }

    /// How many streams they have.
    pub(super) fn streams(&self) -> usize {
        self.pieces.len()
    }

    /// Takes a batch's, one list a rule, and says how many bytes that are.
    pub(super) fn add(&mut self, keys: &[Vec<Key>]) -> usize {
        for (pieces, keys) in self.pieces.chunks_mut(KEY_PARTS).zip(keys) {
            keys.iter().for_each(|key| pieces[key.part(KEY_PARTS)].extend_from_slice(&key.to_bytes()));
        }
        keys.iter().map(|keys| keys.len() * Key::BYTES).sum()
    }

    /// Puts all aside.
    pub(super) fn flush(&mut self, spool: &mut Spool<'_>) -> Result<(), SnapshotError> {
        self.pieces.iter_mut().enumerate().try_for_each(|(i, piece)| spool.append(stream(i), &std::mem::take(piece)))
    }

    /// Takes all keys of a rule in one part.
    pub(super) fn take(
        &mut self,
        spool: Option<&mut Spool<'_>>,
        rule: usize,
        part: usize,
    ) -> Result<Vec<Key>, SnapshotError> {
        let i = rule * KEY_PARTS + part;
        let mut keys = Vec::new();
        let mut add = |bytes: &[u8]| {
            keys.extend(bytes.as_chunks::<{ Key::BYTES }>().0.iter().map(Key::from_bytes));
            Ok(())
        };
        if let Some(spool) = spool {
            spool.read(stream(i), &mut add)?;
        }
        add(&self.pieces.get_mut(i).map(std::mem::take).unwrap_or_default())?;
        Ok(keys)
    }

    /// Gives all keys, a part at a time, each with the places of its rule and part; and how many bytes the largest part had.
    pub(super) fn each(
        &mut self,
        mut spool: Option<&mut Spool<'_>>,
        mut take: impl FnMut(usize, usize, Vec<Key>) -> Result<(), SnapshotError>,
    ) -> Result<usize, SnapshotError> {
        let mut most = 0;
        for i in 0..self.pieces.len() {
            let (rule, part) = (i / KEY_PARTS, i % KEY_PARTS);
            let keys = self.take(spool.as_deref_mut(), rule, part)?;
            most = most.max(keys.len() * Key::BYTES);
            if !keys.is_empty() {
                take(rule, part, keys)?;
            }
        }
        Ok(most)
    }
}

/// Before those of the rows' parts.
fn stream(piece: usize) -> Stream {
    Stream(unfinished::KEYS + piece)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashSet};
    use std::fs;

    use bocage_protocol::contract::parse;
    use bocage_protocol::env::{Entropy, Timestamp};
    use bocage_protocol::settings::Problems;
    use bocage_protocol::trust::SecretKey;
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{Manifest, Size, Taking, subject_ids};
    use crate::custodian::optout::IdForm;
    use crate::custodian::source::{BatchSize, DatasetSpec, Reason};

    const CONTRACT: &str = r#"
        id = "stays@1"
        subject = "patient"
        [[column]]
        name = "patient"
        type = "text"
        [[column]]
        name = "stay"
        type = "int"
        range = [0, 1000000]
        [[column]]
        name = "ward"
        type = "text"
        [[rule]]
        name = "one_row_a_stay"
        kind = "duplicate"
        columns = ["stay"]
        on_fail = "reject"
        [[rule]]
        name = "a_ward_once"
        kind = "duplicate"
        columns = ["patient", "ward"]
    "#;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    /// A patient, a stay, a ward, and whether the patient opts out in that row.
    type Row = (Option<u8>, Option<u8>, u8, bool);

    /// What one set of all keys that came would find.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Found {
        same_stay: Vec<u64>,
        same_ward: Vec<u64>,
        kept: u64,
        nameless: u64,
        patients: BTreeSet<u8>,
        out: BTreeSet<u8>,
    }

    fn expected(rows: &[Row]) -> Found {
        let (mut stays, mut wards, mut found) = (HashSet::new(), HashSet::new(), Found::default());
        let mut outs = BTreeSet::new();
        for ((patient, stay, ward, out), number) in rows.iter().zip(1..) {
            let Some(patient) = patient else {
                found.nameless += 1;
                continue;
            };
            if *out {
                outs.insert(*patient);
            }
            if stay.is_some_and(|stay| !stays.insert(stay)) {
                found.same_stay.push(number);
                continue;
            }
            if !wards.insert((patient, ward)) {
                found.same_ward.push(number);
            }
            found.kept += 1;
            found.patients.insert(*patient);
        }
        found.out = outs.intersection(&found.patients).copied().collect();
        found
    }

    struct Site(tempfile::TempDir, DatasetSpec);

    impl Site {
        fn new(rows: &[Row]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut csv = "patient,stay,ward,out\n".to_owned();
            for (patient, stay, ward, out) in rows {
                let text = |number: &Option<u8>| number.map(|n| n.to_string()).unwrap_or_default();
                csv += &format!("{},{},w{ward},{out}\n", text(patient), text(stay));
            }
            fs::write(dir.path().join("stays.csv"), csv).unwrap();
            let source = json!({"kind": "csv", "path": "stays.csv"});
            let section = json!({"contract": "stays@1", "source": source, "optout": "out = 'true'"});
            let spec = DatasetSpec::read("stays", &section, "node.toml", dir.path(), &mut Problems::default());
            Self(dir, spec.unwrap())
        }

        fn take(&self, into: &str, size: Size) -> Option<Manifest> {
            let form = IdForm::of(None, &SecretKey::generate(&mut Sevens)).unwrap();
            let dir = self.0.path().join(into);
            let taking = Taking { size, form: Some(&form), ..Taking::into(&dir) };
            taking.take(&self.1, &parse(CONTRACT, "stays.toml").unwrap(), Timestamp(1)).ok()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn rows_that_repeat_others_are_those_that_one_set_of_all_keys_would_find_however_they_were_cut(
            rows in proptest::collection::vec(
                (proptest::option::weighted(0.9, 0..5u8), proptest::option::weighted(0.9, 0..40u8), 0..3u8, prop::bool::weighted(0.2)),
                1..90,
            ),
            batch in 1..9usize,
        ) {
            let (site, expected) = (Site::new(&rows), expected(&rows));
            let cut = |held_bytes| {
                Size { batch: BatchSize { rows: batch, bytes: usize::MAX }, held_bytes, group_bytes: 1 }
            };
            let mut contents = HashSet::new();
            for (into, size) in [("whole", Size::default()), ("cut", cut(1)), ("few", cut(2_000))] {
                let Some(manifest) = site.take(into, size) else {
                    prop_assert_eq!(expected.kept, 0);
                    return Ok(());
                };
                let rule = |name: &str| &manifest.report.rules[&name.parse().unwrap()].failed;
                for (name, failed) in [("one_row_a_stay", &expected.same_stay), ("a_ward_once", &expected.same_ward)] {
                    let first: Vec<u64> = failed.iter().copied().take(20).collect();
                    prop_assert_eq!((rule(name).count, &rule(name).first), (failed.len() as u64, &first));
                }
                let rejected: BTreeMap<_, _> =
                    manifest.report.rows_rejected.iter().map(|r| (r.reason.clone(), r.rows)).collect();
                let of = |reason: Reason| rejected.get(&reason).copied().unwrap_or_default();
                prop_assert_eq!(of(Reason::Rule("one_row_a_stay".parse().unwrap())), expected.same_stay.len() as u64);
                prop_assert_eq!(of(Reason::NoSubject), expected.nameless);
                prop_assert_eq!((manifest.rows, manifest.report.rows_kept), (expected.kept, expected.kept));
                prop_assert_eq!(manifest.subjects as usize, expected.patients.len());
                let ids = subject_ids(&site.0.path().join(into), &manifest).unwrap();
                prop_assert_eq!(ids.flagged.len(), expected.out.len(), "a row that is left out still opts its patient out");
                contents.insert((manifest.content, manifest.ids.map(|ids| ids.content)));
            }
            prop_assert_eq!(contents.len(), 1);
        }
    }
}

//! Which fold of a cross-validation a patient is in: a keyed hash of the patient's token, the same in every study of this site, whatever its salt, its
//! columns or its number of folds. Each of ten is a fold of ten; folds of five and of two are unions of those.
//!
//! If a study could choose or change them, sums of many random parts of the same patients would be as many equations about them as somebody asks
//! studies, and solved for each. Where a contract says that a row is a patient, nobody is known again: folds then are of the snapshot's rows.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bocage_protocol::ids::Digest;
use bocage_protocol::trust::SecretKey;
use zeroize::Zeroizing;

use super::snapshot::{self, Manifest, SnapshotError};

/// What the key is for.
const PURPOSE: &str = "folds of patients";
/// All folds are unions of so many.
const FINEST: u8 = 10;

/// What folds are drawn by.
pub struct FoldKey(Zeroizing<[u8; 32]>);

impl FoldKey {
    /// That of a site.
    pub fn of(release_key: &SecretKey) -> Self {
        Self(release_key.derive(PURPOSE))
    }

    /// What a study says, which whoever asks knows. For tests that attack a node.
    pub fn salted(salt: &[u8]) -> Self {
        Self(Zeroizing::new(*Digest::of("bocage/fold-salt/1", &[salt]).as_bytes()))
    }

    fn draw(&self, patient: &[u8]) -> u8 {
        let drawn = Digest::of("bocage/fold/1", &[self.0.as_slice(), patient]);
        let mut wide = [0; 16];
        wide.copy_from_slice(&drawn.as_bytes()[..16]);
        (u128::from_be_bytes(wide) % u128::from(FINEST)) as u8
    }
}

/// The folds of a snapshot's subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds(Vec<u8>);

impl Folds {
    /// By tokens, in the order of the subjects' numbers.
    pub fn by_tokens<'t>(key: &FoldKey, tokens: impl Iterator<Item = &'t super::optout::Token>) -> Self {
        Self(tokens.map(|token| key.draw(&token.to_bytes())).collect())
    }

    /// Of so many rows of a snapshot, of which each is a patient.
    pub fn by_rows(key: &FoldKey, content: &[u8], rows: u32) -> Self {
        let place = |row: u32| [content, &row.to_be_bytes()].concat();
        Self((0..rows).map(|row| key.draw(&place(row))).collect())
    }

    /// The fold of a subject, of so many.
    pub fn of(&self, subject: u32, count: u8) -> Option<usize> {
        self.0.get(subject as usize).map(|fold| usize::from(fold % count.max(1)))
    }
}

/// The folds that were asked for last: they follow from a snapshot and a key alone.
#[derive(Default)]
pub struct KeptFolds(Mutex<Option<(Digest, Arc<Folds>)>>);

impl KeptFolds {
    /// Those of a snapshot's subjects.
    ///
    /// # Errors
    /// Its tokens are missing or damaged.
    pub fn get(&self, dir: &Path, manifest: &Manifest, key: &FoldKey) -> Result<Arc<Folds>, SnapshotError> {
        let tokens = manifest.ids.map_or([0; 32], |ids| *ids.content.as_bytes());
        let of = Digest::of("bocage/folds/1", &[key.0.as_slice(), manifest.content.as_bytes(), &tokens]);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, folds)) = kept.as_ref().filter(|(known, _)| *known == of) {
            return Ok(Arc::clone(folds));
        }
        let folds = Arc::new(match manifest.ids {
            Some(_) => Folds::by_tokens(key, snapshot::subject_ids(dir, manifest)?.tokens.iter()),
            None => Folds::by_rows(key, manifest.content.as_bytes(), manifest.subjects),
        });
        *kept = Some((of, Arc::clone(&folds)));
        Ok(folds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custodian::optout::{IdForm, Token};

    fn keys() -> [SecretKey; 2] {
        [1, 2].map(|_| SecretKey::generate(&mut bocage_net::env::SystemEntropy))
    }

    fn tokens(form: &IdForm, ids: impl Iterator<Item = u32>) -> Vec<Token> {
        ids.map(|id| form.of_subject(&id.to_string())).collect()
    }

    #[test]
    fn a_patient_is_in_the_same_fold_in_every_snapshot_and_in_another_at_another_site() {
        let [here, there] = keys();
        let folds = |key: &SecretKey, ids: std::ops::Range<u32>| {
            let form = IdForm::of(None, key).unwrap();
            Folds::by_tokens(&FoldKey::of(key), tokens(&form, ids).iter())
        };
        let (all, later) = (folds(&here, 0..300), folds(&here, 100..400));
        assert!((0..200).all(|at| all.of(at + 100, 10) == later.of(at, 10)));
        assert!((0..300).any(|at| all.of(at, 10) != folds(&there, 0..300).of(at, 10)));
        assert_eq!(all.of(300, 10), None);
    }

    #[test]
    fn folds_of_five_and_two_are_unions_of_those_of_ten() {
        let [key, _] = keys();
        let folds = Folds::by_rows(&FoldKey::of(&key), &[7], 1000);
        for subject in 0..1000 {
            let finest = folds.of(subject, 10).unwrap();
            assert_eq!((folds.of(subject, 5), folds.of(subject, 2)), (Some(finest % 5), Some(finest % 2)));
        }
        let sizes: Vec<usize> = (0..10).map(|of| (0..1000).filter(|s| folds.of(*s, 10) == Some(of)).count()).collect();
        assert!(sizes.iter().all(|n| (50..150).contains(n)), "{sizes:?}");
    }
}

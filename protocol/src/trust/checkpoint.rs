//! Where a site's ledger stood when a release left, signed by the site. Whoever keeps it elsewhere can prove later that the ledger lost or
//! changed a record, or that release.
//!
//! It says how many records there are and the hash of the last, and nothing of what is in them; the release it names by a salted digest, so
//! that nobody can confirm a guess of it. Its signature is the release's only one ([`super::SignedRelease`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::canonical::canonical;
use super::keys::{PublicKey, SecretKey, Signature};
use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{Digest, SiteId};

const CHECKPOINT_DOMAIN: &str = "bocage/checkpoint/1";

/// Where a ledger stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many records it has.
    pub records: u64,
    /// The hash of the last one.
    pub head: Digest,
    /// When, by the site's clock.
    pub at: Timestamp,
}

/// The state of a site's ledger at one moment, and the release that left then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Whose ledger.
    pub site: SiteId,
    /// How many records it has.
    pub records: u64,
    /// The hash of the last one.
    pub head: Digest,
    /// When, by the site's clock.
    pub at: Timestamp,
    /// The release with which it leaves: its salted digest.
    pub release: Digest,
}

/// A checkpoint with the site's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// By the site's release key, over the checkpoint's canonical JSON.
    pub signature: Signature,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with the site's release key.
    ///
    /// # Errors
    /// `malformed` where a number is beyond what JSON holds exactly.
    pub fn sign(checkpoint: Checkpoint, key: &SecretKey) -> Result<Self, PublicError> {
        let signature = key.sign(CHECKPOINT_DOMAIN, &canonical(&checkpoint)?);
        Ok(Self { checkpoint, signature })
    }

    /// The checkpoint, if the site's release key signed it.
    ///
    /// # Errors
    /// `release_invalid`.
    pub fn verify(&self, key: &PublicKey) -> Result<&Checkpoint, PublicError> {
        let bytes = canonical(&self.checkpoint)?;
        if !key.verifies(CHECKPOINT_DOMAIN, &bytes, &self.signature) {
            let message = "the checkpoint is not signed by the site's release key";
            return Err(PublicError::new(ErrorCode::ReleaseInvalid, message));
        }
        Ok(&self.checkpoint)
    }
}

/// What a coordinator keeps of a site's ledger, and a hospital compares its own with: `GET /v1/checkpoints/SITE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeptCheckpoints {
    /// The one with the most records, unless a later one has fewer: then the ledger went on from there.
    pub newest: SignedCheckpoint,
    /// The first two that do not fit each other, if any: never forgotten, however far the ledger grows.
    pub contradiction: Option<Contradiction>,
}

/// Two checkpoints of which one ledger cannot have both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// What was known.
    pub known: SignedCheckpoint,
    /// What came.
    pub came: SignedCheckpoint,
    /// When it was noticed, by the coordinator's clock.
    pub noticed_at: Timestamp,
}

impl KeptCheckpoints {
    /// Every checkpoint that one ledger would have to fit.
    pub fn all(&self) -> impl Iterator<Item = &SignedCheckpoint> {
        self.contradiction.iter().flat_map(|c| [&c.known, &c.came]).chain([&self.newest])
    }
}

impl Checkpoint {
    /// Why one ledger cannot have had both, this one after `earlier` was known. None where it can: answers overtake each other, so an
    /// older state may come after a newer one, but it then says that it is older.
    pub fn contradicts(&self, earlier: &Checkpoint) -> Option<&'static str> {
        if self.records == earlier.records && self.head != earlier.head {
            return Some("the ledger's last record is another one than before");
        }
        (self.records < earlier.records && self.at > earlier.at).then_some("the ledger has fewer records than before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Fixed;

    fn checkpoint(records: u64, head: u8, at: i64) -> Checkpoint {
        Checkpoint {
            site: "hungary".parse().unwrap(),
            records,
            head: Digest::from_bytes([head; 32]),
            at: Timestamp(at),
            release: Digest::from_bytes([3; 32]),
        }
    }

    #[test]
    fn a_checkpoint_that_was_altered_is_not_the_sites() {
        let key = SecretKey::generate(&mut Fixed(9));
        let signed = SignedCheckpoint::sign(checkpoint(7, 1, 5), &key).unwrap();
        assert_eq!(signed.verify(&key.public()).unwrap().records, 7);
        let of_another_release = Checkpoint { release: Digest::from_bytes([4; 32]), ..checkpoint(7, 1, 5) };
        for altered in [checkpoint(8, 1, 5), checkpoint(7, 2, 5), checkpoint(7, 1, 6), of_another_release] {
            let altered = SignedCheckpoint { checkpoint: altered, ..signed.clone() };
            assert_eq!(altered.verify(&key.public()).unwrap_err().code, ErrorCode::ReleaseInvalid);
        }
    }

    #[test]
    fn a_ledger_contradicts_itself_where_it_shrank_or_its_last_record_changed_and_not_where_an_old_answer_came_late() {
        let known = checkpoint(7, 1, 5);
        assert!(checkpoint(7, 2, 6).contradicts(&known).is_some());
        assert!(checkpoint(7, 2, 4).contradicts(&known).is_some());
        assert!(checkpoint(6, 3, 6).contradicts(&known).is_some());
        for fine in [checkpoint(7, 1, 9), checkpoint(8, 2, 9), checkpoint(8, 2, 4), checkpoint(6, 3, 4)] {
            assert_eq!(fine.contradicts(&known), None, "{fine:?}");
        }
    }
}

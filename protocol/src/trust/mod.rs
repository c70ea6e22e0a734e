//! Who may ask, and how everyone can tell: keys, canonical bytes, signed studies and signed releases.

mod canonical;
mod checkpoint;
mod keys;
mod signed;
mod sites;
mod study;

pub use canonical::{canonical, from_canonical};
pub use checkpoint::{Checkpoint, Contradiction, KeptCheckpoints, SignedCheckpoint};
pub use keys::{KeyProblem, PublicKey, SecretKey, Signature};
pub use signed::{SignedRelease, SignedStudy};
pub use sites::{Named, Place, Sites, Tree};
pub use study::{Purpose, STUDY_FORMAT, Study};

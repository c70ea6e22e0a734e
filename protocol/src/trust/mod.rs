//! Who may ask, and how everyone can tell: keys, canonical bytes, signed studies, permits, revocations and releases.

mod canonical;
mod checkpoint;
mod document;
mod invitation;
mod keys;
mod manifest;
mod permit;
mod publication;
mod revocation;
mod signed;
mod sites;
mod study;

pub use canonical::{canonical, from_canonical};
pub use checkpoint::{Checkpoint, Contradiction, KeptCheckpoints, SignedCheckpoint, Standing};
pub use document::{Document, Signed};
pub use invitation::{INVITATION_FORMAT, Invitation, InvitationToken, InvitedBody, InvitedContract, is_address};
pub use keys::{KeyProblem, PublicKey, SecretKey, Signature};
pub use manifest::{Entry, MANIFEST, MANIFEST_FORMAT, Manifest, RESULT, STUDY, SignedManifest};
pub use permit::{Holder, PERMIT_FORMAT, Permit, PermitMode, PermitRef, Scope, SignedPermit};
pub use publication::{PUBLICATION, PUBLICATION_FORMAT, Publication, SignedPublication};
pub use revocation::{REVOCATIONS_FORMAT, Revocations, Revoked, SignedRevocations};
pub use signed::{SignedRelease, SignedStudy};
pub use sites::{Named, Place, Sites, Tree};
pub use study::{CodeList, Origin, Purpose, STUDY_FORMAT, Study};

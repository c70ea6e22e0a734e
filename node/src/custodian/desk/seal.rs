//! What makes an approval, and the end of a pause, the site's own: a digest under a secret that follows from the release key, which only the site has. A line that somebody
//! adds to the ledger's file, well chained or not, has none.
//!
//! After the release key is exchanged earlier approvals do not hold any more, and a pause that ended before lasts again: the safe way round.

use bocage_protocol::ids::{Digest, StudyId};
use bocage_protocol::trust::SecretKey;

use crate::custodian::ledger::bodies::desk::{Approval, Resume};
use crate::custodian::ledger::bodies::restored::Accepted;

const PURPOSE: &str = "steward's approvals";
const DOMAIN: &str = "bocage/approval/1";
const RESUME_PURPOSE: &str = "steward's ends of pauses";
const RESUME_DOMAIN: &str = "bocage/resume/1";
const ACCEPT_PURPOSE: &str = "steward's acceptances of a ledger";
const ACCEPT_DOMAIN: &str = "bocage/accepted/1";

/// What seals approvals and ends of pauses: it follows from the release key.
#[derive(Clone, Copy)]
pub struct Secret<'a>(pub &'a SecretKey);

impl Secret<'_> {
    /// The seal that belongs to an approval of this study.
    pub(crate) fn seal(&self, study: &StudyId, approval: &Approval) -> Digest {
        let secret = self.0.derive(PURPOSE);
        // An absent note is no bytes; a present one begins with a byte 1.
        let note = approval.note.as_ref().map(|note| [&[1], note.as_bytes()].concat()).unwrap_or_default();
        Digest::of(
            DOMAIN,
            &[
                secret.as_slice(),
                study.as_bytes(),
                &approval.by.uid.to_be_bytes(),
                approval.by.user.as_bytes(),
                approval.policy.as_bytes(),
                &approval.until.0.to_be_bytes(),
                &note,
            ],
        )
    }

    /// Whether the site itself made this approval, of this very study.
    pub fn holds(&self, study: &StudyId, approval: &Approval) -> bool {
        self.seal(study, approval) == approval.seal
    }

    /// The seal that belongs to the end of a pause, whose record has this hash.
    pub(super) fn seal_end(&self, pause: &str, resume: &Resume) -> Digest {
        let (secret, by) = (self.0.derive(RESUME_PURPOSE), &resume.by);
        let (uid, ends) = (by.uid.to_be_bytes(), resume.ends.to_be_bytes());
        Digest::of(RESUME_DOMAIN, &[secret.as_slice(), pause.as_bytes(), &ends, &uid, by.user.as_bytes()])
    }

    /// The seal that belongs to the acceptance of a ledger, whose record of being an older copy has this hash.
    pub(super) fn seal_accepted(&self, restored: &str, accepted: &Accepted) -> Digest {
        let (secret, by) = (self.0.derive(ACCEPT_PURPOSE), &accepted.by);
        let (uid, ends, at) = (by.uid.to_be_bytes(), accepted.ends.to_be_bytes(), accepted.at.0.to_be_bytes());
        let lost = [u8::from(accepted.lost)];
        let parts = [secret.as_slice(), restored.as_bytes(), &ends, &at, &lost, &uid, by.user.as_bytes()];
        Digest::of(ACCEPT_DOMAIN, &parts)
    }

    /// Whether the site itself took this acceptance, of this very record.
    pub(super) fn accepts(&self, restored: &str, accepted: &Accepted) -> bool {
        accepted.seal == self.seal_accepted(restored, accepted)
    }

    /// Whether the site itself ended this very pause.
    pub(super) fn ends(&self, pause: &str, resume: &Resume) -> bool {
        resume.seal == Some(self.seal_end(pause, resume))
    }
}

//! What a permit allows at this site. Neither study nor coordinator is believed about it: the access body's own signature is, if the site
//! trusts that body.

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::{Permit, PermitRef, SignedPermit, Study};

use super::Past;
use crate::config::{AccessBody, CustodianConfig};
use crate::custodian::ledger::Lists;

const DAY_MS: i64 = 86_400_000;

/// A permit that an access body of this site signed.
pub(super) struct Shown<'a> {
    pub permit: Permit,
    pub digest: Digest,
    pub issuer: &'a AccessBody,
}

impl<'a> Shown<'a> {
    /// The permit that came with a study.
    pub fn with(signed: Option<&SignedPermit>, config: &'a CustodianConfig) -> Result<Self, PublicError> {
        let signed = signed.ok_or_else(|| {
            PublicError::new(ErrorCode::PermitRequired, "the permit that the study relies on did not come with it")
                .hint("sign the study again with `--permit FILE`")
        })?;
        let permit = signed.verify()?;
        let issuer = config.trust.access_bodies.iter().find(|body| body.key == permit.issuer).ok_or_else(|| {
            let message =
                format!("site {} does not trust the access body that signed permit {}", config.site, permit.id);
            PublicError::new(ErrorCode::PermitIssuerUnknown, message)
                .hint("the site's steward adds it to node.toml: [[trust]] kind = \"access_body\"")
        })?;
        Ok(Self { permit, digest: signed.digest(), issuer })
    }

    /// How a study names it.
    pub fn reference(&self) -> PermitRef {
        PermitRef { id: self.permit.id.clone(), digest: self.digest }
    }

    /// Whether it is the one that the study names, and its holder signed the study: only then is the study believed.
    pub fn belongs_to(&self, study: &Study) -> Result<(), PublicError> {
        if study.permit.as_ref() == Some(&self.reference()) && study.researcher == self.permit.holder.key {
            return Ok(());
        }
        self.permit.check_study(study, &self.digest)?;
        let message = format!("permit {} is not the signer's", self.permit.id);
        Err(PublicError::new(ErrorCode::PermitHolder, message))
    }

    /// Everything about the permit except the columns, for which the plans are needed.
    pub fn check(
        &self,
        study: &Study,
        now: Timestamp,
        past: Past,
        lists: &Lists,
        config: &CustodianConfig,
    ) -> Result<(), PublicError> {
        self.permit.check_study(study, &self.digest)?;
        self.permit.check_site(&config.site)?;
        if !past.released {
            self.permit.check_time(now)?;
        }
        self.not_revoked(now, past, lists)
    }

    fn not_revoked(&self, now: Timestamp, past: Past, lists: &Lists) -> Result<(), PublicError> {
        let (body, days) = (&self.issuer.name, self.issuer.revocations_days);
        let stale = |message: String| {
            Err(PublicError::new(ErrorCode::RevocationsStale, message)
                .hint("the access body signs a new list and hands it to the coordinator"))
        };
        let Some(list) = lists.of(&self.permit.issuer) else {
            let message = format!("the site has seen no list of the permits that {body} has taken back");
            return if past.begun { Ok(()) } else { stale(message) };
        };
        if let Some(revoked) = list.revokes(&self.digest) {
            let message = format!("{body} has taken permit {} back at {}", self.permit.id, revoked.at);
            return Err(PublicError::new(ErrorCode::PermitRevoked, message).hint("ask the access body"));
        }
        // A study that was begun may be finished: what it asks was allowed when the list was fresh.
        if !past.begun && now.since_ms(list.issued_at) > i64::from(days) * DAY_MS {
            let message = format!(
                "the newest list of the permits that {body} has taken back is of {}: older than {days} days",
                list.issued_at
            );
            return stale(message);
        }
        Ok(())
    }
}

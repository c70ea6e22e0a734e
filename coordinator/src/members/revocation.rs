//! Taking a site's certificates back, and giving it leave again. What is refused stands on the disk before anybody is told, and is in force from that
//! moment: in handshakes, for sessions that stand, and for each request.

use bocage_net::identity::Leaf;
use bocage_protocol::PublicError;
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;

use super::Members;
use crate::dispatch::Context;
use crate::store::{Revoked, Store, StoreError, begins, denied};

/// Refuses what `revoked` says.
///
/// # Errors
/// The site is not in the network, or the store fails.
pub async fn revoke(context: &Context, revoked: Revoked) -> Result<(), PublicError> {
    if !context.roster.contains(&revoked.site) {
        return Err(unknown(&revoked.site, context));
    }
    let (site, serial) = (revoked.site.clone(), revoked.serial.clone());
    context.store.with(move |store| store.revoke(&revoked)).await?;
    context.members.refuse(&context.store).await?;
    tracing::warn!(%site, serial, "revoked");
    Ok(())
}

/// Lifts what is refused of a site, or of one of its certificates.
///
/// # Errors
/// Nothing is refused, or the store fails.
pub async fn lift(context: &Context, site: &SiteId, serial: Option<String>) -> Result<(), PublicError> {
    let (of, by) = (site.clone(), serial.clone());
    if !context.store.with(move |store| store.lift(&of, by.as_deref())).await? {
        let message = format!("nothing of site {site} is revoked");
        return Err(PublicError::new(ErrorCode::NotFound, message).hint("`bocage network revoked` lists what is"));
    }
    context.members.refuse(&context.store).await?;
    tracing::warn!(%site, serial, "no longer revoked");
    Ok(())
}

/// After a new enrolment at `at`: if the site was refused, only what was certified before is from now on.
///
/// # Errors
/// The store fails.
pub async fn readmit(context: &Context, site: &SiteId, at: Timestamp) -> Result<(), StoreError> {
    if context.members.denylist().denies(site, None) {
        let (of, before) = (site.clone(), begins(at));
        context.store.with(move |store| store.readmit(&of, before)).await?;
        context.members.refuse(&context.store).await?;
        tracing::warn!(%site, "a revoked site has enrolled anew");
    }
    Ok(())
}

fn unknown(site: &SiteId, context: &Context) -> PublicError {
    let message = format!("site {site} is not a member of network {}", context.network);
    PublicError::new(ErrorCode::SiteUnknown, message).hint("`bocage sites` lists the members")
}

impl Members {
    /// What the store refuses is refused from now on, and nothing else.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn refuse(&self, store: &Store) -> Result<(), StoreError> {
        let revoked = store.with(|store| store.revoked()).await?;
        self.denylist().replace(denied(&revoked));
        Ok(())
    }

    /// Whether what was certified when a site enrolled at `at` is refused.
    pub(super) fn refuses_enrolment(&self, site: &SiteId, at: Timestamp) -> bool {
        let leaf = Leaf { serial: String::new(), from: begins(at), until: Timestamp(i64::MAX), issuer: None };
        self.denylist().denies(site, Some(&leaf))
    }
}

//! The sites of the network and the one release key that each is known by: what `coordinator.toml` says, and over it who has enrolled.
//!
//! A site without a key is one that has yet to enrol. Keys of before are in the store; what a site signs now counts by its present key alone.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::PublicKey;

use crate::config::Site;
use crate::store::{Enrolment, Store, StoreError};

/// See the module.
#[derive(Debug)]
pub struct Roster(RwLock<BTreeMap<SiteId, Entry>>);

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    release_key: Option<PublicKey>,
    enrolled_at: Option<Timestamp>,
}

impl Roster {
    /// As configured.
    pub fn new(sites: &BTreeMap<SiteId, Site>) -> Self {
        let entry = |site: &Site| Entry { name: site.name.clone(), release_key: site.release_key, enrolled_at: None };
        Self(RwLock::new(sites.iter().map(|(id, site)| (id.clone(), entry(site))).collect()))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<SiteId, Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over everybody who has enrolled.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        for enrolment in store.with(|store| store.enrolments()).await? {
            let before = self.release_key(&enrolment.site);
            if before.is_some_and(|key| key != enrolment.release_key) && self.enrolled_at(&enrolment.site).is_none() {
                tracing::warn!(site = %enrolment.site,
                    "the site has enrolled with another key than its release_key in coordinator.toml, which no longer counts: remove it there");
            }
            if self.contains(&enrolment.site) {
                self.take(&enrolment);
            } else {
                tracing::info!(site = %enrolment.site, "a site that enrolled is no longer in coordinator.toml: it is not let in");
            }
        }
        Ok(())
    }

    /// From now on the site is known by this key. A site that is not configured stays out.
    pub fn take(&self, enrolment: &Enrolment) {
        let mut sites = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = sites.get_mut(&enrolment.site) {
            entry.release_key = Some(enrolment.release_key);
            entry.enrolled_at = Some(enrolment.at);
        }
    }

    /// Whether the site belongs to the network, enrolled or not.
    pub fn contains(&self, site: &SiteId) -> bool {
        self.read().contains_key(site)
    }

    /// How many sites there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// A site's name for people.
    pub fn name(&self, site: &SiteId) -> Option<String> {
        self.read().get(site).map(|entry| entry.name.clone())
    }

    /// The key that a site's releases are held against. None: the site is not in the network, or has yet to enrol.
    pub fn release_key(&self, site: &SiteId) -> Option<PublicKey> {
        self.read().get(site)?.release_key
    }

    /// When a site enrolled last. None: it never has, or its key stands in the configuration alone.
    pub fn enrolled_at(&self, site: &SiteId) -> Option<Timestamp> {
        self.read().get(site)?.enrolled_at
    }

    /// The site that is known by this key, if one is.
    pub fn of_key(&self, key: &PublicKey) -> Option<SiteId> {
        self.read().iter().find(|(_, entry)| entry.release_key == Some(*key)).map(|(site, _)| site.clone())
    }
}

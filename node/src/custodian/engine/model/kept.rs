//! Designs that are kept between the rounds of studies: within a bound on memory, and not longer than a fit takes.

use std::sync::{Arc, Mutex, PoisonError};

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::limits;
use bocage_protocol::plan::{Centroids, Statistic, ValidPlan};

use super::Design;

/// A design that no round has asked for so long is dropped: a study that goes on makes it again.
const KEPT_MS: i64 = 10 * 60 * 1000;

/// The designs of the rounds of studies at a site.
pub struct Designs {
    site: SiteId,
    kept: Mutex<Kept>,
    /// At which centroids a design was asked before it was made anew.
    recalled: Mutex<Option<(Digest, Vec<Centroids>)>>,
}

#[derive(Default)]
struct Kept {
    /// What they are made over: the tables' rows and who is left out, and the gate's threshold.
    over: Option<Digest>,
    now: i64,
    designs: Vec<Entry>,
}

struct Entry {
    key: Digest,
    used: i64,
    design: Arc<Design>,
}

impl Kept {
    /// Drops what has not been used for long, and says how many.
    fn expire(&mut self, now: Timestamp) -> usize {
        let before = self.designs.len();
        self.designs.retain(|entry| now.0 - entry.used < KEPT_MS);
        before - self.designs.len()
    }

    /// The oldest make room.
    fn make_room(&mut self) {
        self.designs.sort_by_key(|entry| entry.used);
        let over = |designs: &[Entry]| {
            let bytes: usize = designs.iter().map(|entry| entry.design.bytes()).sum();
            designs.len() > limits::DESIGNS || bytes > limits::DESIGN_BYTES
        };
        while over(&self.designs) {
            self.designs.remove(0);
        }
    }
}

impl Designs {
    /// None, at this site.
    pub fn new(site: SiteId) -> Self {
        Self { site, kept: Mutex::default(), recalled: Mutex::default() }
    }

    /// The site.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// Says over what the next plans are computed, and when. Drops what has not been used for long.
    pub fn begin(&self, identity: &Digest, threshold: u32, now: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.over = Some(Digest::of("bocage/design/over/1", &[identity.as_bytes(), &threshold.to_le_bytes()]));
        kept.now = now.0;
        kept.expire(now);
        // What is remembered with them has grown since.
        kept.make_room();
    }

    /// Drops what has not been used for long, and says how many: no next round need come.
    pub fn expire(&self, now: Timestamp) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).expire(now)
    }

    /// The design of a plan, whatever its step.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn of<E>(&self, plan: &ValidPlan, make: impl FnOnce() -> Result<Design, E>) -> Result<Arc<Design>, E> {
        let key = self.key(plan);
        if let Some(key) = &key {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let now = kept.now;
            if let Some(entry) = kept.designs.iter_mut().find(|entry| entry.key == *key) {
                entry.used = now;
                return Ok(Arc::clone(&entry.design));
            }
        }
        let design = Arc::new(make()?);
        if let Some(key) = key.filter(|_| design.bytes() <= limits::DESIGN_BYTES) {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let used = kept.now;
            kept.designs.push(Entry { key, used, design: Arc::clone(&design) });
            kept.make_room();
        }
        Ok(design)
    }

    /// Says at which centroids the design of a plan was asked before, from `earlier`, unless that is known.
    ///
    /// # Errors
    /// Those of `earlier`.
    pub fn recall<E>(&self, plan: &ValidPlan, earlier: impl FnOnce() -> Result<Vec<Centroids>, E>) -> Result<(), E> {
        let Some(key) = self.key(plan) else { return Ok(()) };
        let knows = |entry: &Entry| {
            entry.key == key && entry.design.answered.lock().unwrap_or_else(PoisonError::into_inner).is_some()
        };
        if !self.kept.lock().unwrap_or_else(PoisonError::into_inner).designs.iter().any(knows) {
            *self.recalled.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, earlier()?));
        }
        Ok(())
    }

    /// What was said of it.
    pub(super) fn recalled(&self, plan: &ValidPlan) -> Vec<Centroids> {
        let recalled = self.recalled.lock().unwrap_or_else(PoisonError::into_inner).take();
        let key = self.key(plan);
        recalled.filter(|(of, _)| Some(*of) == key).map(|(_, earlier)| earlier).unwrap_or_default()
    }

    fn key(&self, plan: &ValidPlan) -> Option<Digest> {
        let over = self.kept.lock().unwrap_or_else(PoisonError::into_inner).over?;
        let (model, _) = plan.model()?;
        let mut plan = plan.plan().clone();
        plan.statistic = Statistic::Model(model.unplaced());
        let json = bocage_protocol::trust::canonical(&plan).ok()?;
        Some(Digest::of("bocage/design/1", &[over.as_bytes(), &json]))
    }
}

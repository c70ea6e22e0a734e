//! A model's step: the complete cases of a snapshot as a design, and the sums that a step of a fit needs of it.
//!
//! ```text
//! parts ──filter, select (Polars)──▶ complete cases ──scaled columns──▶ Design ──at the step's coefficients──▶ sums
//! ```
//!
//! The design and what the gate must know of it do not depend on the coefficients, so they are kept between the rounds of a study ([`Designs`]).
//! Parts are cut at fixed places, and their sums are added in order: no thread shows in a bit of the result.

mod at_risk;
mod clusters;
mod cox;
mod described;
mod design;
mod facts;
mod folded;
mod gram;
mod kept;
mod lacking;
mod leverage;
mod predictions;
mod selected;
mod sums;
mod tile;

use std::borrow::Borrow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Explains, LeftOut, Model, ModelLayout};

pub use self::at_risk::Events;
use self::clusters::{Patients, replayed};
pub use self::design::Design;
use self::design::{Cases, Making};

pub use self::kept::Designs;
pub use self::selected::{Selected, product};
use super::compile::Unfit;
use super::parts::{Partition, cores};
use super::pass::PassError;
use super::{Asked, EngineError};
use crate::custodian::gate::CountedModel;
use crate::custodian::snapshot::Part;

/// Whom a plan is computed over.
#[derive(Clone, Copy)]
pub enum Whom<'a> {
    /// Those who are offered. A model's design may have been kept.
    Offered(&'a Designs),
    /// Those who have moved, of whom nothing is kept; where a model says who is at risk, among these events.
    Moved(Option<&'a Events>),
}

impl Asked<'_> {
    /// The sums of a plan's step, by way of a design that is made or was kept.
    pub(super) fn model(&self, whom: Whom<'_>) -> Result<CountedModel, EngineError> {
        let (model, layout) = self.plan.model().ok_or_else(|| self.error(PassError::Shape.into()))?;
        let design = self.design(whom)?;
        let own = match whom {
            Whom::Offered(designs) => own_intercept(model, designs.site()),
            Whom::Moved(_) => None,
        };
        match (&model.explains, &design.risk) {
            (Explains::Mean(response), None) => Ok(folded::at(&design, (model, response), layout, own)),
            (Explains::Hazard(hazard), Some(risk)) => cox::at(&design, risk, (model, hazard.as_ref()), layout)
                .ok_or_else(|| self.error(PassError::Shape.into())),
            (Explains::Moments, None) => Ok(described::moments(&design, layout)),
            (Explains::Clusters(at), None) if at.starts.is_empty() => Ok(described::moments(&design, layout)),
            (Explains::Clusters(at), None) => {
                let Whom::Offered(designs) = whom else {
                    // Of those who have moved nothing leaves, so that nothing is remembered.
                    return Ok(described::clusters(&design, layout, at, self.k, &mut clusters::Answered::default()));
                };
                let mut answered = design.answered.lock().unwrap_or_else(PoisonError::into_inner);
                let before = || {
                    let patients = Patients::of(&design.parts, layout.columns.len());
                    replayed(&patients, &designs.recalled(self.plan), self.k)
                };
                Ok(described::clusters(&design, layout, at, self.k, answered.get_or_insert_with(before)))
            }
            _ => Err(self.error(PassError::Shape.into())),
        }
    }

    /// When somebody has the event, where the plan has risk sets of the site's own.
    pub(super) fn events(&self, whom: Whom<'_>) -> Result<Vec<(u32, f64)>, EngineError> {
        let design = self.design(whom)?;
        Ok(design.risk.iter().flat_map(|risk| risk.events()).collect())
    }

    fn design(&self, whom: Whom<'_>) -> Result<Arc<Design>, EngineError> {
        let (model, layout) = self.plan.model().ok_or_else(|| self.error(PassError::Shape.into()))?;
        match whom {
            Whom::Offered(designs) => designs.of(self.plan, || self.made(model, layout, None)),
            Whom::Moved(events) => self.made(model, layout, events).map(Arc::new),
        }
    }

    fn made(&self, model: &Model, layout: &ModelLayout, events: Option<&Events>) -> Result<Design, EngineError> {
        let unfit = |cause: Unfit| EngineError::Plan { snapshot: self.snapshot, cause };
        let (filter, select) = super::question::compile_model(self.plan, layout, self.contract).map_err(unfit)?;
        let add = |part: &Part, making: &mut Making| {
            let rows = super::IntoLazy::lazy(self.part(part)?);
            let rows = match &filter {
                Some(filter) => rows.filter(filter.clone()),
                None => rows,
            };
            let selected =
                super::collect_on(super::Engine::InMemory, rows.select_seq(&select)).map_err(super::Fault::Query)?;
            making.add(&selected).map_err(super::Fault::Rows)
        };
        let folds = match model.folds.as_ref().map(|folds| folds.by) {
            Some(LeftOut::Fold(count)) => count,
            Some(LeftOut::Site) | None => 0,
        };
        let making = || {
            let making = Making::new(model, layout, self.k).looking_at(self.plan.features()).among(events);
            making.in_folds(folds, self.folds)
        };
        Partition::of(0).count(self.rows, making, add).map(Making::finish).map_err(|fault| self.error(fault))
    }
}

/// Where the site's own intercept is, where it has one.
fn own_intercept(model: &Model, site: &SiteId) -> Option<f64> {
    model.by_site.then(|| model.at.sites.get(site).copied().unwrap_or_default())
}

/// Something of every part, on all cores, in their order.
fn each_part<P: Borrow<Cases> + Sync, T: Send>(parts: &[P], of: impl Fn(usize, &Cases) -> T + Sync) -> Vec<T> {
    let threads = cores().min(parts.len()).max(1);
    if threads == 1 {
        return parts.iter().enumerate().map(|(at, part)| of(at, part.borrow())).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(parts.len())));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, part)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    parts.get(at).map(|part| (at, part.borrow()))
                } {
                    let found = of(at, part);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, found));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, found)| found).collect()
}

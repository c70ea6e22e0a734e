//! A table's query by itself: no permit, no ledger, no gate, no signature.

use std::sync::Arc;
use std::time::Duration;

use bocage_node::custodian::engine::{self, Designs, Features, Ground};
use bocage_node::custodian::snapshot::{Offered, Snapshot};
use bocage_protocol::analysis::{RoundState, plan_for};
use bocage_protocol::contract::Contract;
use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::ValidPlan;
use bocage_protocol::trust::SignedStudy;

use crate::hospital::{self, Hospital, timed};

/// The threshold of a policy as nodes are delivered.
const THRESHOLD: u32 = 11;

/// A hospital's rows, without the hospital.
pub struct Query {
    site: SiteId,
    offered: Offered,
    contract: Contract,
}

impl Query {
    /// Of a hospital whose custodian has taken its snapshot.
    pub fn of(hospital: &Hospital) -> Self {
        let snapshot = Snapshot::open_current(&hospital.config().state.snapshots(), "labs").expect("a snapshot");
        let (site, offered) = (hospital.site.clone(), Offered::new(Arc::new(snapshot), None));
        Self { site, offered, contract: hospital::contract() }
    }

    /// What the first analysis' first round takes.
    pub fn timed(&self, study: &SignedStudy) -> Duration {
        let study = study.verify().expect("a study");
        let plan = plan_for(&study.analyses[0].spec, study.query(), 0, &RoundState::First).expect("a plan");
        let plan = ValidPlan::check(plan, &self.contract).expect("a valid plan");
        let (ground, designs) = (Ground::alone(&self.offered, &self.contract), Designs::new(self.site.clone()));
        let run = || engine::run(&ground, &mut Features::default(), &designs, &plan, THRESHOLD);
        let (time, computed) = timed(run);
        drop(computed.expect("an answer"));
        time
    }
}

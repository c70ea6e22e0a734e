//! At which centroids the same patients were asked before, whoever asked: what was answered then must not be told apart from what is answered now.
//! The custodian remembers it with the design; this is for when it does not, after a restart.

use bocage_protocol::PublicError;
use bocage_protocol::analysis::RoundState;
use bocage_protocol::ids::Digest;
use bocage_protocol::plan::{Centroids, Explains, ValidPlan};

use super::Round;
use crate::custodian::Custodian;
use crate::custodian::gate::GatePolicy;
use crate::custodian::ledger::bodies::{Reservation, Spend};
use crate::custodian::reuse;

impl Custodian {
    /// Sees to it that the engine knows of earlier centroids, where a plan has any.
    pub(super) fn recall(
        &self,
        round: &Round<'_>,
        identity: &Digest,
        (plan, policy): (&ValidPlan, GatePolicy),
        compares: &Digest,
    ) -> Result<(), PublicError> {
        let clusters = plan.model().is_some_and(|(model, _)| matches!(model.explains, Explains::Clusters(_)));
        if !clusters {
            return Ok(());
        }
        self.designs.recall(plan, || self.asked_before(round, (identity, policy), (compares, plan.model_digest())))
    }

    /// The centroids of earlier reservations about these patients under these thresholds, in their order. What was reserved may have left.
    fn asked_before(
        &self,
        round: &Round<'_>,
        (identity, policy): (&Digest, GatePolicy),
        (compares, model): (&Digest, Option<Digest>),
    ) -> Result<Vec<Centroids>, PublicError> {
        let mut earlier = Vec::new();
        let own = (round.id.to_string(), i64::from(round.request.round));
        let each = |study: Option<String>, of_round: Option<i64>, reservation: Reservation| {
            let is_own = study.as_deref() == Some(&own.0) && of_round == Some(own.1);
            if is_own {
                return;
            }
            // Its question names the rows of every table, who is left out of each, and the thresholds.
            let is_this = |spend: &&Spend| {
                let was = |question: &Digest| reuse::was_of(question, &spend.plan, identity, policy);
                let same = spend.compares == Some(*compares) && spend.model == model;
                same && spend.question.as_ref().is_some_and(was)
            };
            for spend in reservation.spend.iter().filter(is_this) {
                let asked = reservation.steps.iter().filter(|step| step.analysis == spend.analysis);
                earlier.extend(asked.filter_map(|step| match &step.state {
                    RoundState::Centroids(at) => Some(at.clone()),
                    _ => None,
                }));
            }
        };
        self.ledger.compared(compares, each).map_err(|error| PublicError::from(&error))?;
        Ok(earlier)
    }
}

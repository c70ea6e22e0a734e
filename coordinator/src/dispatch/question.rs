//! What one round asks of each site: the same study, the steps, with the site's own place among those that the study names.

use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::trust::{SignedRevocations, Tree};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Request, RoundRequest};

use super::{Asked, Round};

/// A round of a study, ready to be put to any of its sites.
pub(super) struct Question {
    pub asked: Arc<Asked>,
    pub round: Arc<Round>,
    tree: Tree,
}

impl Question {
    pub(super) fn new(asked: &Arc<Asked>, round: &Arc<Round>) -> Self {
        Self { asked: Arc::clone(asked), round: Arc::clone(round), tree: Tree::over(&asked.sites) }
    }

    /// The request to the site at this position of the study, with the newest list of revoked permits. Written when it is sent: thousands of sites may have to be waited for.
    ///
    /// # Errors
    /// It does not fit one frame.
    pub(super) fn to(&self, index: usize, revocations: Option<SignedRevocations>) -> Result<Vec<u8>, PublicError> {
        let study = self.asked.signed.at(self.tree.place(index));
        let steps = self.round.steps(&self.asked.sites[index]);
        let request = Request::Round(RoundRequest { study, round: self.round.number, steps, revocations });
        Ok(codec::encode(&request)?)
    }
}

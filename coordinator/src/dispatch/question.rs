//! What one round asks of each site: the same study, the steps, with the site's own place among those that the study names.

use std::sync::Arc;

use bocage_protocol::PublicError;
use bocage_protocol::trust::{SignedRevocations, Tree};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::hello::FILLED;
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

    /// The request to the site at this position of the study in a session of this version, with the newest list of revoked permits. Written when it is sent: thousands of sites may have to be waited for.
    ///
    /// # Errors
    /// It does not fit one frame.
    pub(super) fn to(
        &self,
        index: usize,
        version: u16,
        revocations: Option<SignedRevocations>,
    ) -> Result<Vec<u8>, PublicError> {
        let study = self.asked.signed.at(self.tree.place(index));
        let steps = self.round.steps(&self.asked.sites[index]);
        let request = RoundRequest { study, round: self.round.number, steps, revocations };
        let request = if version >= FILLED { Request::Filled(request) } else { Request::Round(request) };
        Ok(codec::encode(&request)?)
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::limits;

    use super::*;
    use crate::bench::{contracts, signed};
    use crate::dispatch::Course;

    #[test]
    fn only_a_session_of_version_4_is_asked_for_a_release_that_is_filled_up() {
        let asked = Arc::new(Asked::bind(signed(1), &contracts()).unwrap());
        let round = Course::begin(&asked, 1).unwrap().round().unwrap();
        let question = Question::new(&asked, &round);
        let asks = |version| {
            let bytes = question.to(0, version, None).unwrap();
            matches!(codec::decode::<Request>(&bytes, limits::FRAME_BYTES).unwrap(), Request::Filled(_))
        };
        assert_eq!([1, 2, 3, 4].map(asks), [false, false, false, true]);
    }
}

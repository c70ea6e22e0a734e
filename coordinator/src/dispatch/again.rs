//! What an analysis of several rounds is computed over at each site. Where that is another snapshot in a later round (opt-outs have changed there), the
//! analysis begins again: an answer is of one snapshot of each site, in all its rounds.
//!
//! A site that comes or leaves between two rounds is the driver's affair, and none of this.

use std::collections::BTreeMap;

use bocage_protocol::ids::{Digest, SiteId};
use bocage_protocol::limits;

/// An analysis on its way through the rounds.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// The round in which it was asked first.
    first: u16,
    /// What each site's numbers were computed over since it began, or began again.
    over: BTreeMap<SiteId, Digest>,
    /// The rounds in which it began again, with the sites where opt-outs had changed.
    again: Vec<(u16, Vec<SiteId>)>,
}

impl Run {
    /// One that begins in this round.
    pub fn since(first: u16) -> Self {
        Self { first, ..Self::default() }
    }

    /// Takes note of what a round's numbers were computed over. Answers whether it must begin again with the round `next`.
    pub fn begins_again<'a>(&mut self, next: u16, over: impl Iterator<Item = (&'a SiteId, Digest)>) -> bool {
        let mut moved = Vec::new();
        for (site, snapshot) in over {
            if self.over.insert(site.clone(), snapshot).is_some_and(|before| before != snapshot) {
                moved.push(site.clone());
            }
        }
        let again = !moved.is_empty();
        if again {
            self.over.clear();
            self.again.push((next, moved));
        }
        again
    }

    /// Whether it has no round of this number any more, of so many after its first, since it began again. (What did not minds its rounds itself.)
    pub fn is_over(&self, number: u16, further: u16) -> bool {
        let most = limits::ROUNDS - 1;
        !self.again.is_empty() && number > self.first.saturating_add(further).min(most)
    }

    /// When and why it began again, for those who read its answer.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.again.iter().map(|(round, sites)| {
            let sites = listed(sites);
            format!("it began again in round {round}, since opt-outs had changed at {sites}: all that it says is of the rounds from there on")
        })
    }

    /// Why it has no answer.
    pub fn over(&self, further: u16) -> String {
        let sites = self.again.last().map(|(_, sites)| listed(sites)).unwrap_or_default();
        format!(
            "no answer: opt-outs changed at {sites} while it was asked, and what was left of its {} rounds did not suffice to begin again: run the study again, later or without that site",
            further.saturating_add(1)
        )
    }
}

fn listed(sites: &[SiteId]) -> String {
    sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ")
}

//! Who lies about given centroids: each patient with the nearest (Lloyd 1982), then brought into a form in which no few patients show.
//!
//! ```text
//! nearest ──small and uniform clusters give theirs to the next──▶ grouped ──what nearly was answered before stays as it was──▶ settled
//! ```
//! All three go to the gate, which alone decides which leaves. What was settled is remembered with the design ([`Answered`]), and follows again from
//! the ledger where it was forgotten: it depends on the order in which centroids were asked, and on nothing else.

mod nearest;
mod patients;
mod settle;
#[cfg(test)]
mod tests;

use bocage_protocol::plan::Centroids;

pub use self::patients::Patients;
use self::patients::{Partition, Start};
pub use self::settle::Answered;
use crate::custodian::gate::CountedClusters;

/// The sums of each start's clusters, in all forms.
pub fn at_centroids(
    patients: &Patients<'_>,
    centroids: &Centroids,
    k: u32,
    answered: &mut Answered,
) -> CountedClusters {
    let mut found = CountedClusters::default();
    if k > 1 && !answered.has_room(centroids.starts.len()) {
        return CountedClusters { spent: true, ..found };
    }
    for at in &centroids.starts {
        let start = Start::new(at, &centroids.weights);
        let (nearest, own) = patients.about(&start);
        if k > 1 {
            let (grouped, settled) = answered.answer(patients, start, &nearest, k);
            // Mostly all three are one, and summing takes as long as looking for the nearest.
            let sums = |partition: Option<Partition>| {
                partition.map(|partition| if partition == nearest { own.clone() } else { patients.sums(&partition) })
            };
            found.grouped.push(sums(grouped));
            found.settled.push(sums(settled));
        }
        found.nearest.push(own);
    }
    found
}

/// What was settled at centroids that were asked before, in their order.
pub fn replayed(patients: &Patients<'_>, earlier: &[Centroids], k: u32) -> Answered {
    let mut answered = Answered::default();
    for centroids in earlier {
        // That was not answered.
        if !answered.has_room(centroids.starts.len()) {
            continue;
        }
        for at in &centroids.starts {
            let start = Start::new(at, &centroids.weights);
            let nearest = Partition::of(patients.nearest(&start), start.clusters());
            answered.answer(patients, start, &nearest, k);
        }
    }
    answered
}

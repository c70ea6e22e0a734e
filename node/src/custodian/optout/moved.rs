//! Who has moved since an answer: patients of groups that were left out then and are not now, or the other way round. Sets of one site
//! differ by whole groups, so a set is known by its groups, in whatever snapshot.
//!
//! It must never be asked about sets that are not of groups.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::ids::Digest;
use serde::{Deserialize, Serialize};

use super::ids::Token;
use super::sets::{Group, Set};
use super::state;

/// The groups that were left out of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsOut {
    /// The digest that the ledger knows them by.
    pub digest: Digest,
    /// Each by the digest of its patients.
    pub groups: BTreeSet<Digest>,
}

impl GroupsOut {
    /// Of these groups; none if there is none.
    pub fn of(groups: BTreeSet<Digest>) -> Option<Self> {
        let bytes: Vec<&[u8]> = groups.iter().map(|group| &group.as_bytes()[..]).collect();
        let digest = Digest::of("bocage/groups-out/1", &bytes);
        (!groups.is_empty()).then_some(Self { digest, groups })
    }
}

/// A group in a snapshot.
#[derive(Debug, Clone)]
pub struct Here {
    id: Digest,
    /// The patients of it who are in the snapshot, by their numbers.
    numbers: Vec<u32>,
    /// Whether they are left out.
    out: bool,
}

impl Here {
    /// Where a group stands; none if nobody of it is in the snapshot.
    pub fn of(group: &Group, number: impl Fn(&Token) -> Option<u32>, left_out: &Set) -> Option<Self> {
        let numbers: Vec<u32> = group.patients.iter().filter_map(number).collect();
        let out = group.patients.iter().any(|token| left_out.contains(token));
        (!numbers.is_empty()).then(|| Self { id: state::set_digest(&group.patients), numbers, out })
    }
}

/// The groups of a snapshot that are left out of it now.
pub fn out_now(here: &[Here]) -> Option<GroupsOut> {
    GroupsOut::of(here.iter().filter(|group| group.out).map(|group| group.id).collect())
}

/// Patients who are in the same answers, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedPart {
    /// By their numbers in the snapshot.
    pub numbers: Vec<u32>,
    /// Whether they are in the answer that is given now: they have come, else they have gone.
    pub inside: bool,
}

/// The patients who are in some of the answers and not in others, of which one is given now; those together who are in the same ones.
pub fn parts(here: &[Here], earlier: &[BTreeSet<Digest>]) -> Vec<MovedPart> {
    let mut parts: BTreeMap<Vec<bool>, Vec<u32>> = BTreeMap::new();
    for group in here {
        let out: Vec<bool> =
            std::iter::once(group.out).chain(earlier.iter().map(|set| set.contains(&group.id))).collect();
        if out.contains(&true) && out.contains(&false) {
            parts.entry(out).or_default().extend(&group.numbers);
        }
    }
    parts.into_iter().map(|(out, numbers)| MovedPart { numbers, inside: !out[0] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(n: u8, out: bool) -> Here {
        Here { id: Digest::from_bytes([n; 32]), numbers: vec![u32::from(n)], out }
    }

    fn set(groups: &[u8]) -> BTreeSet<Digest> {
        groups.iter().map(|n| Digest::from_bytes([*n; 32])).collect()
    }

    #[test]
    fn who_was_in_all_answers_or_in_none_has_not_moved_and_others_are_told_apart_by_the_answers_they_were_in() {
        let here = [group(1, true), group(2, true), group(3, true), group(4, false), group(5, false)];
        assert!(parts(&here, &[]).is_empty());
        let told = |earlier: &[BTreeSet<Digest>]| {
            let mut told: Vec<_> = parts(&here, earlier).into_iter().map(|part| (part.numbers, part.inside)).collect();
            told.sort();
            told
        };
        assert_eq!(told(&[set(&[])]), [(vec![1, 2, 3], false)]);
        let each = [(vec![1], false), (vec![2], false), (vec![3], false), (vec![5], true)];
        assert_eq!(told(&[set(&[]), set(&[1, 2]), set(&[1, 5])]), each);
        assert_eq!(told(&[set(&[1, 2]), set(&[1, 2, 3])]), [(vec![3], false)], "1 and 2 were never in");
    }

    #[test]
    fn sums_of_answers_over_several_sets_are_about_whole_parts() {
        // Out of three answers went 1 and 2, 1 and 3, 2 and 3: half the sum of two differences is the size of one group.
        let here = [group(1, false), group(2, true), group(3, true)];
        assert_eq!(parts(&here, &[set(&[]), set(&[1, 2]), set(&[1, 3])]).len(), 3);
    }
}

//! Who has moved since an answer: patients of groups that were left out then and are not now, or the other way round. Sets of one site
//! differ by whole groups, so a set is known by its groups, in whatever snapshot.
//!
//! It must never be asked about sets that are not of groups.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::ids::{ContractId, Digest};
use serde::{Deserialize, Serialize};

use super::ids::Token;
use super::sets::{Group, Set};
use super::state;
use crate::custodian::links::Link;

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

/// The tables that an answer has a patient's rows of not, since they were left out there.
pub type Lacking = BTreeSet<ContractId>;

/// Patients whom every answer has alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedPart {
    /// By their numbers in the snapshot.
    pub numbers: Vec<u32>,
    /// How answers have them, each way once, that of the one that is given now first; none: they are not in it.
    pub had: Vec<Option<Lacking>>,
}

impl MovedPart {
    /// How often a plan is computed over such patients, at most.
    pub fn runs(&self) -> usize {
        let within = self.had.iter().flatten().count();
        within + within * within.saturating_sub(1)
    }
}

/// A table of the answers, as opt-outs see it.
pub struct Groups<'a> {
    /// Which; none of the one whose rows are counted.
    pub table: Option<&'a ContractId>,
    /// The groups that are about its snapshot.
    pub here: &'a [Here],
    /// Those that were left out of it, answer by answer.
    pub earlier: Vec<BTreeSet<Digest>>,
    /// Who of it is who of the one whose rows are counted.
    pub link: Option<&'a Link>,
}

impl Groups<'_> {
    fn number(&self, own: u32) -> Option<u32> {
        self.link.map_or(Some(own), |link| Some(link.base(own)).filter(|base| *base != Link::NOBODY))
    }

    /// Whether a group is left out, answer by answer, of which one is given now.
    fn out(&self, group: &Here) -> Vec<bool> {
        std::iter::once(group.out).chain(self.earlier.iter().map(|set| set.contains(&group.id))).collect()
    }
}

/// The patients whom some of the answers have in another way than others, of which one is given now; those together whom all have alike. Every table
/// must know of the same answers.
pub fn parts(tables: &[Groups<'_>]) -> Vec<MovedPart> {
    let answers = tables.iter().map(|table| table.earlier.len() + 1).max().unwrap_or(0);
    let mut had: BTreeMap<u32, Vec<Option<Lacking>>> = BTreeMap::new();
    for table in tables {
        for group in table.here {
            let out = table.out(group);
            for number in group.numbers.iter().filter_map(|own| table.number(*own)) {
                let had = had.entry(number).or_insert_with(|| vec![Some(Lacking::new()); answers]);
                for (had, _) in had.iter_mut().zip(&out).filter(|(_, out)| **out) {
                    match (table.table, had.as_mut()) {
                        (Some(table), Some(lacking)) => drop(lacking.insert(table.clone())),
                        // Without own rows it does not matter what others there would be.
                        _ => *had = None,
                    }
                }
            }
        }
    }
    let mut parts: BTreeMap<Vec<Option<Lacking>>, Vec<u32>> = BTreeMap::new();
    for (number, had) in had.into_iter().filter(|(_, had)| had.windows(2).any(|pair| pair[0] != pair[1])) {
        parts.entry(had).or_default().push(number);
    }
    let part = |(all, numbers): (Vec<Option<Lacking>>, Vec<u32>)| {
        let mut had: Vec<Option<Lacking>> = Vec::new();
        all.into_iter().for_each(|one| {
            if !had.contains(&one) {
                had.push(one)
            }
        });
        MovedPart { numbers, had }
    };
    parts.into_iter().map(part).collect()
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

    fn of_one(here: &[Here], earlier: &[BTreeSet<Digest>]) -> Vec<MovedPart> {
        parts(&[Groups { table: None, here, earlier: earlier.to_vec(), link: None }])
    }

    #[test]
    fn who_was_in_all_answers_or_in_none_has_not_moved_and_others_are_told_apart_by_the_answers_they_were_in() {
        let here = [group(1, true), group(2, true), group(3, true), group(4, false), group(5, false)];
        assert!(of_one(&here, &[]).is_empty());
        let told = |earlier: &[BTreeSet<Digest>]| {
            let mut told: Vec<_> =
                of_one(&here, earlier).into_iter().map(|part| (part.numbers, part.had[0].is_some())).collect();
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
        assert_eq!(of_one(&here, &[set(&[]), set(&[1, 2]), set(&[1, 3])]).len(), 3);
    }

    #[test]
    fn who_is_left_out_of_another_table_has_moved_as_well_unless_nothing_else_is_known_of_them() {
        let labs: ContractId = "labs@1".parse().unwrap();
        // Labs know the patients 1, 2 and 3 of the base by 2, 1 and 0, and one whom nobody knows.
        let link = Link::made(vec![3, 2, 1, Link::NOBODY]);
        let (base, other) = ([group(1, true), group(2, false)], [0, 1, 2, 3].map(|n| group(n, true)));
        let tables = [
            Groups { table: None, here: &base, earlier: vec![set(&[1]), set(&[])], link: None },
            Groups { table: Some(&labs), here: &other, earlier: vec![set(&[]), set(&[2])], link: Some(&link) },
        ];
        let (whole, lacking) = (Some(Lacking::new()), Some(Lacking::from([labs.clone()])));
        let mut told = parts(&tables);
        told.sort_by(|a, b| a.numbers.cmp(&b.numbers));
        assert_eq!(told[0], MovedPart { numbers: vec![1], had: vec![None, lacking.clone()] });
        assert_eq!(told[1], MovedPart { numbers: vec![2, 3], had: vec![lacking, whole] });
        assert_eq!(told.len(), 2);
    }
}

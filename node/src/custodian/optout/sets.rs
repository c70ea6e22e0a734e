//! With whom they leave who opted out: groups, so that nobody can be told from k others by any number of answers.
//!
//! Answers over two sets of patients can be subtracted, and answers over many sets compared: who is out of all of them has opted out. So
//! every set that a site leaves out consists of whole groups. A group is made once, of the patients who opted out since the last one and,
//! where these are fewer than k, of others whom the site's secret draws; it never changes. As long as one of it has opted out, all of it is
//! left out; it comes back as a whole. Whatever is computed from the answers is then about whole groups.
//!
//! Pure: it knows tokens, no ids and no files.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::ids::Digest;
use serde::{Deserialize, Serialize};

use super::ids::Token;

/// Patients who are left out.
pub type Set = BTreeSet<Token>;

/// The purposes that somebody opted out of, one bit each.
pub type Purposes = u32;

/// Others may be drawn up to this part of the patients …
const DRAWN_PART: usize = 20;
/// … and up to so many times k in any case.
const DRAWN_TIMES_K: usize = 10;

/// Patients who are left out together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The snapshot, where a row is a patient: tokens are then good for one snapshot only.
    pub snapshot: Option<Digest>,
    /// All of them.
    pub patients: Set,
    /// How many of them were drawn.
    pub drawn: usize,
}

/// What groups are made for.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The least size of a group.
    pub k: usize,
    /// How many may still be drawn.
    pub room: usize,
    /// Nothing was answered yet: there is nothing to compare with.
    pub first: bool,
}

/// How many patients may be left out with those who opted out, who have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many are, when all groups are left out.
    pub drawn: usize,
    /// How many that may be.
    pub most: usize,
    /// So many are drawn for a group that is too small by itself.
    pub k: usize,
}

impl Room {
    /// How many more groups others can be drawn for.
    pub fn groups(self) -> usize {
        self.most.saturating_sub(self.drawn) / self.k.max(1)
    }

    /// Whether a person should know of it: when it is used up, the site may have to be silent until k have opted out together.
    pub fn is_nearly_used_up(self) -> bool {
        self.groups() == 0 || self.drawn * 10 >= self.most * 7
    }
}

/// Too few have opted out, and no more may be drawn or are there to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling;

/// How many patients of `subjects` may be drawn in all.
pub fn most_drawn(subjects: usize, k: usize) -> usize {
    (subjects / DRAWN_PART).max(DRAWN_TIMES_K * k)
}

/// The groups of those who opted out and are in none yet. `draw` gives subjects who have not opted out and are in no group, some
/// perhaps twice, until there are none.
///
/// Those who opted out of the same purposes leave together where they are k, so that few purposes lose more than they must.
///
/// # Errors
/// [`Settling`].
pub fn gather(
    new: &BTreeMap<Token, Purposes>,
    rule: Rule,
    draw: impl FnMut() -> Option<Token>,
) -> Result<Vec<(Set, usize)>, Settling> {
    let Rule { k, room, first } = rule;
    let mut alike: BTreeMap<Purposes, Set> = BTreeMap::new();
    for (token, purposes) in new {
        alike.entry(*purposes).or_default().insert(*token);
    }
    let (enough, few): (Vec<Set>, Vec<Set>) = alike.into_values().partition(|set| set.len() >= k);
    let mut few: Set = few.into_iter().flatten().collect();
    let mut groups: Vec<(Set, usize)> = enough.into_iter().map(|set| (set, 0)).collect();
    if few.is_empty() {
        return Ok(groups);
    }
    if first || few.len() >= k {
        groups.push((few, 0));
        return Ok(groups);
    }
    let real = few.len();
    let drawn: Set = if room >= k { distinct(k, draw) } else { Set::new() };
    if drawn.len() == k {
        few.extend(drawn);
        groups.push((few, k));
        return Ok(groups);
    }
    // Nobody may be drawn: they leave with the others, if there are others.
    if new.len() < k || real == new.len() {
        return Err(Settling);
    }
    Ok(vec![(new.keys().copied().collect(), 0)])
}

fn distinct(k: usize, draw: impl FnMut() -> Option<Token>) -> Set {
    let mut drawn = Set::new();
    for token in std::iter::from_fn(draw) {
        drawn.insert(token);
        if drawn.len() == k {
            break;
        }
    }
    drawn
}

/// Who is left out when `out` have opted out: every group that one of them is in. A group of whom fewer than k are `here` is always left
/// out, since it could not come back unseen.
pub fn left_out<'a>(
    groups: impl IntoIterator<Item = &'a Set>,
    out: &Set,
    here: impl Fn(&Token) -> bool,
    k: usize,
) -> Set {
    let mut all = Set::new();
    for group in groups {
        let present: Set = group.iter().filter(|token| here(token)).copied().collect();
        if present.len() < k || !present.is_disjoint(out) {
            all.extend(present);
        }
    }
    all
}

/// How many patients are in one of the two only.
pub fn distance(a: &Set, b: &Set) -> usize {
    a.symmetric_difference(b).count()
}

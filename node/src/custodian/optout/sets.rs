//! Which patients are left out, so that everybody who opted out is among them and no two answers differ by few.
//!
//! Answers over two sets of patients can be subtracted: where the sets differ by one patient, the difference is that patient. So any
//! two sets that a site answers from are the same, or differ by k patients or more. Where an opt-out alone would make too small a step,
//! others, drawn by the site's secret, are left out with it; where somebody opts in again, they stay out until the step is large enough.
//!
//! Pure: it knows tokens, no ids and no files.

use std::collections::{BTreeSet, HashSet};

use super::ids::Token;

/// Patients who are left out.
pub type Set = BTreeSet<Token>;

/// So many times k patients may be left out who did not opt out, before those who opted in again come back.
const SLACK: usize = 2;

/// No set is far enough from those before: too few patients are left to draw from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling;

/// The set to answer from when `out` have opted out and answers were given from each of `before`. The last of them stays if it fits.
/// `draw` gives subjects, some perhaps twice, until there are none.
///
/// # Errors
/// [`Settling`].
pub fn choose(out: &Set, before: &[Set], k: usize, draw: impl FnMut() -> Option<Token>) -> Result<Set, Settling> {
    let fits = |set: &&Set| out.is_subset(set) && set.len() <= out.len() + SLACK * k;
    let nearest = || before.iter().filter(fits).min_by_key(|set| set.len());
    if let Some(used) = before.last().filter(fits).or_else(nearest) {
        return Ok(used.clone());
    }
    let lacking = before.iter().map(|set| k.saturating_sub(distance(out, set))).max().unwrap_or_default();
    // Whoever was left out before would bring the new set nearer to that one.
    let taken: HashSet<Token> = before.iter().flatten().chain(out).copied().collect();
    let mut set = out.clone();
    let wanted = out.len() + lacking;
    let mut draws = std::iter::from_fn(draw).filter(|token| !taken.contains(token));
    while set.len() < wanted {
        set.insert(draws.next().ok_or(Settling)?);
    }
    Ok(set)
}

/// How many patients are in one of the two only.
pub fn distance(a: &Set, b: &Set) -> usize {
    a.symmetric_difference(b).count()
}

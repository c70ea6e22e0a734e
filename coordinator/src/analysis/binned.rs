//! What the sites' bins over a public grid say together, for the drivers that read them. Exact integers, any order.

use bocage_protocol::ids::SiteId;
use bocage_protocol::release::BinsRelease;

use super::cumulative::{Bin, Cumulative};
use super::pool::{off_of, plus};
use super::{Answer, SiteAnswer};
use crate::api::types::{HiddenReason, Interval};

/// The releases of all sites that answered.
#[derive(Debug)]
pub(super) struct Binned<'a> {
    /// The sites that show bins.
    pub shown: Vec<(&'a SiteId, &'a BinsRelease)>,
    /// Those with fewer than k patients to bin.
    pub silent: Vec<(&'a SiteId, &'a BinsRelease)>,
}

/// A number of which some sites give their part exactly, some within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    /// Sites that give it exactly.
    pub sites: u32,
    /// The sum of theirs.
    pub exact: u64,
    /// Sites that bound it by numbers of their own.
    pub bounding: u32,
    /// The least of theirs.
    pub least: u64,
    /// And the most.
    pub most: u64,
    /// The most that the thresholds allow the others, which are public; none: no bound.
    pub silent: Option<u64>,
    /// How far the given parts can be off together, where sites round.
    pub off: u64,
}

/// The bins of a release.
pub(super) fn bins(release: &BinsRelease) -> impl Iterator<Item = Bin> {
    let from = std::iter::once(0).chain(release.bins.iter().map(|bin| bin.upto as usize));
    from.zip(&release.bins).map(|(from, bin)| Bin { from, to: bin.upto as usize, count: bin.count.subjects })
}

impl<'a> Binned<'a> {
    /// `answers` in the order in which sites are to be taken in.
    pub(super) fn new(answers: &[SiteAnswer<'a>]) -> Self {
        let releases = answers.iter().filter_map(|a| match a.answer {
            Answer::Bins(release) => Some((a.site, release)),
            _ => None,
        });
        let (shown, silent) = releases.partition(|(_, release)| !release.bins.is_empty());
        Self { shown, silent }
    }

    /// The sums over a grid of `cells` cells.
    pub(super) fn sum(&self, cells: usize) -> Cumulative {
        let mut sum = Cumulative::new(cells);
        for (_, release) in &self.shown {
            sum.add_bins(&bins(release).collect::<Vec<_>>(), off_of(release.rounded));
        }
        self.silent.iter().for_each(|(_, release)| sum.add_silent(release.most_hidden()));
        sum
    }

    /// Who has a value.
    pub(super) fn valid(&self) -> Parts {
        let mut parts = Parts::default();
        for (_, release) in &self.shown {
            parts.add(release.bins.iter().map(|bin| bin.count.subjects).sum());
            // Who is in all bins is below the last edge.
            parts.off += off_of(release.rounded);
        }
        parts.silent = self.most_silent();
        parts
    }

    /// The most patients of the sites that show no bin; none: no bound.
    pub(super) fn most_silent(&self) -> Option<u64> {
        self.silent.iter().map(|(_, release)| release.most_hidden()).fold(Some(0), plus)
    }

    /// Who has none, in a column that `can_be_missing`.
    pub(super) fn missing(&self, can_be_missing: bool) -> Parts {
        let mut parts = Parts::default();
        for (_, release) in self.shown.iter().chain(&self.silent) {
            match &release.missing {
                Some(count) => {
                    parts.add(count.subjects);
                    parts.off += off_of(release.rounded);
                }
                None if can_be_missing => parts.silent = plus(parts.silent, release.most_hidden()),
                None => parts.add(0),
            }
        }
        parts
    }

    /// Where a number lies of which nothing may show but that it is part of the cohorts.
    pub(super) fn cohort(&self, can_be_missing: bool, min_sites: u32) -> Interval {
        let most = |parts: Parts| plus(Some(parts.exact + parts.off), parts.silent);
        let upper = plus(most(self.valid()), most(self.missing(can_be_missing)));
        Interval(0, upper.filter(|_| self.shown.len() >= min_sites as usize).map(u64::next_power_of_two))
    }
}

impl Default for Parts {
    /// Of no site.
    fn default() -> Self {
        Self { sites: 0, exact: 0, bounding: 0, least: 0, most: 0, silent: Some(0), off: 0 }
    }
}

impl Parts {
    /// Takes in a site's exact part.
    pub(super) fn add(&mut self, n: u64) {
        self.sites += 1;
        self.exact += n;
    }

    /// Takes in a site's bounds.
    pub(super) fn add_bounds(&mut self, least: u64, most: u64) {
        self.bounding += 1;
        self.least += least;
        self.most += most;
    }

    /// Where the number lies; why nothing of it may show, where too few sites give it exactly.
    ///
    /// What too few sites bound is rounded up to a power of two, so that subtraction yields no single site's number.
    pub(super) fn interval(&self, min_sites: u32) -> Result<Interval, HiddenReason> {
        if self.sites < min_sites {
            return Err(HiddenReason::TooFewSites);
        }
        let (least, most) = match self.bounding {
            0 => (0, 0),
            sites if sites >= min_sites => (self.least, self.most),
            _ => (0, self.most.next_power_of_two()),
        };
        let least = (self.exact + least).saturating_sub(self.off);
        Ok(Interval(least, plus(Some(self.exact + most + self.off), self.silent)))
    }

    /// Why it is not exact, where it is not.
    pub(super) fn inexact(&self) -> HiddenReason {
        if self.bounding == 0 && self.silent == Some(0) { HiddenReason::Rounded } else { HiddenReason::FewerThanK }
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::release::{BinRelease, Count};

    use super::*;
    use crate::bench;

    #[test]
    fn what_a_site_holds_back_has_no_upper_bound() {
        let count = Count { subjects: 20, rows: 20 };
        let shown = BinsRelease {
            threshold: 11,
            missing: None,
            bins: vec![BinRelease { upto: 4, count }],
            held_back: false,
            rounded: false,
        };
        let silent = |held_back| BinsRelease { bins: vec![], held_back, ..shown.clone() };
        let ends = |silent: &BinsRelease| {
            let ids = ["a1", "b1"].map(bench::site);
            let releases = [&shown, silent];
            let answers: Vec<SiteAnswer<'_>> =
                ids.iter().zip(releases).map(|(site, of)| SiteAnswer { site, answer: Answer::Bins(of) }).collect();
            let binned = Binned::new(&answers);
            (binned.valid().interval(1).unwrap(), binned.cohort(false, 1))
        };
        assert_eq!(ends(&silent(false)), (Interval(20, Some(30)), Interval(0, Some(32))));
        assert_eq!(ends(&silent(true)), (Interval(20, None), Interval(0, None)));
    }
}

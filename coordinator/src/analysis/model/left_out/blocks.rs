//! The sums of a round of fits that leave some out, put together over the sites: of all, and of each fit those whom it is fitted to and those who are
//! left out of it.

use bocage_protocol::ids::SiteId;
use bocage_protocol::plan::{Family, LeftOut, Sums};
use bocage_protocol::release::ModelRelease;

use super::super::fit::Merged;

/// What sites answered to a round, and of which fits.
pub(in crate::analysis::model) struct Blocks<'a> {
    /// By the sites' names.
    pub releases: &'a [(&'a SiteId, &'a ModelRelease)],
    /// Who is left out of each fit.
    pub left_out: LeftOut,
    /// Where that is a site: whose patients are left out of each.
    pub sites: &'a [SiteId],
    /// How many fits there are; none where the round's sums are every fit's.
    pub fits: usize,
    /// Of the model.
    pub family: Family,
    /// Of its design.
    pub columns: usize,
    /// Whether the squares of rows' scores are among the sums.
    pub robust: bool,
}

impl Blocks<'_> {
    /// The sums of all at the position of the fit on all.
    pub fn whole(&self) -> Merged {
        self.merged(|_| Some(0))
    }

    /// Those whom a fit is fitted to, at its coefficients.
    pub fn fitted(&self, fit: usize) -> Merged {
        match self.left_out {
            LeftOut::Fold(_) => self.merged(|_| Some(self.block(fit, 0))),
            LeftOut::Site => self.merged(|site| (self.sites.get(fit) != Some(site)).then(|| self.block(fit, 0))),
        }
    }

    /// Those who are left out of it, at the same.
    pub fn out(&self, fit: usize) -> Merged {
        match self.left_out {
            LeftOut::Fold(_) => self.merged(|_| Some(self.block(fit, 1))),
            LeftOut::Site => self.merged(|site| (self.sites.get(fit) == Some(site)).then(|| self.block(fit, 0))),
        }
    }

    fn block(&self, fit: usize, which: usize) -> usize {
        if self.fits == 0 { 0 } else { 1 + fit * self.left_out.blocks() + which }
    }

    /// The sums of each site's block, where it has one in this.
    fn merged(&self, block: impl Fn(&SiteId) -> Option<usize>) -> Merged {
        let blocks = 1 + self.fits * self.left_out.blocks();
        let own = |(site, release): &(&SiteId, &ModelRelease)| {
            let size = release.sums.len() / blocks;
            let at = block(site)?;
            let sums = release.sums.get(at * size..(at + 1) * size)?.to_vec();
            // No weights: each counts once.
            let n = sums.get(Sums::WEIGHT).copied().unwrap_or_default().round() as u64;
            Some(((*site).clone(), ModelRelease { threshold: release.threshold, n, sums }))
        };
        let own: Vec<(SiteId, ModelRelease)> = self.releases.iter().filter_map(own).collect();
        let own: Vec<(&SiteId, &ModelRelease)> = own.iter().map(|(site, release)| (site, release)).collect();
        Merged::of(&own, self.family, self.columns, false, self.robust)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site whose blocks have these weights, in a model of one column.
    fn release(weights: &[f64]) -> ModelRelease {
        let size = Sums { width: 1 }.information().end;
        let mut sums = vec![0.0; weights.len() * size];
        weights.iter().enumerate().for_each(|(block, weight)| sums[block * size + Sums::WEIGHT] = *weight);
        ModelRelease { threshold: 1, n: 9, sums }
    }

    fn sizes(left_out: LeftOut, sites: &[SiteId], fits: usize, all: &[(&SiteId, &ModelRelease)]) -> Vec<(u64, u64)> {
        let family = Family::Gaussian;
        let blocks = Blocks { releases: all, left_out, sites, fits, family, columns: 1, robust: false };
        (0..2).map(|fit| (blocks.fitted(fit).n, blocks.out(fit).n)).collect()
    }

    #[test]
    fn a_fold_is_left_out_at_every_site_and_a_site_by_itself() {
        let sites: Vec<SiteId> = ["aa", "bb"].map(|name| name.parse().unwrap()).to_vec();
        let [a, b] = [release(&[30.0, 10.0, 20.0, 20.0, 10.0]), release(&[50.0, 45.0, 5.0, 5.0, 45.0])];
        let all = [(&sites[0], &a), (&sites[1], &b)];
        assert_eq!(sizes(LeftOut::Fold(2), &[], 2, &all), [(55, 25), (25, 55)]);
        let [a, b] = [release(&[30.0, 30.0, 30.0]), release(&[50.0, 50.0, 50.0])];
        let all = [(&sites[0], &a), (&sites[1], &b)];
        assert_eq!(sizes(LeftOut::Site, &sites, 2, &all), [(50, 30), (30, 50)]);
        // The sums of a first round are every fit's.
        let [a, b] = [release(&[30.0]), release(&[50.0])];
        assert_eq!(sizes(LeftOut::Site, &sites, 0, &[(&sites[0], &a), (&sites[1], &b)]), [(50, 30), (30, 50)]);
    }
}

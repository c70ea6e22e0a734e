//! Two groups within each site: sums over the sites that show all four cells, given only where there are enough.

use bocage_protocol::release::{CellRelease, TableRelease};

use super::{ALL, CompareDriver};
use crate::analysis::association::strata::{Stratum, together};
use crate::analysis::estimates::Statistics;
use crate::analysis::table::releases;
use crate::analysis::{SiteAnswer, sorted};
use crate::api::types::{Block, Coverage, HiddenReason};

impl CompareDriver {
    pub(super) fn within_sites(
        &self,
        answers: &[SiteAnswer<'_>],
        tests: &mut Statistics,
        notes: &mut Vec<String>,
    ) -> Block {
        let releases = releases(&sorted(answers));
        let strata: Vec<Stratum> = releases.iter().filter_map(|release| self.stratum(release)).collect();
        let enough = strata.len() >= self.table.setting().min_sites as usize;
        if strata.len() < releases.len() {
            notes.push(format!(
                "within sites, {} of {} sites count: the others hide or round a cell of groups and outcome",
                strata.len(),
                releases.len()
            ));
        }
        let n = strata.iter().flatten().flatten().sum();
        let covered = (strata.len() < releases.len()).then(|| Coverage::of_some_sites(n));
        let found = enough.then(|| together(&strata, self.spec.confidence.share()));
        let reason = if enough { HiddenReason::TooFewValues } else { HiddenReason::TooFewSites };
        for (name, test) in [
            ("cochran_mantel_haenszel", found.as_ref().and_then(|t| t.association)),
            ("breslow_day_tarone", found.as_ref().and_then(|t| t.homogeneity)),
        ] {
            tests.test(name, ALL, test, reason);
            tests.covered(covered.as_ref());
        }
        let mut block = Statistics::new(["measure", "value", "from", "to"]);
        for (name, estimate) in [
            ("mantel_haenszel_odds_ratio", found.as_ref().and_then(|t| t.odds_ratio)),
            ("mantel_haenszel_risk_ratio", found.as_ref().and_then(|t| t.risk_ratio)),
            ("mantel_haenszel_risk_difference", found.as_ref().and_then(|t| t.risk_difference)),
        ] {
            block.estimate(&[name], estimate, reason);
            block.covered(covered.as_ref());
        }
        block.block()
    }

    /// A site's own table: the compared group with and without, then the reference.
    fn stratum(&self, release: &TableRelease) -> Option<Stratum> {
        if release.rounded {
            return None;
        }
        let width = self.key(1).labels.len();
        let cell = |group: usize, holds: usize| match &release.cells.get(group * width + holds)? {
            CellRelease::Shown { count, .. } => Some(count.subjects),
            // Fewer than one.
            CellRelease::FewerThanK => (release.most_hidden() == Some(0)).then_some(0),
        };
        let zero = self.reference();
        let row = |group: usize| Some([cell(group, 1)?, cell(group, 0)?]);
        Some([row(1 - zero)?, row(zero)?])
    }
}

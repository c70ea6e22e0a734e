//! Counts along a declared grid in lines, each merged by the site into bins of k or more subjects.

use serde::{Deserialize, Serialize};

use super::{BinRelease, most_hidden, off};
use crate::limits;
use crate::plan::{Grid, TableLayout};

/// Lines of bins, one for each combination of the other keys' levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinesRelease {
    /// k: a bin of 1 … k − 1 subjects, or of none, says 0.
    pub threshold: u32,
    /// In the order of the layout's cells: each line's bins, from below and without gaps, the first from cell 0, the last to the grid's end. A count
    /// of 0 stands for 0 … k − 1.
    pub lines: Vec<Vec<BinRelease>>,
    /// Whether a bin that says 0 may have any number.
    pub held_back: bool,
    /// Whether the numbers from each edge on are rounded, and bins are what lies between two of them ([`super::rounding`]).
    pub rounded: bool,
}

impl LinesRelease {
    /// The most subjects of a bin that says 0; none: no bound.
    pub fn most_hidden(&self) -> Option<u64> {
        most_hidden(self.threshold, self.held_back)
    }

    /// Whether this could be an honest answer over `grid` under `layout`: order, edges and size of every number.
    ///
    /// What passes can be added up over any number of sites of a study without overflow.
    pub fn fits(&self, grid: &Grid, layout: &TableLayout) -> bool {
        let k = u64::from(self.threshold).saturating_sub(off(self.rounded));
        let line = |bins: &Vec<BinRelease>| {
            let edges: Vec<u32> = std::iter::once(0).chain(bins.iter().map(|bin| bin.upto)).collect();
            edges.windows(2).all(|w| w[0] < w[1]) && bins.last().is_some_and(|bin| bin.upto as usize == grid.cells())
        };
        let counts = || self.lines.iter().flatten().map(|bin| &bin.count);
        self.lines.len() * grid.cells() == layout.cells_at(0)
            && self.lines.iter().all(line)
            // Bins exist for one row a subject only.
            && counts().all(|c| (c.subjects == 0 || c.subjects >= k) && c.subjects == c.rows && c.rows <= limits::ROWS)
            && counts().fold(0u64, |n, c| n.saturating_add(c.rows)) <= limits::ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::parse;
    use crate::plan::{Bins, Expr, Lines, Plan, Statistic, ValidPlan};
    use crate::release::Count;

    fn plan() -> ValidPlan {
        let text = "id = \"demo@1\"\nsubject = \"row\"\n[[column]]\nname = \"x\"\ntype = \"int\"\nrange = [0, 99]\n\
                    [[column]]\nname = \"ill\"\ntype = \"bool\"\nrequired = true\n";
        let contract = parse(text, "demo.toml").unwrap();
        let column = |name: &str| Expr::Column(name.parse().unwrap());
        let lines = Lines { by: vec![column("ill")], of: column("x"), edges: vec![10.0, 20.0] };
        let plan = Plan { query: contract.rows(None), statistic: Statistic::Bins(Bins::Lines(lines)) };
        ValidPlan::check(plan, &contract).unwrap()
    }

    fn lines(threshold: u32, lines: &[&[(u32, u64)]]) -> LinesRelease {
        let bin = |(upto, n): &(u32, u64)| BinRelease { upto: *upto, count: Count { subjects: *n, rows: *n } };
        let lines = lines.iter().map(|line| line.iter().map(bin).collect()).collect();
        LinesRelease { threshold, lines, held_back: false, rounded: false }
    }

    #[test]
    fn lines_fit_only_with_the_layouts_number_whole_grids_and_k_subjects_a_bin() {
        let plan = plan();
        let fits = |of: &LinesRelease| of.fits(plan.grid().unwrap(), plan.layout());
        assert!(fits(&lines(3, &[&[(1, 3), (3, 9)], &[(3, 0)]])));
        assert!(fits(&lines(3, &[&[(2, 0), (3, 9)], &[(3, 0)]])), "a part of a line");
        assert!(fits(&lines(1, &[&[(1, 0), (2, 1), (3, 0)], &[(3, 0)]])), "k = 1 is for tests");
        for bad in [
            lines(3, &[&[(3, 9)]]),
            lines(3, &[&[(3, 9)], &[(3, 0)], &[(3, 0)]]),
            lines(3, &[&[(3, 9)], &[]]),
            lines(3, &[&[(2, 9)], &[(3, 0)]]),
            lines(3, &[&[(2, 9), (2, 9), (3, 9)], &[(3, 0)]]),
            lines(3, &[&[(1, 2), (3, 9)], &[(3, 0)]]),
            lines(3, &[&[(3, limits::ROWS)], &[(3, 3)]]),
            lines(3, &[&[(3, u64::MAX)], &[(3, u64::MAX)]]),
        ] {
            assert!(!fits(&bad), "{bad:?}");
        }
        let mut several = lines(3, &[&[(3, 9)], &[(3, 0)]]);
        several.lines[0][0].count.rows += 1;
        assert!(!fits(&several));
    }
}

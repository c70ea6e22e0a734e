//! What all sites' releases of a table say together of each cell, at one step of the ladder. Exact integers, any order.
//!
//! It never decides what is published: `block` does.
//!
//! A site that stands at the wanted step or at a finer one is added up over the cells that fall together. One that stands at a coarser step
//! bounds each finer cell by the coarse cell that contains it, and gives it no measure.

use std::cmp::Ordering;

use bocage_protocol::plan::{MeasureLayout, TableLayout};
use bocage_protocol::release::{CellRelease, Count, MeasureRelease, TableRelease, rounding};

use super::rounded::{Part, Sums, off};

/// A number of which every site knows its own part exactly, within bounds, or not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The parts that are shown.
    pub shown: u64,
    /// The most that hidden cells can add. It follows from the thresholds, which are public; none: no bound.
    pub below_k: Option<u64>,
    /// The most that sites can add which show a coarser cell only.
    pub coarser: u64,
    /// How far the parts that are shown can be off together, where sites round.
    pub off: u64,
}

/// What all sites together say of one cell.
#[derive(Debug, Clone)]
pub(super) struct Pooled {
    /// Sites that show the whole cell.
    pub sites: u32,
    /// Sites that show a coarser cell that contains it.
    pub coarser_sites: u32,
    /// Patients.
    pub subjects: Bounds,
    /// Rows.
    pub rows: Bounds,
    /// One a measure.
    pub measures: Vec<PooledMeasure>,
}

/// The sums of a measure over the sites that show it.
#[derive(Debug, Clone, Default)]
pub(super) struct PooledMeasure {
    /// Sites that show it in the whole cell.
    pub sites: u32,
    /// Rows with a value.
    pub rows: u64,
    /// Σq of a number.
    pub sum: i128,
    /// Σq² of a number.
    pub sum_sq: i128,
    /// Rows that satisfy a condition.
    pub holds: u64,
    /// What of this is of sites that round, cell by cell.
    pub rounded: Vec<Part>,
    /// How many sites that is.
    pub rounding_sites: u32,
}

/// All cells of one step, and how large the sites' cohorts can be.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    layout: &'a TableLayout,
    step: usize,
    one_row_per_subject: bool,
    /// One a cell of the step.
    pub cells: Vec<Pooled>,
    /// Sites taken in.
    pub sites: u32,
    /// An upper bound of all cohorts' patients; none: no bound.
    pub cohort_subjects: Option<u64>,
    /// An upper bound of all cohorts' rows.
    pub cohort_rows: Option<u64>,
}

impl<'a> Pool<'a> {
    /// No site yet.
    pub(super) fn new(layout: &'a TableLayout, step: usize, one_row_per_subject: bool) -> Self {
        let none = Bounds { below_k: Some(0), ..Bounds::default() };
        let measures = vec![PooledMeasure::default(); layout.measures().len()];
        let cell = Pooled { sites: 0, coarser_sites: 0, subjects: none, rows: none, measures };
        let cells = vec![cell; layout.cells_at(step)];
        Self { layout, step, one_row_per_subject, cells, sites: 0, cohort_subjects: Some(0), cohort_rows: Some(0) }
    }

    /// Cells of step 0 that were put together elsewhere, of `sites` sites. No cell holds more than `cohort` patients.
    pub(super) fn of_cells(
        layout: &'a TableLayout,
        one_row_per_subject: bool,
        cells: Vec<Pooled>,
        sites: u32,
        cohort: Option<u64>,
    ) -> Self {
        let cohort_rows = cohort.filter(|_| one_row_per_subject);
        Self { layout, step: 0, one_row_per_subject, cells, sites, cohort_subjects: cohort, cohort_rows }
    }

    /// Takes in a site's release, which must have the layout's shape.
    pub(super) fn add(&mut self, release: &TableRelease) {
        self.sites += 1;
        self.add_cohort(release);
        match usize::from(release.step).cmp(&self.step) {
            Ordering::Equal => self.add_same(release),
            Ordering::Less => self.add_finer(release),
            Ordering::Greater => self.add_coarser(release),
        }
    }

    /// The most patients and rows that a hidden cell can have.
    fn below_k(&self, release: &TableRelease) -> (Option<u64>, Option<u64>) {
        let subjects = release.most_hidden();
        (subjects, subjects.filter(|subjects| self.one_row_per_subject || *subjects == 0))
    }

    fn add_cohort(&mut self, release: &TableRelease) {
        let (subjects, rows) = match release.total {
            Some(total) => {
                let off = off_of(release.rounded);
                (Some(total.subjects + off), Some(total.rows + off))
            }
            None => {
                let (below, below_rows) = self.below_k(release);
                release.cells.iter().fold((Some(0), Some(0)), |(subjects, rows), cell| match cell {
                    CellRelease::Shown { count, .. } => {
                        let off = off_of(release.rounded);
                        (plus(subjects, Some(count.subjects + off)), plus(rows, Some(count.rows + off)))
                    }
                    CellRelease::FewerThanK => (plus(subjects, below), plus(rows, below_rows)),
                })
            }
        };
        self.cohort_subjects = plus(self.cohort_subjects, subjects);
        self.cohort_rows = plus(self.cohort_rows, rows);
    }

    fn add_same(&mut self, release: &TableRelease) {
        let (below, below_rows) = self.below_k(release);
        let units = units(self.layout, release.rounded);
        for (all, cell) in self.cells.iter_mut().zip(&release.cells) {
            match cell {
                CellRelease::FewerThanK => all.add_below(below, below_rows),
                CellRelease::Shown { count, measures } => all.add_site(count, measures, units.as_deref()),
            }
        }
    }

    fn add_finer(&mut self, release: &TableRelease) {
        let (below, below_rows) = self.below_k(release);
        let containing = self.layout.containing(usize::from(release.step), self.step);
        let units = units(self.layout, release.rounded);
        let mut whole =
            vec![Some(vec![Some(PooledMeasure::default()); self.layout.measures().len()]); self.cells.len()];
        for (cell, at) in release.cells.iter().zip(containing) {
            match cell {
                CellRelease::FewerThanK => {
                    self.cells[at].add_below(below, below_rows);
                    whole[at] = None;
                }
                CellRelease::Shown { count, measures } => {
                    self.cells[at].add_shown(count, release.rounded);
                    if let Some(sums) = &mut whole[at] {
                        for (i, (sum, of)) in sums.iter_mut().zip(measures).enumerate() {
                            *sum = sum.take().and_then(|sum| sum.with(of, unit_of(units.as_deref(), i)));
                        }
                    }
                }
            }
        }
        for (cell, sums) in self.cells.iter_mut().zip(whole) {
            let Some(sums) = sums else { continue };
            cell.sites += 1;
            cell.measures.iter_mut().zip(sums).for_each(|(all, own)| all.add_site(own));
        }
    }

    fn add_coarser(&mut self, release: &TableRelease) {
        let (below, below_rows) = self.below_k(release);
        let containing = self.layout.containing(self.step, usize::from(release.step));
        for (cell, at) in self.cells.iter_mut().zip(containing) {
            match &release.cells[at] {
                CellRelease::FewerThanK => cell.add_below(below, below_rows),
                CellRelease::Shown { count, .. } => {
                    let off = off_of(release.rounded);
                    cell.coarser_sites += 1;
                    cell.subjects.coarser += count.subjects + off;
                    cell.rows.coarser += count.rows + off;
                }
            }
        }
    }

    /// How a measure's numbers are to be read.
    pub(super) fn measure(&self, index: usize) -> MeasureLayout {
        self.layout.measures()[index]
    }

    /// The labels of a cell's keys.
    pub(super) fn labels(&self, cell: usize) -> Vec<String> {
        self.layout.labels(self.step, cell)
    }
}

impl Pooled {
    /// A cell that no site shows yet, of which all of them together may have `below` patients.
    pub(super) fn below(below: Option<u64>, measures: usize, one_row_per_subject: bool) -> Self {
        let of = |below_k| Bounds { below_k, ..Bounds::default() };
        let rows = of(below.filter(|below| one_row_per_subject || *below == 0));
        let measures = vec![PooledMeasure::default(); measures];
        Self { sites: 0, coarser_sites: 0, subjects: of(below), rows, measures }
    }

    /// Takes in what one more site shows of the cell; `units` of its measures where it rounds.
    pub(super) fn add_site(&mut self, count: &Count, measures: &[MeasureRelease], units: Option<&[i128]>) {
        self.sites += 1;
        self.add_shown(count, units.is_some());
        let own = measures.iter().enumerate().map(|(i, of)| PooledMeasure::default().with(of, unit_of(units, i)));
        self.measures.iter_mut().zip(own).for_each(|(all, own)| all.add_site(own));
    }

    fn add_shown(&mut self, count: &Count, rounded: bool) {
        self.subjects.shown += count.subjects;
        self.rows.shown += count.rows;
        self.subjects.off += off_of(rounded);
        self.rows.off += off_of(rounded);
    }

    fn add_below(&mut self, subjects: Option<u64>, rows: Option<u64>) {
        self.subjects.below_k = plus(self.subjects.below_k, subjects);
        self.rows.below_k = plus(self.rows.below_k, rows);
    }
}

impl PooledMeasure {
    /// These sums and those of one more cell of the same site; none where that cell hides the measure.
    fn with(mut self, released: &MeasureRelease, unit: Option<i128>) -> Option<Self> {
        if let (Some(unit), MeasureRelease::Number { valid, .. } | MeasureRelease::Condition { valid, .. }) =
            (unit, released)
        {
            let (sum, sum_sq) = match released {
                MeasureRelease::Number { sum, sum_sq, .. } => (*sum, *sum_sq),
                _ => (0, 0),
            };
            self.rounded.push(Part { rows: valid.rows, sum, sum_sq, unit });
        }
        match released {
            MeasureRelease::Hidden => return None,
            MeasureRelease::Number { valid, sum, sum_sq } => {
                self.rows += valid.rows;
                self.sum += sum;
                self.sum_sq += sum_sq;
            }
            MeasureRelease::Condition { valid, holds_rows } => {
                self.rows += valid.rows;
                self.holds += holds_rows;
            }
        }
        Some(self)
    }

    fn add_site(&mut self, own: Option<Self>) {
        let Some(own) = own else { return };
        self.sites += 1;
        self.rows += own.rows;
        self.sum += own.sum;
        self.sum_sq += own.sum_sq;
        self.holds += own.holds;
        self.rounding_sites += u32::from(!own.rounded.is_empty());
        self.rounded.extend(own.rounded);
    }

    /// How far the number of rows, and of those that satisfy a condition, can be from the true one.
    pub(super) fn off(&self) -> u64 {
        off(&self.rounded)
    }

    /// The sums of a number, where some sites round; what follows from so few of them alone may not show.
    pub(super) fn rounded_sums(&self, min_sites: u32) -> Option<Sums<'_>> {
        let Self { rows, sum, sum_sq, rounded: parts, .. } = self;
        let few = self.rounding_sites < min_sites;
        (!parts.is_empty()).then_some(Sums { rows: *rows, sum: *sum, sum_sq: *sum_sq, parts, few })
    }
}

/// How far a count of a site can be from the true one.
pub(super) fn off_of(rounded: bool) -> u64 {
    if rounded { rounding::OFF } else { 0 }
}

/// What the sums of each measure are multiples of, at a site that rounds.
pub(super) fn units(layout: &TableLayout, rounded: bool) -> Option<Vec<i128>> {
    rounded.then(|| (0..layout.measures().len()).map(|measure| layout.unit(measure)).collect())
}

fn unit_of(units: Option<&[i128]>, measure: usize) -> Option<i128> {
    units.map(|units| units.get(measure).copied().unwrap_or(1))
}

/// The sum of two bounds; none where one of them is none.
pub(super) fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a? + b?)
}

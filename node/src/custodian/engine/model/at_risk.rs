//! The complete cases of a model of hazards in the order in which they are at risk: by stratum, and within it the latest first. A pass then meets the
//! risk set of each event as what it has passed so far.

use std::collections::BTreeMap;
use std::ops::Range;

use bocage_protocol::plan::{ModelLayout, RiskSlots};

use super::design::Cases;

/// When the rows of a part are at risk.
#[derive(Default)]
pub struct Times {
    /// Until when.
    time: Vec<f64>,
    /// After what; empty where from the beginning.
    start: Vec<f64>,
    /// Among whom.
    stratum: Vec<u32>,
}

impl Times {
    /// Of these rows.
    pub fn of(
        slots: &RiskSlots,
        layout: &ModelLayout,
        rows: &[usize],
        numbers: &[Vec<f64>],
        levels: &[Vec<u32>],
    ) -> Self {
        let pick = |input: usize| rows.iter().map(|row| numbers[input][*row]).collect::<Vec<f64>>();
        let stratum = |row: &usize| {
            let step = |at: u32, key: &usize| at * layout.inputs.keys[*key].1.labels.len() as u32 + levels[*key][*row];
            slots.strata.iter().fold(0, step)
        };
        let mut time = pick(slots.time);
        if let Some(shared) = &slots.shared {
            // Rounded: all that is known of it is its interval.
            let last = shared.grid.ends.len().saturating_sub(1);
            time.iter_mut().for_each(|time| *time = shared.grid.interval(*time).min(last) as f64);
        }
        Self { time, start: slots.start.map(pick).unwrap_or_default(), stratum: rows.iter().map(stratum).collect() }
    }
}

/// Whether a row is ever at risk: who leaves before they come, or then, is not.
pub fn is_ever(slots: &RiskSlots, row: usize, numbers: &[Vec<f64>]) -> bool {
    slots.start.is_none_or(|start| numbers[start][row] < numbers[slots.time][row])
}

/// Who is still there at a grid's end has not had the event.
pub fn end(slots: &RiskSlots, event: usize, numbers: &mut [Vec<f64>]) {
    let Some(end) = slots.shared.as_ref().and_then(|shared| shared.grid.ends.last()) else { return };
    for row in 0..numbers[event].len() {
        if numbers[slots.time][row] >= *end && numbers[event][row] > 0.5 {
            numbers[event][row] = 0.0;
        }
    }
}

/// When events come, by stratum: who is at risk at none of them is in no sum.
pub struct Events(BTreeMap<u32, Vec<f64>>);

impl Events {
    /// Of all parts of a design.
    pub fn of(parts: &[Cases]) -> Self {
        let mut events: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for cases in parts {
            for row in (0..cases.rows).filter(|row| cases.y[*row] > 0.5) {
                events.entry(cases.times.stratum[row]).or_default().push(cases.times.time[row]);
            }
        }
        events.values_mut().for_each(|times| times.sort_by(f64::total_cmp));
        Self(events)
    }

    /// Whether a case is at risk at any of them.
    pub fn concern(&self, cases: &Cases, case: usize) -> bool {
        let times = self.0.get(&cases.times.stratum[case]).map_or(&[][..], Vec::as_slice);
        let after = cases.times.start.get(case).copied().unwrap_or(f64::NEG_INFINITY);
        times.get(times.partition_point(|time| *time <= after)).is_some_and(|next| *next <= cases.times.time[case])
    }
}

/// The cases in order.
pub struct AtRisk {
    /// Columns.
    pub width: usize,
    /// The scaled columns, row by row; less their means where the baseline is the site's own. No sum of the partial likelihood knows a constant, and small numbers are added more exactly.
    pub x: Vec<f64>,
    /// Until when each is at risk.
    pub time: Vec<f64>,
    /// After what; empty where from the beginning.
    pub start: Vec<f64>,
    /// Whether the event comes then.
    pub event: Vec<bool>,
    /// What is added to the linear predictor; empty where nothing is.
    pub offset: Vec<f64>,
    /// The strata that have anybody.
    pub strata: Vec<Stratum>,
}

/// A stratum's rows.
pub struct Stratum {
    /// Which it is.
    pub key: u32,
    /// The latest time first.
    pub rows: Range<usize>,
    /// The same by when they come, the latest first; empty where all are there from the beginning.
    pub coming: Vec<usize>,
}

impl Times {
    /// Among whom a case is, and in which interval of a grid it leaves.
    pub fn slot(&self, case: usize, intervals: usize) -> usize {
        self.stratum[case] as usize * intervals + self.time[case] as usize
    }
}

impl AtRisk {
    /// Of the parts of a design, in their order. Rows of the same time stay in it, so that no thread shows.
    pub fn of(parts: &[Cases], width: usize, centred: bool) -> Self {
        let mut places: Vec<(u32, f64, usize, usize)> = Vec::new();
        for (part, cases) in parts.iter().enumerate() {
            let times = &cases.times;
            places.extend((0..cases.rows).map(|row| (times.stratum[row], times.time[row], part, row)));
        }
        places.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let pick = |of: fn(&Cases) -> &[f64]| -> Vec<f64> {
            places.iter().filter_map(|(_, _, part, row)| of(&parts[*part]).get(*row).copied()).collect()
        };
        let start = pick(|cases| &cases.times.start);
        let mut x = Vec::with_capacity(places.len() * width);
        for (_, _, part, row) in &places {
            let cases = &parts[*part];
            x.extend((0..width).map(|column| cases.x[column * cases.rows + row]));
        }
        if centred {
            centre(&mut x, width);
        }
        let mut strata = Vec::new();
        let mut begin = 0;
        for of in places.chunk_by(|a, b| a.0 == b.0) {
            let rows = begin..begin + of.len();
            begin = rows.end;
            let mut coming: Vec<usize> = if start.is_empty() { Vec::new() } else { rows.clone().collect() };
            coming.sort_by(|a, b| start[*b].total_cmp(&start[*a]));
            strata.push(Stratum { key: of[0].0, rows, coming });
        }
        Self {
            width,
            x,
            time: places.iter().map(|place| place.1).collect(),
            event: pick(|cases| &cases.y).into_iter().map(|y| y > 0.5).collect(),
            offset: pick(|cases| &cases.offset),
            start,
            strata,
        }
    }

    /// A row's columns.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.x[row * self.width..(row + 1) * self.width]
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let coming: usize = self.strata.iter().map(|stratum| stratum.coming.len()).sum();
        let numbers = self.x.len() + self.time.len() + self.start.len() + self.offset.len() + coming;
        numbers * size_of::<f64>() + self.event.len()
    }
}

fn centre(x: &mut [f64], width: usize) {
    let rows = x.len().checked_div(width).unwrap_or(0).max(1) as f64;
    let mut means = vec![0.0; width];
    for row in x.chunks_exact(width.max(1)) {
        means.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / rows);
    }
    for row in x.chunks_exact_mut(width.max(1)) {
        row.iter_mut().zip(&means).for_each(|(x, mean)| *x -= mean);
    }
}

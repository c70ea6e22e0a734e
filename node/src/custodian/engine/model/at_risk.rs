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
    /// Whose each is; empty where everybody has one.
    pub subject: Vec<u32>,
}

impl Times {
    /// Of these rows.
    pub fn of(
        slots: &RiskSlots,
        layout: &ModelLayout,
        rows: &[usize],
        numbers: &[Vec<f64>],
        levels: &[Vec<u32>],
        subjects: &[u32],
    ) -> Self {
        let pick = |input: usize| rows.iter().map(|row| numbers[input][*row]).collect::<Vec<f64>>();
        let stratum = |row: &usize| {
            let step = |at: u32, key: &usize| at * layout.inputs.keys[*key].1.labels.len() as u32 + levels[*key][*row];
            slots.strata.iter().fold(0, step)
        };
        let (mut time, mut start) = (pick(slots.time), slots.start.map(pick).unwrap_or_default());
        if let Some(shared) = &slots.shared {
            // Rounded: all that is known of it is its interval.
            let last = shared.grid.ends.len().saturating_sub(1);
            time.iter_mut().chain(&mut start).for_each(|time| *time = shared.grid.interval(*time).min(last) as f64);
        }
        Self {
            time,
            start,
            stratum: rows.iter().map(stratum).collect(),
            subject: rows.iter().filter_map(|row| subjects.get(*row).copied()).collect(),
        }
    }
}

/// Whether a row is ever at risk: who leaves before they come, or then, is not. Nor is who comes when nobody is to come any more along a grid.
pub fn is_ever(slots: &RiskSlots, row: usize, numbers: &[Vec<f64>]) -> bool {
    let comes = |start: f64| slots.shared.as_ref().is_none_or(|shared| start < shared.grid.last_entry());
    slots.start.is_none_or(|start| numbers[start][row] < numbers[slots.time][row] && comes(numbers[start][row]))
}

/// The rows of those who are at risk in one of their rows at a time. Where rows overlap it is not known which of them says what a patient is like, so
/// all of that patient's are left out, as if something were missing. A patient's rows stand together.
pub fn apart(slots: &RiskSlots, rows: Vec<usize>, numbers: &[Vec<f64>], subjects: &[u32]) -> Vec<usize> {
    let Some(start) = slots.start.filter(|_| slots.several) else { return rows };
    let mut apart = Vec::with_capacity(rows.len());
    for own in rows.chunk_by(|a, b| subjects[*a] == subjects[*b]) {
        let mut times: Vec<(f64, f64)> =
            own.iter().map(|row| (numbers[start][*row], numbers[slots.time][*row])).collect();
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        if times.windows(2).all(|w| w[0].1 <= w[1].0) {
            apart.extend_from_slice(own);
        }
    }
    apart
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

impl FromIterator<(u32, f64)> for Events {
    /// By stratum and time.
    fn from_iter<T: IntoIterator<Item = (u32, f64)>>(of: T) -> Self {
        let mut events: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        of.into_iter().for_each(|(stratum, time)| events.entry(stratum).or_default().push(time));
        events.values_mut().for_each(|times| times.sort_by(f64::total_cmp));
        Self(events)
    }
}

impl Events {
    /// Of all parts of a design.
    pub fn of(parts: &[Cases]) -> Self {
        let of = |cases: &Cases| -> Vec<(u32, f64)> {
            let rows = (0..cases.rows).filter(|row| cases.y[*row] > 0.5);
            rows.map(|row| (cases.times.stratum[row], cases.times.time[row])).collect()
        };
        parts.iter().flat_map(of).collect()
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
    /// Whose each is, from 0 on; empty where everybody has one.
    pub patient: Vec<u32>,
    /// How many they are.
    pub patients: usize,
    /// Whether it is the last event of its patient; empty where everybody has one row.
    last: Vec<bool>,
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
    /// Of these cases everybody's last one: by it a patient with several is counted, so that nobody stands twice on one side of what is told apart.
    pub fn last(&self, mut cases: Vec<usize>) -> Vec<usize> {
        if !self.subject.is_empty() {
            cases.sort_by(|a, b| self.subject[*a].cmp(&self.subject[*b]).then(self.time[*b].total_cmp(&self.time[*a])));
            cases.dedup_by_key(|case| self.subject[*case]);
        }
        cases
    }

    /// Among whom a case is, and in which interval of a grid it leaves.
    pub fn slot(&self, case: usize, intervals: usize) -> usize {
        self.stratum[case] as usize * intervals + self.time[case] as usize
    }

    /// In which it comes, where some come late.
    pub fn entry(&self, case: usize, intervals: usize) -> Option<usize> {
        Some(self.stratum[case] as usize * intervals + *self.start.get(case)? as usize)
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
        let time: Vec<f64> = places.iter().map(|place| place.1).collect();
        let event: Vec<bool> = pick(|cases| &cases.y).into_iter().map(|y| y > 0.5).collect();
        let subjects: Vec<u32> =
            places.iter().filter_map(|(_, _, part, row)| parts[*part].times.subject.get(*row).copied()).collect();
        let (patient, patients) = match subjects.is_empty() {
            true => (Vec::new(), time.len()),
            false => numbered(&subjects),
        };
        let last = last_events(&patient, patients, &time, &event);
        Self { width, x, time, event, patient, patients, last, offset: pick(|cases| &cases.offset), start, strata }
    }

    /// By stratum when events come.
    pub fn events(&self) -> impl Iterator<Item = (u32, f64)> {
        let of = move |stratum: &Stratum| {
            let (key, rows) = (stratum.key, stratum.rows.clone());
            rows.filter(move |row| self.event[*row]).map(move |row| (key, self.time[row]))
        };
        self.strata.iter().flat_map(of)
    }

    /// Whether a row's event is that by which its patient is counted among those with one.
    pub fn counts(&self, row: usize) -> bool {
        self.event[row] && self.last.get(row).copied().unwrap_or(true)
    }

    /// Patients of a stratum with the event, and the others.
    pub fn patients_of(&self, stratum: &Stratum) -> (u64, u64) {
        let patient = |row: usize| self.patient.get(row).map_or(row, |patient| *patient as usize);
        let mut all: Vec<(usize, bool)> = stratum.rows.clone().map(|row| (patient(row), self.event[row])).collect();
        all.sort_unstable();
        let (mut with, mut without) = (0, 0);
        for own in all.chunk_by(|a, b| a.0 == b.0) {
            let count = if own.iter().any(|(_, event)| *event) { &mut with } else { &mut without };
            *count += 1;
        }
        (with, without)
    }

    /// A row's columns.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.x[row * self.width..(row + 1) * self.width]
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let coming: usize = self.strata.iter().map(|stratum| stratum.coming.len()).sum();
        let numbers = self.x.len() + self.time.len() + self.start.len() + self.offset.len() + coming;
        numbers * size_of::<f64>() + self.event.len() + self.patient.len() * size_of::<u32>() + self.last.len()
    }
}

/// Everybody's place among all, and how many they are.
fn numbered(subjects: &[u32]) -> (Vec<u32>, usize) {
    let mut all = subjects.to_vec();
    all.sort_unstable();
    all.dedup();
    (subjects.iter().map(|subject| all.partition_point(|other| other < subject) as u32).collect(), all.len())
}

fn last_events(patient: &[u32], patients: usize, time: &[f64], event: &[bool]) -> Vec<bool> {
    if patient.is_empty() {
        return Vec::new();
    }
    let mut last: Vec<Option<usize>> = vec![None; patients];
    for row in (0..patient.len()).filter(|row| event[*row]) {
        let known = &mut last[patient[row] as usize];
        if known.is_none_or(|known| time[known] < time[row]) {
            *known = Some(row);
        }
    }
    let mut is_last = vec![false; patient.len()];
    last.into_iter().flatten().for_each(|row| is_last[row] = true);
    is_last
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

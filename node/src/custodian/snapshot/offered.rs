//! What a study may see of a snapshot: its rows, less those of the patients who are left out because they, or enough others, opted
//! out. The engine takes an [`Offered`] and nothing else, and of its rows only [`Part`]s, so that no plan goes round an opt-out.
//!
//! A patient's rows stand together, so what is left out is a list of gaps. Where there is none, nothing is copied or looked up.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bocage_protocol::ids::Digest;
use polars::prelude::{BooleanChunked, Column, DataFrame, NamedFrom as _, UInt32Chunked};

use super::{Manifest, Snapshot};
use crate::custodian::source::SUBJECT;

/// A snapshot without the patients who are left out for a study's purpose.
pub struct Offered {
    snapshot: Arc<Snapshot>,
    /// Rows that nobody may see, ascending and apart.
    gaps: Vec<Range<usize>>,
    left_out: Option<Digest>,
    identity: Digest,
}

/// Who is left out of a snapshot: subject numbers, and the digest that stands for them.
#[derive(Debug, Clone, Copy)]
pub struct LeftOut<'a> {
    /// In any order.
    pub numbers: &'a [u32],
    /// The same for the same patients only.
    pub set: Digest,
}

impl Offered {
    /// All rows, or those of the patients who are not left out.
    pub fn new(snapshot: Arc<Snapshot>, left_out: Option<LeftOut<'_>>) -> Self {
        let content = *snapshot.content_hash();
        // With nobody left out it is the snapshot itself, as if there were no opt-outs.
        let Some(LeftOut { numbers, set }) = left_out.filter(|out| !out.numbers.is_empty()) else {
            return Self { snapshot, gaps: Vec::new(), left_out: None, identity: content };
        };
        let gaps = gaps(snapshot.frame(), numbers);
        let identity = Digest::of("bocage/offered/1", &[content.as_bytes(), set.as_bytes()]);
        Self { snapshot, gaps, left_out: Some(set), identity }
    }

    /// The snapshot's own facts: they count who is left out as well.
    pub fn manifest(&self) -> &Manifest {
        self.snapshot.manifest()
    }

    /// What an answer depends on: the rows, and who is left out. It never leaves the site.
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// The digest of who is left out; none if nobody is.
    pub fn left_out(&self) -> Option<Digest> {
        self.left_out
    }

    /// Every row of the snapshot but those of these patients, whoever is left out: for counting who has moved since an earlier answer, which the
    /// gate must know and never shows.
    pub(in crate::custodian) fn all_but(&self, numbers: &[u32]) -> Vec<Range<usize>> {
        let theirs = gaps(self.snapshot.frame(), numbers);
        let begins = std::iter::once(0).chain(theirs.iter().map(|range| range.end));
        let ends = theirs.iter().map(|range| range.start).chain([self.snapshot.frame().height()]);
        begins.zip(ends).map(|(begin, end)| begin..end).filter(|range| !range.is_empty()).collect()
    }

    /// The rows that are in none of these gaps, whoever is left out. See [`Offered::all_but`].
    pub(in crate::custodian) fn rows_outside<'a>(&'a self, gaps: &'a [Range<usize>]) -> Option<Rows<'a>> {
        Rows::of(self.snapshot.frame(), gaps)
    }

    /// The rows; none if the snapshot has no subject numbers.
    pub(in crate::custodian) fn rows(&self) -> Option<Rows<'_>> {
        Rows::of(self.snapshot.frame(), &self.gaps)
    }
}

/// The name under which releases speak of what they were computed on: without `site_secret` nobody can confirm a guess of its content.
pub fn public_name(identity: &Digest, site_secret: &[u8; 32]) -> Digest {
    Digest::of("bocage/snapshot/1", &[site_secret, identity.as_bytes()])
}

/// The rows that may be seen. They are read part by part.
#[derive(Clone, Copy)]
pub(in crate::custodian) struct Rows<'a> {
    frame: &'a DataFrame,
    subjects: &'a UInt32Chunked,
    gaps: &'a [Range<usize>],
}

/// A run of rows that begins and ends with a subject's, without those of who is left out. Only [`Rows::parts`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::custodian) struct Part {
    hull: Range<usize>,
    gaps: Vec<Range<usize>>,
}

impl Part {
    /// Runs of rows, counted in the snapshot, that may be seen.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let begins = std::iter::once(self.hull.start).chain(self.gaps.iter().map(|gap| gap.end));
        let ends = self.gaps.iter().map(|gap| gap.start).chain([self.hull.end]);
        begins.zip(ends).map(|(begin, end)| begin..end).filter(|range| !range.is_empty())
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.hull.len() - self.gaps.iter().map(Range::len).sum::<usize>()
    }
}

impl<'a> Rows<'a> {
    /// The rows of a frame but those in `gaps`; none if it has no subject numbers.
    pub(super) fn of(frame: &'a DataFrame, gaps: &'a [Range<usize>]) -> Option<Self> {
        let subjects = frame.column(SUBJECT).and_then(|column| column.u32()).ok()?;
        Some(Self { frame, subjects, gaps })
    }

    /// All rows of a frame, less those in `gaps`, for tests of the engine.
    #[cfg(test)]
    pub fn made(frame: &'a DataFrame, gaps: &'a [Range<usize>]) -> Self {
        Self::of(frame, gaps).unwrap()
    }

    /// How many rows the snapshot has, those that may not be seen among them.
    pub fn len(self) -> usize {
        self.subjects.len()
    }

    /// The parts: each has about so many rows and ends where a subject does.
    pub fn parts(self, rows: usize) -> Vec<Part> {
        let subjects = self.subjects;
        let (mut parts, mut begin, mut gaps) = (Vec::new(), 0, self.gaps);
        while begin < subjects.len() {
            let mut end = begin.saturating_add(rows.max(1)).min(subjects.len());
            while end < subjects.len() && subjects.get(end) == subjects.get(end - 1) {
                end += 1;
            }
            let within = gaps.partition_point(|gap| gap.start < end);
            let clipped = gaps[..within].iter().map(|gap| gap.start.max(begin)..gap.end.min(end)).collect();
            let part = Part { hull: begin..end, gaps: clipped };
            // The last one may go on in the next part.
            gaps = &gaps[gaps.partition_point(|gap| gap.end <= end)..];
            if part.len() > 0 {
                parts.push(part);
            }
            begin = end;
        }
        parts
    }

    /// A part's rows as a frame of its own, which has at least these columns; none if it cannot be made.
    pub fn frame<'n>(self, part: &Part, columns: impl IntoIterator<Item = &'n str>) -> Option<DataFrame> {
        let hull = |frame: &DataFrame| frame.slice(part.hull.start as i64, part.hull.len());
        if part.gaps.is_empty() {
            return Some(hull(self.frame));
        }
        let wanted: Vec<&str> = std::iter::once(SUBJECT).chain(columns).collect();
        let mut seen = vec![false; part.hull.len()];
        for range in part.ranges() {
            seen[range.start - part.hull.start..range.end - part.hull.start].fill(true);
        }
        let rows = hull(&self.frame.select(wanted).ok()?);
        rows.filter(&BooleanChunked::new("seen".into(), seen)).ok()
    }

    /// The subject of each row of a part.
    pub fn subjects(self, part: &Part) -> Cow<'a, [u32]> {
        match self.subjects.cont_slice() {
            Ok(all) if part.gaps.is_empty() => Cow::Borrowed(&all[part.hull.clone()]),
            Ok(all) => Cow::Owned(part.ranges().flat_map(|range| &all[range]).copied().collect()),
            Err(_) => {
                let subject = |row| self.subjects.get(row);
                Cow::Owned(part.ranges().flatten().filter_map(subject).collect())
            }
        }
    }

    /// A column, of which only the rows of parts may be read.
    pub fn column(self, name: &str) -> Option<&'a Column> {
        self.frame.column(name).ok()
    }
}

/// The rows of these subjects. Every row is looked at: nothing here trusts their order.
pub(in crate::custodian) fn gaps(frame: &DataFrame, numbers: &[u32]) -> Vec<Range<usize>> {
    let mut out = vec![false; numbers.iter().max().map_or(0, |last| *last as usize + 1)];
    numbers.iter().for_each(|number| out[*number as usize] = true);
    let Ok(subjects) = frame.column(SUBJECT).and_then(|column| column.u32()) else { return Vec::new() };
    let mut gaps: Vec<Range<usize>> = Vec::new();
    for (row, subject) in subjects.downcast_iter().flat_map(|chunk| chunk.values().iter()).enumerate() {
        if out.get(*subject as usize) != Some(&true) {
            continue;
        }
        match gaps.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => gaps.push(row..row + 1),
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    /// The rows of each part.
    fn parts(rows: usize, subjects: &[u32], out: &[u32]) -> Vec<String> {
        let frame = df!(SUBJECT => subjects).unwrap();
        let gaps = gaps(&frame, out);
        let parts = Rows::made(&frame, &gaps).parts(rows);
        for part in &parts {
            let own = Rows::made(&frame, &gaps);
            let kept = own.frame(part, []).unwrap();
            let kept: Vec<u32> = kept.column(SUBJECT).unwrap().u32().unwrap().into_no_null_iter().collect();
            assert_eq!(own.subjects(part).as_ref(), kept);
            assert_eq!(part.len(), kept.len());
        }
        let said = |part: &Part| part.ranges().map(|range| format!("{range:?}")).collect::<Vec<_>>().join(" ");
        parts.iter().map(said).collect()
    }

    #[test]
    fn parts_end_where_subjects_do_and_cover_every_row_once() {
        assert!(parts(2, &[], &[]).is_empty());
        assert_eq!(parts(2, &[0, 1, 1, 1, 2, 3, 4], &[]), ["0..4", "4..6", "6..7"]);
        assert_eq!(parts(100, &[0, 1], &[]), ["0..2"]);
        assert_eq!(parts(0, &[5, 5, 6], &[]), ["0..2", "2..3"]);
    }

    #[test]
    fn no_part_has_a_row_of_a_subject_that_is_left_out() {
        assert_eq!(parts(100, &[0, 1, 1, 2, 3], &[1]), ["0..1 3..5"]);
        assert_eq!(parts(2, &[0, 1, 1, 1, 2, 3, 4], &[1, 3]), ["0..1", "4..5", "6..7"]);
        assert_eq!(parts(1, &[0, 1, 2], &[0, 1]), ["2..3"]);
        assert!(parts(2, &[0, 0, 1], &[0, 1, 7]).is_empty());
        assert_eq!(parts(9, &[2, 0, 2], &[2]), ["1..2"], "also where rows are not in order");
    }
}

//! Clusters in which no few patients show, neither by themselves nor beside what was answered before.
//!
//! Whoever has two answers can subtract them. So a cluster that is nearly one of an earlier answer **is** that one: those few who would have come
//! stay out, those few who would have left stay in, and the answer is the same whether there are such patients or not. Where that cannot be, nothing
//! new leaves of the start.

use std::borrow::Cow;

use bocage_protocol::limits;

use super::patients::{Partition, Patients, Start};

/// What was answered about the same patients before.
#[derive(Default)]
pub struct Answered {
    given: Vec<Given>,
    /// Starts, with those that had nothing new.
    asked: usize,
}

/// One answer: its centroids, and who is not with the nearest.
struct Given {
    start: Start,
    sizes: Vec<u64>,
    elsewhere: Vec<(u32, u8)>,
    /// Who was in which cluster, while there is room for it: it follows from the rest, in as long as the answer took.
    of: Option<Vec<u8>>,
}

/// A form that clusters are brought into.
enum Settled {
    /// An earlier answer under other names.
    Before(Partition),
    /// Something new.
    New(Partition),
}

impl Answered {
    /// Whether so many starts more are answered: each takes memory, and time of all after it.
    pub fn has_room(&self, starts: usize) -> bool {
        self.asked + starts <= limits::CLUSTER_ANSWERS && self.bytes() <= limits::CLUSTER_ANSWER_BYTES
    }

    /// What must be remembered of it, in bytes.
    fn bytes(&self) -> usize {
        self.given.iter().map(Given::bytes).sum()
    }

    /// What it takes in memory.
    pub fn memory(&self) -> usize {
        self.bytes() + self.given.iter().flat_map(|given| &given.of).map(Vec::len).sum::<usize>()
    }

    /// The grouped and the settled form of clusters; takes note of the latter.
    pub fn answer(
        &mut self,
        patients: &Patients<'_>,
        start: Start,
        nearest: &Partition,
        k: u32,
    ) -> (Option<Partition>, Option<Partition>) {
        self.asked += 1;
        let mut grouped = nearest.clone();
        let none = vec![false; start.clusters()];
        if !group(patients, &start, &mut grouped, &none, k) {
            return (None, None);
        }
        let settled = match self.settle(patients, &start, grouped.clone(), k) {
            Some(Settled::Before(partition)) => Some(partition),
            Some(Settled::New(partition)) => {
                let differs = |(point, (now, near)): (usize, (&u8, &u8))| (now != near).then_some((point as u32, *now));
                let elsewhere = partition.of.iter().zip(&nearest.of).enumerate().filter_map(differs).collect();
                self.make_room(patients);
                self.given.push(Given {
                    start,
                    sizes: partition.sizes.clone(),
                    elsewhere,
                    of: Some(partition.of.clone()),
                });
                Some(partition)
            }
            None => None,
        };
        (Some(grouped), settled)
    }

    /// Forgets the oldest memberships, so that those of one more fit beside the design.
    fn make_room(&mut self, patients: &Patients<'_>) {
        let rows = patients.rows();
        let room = (limits::DESIGN_BYTES / 2).saturating_sub(patients.bytes());
        let most = (room / rows.max(1)).saturating_sub(1);
        let known = self.given.iter_mut().rev().filter(|given| given.of.is_some());
        known.skip(most).for_each(|given| given.of = None);
    }

    /// As where there is no room for any membership.
    #[cfg(test)]
    pub(super) fn forget_memberships(&mut self) {
        self.given.iter_mut().for_each(|given| given.of = None);
    }

    fn settle(&self, patients: &Patients<'_>, start: &Start, mut now: Partition, k: u32) -> Option<Settled> {
        let mut kept = vec![false; start.clusters()];
        for _ in 0..=start.clusters() {
            let mut closest: Option<(u64, usize, Cow<'_, [u8]>, u8)> = None;
            for given in self.given.iter().filter(|given| given.may_be_near(&now, k)) {
                let earlier = given.members(patients);
                let together = Together::of(&earlier, given.sizes.len(), &now);
                if let Some(names) = together.same_but_for_few(given, &now, k) {
                    let of = earlier.iter().map(|cluster| names[usize::from(*cluster)]).collect();
                    return Some(Settled::Before(Partition::of(of, start.clusters())));
                }
                let near = together.nearest(given, &now, &kept, k);
                if let Some((few, now_at, before_at)) =
                    near.filter(|(few, ..)| closest.as_ref().is_none_or(|(least, ..)| few < least))
                {
                    closest = Some((few, now_at, earlier, before_at));
                }
            }
            let Some((_, cluster, earlier, before)) = closest else { return Some(Settled::New(now)) };
            keep(patients, start, &mut now, (&earlier, before), (cluster, &mut kept))?;
            if !group(patients, start, &mut now, &kept, k) {
                return None;
            }
        }
        None
    }
}

impl Given {
    fn bytes(&self) -> usize {
        self.start.bytes() + size_of_val(&self.sizes[..]) + size_of_val(&self.elsewhere[..])
    }

    /// Who was in which cluster.
    fn members(&self, patients: &Patients<'_>) -> Cow<'_, [u8]> {
        if let Some(of) = &self.of {
            return of.into();
        }
        let mut of = patients.nearest(&self.start);
        for (point, cluster) in &self.elsewhere {
            of[*point as usize] = *cluster;
        }
        of.into()
    }

    /// Whether, by sizes alone, fewer than k may be the difference of two clusters.
    fn may_be_near(&self, now: &Partition, k: u32) -> bool {
        let near = |a: &u64, b: &u64| *a > 0 && *b > 0 && a.abs_diff(*b) < u64::from(k);
        self.sizes.iter().any(|a| now.sizes.iter().any(|b| near(a, b)))
    }
}

/// How many points are in each earlier and in each present cluster at once.
struct Together(Vec<Vec<u64>>);

impl Together {
    fn of(earlier: &[u8], clusters: usize, now: &Partition) -> Self {
        // Neighbours are often in the same clusters: counted apart, no count waits for the one before.
        const APART: usize = 4;
        let width = now.sizes.len();
        let mut counts = vec![[0u32; APART]; clusters * width];
        for (earlier, now) in earlier.chunks(APART).zip(now.of.chunks(APART)) {
            for (i, (a, b)) in earlier.iter().zip(now).enumerate() {
                counts[usize::from(*a) * width + usize::from(*b)][i] += 1;
            }
        }
        let all = |counts: &[u32; APART]| counts.iter().map(|count| u64::from(*count)).sum();
        Self(counts.chunks(width.max(1)).map(|row| row.iter().map(all).collect()).collect())
    }

    /// The present name of each earlier cluster, where fewer than k points lie otherwise.
    fn same_but_for_few(&self, given: &Given, now: &Partition, k: u32) -> Option<Vec<u8>> {
        let mut names: Vec<Option<usize>> = vec![None; given.sizes.len()];
        let mut alike = 0;
        for (b, _) in now.sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
            let a = (0..names.len()).max_by_key(|a| (self.0[*a][b], usize::MAX - a))?;
            if names[a].replace(b).is_some() {
                return None;
            }
            alike += self.0[a][b];
        }
        let all: u64 = now.sizes.iter().sum();
        let named = given.sizes.iter().zip(&names).all(|(size, name)| *size == 0 || name.is_some());
        (named && all - alike < u64::from(k)).then(|| names.iter().map(|b| b.unwrap_or(0) as u8).collect())
    }

    /// Of the clusters that may still change, the one that differs least from an earlier one, by some but fewer than k.
    fn nearest(&self, given: &Given, now: &Partition, kept: &[bool], k: u32) -> Option<(u64, usize, u8)> {
        let pairs = (0..now.sizes.len())
            .filter(|b| !kept[*b] && now.sizes[*b] > 0)
            .flat_map(|b| (0..given.sizes.len()).map(move |a| (a, b)));
        let differences = pairs.map(|(a, b)| (given.sizes[a] + now.sizes[b] - 2 * self.0[a][b], b, a as u8));
        differences.filter(|(few, ..)| (1..u64::from(k)).contains(few)).min()
    }
}

/// Makes a cluster what an earlier one was; those who would have come go to the nearest of the others that may change. None where somebody of it
/// must stay elsewhere.
fn keep(
    patients: &Patients<'_>,
    start: &Start,
    now: &mut Partition,
    (earlier, before): (&[u8], u8),
    (cluster, kept): (usize, &mut Vec<bool>),
) -> Option<()> {
    let others: Vec<bool> = (0..kept.len()).map(|other| !kept[other] && other != cluster).collect();
    for (point, was) in earlier.iter().enumerate() {
        let is = usize::from(now.of[point]);
        if *was == before && is != cluster {
            if kept[is] {
                return None;
            }
            now.put(point, cluster as u8);
        } else if *was != before && is == cluster {
            now.put(point, patients.nearest_of(point, start, &others)?);
        }
    }
    kept[cluster] = true;
    Some(())
}

/// Gives the points of small and of uniform clusters to the nearest of the others, the smallest first. False where none is left.
fn group(patients: &Patients<'_>, start: &Start, now: &mut Partition, kept: &[bool], k: u32) -> bool {
    let mut open: Vec<bool> = kept.iter().map(|kept| !kept).collect();
    loop {
        let uniform = patients.uniform(now, k);
        let is_few = |cluster: &usize| {
            let size = now.sizes[*cluster];
            !kept[*cluster] && size > 0 && (size < u64::from(k) || uniform[*cluster])
        };
        let Some(cluster) = (0..kept.len()).filter(is_few).min_by_key(|cluster| now.sizes[*cluster]) else {
            return true;
        };
        open[cluster] = false;
        for point in 0..now.of.len() {
            if usize::from(now.of[point]) == cluster {
                let Some(next) = patients.nearest_of(point, start, &open) else { return false };
                now.put(point, next);
            }
        }
    }
}

//! Many sites answer at once, and a write is on the disk only after the disk says so: releases that wait for the file are written
//! together, in one transaction.
//!
//! It must never say that a release is recorded before it is on the disk.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Received, Recorded, Store, StoreError, StoreFile};

/// Releases in one transaction: what comes later waits for the next one.
const TOGETHER: usize = 256;

/// Releases on their way to the disk. As many as there are sites being asked, each of which waits here.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    jobs: Vec<Job>,
    /// Whether a thread writes, or is about to. It ends when nothing waits any more.
    writing: bool,
}

#[derive(Debug)]
struct Job {
    received: Received,
    done: oneshot::Sender<Result<Recorded, StoreError>>,
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job needs a thread to write it: none writes yet.
    fn push(&self, job: Job) -> bool {
        let mut queue = self.queue();
        queue.jobs.push(job);
        !std::mem::replace(&mut queue.writing, true)
    }

    /// The next jobs; none ends the writing. Those that nobody waits for any more are dropped.
    fn take(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue();
        queue.jobs.retain(|job| !job.done.is_closed());
        let most = queue.jobs.len().min(TOGETHER);
        queue.writing = most > 0;
        (most > 0).then(|| queue.jobs.drain(..most).collect())
    }
}

impl Store {
    /// Records a site's release in a round, while the study takes answers.
    ///
    /// # Errors
    /// It could not be made durable.
    pub async fn add_release(&self, received: Received) -> Result<Recorded, StoreError> {
        let (done, written) = oneshot::channel();
        if self.waiting.push(Job { received, done }) {
            let store = self.clone();
            // Goes on for all who wait, whether this one still does or not.
            drop(tokio::task::spawn_blocking(move || store.write_waiting()));
        }
        written.await.map_err(|_| StoreError::Closed)?
    }

    fn write_waiting(&self) {
        loop {
            // The file first: what comes while another has it is written together.
            let mut file = self.file.blocking_lock();
            let Some(jobs) = self.waiting.take() else { return };
            // Closed: the jobs are dropped, and whoever waits is told so.
            if let Some(file) = file.as_mut() {
                write(file, jobs);
            }
        }
    }
}

fn write(file: &mut StoreFile, jobs: Vec<Job>) {
    let releases: Vec<&Received> = jobs.iter().map(|job| &job.received).collect();
    match file.add_releases(&releases) {
        Ok(recorded) => jobs.into_iter().zip(recorded).for_each(|(job, recorded)| drop(job.done.send(Ok(recorded)))),
        // None of them is written. Alone, each gets its own error, and a large one is in no other's way.
        Err(_) => jobs.into_iter().for_each(|job| {
            let alone = file.add_release(&job.received);
            drop(job.done.send(alone));
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bocage_protocol::env::Timestamp;
    use bocage_protocol::ids::Digest;
    use bocage_protocol::trust::{Named, Signature, SignedStudy};

    use super::super::ReleaseRecord;
    use super::*;
    use crate::bench::witnessed;

    fn signature() -> Signature {
        Signature::try_from(format!("{}==", "A".repeat(86))).unwrap()
    }

    fn release(study: bocage_protocol::ids::StudyId, site: usize) -> Received {
        let site: bocage_protocol::ids::SiteId = format!("site-{site}").parse().unwrap();
        let (signed, ledger) = witnessed(vec![7], &site);
        let record = ReleaseRecord {
            site,
            round: 0,
            reply_bytes: 300,
            round_trip_us: 1500,
            snapshot: Digest::of("snapshot", &[]),
            snapshot_at: Timestamp(1),
        };
        Received { study, record, signed, ledger }
    }

    #[tokio::test]
    async fn releases_of_many_sites_at_once_are_all_recorded_and_each_is_told_its_own_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (open, closed) = ("{}", "{\"a\":1}");
        let studies = [open, closed].map(|text| SignedStudy {
            study: text.to_owned(),
            signature: signature(),
            sites: Named::All(vec![]),
            permit: None,
        });
        let ids = studies.each_ref().map(SignedStudy::id);
        let closing = ids[1];
        store
            .with(move |file| {
                for study in &studies {
                    file.accept(study, Timestamp(5), Timestamp(9))?;
                }
                file.decide_deadline(closing, Timestamp(9))
            })
            .await
            .unwrap();
        let held = Arc::clone(&store.file).lock_owned().await;
        let mut sites = tokio::task::JoinSet::new();
        for site in 0..3 * TOGETHER {
            let id = ids[site % 2];
            let (store, received) = (store.clone(), release(id, site));
            sites.spawn(async move { (id, store.add_release(received).await.unwrap()) });
        }
        while store.waiting.queue().jobs.len() < 3 * TOGETHER {
            tokio::task::yield_now().await;
        }
        drop(held);
        while let Some(told) = sites.join_next().await {
            let (id, recorded) = told.unwrap();
            assert_eq!(recorded, if id == ids[0] { Recorded::Yes } else { Recorded::TooLate });
        }
        let sites: Vec<_> = (0..3 * TOGETHER).map(|site| release(ids[0], site).record.site).collect();
        let all = sites.clone();
        let found = store.with(move |file| file.releases(ids[0], 0, &all)).await.unwrap();
        assert_eq!(found.len(), 3 * TOGETHER / 2);
        assert!(store.with(move |file| file.releases(ids[1], 0, &sites)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_release_that_cannot_be_written_is_an_error_and_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let study =
            SignedStudy { study: "{}".to_owned(), signature: signature(), sites: Named::All(vec![]), permit: None };
        let (known, unknown) = (study.id(), bocage_protocol::ids::Digest::of("unknown", &[]));
        store.with(move |file| file.accept(&study, Timestamp(5), Timestamp(9))).await.unwrap();
        let held = Arc::clone(&store.file).lock_owned().await;
        let (one, two) = (release(known, 1), release(unknown, 2));
        let both = async { tokio::join!(store.add_release(one), store.add_release(two)) };
        tokio::pin!(both);
        while store.waiting.queue().jobs.len() < 2 {
            tokio::select! {
                biased;
                _ = &mut both => panic!("the file is held"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(held);
        let (one, two) = both.await;
        assert_eq!(one.unwrap(), Recorded::Yes);
        assert!(matches!(two, Err(StoreError::Sqlite(_))));
    }
}

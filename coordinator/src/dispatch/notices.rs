//! Who waits for a study to change. It says that something changed, never what: the store knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bocage_protocol::ids::StudyId;
use tokio::sync::watch;

/// One channel for each study that somebody waits for.
#[derive(Debug, Default)]
pub struct Notices {
    studies: Mutex<HashMap<StudyId, watch::Sender<()>>>,
}

impl Notices {
    /// Resolves `changed()` after the next change. Subscribe first, then read the store: no change is lost.
    pub fn subscribe(&self, study: StudyId) -> watch::Receiver<()> {
        self.lock().entry(study).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// Wakes everybody who waits for the study, and forgets studies that nobody waits for.
    pub fn changed(&self, study: StudyId) {
        let mut studies = self.lock();
        if let Some(sender) = studies.get(&study) {
            sender.send_replace(());
        }
        studies.retain(|_, sender| sender.receiver_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StudyId, watch::Sender<()>>> {
        self.studies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::ids::Digest;

    #[tokio::test]
    async fn a_change_wakes_those_who_wait_for_that_study_alone() {
        let notices = Notices::default();
        let (one, two) = (Digest::of("one", &[]), Digest::of("two", &[]));
        let (mut first, mut second) = (notices.subscribe(one), notices.subscribe(two));
        notices.changed(one);
        first.changed().await.unwrap();
        assert!(!second.has_changed().unwrap());
        notices.changed(two);
        second.changed().await.unwrap();
    }

    #[test]
    fn studies_that_nobody_waits_for_are_forgotten() {
        let notices = Notices::default();
        let study = Digest::of("one", &[]);
        drop(notices.subscribe(study));
        notices.changed(study);
        assert!(notices.lock().is_empty());
    }
}

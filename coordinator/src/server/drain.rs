//! Stopping gently: rounds that are under way may end, and no further one begins.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

/// How many rounds are under way, and whether further ones may begin.
#[derive(Debug)]
pub struct Drain(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    draining: bool,
    under_way: usize,
}

/// A round under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Drain>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl Drain {
    /// A round begins. Where none may any more, this waits until its caller is dropped: the store has all that the study needs to go on.
    pub async fn begin(self: &Arc<Self>) -> UnderWay {
        let begun = self.0.send_if_modified(|state| {
            state.under_way += usize::from(!state.draining);
            !state.draining
        });
        if begun { UnderWay(Arc::clone(self)) } else { pending().await }
    }

    /// From now on no round begins.
    pub fn start(&self) {
        self.0.send_modify(|state| state.draining = true);
    }

    /// Whether no round begins any more.
    pub fn is_draining(&self) -> bool {
        self.0.borrow().draining
    }

    /// How many rounds are under way.
    pub fn under_way(&self) -> usize {
        self.0.borrow().under_way
    }

    /// Waits until no round is under way.
    pub async fn idle(&self) {
        let _ = self.0.subscribe().wait_for(|state| state.under_way == 0).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.under_way -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn rounds_under_way_end_and_no_other_begins() {
        let drain = Arc::new(Drain::default());
        let (one, two) = (drain.begin().await, drain.begin().await);
        drain.start();
        let third = drain.begin();
        assert!(tokio::time::timeout(Duration::from_millis(20), third).await.is_err(), "it began");
        let idle = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move { drain.idle().await }
        });
        drop(one);
        assert_eq!(drain.under_way(), 1);
        assert!(!idle.is_finished());
        drop(two);
        idle.await.unwrap();
    }
}

//! Which ingest runs and which wait: one at a time, each dataset once. It decides and never acts, like the [`super::Supervisor`].

use std::collections::VecDeque;

use crate::ingest::Why;

/// A dataset whose snapshot is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its name.
    pub dataset: String,
    /// Why.
    pub why: Why,
}

/// The ingests of a node.
#[derive(Debug, Default)]
pub struct Ingests {
    waiting: VecDeque<Due>,
    running: Option<String>,
    stopping: bool,
}

impl Ingests {
    /// A snapshot is due. One that runs or waits is not asked for twice.
    pub fn want(&mut self, due: Due) {
        let known = self.running.iter().chain(self.waiting.iter().map(|other| &other.dataset));
        if !self.stopping && !known.into_iter().any(|dataset| *dataset == due.dataset) {
            self.waiting.push_back(due);
        }
    }

    /// The ingest to be started now, if any.
    pub fn begin_next(&mut self) -> Option<Due> {
        if self.running.is_some() {
            return None;
        }
        let due = self.waiting.pop_front()?;
        self.running = Some(due.dataset.clone());
        Some(due)
    }

    /// The running one has ended; its dataset.
    pub fn ended(&mut self) -> Option<String> {
        self.running.take()
    }

    /// No further one is started.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(dataset: &str) -> Due {
        Due { dataset: dataset.to_owned(), why: Why::Start }
    }

    #[test]
    fn one_ingest_runs_at_a_time_and_each_dataset_waits_once() {
        let mut ingests = Ingests::default();
        for dataset in ["a", "b", "a", "b", "c"] {
            ingests.want(due(dataset));
        }
        assert_eq!(ingests.begin_next(), Some(due("a")));
        assert_eq!(ingests.begin_next(), None);
        ingests.want(due("a"));
        assert_eq!(ingests.ended().as_deref(), Some("a"));
        assert_eq!(ingests.begin_next(), Some(due("b")));
        ingests.ended();
        assert_eq!(ingests.begin_next(), Some(due("c")));
        ingests.ended();
        assert_eq!(ingests.begin_next(), None);
        ingests.want(due("a"));
        assert_eq!(ingests.begin_next(), Some(due("a")), "it is due again");
    }

    #[test]
    fn a_node_that_stops_starts_no_ingest() {
        let mut ingests = Ingests::default();
        ingests.want(due("a"));
        ingests.want(due("b"));
        ingests.begin_next();
        ingests.stop();
        ingests.want(due("c"));
        ingests.ended();
        assert_eq!(ingests.begin_next(), None);
    }
}

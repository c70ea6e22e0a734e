//! How far an ingest is: one line on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::custodian::snapshot::Progress;

/// Steps of the bar.
const STEPS: u64 = 1000;

/// A line on standard error.
pub struct Line(ProgressBar);

impl Line {
    /// A line about a dataset, if somebody sees it.
    pub fn new(dataset: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(STEPS).with_message(dataset.to_owned());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} % {elapsed}");
        Self(style.map_or(bar.clone(), |style| bar.with_style(style)))
    }

    /// Shows how far it is.
    pub fn show(&self, progress: Progress) {
        match progress {
            Progress::Begun | Progress::GoesOn { .. } => {}
            Progress::Reading { share, .. } => {
                // What comes behind the reading takes about as long as a tenth of it.
                self.0.set_position((share.unwrap_or_default() * STEPS as f64 * 0.9) as u64);
            }
            Progress::Sorting { .. } => self.0.set_position(STEPS * 9 / 10),
            Progress::Writing | Progress::Written => self.0.set_position(STEPS * 95 / 100),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

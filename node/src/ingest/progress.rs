//! How far an ingest is: one line on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;

use bocage_protocol::counted::counted;
use indicatif::{ProgressBar, ProgressStyle};

use crate::custodian::snapshot::Progress;

/// Steps of the bar.
const STEPS: u64 = 1000;
/// What comes behind the reading takes about as long as a tenth of it.
const READ: f64 = 0.9;

/// A line on standard error.
pub struct Line {
    bar: ProgressBar,
    dataset: String,
}

/// What the line says.
#[derive(Debug, PartialEq)]
enum Said {
    /// So much is done, from 0 to 1.
    Share(f64),
    /// Nobody can tell how much there is.
    Words(String),
}

impl Said {
    fn of(progress: Progress) -> Option<Self> {
        match progress {
            Progress::Begun => None,
            Progress::GoesOn { rows } => Some(Said::Words(format!("goes on behind {}", counted(rows, "row")))),
            Progress::Reading { share: Some(share), .. } => Some(Said::Share(share * READ)),
            Progress::Reading { share: None, rows } => Some(Said::Words(format!("{} read", counted(rows, "row")))),
            Progress::Sorting { .. } => Some(Said::Share(READ)),
            Progress::Writing | Progress::Written => Some(Said::Share(0.95)),
        }
    }

    /// The line's form, and the message in it.
    fn drawn(&self, dataset: &str) -> (&'static str, String) {
        match self {
            Said::Share(_) => ("{msg} {wide_bar} {percent:>3} % {elapsed}", dataset.to_owned()),
            Said::Words(words) => ("{spinner} {msg} {elapsed}", format!("{dataset}: {words}")),
        }
    }
}

impl Line {
    /// A line about a dataset, if somebody sees it.
    pub fn new(dataset: &str) -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(STEPS) } else { ProgressBar::hidden() };
        Self { bar, dataset: dataset.to_owned() }
    }

    /// Shows how far it is.
    pub fn show(&self, progress: Progress) {
        let Some(said) = Said::of(progress) else { return };
        let (template, message) = said.drawn(&self.dataset);
        if self.bar.message() != message {
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_message(message);
        }
        match said {
            Said::Share(share) => self.bar.set_position((share * STEPS as f64) as u64),
            Said::Words(_) => self.bar.tick(),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_shown_where_one_is_known_and_rows_without_one_where_none_is() {
        let words = |said: &str| Some(Said::Words(said.to_owned()));
        assert_eq!(Said::of(Progress::Reading { rows: 7, share: Some(0.5) }), Some(Said::Share(0.45)));
        assert_eq!(Said::of(Progress::Reading { rows: 120_000, share: None }), words("120000 rows read"));
        assert_eq!(Said::of(Progress::GoesOn { rows: 1 }), words("goes on behind 1 row"));
        assert_eq!(Said::of(Progress::Begun), None);
        let share = |progress| match Said::of(progress) {
            Some(Said::Share(share)) => share,
            other => panic!("{other:?}"),
        };
        let order = [
            share(Progress::Reading { rows: 9, share: Some(1.0) }),
            share(Progress::Sorting { rows: 1 }),
            share(Progress::Written),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn the_line_itself_has_no_percentage_where_the_share_is_unknown() {
        let drawn = |progress| Said::of(progress).unwrap().drawn("visits");
        let (form, message) = drawn(Progress::Reading { rows: 65_536, share: None });
        assert_eq!(message, "visits: 65536 rows read");
        assert!(!form.contains("percent") && !form.contains("bar"), "{form}");
        let (form, message) = drawn(Progress::Sorting { rows: 1 });
        assert_eq!(message, "visits");
        assert!(form.contains("percent"), "{form}");
    }
}

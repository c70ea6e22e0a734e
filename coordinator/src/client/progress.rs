//! A line for each site while a study is open. Only for terminals; it writes to stderr.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bocage_protocol::ids::SiteId;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::api::types::{SiteReport, SiteStatus, StudyStatus};

/// The lines. Dropping it removes them from the terminal.
pub struct Progress {
    lines: MultiProgress,
    sites: RefCell<BTreeMap<SiteId, ProgressBar>>,
}

impl Progress {
    /// No lines yet.
    pub fn new() -> Self {
        Self { lines: MultiProgress::new(), sites: RefCell::default() }
    }

    /// Shows how every site stands.
    pub fn show(&self, status: &StudyStatus) {
        let width = status.sites.iter().map(|s| s.id.as_str().len()).max().unwrap_or(0);
        let mut sites = self.sites.borrow_mut();
        for site in &status.sites {
            let bar = sites.entry(site.id.clone()).or_insert_with(|| self.line(site, width));
            match site.status {
                SiteStatus::Pending => bar.set_message(line(site)),
                _ if bar.is_finished() => {}
                _ => bar.finish_with_message(line(site)),
            }
        }
    }

    /// Writes a line above the others.
    pub fn say(&self, line: &str) {
        let _ = self.lines.println(line);
    }

    fn line(&self, site: &SiteReport, width: usize) -> ProgressBar {
        let bar = self.lines.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix}  {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{:<width$}", site.id.as_str()));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let _ = self.lines.clear();
    }
}

fn line(site: &SiteReport) -> String {
    match (&site.reason, site.round_trip_ms) {
        (Some(reason), _) => format!("{}: {}", site.status, crate::report::plain(&reason.to_string())),
        (None, Some(ms)) => format!("{} after {ms:.0} ms", site.status),
        (None, None) => site.status.to_string(),
    }
}

//! What the custodian says of itself on its status socket: of its files, its ledger and its snapshots, and nothing that follows from a row.

use std::sync::Arc;

use bocage_daemon::figures::{Gauges, page};
use bocage_daemon::process::Process;
use bocage_daemon::status::{Look, Verdict, Watched};
use bocage_keep::doctor::{Level, machine};

use super::Custodian;
use super::data::usable;
use crate::config::{Dataset, Policy};
use crate::ingest::attempt::{Unfinished, unfinished};

/// The custodian, looked at. Files are looked into on a thread that may wait for them.
pub struct Status {
    custodian: Arc<Custodian>,
    process: Arc<Process>,
}

impl Status {
    /// Of this custodian. Must be made before a sandbox closes `/proc`: hence `process`.
    pub fn new(custodian: Arc<Custodian>, process: Process) -> Self {
        Self { custodian, process: Arc::new(process) }
    }
}

impl Watched for Status {
    fn alive(&self) -> Verdict {
        self.custodian.pulse.alive()
    }

    fn ready(&self) -> Look<Verdict> {
        let custodian = Arc::clone(&self.custodian);
        let look = tokio::task::spawn_blocking(move || custodian.readiness());
        Box::pin(async move { look.await.unwrap_or_else(|_| Err("it could not look".to_owned())) })
    }

    fn metrics(&self) -> Look<String> {
        let (custodian, process) = (Arc::clone(&self.custodian), Arc::clone(&self.process));
        let look = tokio::task::spawn_blocking(move || custodian.figures(&process));
        Box::pin(async move { look.await.unwrap_or_default() })
    }
}

/// The smallest cap that the policy knows for a dataset.
fn least_cap(policy: &Policy, dataset: &Dataset) -> Option<u64> {
    let about =
        policy.rules.iter().filter(|rule| rule.matches.dataset.as_ref().is_none_or(|id| id == dataset.contract.id()));
    std::iter::once(&policy.general)
        .chain(about.map(|rule| &rule.settings))
        .filter_map(|settings| settings.max_cells)
        .min()
}

impl Custodian {
    /// Whether every dataset can be asked about, the ledger be read, and the disk take more.
    pub(super) fn readiness(&self) -> Verdict {
        self.ledger.head().map_err(|_| "the ledger cannot be read".to_owned())?;
        let disk = machine::disk(&self.config.state.0, self.config.snapshots.min_free_mib);
        if disk.level == Level::Fail {
            return Err(format!("{}; {}", disk.what, disk.fix.unwrap_or_default()));
        }
        // Why a snapshot is of no use is for the site's own people: the log and `datasets` say it.
        let without = self.config.datasets.values().filter(|dataset| usable(&self.config, dataset).is_err());
        let without: Vec<&str> = without.map(|dataset| dataset.name.as_str()).collect();
        if without.is_empty() { Ok(()) } else { Err(format!("no usable snapshot of {}", without.join(", "))) }
    }

    fn figures(&self, process: &Process) -> String {
        let mut gauges = Gauges::of_process(env!("CARGO_PKG_VERSION"), &self.pulse, process);
        let now = self.clock.now();
        let by = |dataset: &Dataset, value: f64| (vec![("dataset", dataset.name.clone())], value);
        let datasets = || self.config.datasets.values();
        let age = |dataset: &Dataset| {
            let manifest = usable(&self.config, dataset).ok()?;
            Some(by(dataset, now.since_ms(manifest.created_at) as f64 / 1000.0))
        };
        gauges.by(
            "snapshot_age_seconds",
            "Age of a dataset's snapshot in use; none where there is none.",
            datasets().filter_map(age),
        );
        let ingest = |dataset: &Dataset| {
            let found = unfinished(self.snapshots.dir(), &dataset.name);
            (
                by(dataset, is(matches!(found, Some(Unfinished::Failed(_))))),
                by(dataset, is(matches!(found, Some(Unfinished::Runs(_))))),
            )
        };
        let (failed, running): (Vec<_>, Vec<_>) = datasets().map(ingest).unzip();
        gauges.by("ingest_failed", "Whether the last ingest of a dataset failed.", failed);
        gauges.by("ingest_running", "Whether an ingest of a dataset runs.", running);
        let left = |dataset: &Dataset| {
            let cap = least_cap(&self.config.policy, dataset)?;
            let spent = self.ledger.books(|books| books.most_spent_of(dataset.contract.id())).ok()?;
            Some(by(dataset, cap.saturating_sub(spent) as f64))
        };
        gauges.by(
            "cap_cells_left",
            "Cells of a dataset that whoever asked most may still get under the smallest cap.",
            datasets().filter_map(left),
        );
        let last = self.ledger.last_written().ok().flatten();
        let records = self.ledger.head().ok().map(|(records, _)| records as f64);
        gauges.one("ledger_records", "Records of the ledger.", records);
        let age = last.map(|at| now.since_ms(at) as f64 / 1000.0);
        gauges.one("ledger_last_record_age_seconds", "Since the ledger's last record was written.", age);
        let free = rustix::fs::statvfs(&self.config.state.0).ok();
        let free = free.map(|facts| facts.f_bavail.saturating_mul(facts.f_frsize) as f64);
        gauges.one("state_free_bytes", "Bytes that are free where ledger and snapshots are.", free);
        gauges.one(
            "paused",
            "Whether a person has paused all answers.",
            self.paused().ok().map(|paused| is(paused.is_some())),
        );
        page("custodian", gauges, |registry| self.counts.register(registry))
    }
}

fn is(so: bool) -> f64 {
    f64::from(u8::from(so))
}

//! A page of metrics for Prometheus: what was counted all along, and what is looked up when the page is asked for.
//!
//! Labels are names of our own: error codes, datasets, sites of the roster. It must never be handed a text that came from outside, or what a row says:
//! nothing here could tell.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;

use crate::process::Process;
use crate::pulse::Pulse;

/// What the pages are, as HTTP names it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Events counted by one word each, out of a set that the code knows.
pub type Counted = Family<[(&'static str, &'static str); 1], Counter>;

/// Adds one.
pub fn count(counted: &Counted, label: &'static str, value: &'static str) {
    counted.get_or_create(&[(label, value)]).inc();
}

/// What stands on a page in the moment.
#[derive(Debug, Clone)]
struct Gauge {
    name: &'static str,
    help: &'static str,
    values: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// What is looked up for one page.
#[derive(Debug, Clone, Default)]
pub struct Gauges(Vec<Gauge>);

impl Gauges {
    /// What all daemons say of themselves.
    pub fn of_process(version: &str, pulse: &Pulse, process: &Process) -> Self {
        let mut gauges = Self::default();
        gauges.by("build_info", "The version that runs.", [(vec![("version", version.to_owned())], 1.0)]);
        gauges.one("uptime_seconds", "Seconds since the process began.", Some(pulse.uptime().as_secs_f64()));
        let whole = |number: Option<u64>| number.map(|number| number as f64);
        gauges.one("resident_memory_bytes", "Bytes of memory in use.", whole(process.resident_bytes()));
        gauges.one("open_files", "Open files, sockets and pipes.", whole(process.open_files()));
        gauges
    }

    /// A single number. One that is not known is left out.
    pub fn one(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.by(name, help, value.map(|value| (Vec::new(), value)));
    }

    /// A number for each of a bounded set of labels.
    pub fn by(
        &mut self,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Vec<(&'static str, String)>, f64)>,
    ) {
        self.0.push(Gauge { name, help, values: values.into_iter().collect() });
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for gauge in self.0.iter().filter(|gauge| !gauge.values.is_empty()) {
            let mut family = encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for (labels, value) in &gauge.values {
                match labels.is_empty() {
                    true => family.encode_gauge(value)?,
                    false => family.encode_family(labels)?.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

/// The page of one process: `name` stands before each metric, so that pages of several processes can be put together.
pub fn page(name: &str, gauges: Gauges, counted: impl FnOnce(&mut Registry)) -> String {
    let mut registry = Registry::with_prefix(format!("bocage_{name}"));
    registry.register_collector(Box::new(gauges));
    counted(&mut registry);
    let mut text = String::new();
    // Writing into memory does not fail.
    let _ = encode(&mut text, &registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_every_metric_under_its_process_with_labels_that_cannot_become_syntax() {
        let refused = Counted::default();
        count(&refused, "code", "busy");
        count(&refused, "code", "busy");
        let mut gauges = Gauges::default();
        let hostile = "a\"} 7\nevil 1".to_owned();
        gauges.by("snapshot_age_seconds", "Age.", [(vec![("dataset", hostile)], 3.5)]);
        gauges.one("unknown", "Not there.", None);
        gauges.one("ledger_records", "Records.", Some(12.0));
        let text = page("custodian", gauges, |registry| registry.register("refusals", "Refused", refused));
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.contains(&"bocage_custodian_refusals_total{code=\"busy\"} 2"), "{text}");
        assert!(lines.contains(&"bocage_custodian_ledger_records 12.0"), "{text}");
        assert!(lines.iter().all(|line| line.starts_with("bocage_custodian_")), "{text}");
        assert!(text.contains("# TYPE bocage_custodian_refusals_total counter"), "{text}");
        assert!(!text.contains("unknown") && !text.contains("# EOF"), "{text}");
    }
}

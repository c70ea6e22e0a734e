//! Graphs: what Prometheus asks the coordinator, and when it calls somebody. A node opens no port, so its metrics come through node_exporter's folder of
//! texts at the site.

use super::super::Tree;
use super::super::spec::Network;
use super::yaml::{Yaml, map};

/// Where the coordinator's status is read, on its own machine, where the network does not say it.
const STATUS: &str = "127.0.0.1:9464";

/// An alert: its name, when it is true, for how long that must last, and what to do.
struct Alert {
    name: &'static str,
    expr: &'static str,
    lasting: &'static str,
    says: &'static str,
    does: &'static str,
}

const COORDINATOR: &[Alert] = &[
    Alert {
        name: "BocageCoordinatorDown",
        expr: "up{job=\"bocage_coordinator\"} == 0",
        lasting: "5m",
        says: "the coordinator does not answer",
        does: "systemctl status bocage-coordinator; its log says why. Studies go on where they were when it is back.",
    },
    Alert {
        name: "BocageSiteAway",
        expr: "bocage_coordinator_site_connected == 0",
        lasting: "1h",
        says: "the site {{ $labels.site }} has had no session for an hour",
        does: "At the site: systemctl status bocage-agent, and bocage node doctor.",
    },
    Alert {
        name: "BocageCertificateEnds",
        expr: "bocage_coordinator_certificate_days_left < 7",
        lasting: "1h",
        says: "the coordinator's certificate ends in {{ $value | printf \"%.0f\" }} days",
        does: "OPERATING.md, Certificates.",
    },
    Alert {
        name: "BocageRoundsTimeOut",
        expr: "increase(bocage_coordinator_rounds_total{outcome=\"timed_out\"}[1h]) > 5",
        lasting: "0s",
        says: "more than five rounds of the last hour had no answer in time",
        does: "bocage network status shows which sites are slow or away.",
    },
    Alert {
        name: "BocageStrangersKnock",
        expr: "increase(bocage_coordinator_sessions_rejected_total[1h]) > 10",
        lasting: "0s",
        says: "more than ten peers with a good certificate were turned away within an hour",
        does: "The coordinator's log names site and reason.",
    },
];

const NODE: &[Alert] = &[
    Alert {
        name: "BocageSnapshotFails",
        expr: "bocage_custodian_ingest_failed == 1",
        lasting: "2h",
        says: "the last ingest of {{ $labels.dataset }} failed; the snapshot before stays in use",
        does: "bocage node datasets says why.",
    },
    Alert {
        name: "BocageSiteCertificateEnds",
        expr: "bocage_agent_certificate_days_left < 7",
        lasting: "1h",
        says: "the site's certificate ends in {{ $value | printf \"%.0f\" }} days",
        does: "OPERATING.md, Certificates.",
    },
    Alert {
        name: "BocageDiskFull",
        expr: "bocage_custodian_state_free_bytes < 1073741824",
        lasting: "10m",
        says: "less than a GiB is free where ledger and snapshots are",
        does: "The ledger must go on: make room, or lower [snapshots] keep.",
    },
];

/// All of it.
pub fn render(network: &Network, tree: &mut Tree) {
    tree.file(
        "prometheus/prometheus.yml",
        scrape(network).document(
            "Rendered by `bocage network render`: for a Prometheus on the coordinator's machine, whose coordinator.toml has a [status] that listens there.\n\
             A node opens no port: there a timer writes `bocage node metrics` into the folder of node_exporter's textfile collector, and rules/node.yml is for the\n\
             Prometheus of that site.",
        ),
    );
    let about = "Rendered by `bocage network render`. Check it with: promtool check rules FILE";
    tree.file("prometheus/rules/coordinator.yml", rules(network, "coordinator", COORDINATOR).document(about));
    tree.file("prometheus/rules/node.yml", rules(network, "node", NODE).document(about));
}

fn status(network: &Network) -> String {
    network.status.map_or_else(|| STATUS.to_owned(), |status| status.to_string())
}

fn scrape(network: &Network) -> Yaml {
    let target =
        map([("targets", vec![status(network)].into()), ("labels", map([("network", network.id.as_str().into())]))]);
    let job = map([
        ("job_name", "bocage_coordinator".into()),
        ("scrape_interval", "30s".into()),
        ("static_configs", Yaml::List(vec![target])),
    ]);
    map([("rule_files", vec!["rules/coordinator.yml"].into()), ("scrape_configs", Yaml::List(vec![job]))])
}

fn rules(network: &Network, group: &str, alerts: &[Alert]) -> Yaml {
    let rule = |alert: &Alert| {
        map([
            ("alert", alert.name.into()),
            ("expr", alert.expr.into()),
            ("for", alert.lasting.into()),
            ("labels", map([("network", network.id.as_str().into()), ("severity", "warning".into())])),
            ("annotations", map([("summary", alert.says.into()), ("action", alert.does.into())])),
        ])
    };
    let group =
        map([("name", format!("bocage_{group}").into()), ("rules", Yaml::List(alerts.iter().map(rule).collect()))]);
    map([("groups", Yaml::List(vec![group]))])
}

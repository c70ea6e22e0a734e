//! Safe settings: how the site is run. Each fact is one that holds of every node of this version, or that its configuration says.

use maud::{Markup, html};

use super::Report;

pub(super) fn section(report: &Report<'_>) -> Markup {
    html! {
        section #settings {
            h2 { "3 Safe settings" small { "Does the place prevent unauthorised use?" } }
            dl.facts { @for (name, fact) in facts(report) { dt { (name) } dd { (fact) } } }
        }
    }
}

/// What is true of this site, by name.
pub(super) fn facts(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let config = report.config;
    let keep = match config.ledger.keep_payloads_days {
        0 => "for ever".to_owned(),
        days => format!(
            "{days} days beyond which the exact bytes of studies that have expired are dropped; their hashes stay"
        ),
    };
    let snapshots = match config.snapshots.epoch_days {
        0 => "by hand".to_owned(),
        days => format!("every {days} days"),
    };
    let lines = [
        ("Where data stays", "Rows stay at the site. A study is computed there, over a frozen snapshot; counts and sums that passed the site's gate leave, and nothing else.".to_owned()),
        ("Connections", format!("The node dials out to the coordinator at {} and opens no port to the network. The connection is QUIC with TLS 1.3, and both sides are verified.", config.coordinator.address)),
        ("Processes", "What talks to the network (agent) and what reads data (custodian) are separate processes; the agent is not given the places of data, ledger and release key.".to_owned()),
        ("Requests", "A request counts only if it is signed by a key that the site itself trusts. The site derives what to compute from the signed study; nobody sends it a query.".to_owned()),
        ("Record", "Request, decision and what may be spent are on the disk before anything is computed, and every release before it leaves. The records are chained by hashes.".to_owned()),
        ("Witness", "Every release carries a signed checkpoint of the ledger, which the coordinator keeps: records that were cut off can be found with bocage-node ledger verify --checkpoint.".to_owned()),
        ("Kept in the ledger", keep),
        ("Snapshots", format!("Taken {snapshots}; {} stay beside the one in use, and those of studies that have not expired.", config.snapshots.keep)),
        ("Limits", format!("An analysis computes for at most {} s.", config.policy.query_secs)),
    ];
    lines.into()
}

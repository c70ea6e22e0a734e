//! Safe settings: how the site is run. Each fact is one that holds of every node of this version, or that its configuration says.

use maud::{Markup, html};

use super::Report;
use crate::config::policy::Decide;

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
    let confined = if config.require_sandbox {
        "each confines itself by the kernel (landlock and seccomp), and the node does not start where that is not possible: the custodian can open no connection and run no program, the agent can open neither data nor ledger nor release key"
    } else {
        "require_sandbox = false lets the node run where the kernel cannot confine them; the agent is not given the places of data, ledger and release key"
    };
    let trust = match (config.trust.access_bodies.len(), config.trust.researchers.len()) {
        (0, 0) => "Nobody is trusted: every study is refused.",
        (_, 0) => {
            "A study is answered only under a permit that an access body of this site signed and has not taken back."
        }
        (0, _) => "Researchers whom the site trusts by name ask without a permit.",
        _ => {
            "A study is answered under a permit of an access body of this site, or if a researcher signed it whom the site trusts by name."
        }
    };
    let steward = match config.policy.decide {
        Decide::Auto => "Where no rule says otherwise, studies that pass every check are answered without a person.",
        Decide::Ask => "Where no rule says otherwise, a steward of the site decides about each study.",
        Decide::Refuse => "Where no rule says otherwise, studies are refused.",
    };
    let flagged = config.datasets.values().filter(|dataset| dataset.spec.optout.is_some()).count();
    let optouts = match (&config.optouts, flagged) {
        (None, 0) => "The site keeps no list of patients who opted out, and no dataset says who did.".to_owned(),
        (None, datasets) => format!("The site keeps no list; {datasets} of {} datasets say themselves which patients opted out. They are in no answer from the next round on.", config.datasets.len()),
        (Some(_), _) => "The site keeps a list of patients who opted out. They are in no answer from the next round on; without a whole list nothing is answered.".to_owned(),
    };
    let lines = [
        ("Where data stays", "Rows stay at the site. A study is computed there, over a frozen snapshot; counts and sums that passed the site's gate leave, and nothing else.".to_owned()),
        ("Connections", format!("The node dials out to the coordinator at {} and opens no port to the network. The connection is QUIC with TLS 1.3, and both sides are verified.", config.coordinator.address)),
        ("Processes", format!("What talks to the network (agent) and what reads data (custodian) are separate processes; {confined}.")),
        ("Who may ask", trust.to_owned()),
        ("Who decides", format!("{steward} {} rules of the site's own tighten this.", config.policy.rules.len())),
        ("Opt-outs", optouts),
        ("Requests", "A request counts only if it is signed by a key that the site itself trusts. The site derives what to compute from the signed study; nobody sends it a query.".to_owned()),
        ("Record", "Request, decision and what may be spent are on the disk before anything is computed, and every release before it leaves. The records are chained by hashes.".to_owned()),
        ("Witness", "Every release carries a signed checkpoint of the ledger, which the coordinator keeps: records that were cut off can be found with bocage node ledger verify --checkpoint.".to_owned()),
        ("Kept in the ledger", keep),
        ("Snapshots", format!("Taken {snapshots}; {} stay beside the one in use, and those of studies that have not expired.", config.snapshots.keep)),
        ("Limits", format!("An analysis computes for at most {} s.", config.policy.query_secs)),
    ];
    lines.into()
}

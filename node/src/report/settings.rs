//! Safe settings: how the site is run. Each fact is one that holds of every node of this version, or that its configuration says.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Report;
use crate::config::policy::Decide;
use crate::config::{Config, Dataset, Refresh};
use crate::custodian::optout::speaks_for_all;

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
    let snapshots = taken(config.datasets.values());
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
    let lines = [
        ("Where data stays", "Rows stay at the site. A study is computed there, over a frozen snapshot; counts and sums that passed the site's gate leave, and nothing else.".to_owned()),
        ("Connections", format!("The node dials out to the coordinator at {} and opens no port to the network. The connection is QUIC with TLS 1.3, and both sides are verified.", config.coordinator.address)),
        ("Processes", format!("What talks to the network (agent) and what reads data (custodian) are separate processes; {confined}.")),
        ("Who may ask", trust.to_owned()),
        ("Who decides", format!("{steward} {} rules of the site's own tighten this.", config.policy.rules.len())),
        ("Opt-outs", optouts(config)),
        ("Requests", "A request counts only if it is signed by a key that the site itself trusts. The site derives what to compute from the signed study; nobody sends it a query.".to_owned()),
        ("Record", "Request, decision and what may be spent are on the disk before anything is computed, and every release before it leaves. The records are chained by hashes.".to_owned()),
        ("Witness", "Every release carries a signed checkpoint of the ledger, which the coordinator keeps: records that were cut off can be found with bocage node ledger verify --checkpoint.".to_owned()),
        ("Kept in the ledger", keep),
        ("Snapshots", format!("Taken {snapshots}; {} stay beside the one in use, and those of studies that have not expired.", config.snapshots.keep)),
        ("Limits", format!("An analysis computes for at most {} s.", config.policy.query_secs)),
    ];
    lines.into()
}

/// When snapshots of these datasets are taken.
fn taken<'a>(datasets: impl Iterator<Item = &'a Dataset>) -> String {
    let mut by_words: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    datasets.for_each(|dataset| by_words.entry(dataset.refresh.in_words()).or_default().push(&dataset.name));
    match by_words.len() {
        0 => Refresh::ByHand.in_words(),
        1 => by_words.into_keys().collect(),
        _ => by_words
            .iter()
            .map(|(words, names)| format!("{words} of {}", names.join(", ")))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// Who is left out, and from when on.
fn optouts(config: &Config) -> String {
    let list = match &config.optouts {
        Some(_) => {
            "The site keeps a list of patients who opted out. They are in no answer from the next round on; without a whole list nothing is answered."
        }
        None => "The site keeps no list of patients who opted out.",
    };
    let flagged: Vec<&Dataset> = config.datasets.values().filter(|dataset| dataset.spec.flags().is_some()).collect();
    let (some, all) = (flagged.len(), config.datasets.len());
    let alone = flagged.iter().filter(|dataset| !speaks_for_all(dataset)).count();
    let whereto = match alone {
        0 => "these patients are in no answer from any dataset that names patients".to_owned(),
        _ if alone == some => "these patients are in no answer from that dataset".to_owned(),
        _ => format!(
            "these patients are in no answer from any dataset that names patients (of {alone} of these: from that dataset)"
        ),
    };
    match some {
        0 => format!("{list} No dataset says itself who did."),
        _ => format!(
            "{list} {some} of {all} datasets say themselves who did: {whereto}, for any purpose, after the next snapshot of the one that says so (taken {}).",
            taken(flagged.into_iter())
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Site;

    fn said(site: &Site, more: &str) -> String {
        site.write_config(more);
        optouts(&Config::load(&site.origin()).unwrap())
    }

    #[test]
    fn a_list_and_datasets_that_say_who_opted_out_are_both_told_with_the_time_from_which_they_count() {
        let site = Site::new();
        std::fs::write(site.path("optouts.csv"), "subject,purpose,date\n").unwrap();
        let list = "\n[optouts]\nsource = { kind = \"csv\", path = \"optouts.csv\" }";
        let none = said(&site, "");
        assert!(
            none.starts_with("The site keeps no list") && none.ends_with("No dataset says itself who did."),
            "{none}"
        );
        let both = said(&site, &format!("optout = \"age > 100\"{list}"));
        assert!(
            both.contains("from the next round on; without a whole list nothing is answered. 1 of 1 datasets"),
            "{both}"
        );
        let end = "are in no answer from that dataset, for any purpose, after the next snapshot of the one that says so (taken every 1d).";
        assert!(both.ends_with(end), "{both}");
        let by_hand = said(&site, "optout = \"age > 100\"\n[snapshots]\nepoch_days = 0");
        assert!(by_hand.ends_with("says so (taken by hand)."), "{by_hand}");
        let list_alone = said(&site, &format!("optout = \"false\"{list}"));
        assert!(list_alone.ends_with("No dataset says itself who did."), "{list_alone}");
    }
}

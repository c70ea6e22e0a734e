//! What `bocage-node check` says of the site's policy: what is decided, every rule in words, what is never offered, and whether
//! everything stands still.

use std::io::{self, Write};

use bocage_protocol::ids::ColumnName;
use bocage_protocol::marks::one_line;
use bocage_protocol::trust::SecretKey;

use crate::config::Config;
use crate::config::environment::read_release_key;
use crate::config::policy::{Decide, Models, Settings};
use crate::config::quiet::Quiet;
use crate::custodian::desk::shown::Paused;
use crate::custodian::desk::{Secret, paused, waits_to_be_accepted};
use crate::custodian::ledger::bodies::restored::Restored;
use crate::custodian::ledger::{Ledger, LedgerError};

/// The policy, in words.
pub(super) fn policy(out: &mut dyn Write, config: &Config) -> io::Result<()> {
    let policy = &config.policy;
    writeln!(out, "policy       no count below {}; a query may take {} s", policy.threshold, policy.query_secs)?;
    let otherwise = if policy.rules.is_empty() { "every study" } else { "a study of which no rule decides" };
    writeln!(out, "             {otherwise} {}", decided(policy.decide))?;
    for line in settings(&policy.general) {
        writeln!(out, "             every study: {line}")?;
    }
    for (i, rule) in policy.rules.iter().enumerate() {
        let decide = rule.decide.map(|decide| decided(decide).to_owned());
        let says: Vec<String> = decide.into_iter().chain(settings(&rule.settings)).collect();
        writeln!(out, "rule {:<7} {}: {}", i + 1, one_line(&rule.matches.words()), says.join("; "))?;
    }
    for dataset in config.datasets.values() {
        let listed = |columns: &[ColumnName]| columns.iter().map(ColumnName::as_str).collect::<Vec<_>>().join(", ");
        if !dataset.never.read.is_empty() {
            writeln!(out, "never        of {} is read: {}", dataset.name, listed(&dataset.never.read))?;
        }
        if !dataset.never.discover.is_empty() {
            writeln!(out, "never        of {} are values named: {}", dataset.name, listed(&dataset.never.discover))?;
        }
    }
    Ok(())
}

/// Whether everything stands still. Without a ledger nothing does.
pub(super) fn pause(out: &mut dyn Write, config: &Config) -> io::Result<()> {
    let path = config.state.ledger();
    if !path.exists() {
        return Ok(());
    }
    // The configuration was looked at before: the key is there.
    let Ok(key) = read_release_key(&config.release_key_file) else { return Ok(()) };
    match Ledger::open_read_only(&path).and_then(|ledger| Stopped::of(&ledger, &key)) {
        Ok(stopped) => match stopped.in_words().as_slice() {
            [] => writeln!(out, "answers      go on"),
            why => why.iter().try_for_each(|(what, _)| writeln!(out, "answers      stopped: {what}")),
        },
        Err(error) => writeln!(out, "answers      unknown, the ledger cannot be read: {error}"),
    }
}

/// What stops all answers until a person says a word.
#[derive(Default)]
pub(super) struct Stopped {
    restored: Option<Restored>,
    paused: Option<Paused>,
}

impl Stopped {
    /// What the ledger says.
    pub(super) fn of(ledger: &Ledger, key: &SecretKey) -> Result<Self, LedgerError> {
        let secret = Secret(key);
        Ok(Self { restored: waits_to_be_accepted(ledger, secret)?, paused: paused(ledger, secret)? })
    }

    /// Each reason, since when and by whom, with what ends it.
    pub(super) fn in_words(&self) -> Vec<(String, String)> {
        let restored = self.restored.as_ref().map(|restored| {
            let ends = "`bocage checkpoint SITE > FILE`, then `bocage node ledger accept-restored --checkpoint FILE`";
            (
                format!("nothing is answered: {restored}, and waits for `bocage node ledger accept-restored`"),
                ends.to_owned(),
            )
        });
        let paused = self.paused.as_ref().map(|paused| {
            let why = paused.reason.as_ref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
            (
                format!("all answers are paused since {} by {}{why}", paused.at, paused.by),
                "`bocage node resume` ends it".to_owned(),
            )
        });
        restored.into_iter().chain(paused).collect()
    }
}

fn decided(decide: Decide) -> &'static str {
    match decide {
        Decide::Auto => "is answered without asking anybody (auto)",
        Decide::Ask => "waits for the steward (ask)",
        Decide::Refuse => "is refused (refuse)",
    }
}

fn settings(settings: &Settings) -> Vec<String> {
    let Settings {
        threshold,
        model_threshold,
        max_cells,
        quiet,
        concurrent,
        per_day,
        two_persons,
        mode,
        models,
        per_site_results,
    } = settings;
    let quiet = (!quiet.is_empty()).then(|| {
        let hours: Vec<String> = quiet.iter().map(Quiet::to_string).collect();
        format!("none begins in {}", hours.join(", "))
    });
    let said = [
        threshold.map(|k| format!("no count below {k}")),
        model_threshold.map(|m| format!("in models no pair of columns with fewer than {m} in a cell")),
        max_cells.map(|n| format!("at most {n} cells of a dataset under a permit, or to a researcher without one")),
        quiet,
        concurrent.map(|n| format!("{n} at a time")),
        per_day.map(|n| format!("{n} in 24 hours")),
        two_persons.then(|| "two persons approve".to_owned()),
        mode.map(|mode| format!("answers are {} at most", mode.as_str())),
        models.map(|models| match models {
            Models::Exact => "models are answered exactly, whatever the mode".to_owned(),
            Models::Refuse => "no models are answered".to_owned(),
        }),
        per_site_results.map(|may| match may {
            true => {
                "results of this site alone are published, where a study asks for them (per_site_results)".to_owned()
            }
            false => "no results of this site alone are published".to_owned(),
        }),
    ];
    said.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Site;

    #[test]
    fn a_person_reads_what_is_decided_each_rule_and_what_is_never_offered() {
        let site = Site::new();
        let said = || {
            let mut out = Vec::new();
            policy(&mut out, &Config::load(&site.origin()).unwrap()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(said().contains("every study is answered without asking anybody (auto)\n"), "{}", said());
        assert!(!said().contains("per_site_results"));
        site.edit_config("[policy]", "[policy]\nper_site_results = true\ndecide = \"ask\"\nper_day = 3");
        site.edit_config(
            "[[trust]]",
            "[[policy.rule]]\npurpose = \"education\"\ndecide = \"refuse\"\n\
             [[policy.rule]]\ndataset = \"heart@1\"\nthreshold = 20\nmax_cells = 9\nconcurrent = 2\ntwo_persons = true\n\
             mode = \"round\"\nmodels = \"exact\"\nper_site_results = false\nquiet = [\"22:00-06:00\", \"12:00-13:00 Europe/Berlin\"]\n[[trust]]",
        );
        site.edit_config(
            "contract = \"heart@1\"",
            "contract = \"heart@1\"\nnever = [\"chol\"]\nnever_discovered = [\"age\"]",
        );
        let text = said();
        for line in [
            "a study of which no rule decides waits for the steward (ask)\n",
            "every study: 3 in 24 hours\n",
            "every study: results of this site alone are published, where a study asks for them (per_site_results)\n",
            "rule 1       purpose education: is refused (refuse)\n",
            "rule 2       dataset heart@1: no count below 20; at most 9 cells of a dataset under a permit, or to a researcher \
             without one; none begins in 22:00-06:00 UTC, 12:00-13:00 Europe/Berlin; 2 at a time; two persons approve; answers are round at most; models are answered exactly, whatever the mode; \
             no results of this site alone are published\n",
            "never        of heart is read: chol\n",
            "never        of heart are values named: age\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}

//! `bocage-node ledger show ID`: everything about one study, in the order in which people ask: who, for what, decided by whom, and what left.

use std::io::{self, Write};

use serde::Serialize;

use super::{Failure, Format, find, open, print, print_json, show, text, unusable};
use crate::config::Config;
use crate::custodian::ledger::Kind;
use crate::custodian::ledger::account::{Account, Window};
use crate::custodian::ledger::bodies::Verdict;
use crate::custodian::ledger::show::{Reader, Shown};
use crate::report;

#[derive(Serialize)]
struct Story {
    state: &'static str,
    #[serde(flatten)]
    account: Account,
    left: Vec<Shown>,
}

/// Prints all about the study whose id begins with `id`.
///
/// # Errors
/// Where there is none, or the ledger cannot be read.
pub fn story(config: &Config, id: &str, format: Format) -> Result<(), Failure> {
    if format == Format::Csv {
        return show(config, Some(id), format);
    }
    let ledger = open(config)?;
    let study = find(&ledger, id)?;
    let name = study.to_string();
    let accounts = ledger.accounts(&Window::default()).map_err(unusable)?;
    let account = accounts.studies.into_iter().find(|account| account.study == name);
    let Some(account) = account else { return Err(Failure::ours("the study's records cannot be put together")) };
    let mut reader = Reader::over(&ledger, &config.contracts).map_err(unusable)?;
    let mut left = Vec::new();
    let mut collect = |record: crate::custodian::ledger::Record| {
        let release = record.kind() == Some(Kind::Release);
        let shown = reader.show(record);
        if release {
            left.push(shown);
        }
    };
    ledger.records(Some(&study), &mut collect).map_err(unusable)?;
    let story = Story { state: account.state().as_str(), account, left };
    match format {
        Format::Json => print_json(&story),
        _ => print(|out| tell(out, &story)),
    }
}

fn tell(out: &mut dyn Write, story: &Story) -> io::Result<()> {
    let account = &story.account;
    match &account.about {
        Some(about) => {
            writeln!(out, "{}\n", about.title)?;
            writeln!(out, "study       {}", account.study)?;
            writeln!(out, "state       {}", story.state)?;
            writeln!(out, "who         {}  {}", about.researcher, about.key)?;
            writeln!(out, "purpose     {}", report::purpose(about))?;
            writeln!(out, "permit      {}", account.permit.as_deref().unwrap_or("none named"))?;
            writeln!(out, "dataset     {}", about.dataset)?;
        }
        None => {
            writeln!(out, "a study that could not be believed\n")?;
            writeln!(out, "study       {}", account.study)?;
            writeln!(out, "state       {}", story.state)?;
        }
    }
    writeln!(out, "asked       {} times, {} to {}", account.requests, account.first, account.last)?;
    if let Some(expires) = account.expires_at {
        writeln!(out, "expires     {expires}")?;
    }
    for snapshot in &account.snapshots {
        writeln!(out, "snapshot    {snapshot}")?;
    }
    decided(out, account)?;
    for on in &account.refusals {
        writeln!(out, "\nrefused {} (record {}): {}", on.at, on.record, on.says.error)?;
        if let Some(hint) = &on.says.error.hint {
            writeln!(out, "    hint: {hint}")?;
        }
    }
    for other in &account.others {
        writeln!(out, "\n{} {} (record {})", other.kind, other.at, other.record)?;
        match &other.body {
            serde_json::Value::Object(fields) => {
                fields.iter().try_for_each(|(name, value)| text::field(out, 4, name, value))?;
            }
            says => text::field(out, 4, "says", says)?,
        }
    }
    if story.left.is_empty() {
        writeln!(out, "\nnothing left")?;
    }
    for release in &story.left {
        let round = release.round.unwrap_or_default();
        writeln!(out, "\nleft {} (record {}, round {round})", release.at, release.seq)?;
        match &release.dropped {
            Some(at) => writeln!(out, "    the exact bytes were dropped at {at}; their hash is kept")?,
            None => release.left.iter().try_for_each(|one| text::left(out, one))?,
        }
    }
    Ok(())
}

fn decided(out: &mut dyn Write, account: &Account) -> io::Result<()> {
    for on in account.decisions.iter().filter(|on| on.says.decision == Verdict::Allow) {
        let decision = &on.says;
        writeln!(out, "\nallowed {} (record {}) by {}", on.at, on.record, decision.by)?;
        writeln!(out, "    no count below {}; answers are {}", decision.threshold, decision.mode)?;
        for (analysis, explained) in &decision.explained {
            writeln!(out, "    {analysis}")?;
            explained.lines().try_for_each(|line| writeln!(out, "        {line}"))?;
        }
    }
    match account.repeats() {
        0 => Ok(()),
        times => writeln!(out, "\nhanded out again {times} times, the same bytes"),
    }
}

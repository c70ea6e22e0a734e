//! `bocage-node ledger show ID`: everything about one study, in the order in which people ask: who, for what, decided by whom, and what left.

use std::collections::BTreeSet;
use std::io::{self, Write};

use bocage_protocol::marks::one_line;
use serde::Serialize;

use super::{Failure, Format, find, open, print, print_json, show, text};
use crate::config::Config;
use crate::custodian::ledger::Kind;
use crate::custodian::ledger::account::{Account, Window, day_and_minute};
use crate::custodian::ledger::show::{Reader, Shown};
use crate::report;

#[derive(Serialize)]
struct Story {
    state: &'static str,
    #[serde(flatten)]
    account: Account,
    /// Who decided, in sentences.
    decided_by: Vec<String>,
    /// What it asks, analysis by analysis.
    asks: Vec<(String, String)>,
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
    let accounts = ledger.accounts(&Window::default())?;
    let account = accounts.studies.into_iter().find(|account| account.study == name);
    let Some(account) = account else { return Err(Failure::ours("the study's records cannot be put together")) };
    let mut reader = Reader::over(&ledger, &config.contracts)?;
    let mut left = Vec::new();
    let mut collect = |record: crate::custodian::ledger::Record| {
        let release = record.kind() == Some(Kind::Release);
        let shown = reader.show(record);
        if release {
            left.push(shown);
        }
    };
    ledger.records(Some(&study), &mut collect)?;
    let (decided_by, asks) = (account.decided_by(), account.asks());
    let story = Story { state: account.state().as_str(), account, decided_by, asks, left };
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
            writeln!(out, "dataset     {}", about.datasets())?;
        }
        None => {
            writeln!(out, "a study that could not be believed\n")?;
            writeln!(out, "study       {}", account.study)?;
            writeln!(out, "state       {}", story.state)?;
        }
    }
    match account.requests {
        0 => writeln!(
            out,
            "asked       first on {}: while a study waits, only that is recorded",
            day_and_minute(account.first)
        )?,
        times => writeln!(out, "asked       {times} times, {} to {}", account.first, account.last)?,
    }
    if let Some(expires) = account.expires_at {
        writeln!(out, "expires     {expires}")?;
    }
    snapshots(out, story)?;
    if !story.decided_by.is_empty() {
        writeln!(out, "\nwho decided")?;
        story.decided_by.iter().try_for_each(|line| writeln!(out, "    {}", one_line(line)))?;
    }
    if let Some(on) = account.allowed() {
        writeln!(out, "    no count below {}; answers are {}", on.says.threshold, on.says.mode)?;
    }
    match account.repeats() {
        0 => {}
        times => writeln!(out, "    handed out again {times} times, the same bytes")?,
    }
    asked(out, story)?;
    for (what, on) in account.refused().map(|on| ("refused", on)).chain(account.waited().map(|on| ("told to wait", on)))
    {
        writeln!(out, "\n{what} {} (record {}): {}", on.at, on.record, on.says.error)?;
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
        if let Some(receipt) = &release.receipt {
            writeln!(out, "    in the published result as {receipt}")?;
        }
        match &release.dropped {
            Some(at) => writeln!(out, "    the exact bytes were dropped at {at}; their hash is kept")?,
            None => {
                for (at, one) in release.left.iter().enumerate() {
                    if let Some(before) = account.left_before(release.seq, at) {
                        writeln!(out, "    again, as it had left with record {before}, where it is counted:")?;
                    }
                    text::left(out, one)?;
                }
            }
        }
    }
    Ok(())
}

/// From which data it was computed: its content for those who hold it, its public name for those who have the result.
fn snapshots(out: &mut dyn Write, story: &Story) -> io::Result<()> {
    let of = |digest| story.account.computed.iter().filter(move |(_, computed)| computed.snapshot == digest);
    for digest in &story.account.snapshots {
        writeln!(out, "snapshot    {digest}")?;
        let names: BTreeSet<String> = of(*digest)
            .flat_map(|(round, _)| story.left.iter().filter(move |left| left.round == Some(*round)))
            .filter_map(|left| left.snapshot.as_ref())
            .map(|public| format!("{}, taken {}", public.name, public.at))
            .collect();
        names.iter().try_for_each(|name| writeln!(out, "            known to the researcher as {name}"))?;
        if of(*digest).any(|(_, computed)| computed.left_out) {
            writeln!(out, "            without the patients who opted out")?;
        }
    }
    Ok(())
}

fn asked(out: &mut dyn Write, story: &Story) -> io::Result<()> {
    if !story.asks.is_empty() {
        writeln!(out, "\nwhat it asks")?;
    }
    for (analysis, explained) in &story.asks {
        writeln!(out, "    {analysis}")?;
        explained.lines().try_for_each(|line| writeln!(out, "        {line}"))?;
    }
    if story.asks.iter().any(|(_, explained)| explained.is_empty()) {
        writeln!(out, "    more is not in the ledger: it was refused before anything was explained")?;
    }
    Ok(())
}

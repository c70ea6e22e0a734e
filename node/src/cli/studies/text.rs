//! What a steward reads.

use std::io::{self, Write};

use bocage_protocol::marks::one_line;
use bocage_protocol::trust::Permit;

use crate::custodian::desk::shown::{AtTheDesk, CapLeft, Dossier, Listed, Paused, SaidBy, State};
use crate::custodian::ledger::bodies::named;

/// Digits of an id that tell it apart.
const SHORT: usize = 12;

fn short(study: &str) -> &str {
    study.get(..SHORT).unwrap_or(study)
}

fn stands(listed: &Listed) -> String {
    let gap = if listed.detail.is_empty() { "" } else { ", " };
    format!("{}{gap}{}", listed.state.as_str(), one_line(&listed.detail))
}

/// Everything at the desk.
pub fn desk(out: &mut dyn Write, desk: &AtTheDesk) -> io::Result<()> {
    if desk.paused.is_some() {
        pause(out, desk.paused.as_ref())?;
    }
    if desk.studies.is_empty() {
        return writeln!(out, "no study is at the desk");
    }
    for study in &desk.studies {
        writeln!(out, "{}  {}", short(&study.study), stands(study))?;
        writeln!(out, "    {}", one_line(&study.title))?;
        let about = named(&study.dataset, &study.related);
        writeln!(out, "    {} asks for {} about {about}", one_line(&study.researcher), study.purpose)?;
        writeln!(out, "    since {}, until {}", study.since, study.until)?;
    }
    Ok(())
}

/// What a word came to.
pub fn word(out: &mut dyn Write, dossier: &Dossier) -> io::Result<()> {
    let listed = &dossier.listed;
    writeln!(out, "{}  {}: {}", short(&listed.study), one_line(&listed.title), stands(listed))?;
    waits_for_resume(out, dossier)
}

/// What was approved while everything stands still is answered later.
fn waits_for_resume(out: &mut dyn Write, dossier: &Dossier) -> io::Result<()> {
    if dossier.paused.is_none() || dossier.listed.state != State::Approved {
        return Ok(());
    }
    pause(out, dossier.paused.as_ref())?;
    writeln!(out, "the study is approved, and is answered after `bocage node resume`")
}

/// Whether everything stands still.
pub fn pause(out: &mut dyn Write, paused: Option<&Paused>) -> io::Result<()> {
    match paused {
        None => writeln!(out, "answers go on"),
        Some(paused) => {
            let why = paused.reason.as_ref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
            writeln!(out, "all answers are paused since {} by {}{why}", paused.at, paused.by)?;
            match &paused.unwritten {
                Some(_) => writeln!(out, "the ledger does not have this pause: it ends with the custodian's process"),
                None => Ok(()),
            }
        }
    }
}

/// Everything about one study.
pub fn dossier(out: &mut dyn Write, dossier: &Dossier) -> io::Result<()> {
    let Dossier { listed, key, why, policy, threshold, mode, cap, asks, permit, permit_digest, .. } = dossier;
    let Dossier { access_body, said, received, .. } = dossier;
    writeln!(out, "{}\nstudy      {}", one_line(&listed.title), listed.study)?;
    writeln!(out, "state      {}", stands(listed))?;
    waits_for_resume(out, dossier)?;
    writeln!(out, "asked by   {} ({key})", one_line(&listed.researcher))?;
    writeln!(out, "purpose    {}\ndataset    {}", listed.purpose, named(&listed.dataset, &listed.related))?;
    writeln!(out, "waits      since {}, until {}", listed.since, listed.until)?;
    writeln!(out, "why        {}", one_line(why))?;
    writeln!(out, "policy     {}", short(policy))?;
    match (permit, permit_digest) {
        (Some(permit), Some(digest)) => self::permit(out, permit, digest, access_body.as_deref())?,
        _ => writeln!(out, "permit     none")?,
    }
    if let Some((k, by)) = threshold {
        writeln!(out, "k          {k}: no count below it leaves ({})", one_line(by))?;
    }
    if let Some((mode, by)) = mode {
        writeln!(out, "mode       {mode} ({})", one_line(by))?;
    }
    match cap {
        Some(CapLeft { most, by, left }) => {
            writeln!(out, "cap        {left} of {most} cells are left ({})", one_line(by))?;
        }
        None => writeln!(out, "cap        none")?,
    }
    writeln!(out, "\nwhat would leave: {} numbers at most", asks.iter().map(|a| a.numbers).sum::<u64>())?;
    for ask in asks {
        writeln!(out, "\n{}: {} groups, {} numbers at most", ask.analysis, ask.cells, ask.numbers)?;
        ask.explained.lines().try_for_each(|line| writeln!(out, "    {}", one_line(line)))?;
    }
    writeln!(out, "\nwhat this requester has received from this site")?;
    if received.is_empty() {
        writeln!(out, "    nothing")?;
    }
    for one in received {
        let about = named(&one.dataset, &one.related);
        writeln!(out, "    {}  {}  {about}  {}", one.at, short(&one.study), one_line(&one.title))?;
        for (analysis, cells) in &one.cells {
            let rounds = one.rounds.get(analysis).filter(|rounds| **rounds > 1);
            let rounds = rounds.map_or_else(String::new, |rounds| format!(" in {rounds} rounds"));
            writeln!(out, "        {analysis}: {cells} cells shown{rounds}")?;
            let explained = one.explained.get(analysis).map(String::as_str).unwrap_or_default();
            explained.lines().try_for_each(|line| writeln!(out, "            {}", one_line(line)))?;
        }
    }
    if !said.is_empty() {
        writeln!(out, "\nwhat was said")?;
    }
    said.iter().try_for_each(|said| said_by(out, said))
}

fn said_by(out: &mut dyn Write, said: &SaidBy) -> io::Result<()> {
    let until = said.until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
    let words = said.words.as_ref().map(|words| format!(": {}", one_line(words))).unwrap_or_default();
    writeln!(out, "    {}  {} by {}{until}{words}", said.at, if said.yes { "approved" } else { "refused" }, said.by)?;
    match &said.lapsed {
        Some(lapsed) => writeln!(out, "        does not hold any more: {lapsed}"),
        None => Ok(()),
    }
}

fn permit(out: &mut dyn Write, permit: &Permit, digest: &str, issuer: Option<&str>) -> io::Result<()> {
    let joined = |items: Vec<String>| items.join(", ");
    writeln!(out, "permit     {}: {}", permit.id, one_line(&permit.title))?;
    let issuer = issuer.map(|name| format!("{} ", one_line(name))).unwrap_or_default();
    writeln!(out, "    digest       {digest}\n    issuer       {issuer}{}", permit.issuer)?;
    let holder = &permit.holder;
    writeln!(out, "    holder       {}, {} ({})", one_line(&holder.name), one_line(&holder.organisation), holder.key)?;
    writeln!(out, "    purposes     {}", joined(permit.purposes.iter().map(|p| p.as_str().to_owned()).collect()))?;
    for scope in &permit.datasets {
        let columns = scope.columns.as_ref().map(|c| joined(c.iter().map(ToString::to_string).collect()));
        writeln!(out, "    dataset      {}: {}", scope.dataset, columns.as_deref().unwrap_or("all columns"))?;
    }
    let sites = permit.sites.as_ref().map(|sites| joined(sites.iter().map(ToString::to_string).collect()));
    writeln!(out, "    sites        {}", sites.as_deref().unwrap_or("all of the network"))?;
    writeln!(
        out,
        "    at least     {} sites in each cell, k {}, mode {}, {} cells at most",
        permit.min_sites,
        permit.threshold,
        permit.mode.as_str(),
        permit.max_cells
    )?;
    writeln!(
        out,
        "    valid        from {} to {}\n    nonce        {}",
        permit.valid_from, permit.valid_to, permit.nonce
    )
}

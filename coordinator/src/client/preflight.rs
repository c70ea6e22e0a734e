//! What the sites say of themselves, held against a study before one of them is asked: which lacks a column that it reads, where unit or code system
//! differ, whose snapshot is old.
//!
//! It knows what a site's configuration says and nothing of its rows: a column that is merely empty somewhere is not told here.

use std::collections::BTreeSet;
use std::fmt;

use bocage_protocol::contract::{ColumnTraits, Contract};
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::{ColumnName, ContractId, Digest, SiteId};
use bocage_protocol::settings::{Problem, Problems};
use serde::Serialize;

use crate::api::types::{OfferInfo, SiteInfo};

/// What a study wants of every site.
pub struct Wanted<'a> {
    /// The contract that it is bound to.
    pub contract: &'a Contract,
    /// The columns that it reads.
    pub reads: &'a BTreeSet<ColumnName>,
    /// Snapshots from this moment on.
    pub not_before: Option<Timestamp>,
    /// The sites that it asks.
    pub asks: &'a [SiteId],
}

/// A site, as it looks from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteLook {
    /// The site.
    pub site: SiteId,
    /// The study's dataset that this is about.
    pub dataset: ContractId,
    /// Whether the study asks it.
    pub asked: bool,
    /// The contract that it offers data under, of those with the study's name.
    pub contract: Option<ContractId>,
    /// That contract's hash.
    pub hash: Option<Digest>,
    /// When its snapshot was taken.
    pub snapshot_at: Option<Timestamp>,
    /// What is to be known.
    pub notes: Vec<Note>,
}

/// What is to be known of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Note {
    /// It has no session.
    Offline,
    /// It offers no data under the contract, nor under another version of it.
    NotOffered { dataset: ContractId },
    /// It offers data under another version of the contract.
    OtherVersion,
    /// It offers data under another content of the same name and version.
    OtherContent,
    /// It has no usable snapshot.
    NoSnapshot,
    /// Its snapshot is older than the study asks.
    SnapshotOlder { taken: Timestamp, wanted: Timestamp },
    /// It does not collect a column that the study reads.
    NotCollected { column: ColumnName },
    /// Its contract has no such column.
    ColumnMissing { column: ColumnName },
    /// A column has another type there.
    Type { column: ColumnName, there: String, here: String },
    /// A column has another unit there.
    Unit { column: ColumnName, there: Option<String>, here: Option<String> },
    /// A column has another code system there.
    CodeSystem { column: ColumnName, there: Option<String>, here: Option<String> },
    /// Its node does not say more.
    Untold,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            Note::Offline => f.write_str("it is not connected"),
            Note::NotOffered { dataset } => write!(f, "it does not offer {dataset}"),
            Note::OtherVersion => f.write_str("it has another version of the contract, and would refuse"),
            Note::OtherContent => {
                f.write_str("its contract of that name and version says something else, so it would refuse")
            }
            Note::NoSnapshot => f.write_str("it has no snapshot that can be used"),
            Note::SnapshotOlder { taken, wanted } => {
                write!(f, "its snapshot of {taken} is older than asked (not before {})", day(*wanted))
            }
            Note::NotCollected { column } => write!(f, "{column} is not collected: missing in every row"),
            Note::ColumnMissing { column } => write!(f, "{column} is no column of its contract"),
            Note::Type { column, there, here } => write!(f, "{column} is of type {there}, not {here}"),
            Note::Unit { column, there, here } => {
                write!(f, "{column} has the unit {}, not {}", or_none(there), or_none(here))
            }
            Note::CodeSystem { column, there, here } => {
                write!(f, "{column} has the code system {}, not {}", or_none(there), or_none(here))
            }
            Note::Untold => f.write_str("its node does not say which columns it lacks, or how they differ"),
        }
    }
}

/// The day of a moment, as people write it.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// Every site that the study asks, or that has the dataset in another form. `known` gives the columns of a contract that the coordinator holds.
pub fn looks(
    sites: &[SiteInfo],
    wanted: &Wanted<'_>,
    known: &mut dyn FnMut(&ContractId, &Digest) -> Option<Vec<ColumnTraits>>,
) -> Vec<SiteLook> {
    let look = |site: &SiteInfo| {
        let asked = wanted.asks.contains(&site.id);
        let offer = nearest(site, wanted.contract);
        if !asked && offer.is_none() {
            return None;
        }
        let mut notes = Vec::new();
        if !site.online {
            notes.push(Note::Offline);
        }
        match offer {
            Some(offer) => notes.extend(of_offer(offer, wanted, known)),
            // Who was not heard of since the coordinator started has not said what it offers.
            None if site.last_seen.is_none() => {}
            None => notes.push(Note::NotOffered { dataset: wanted.contract.id().clone() }),
        }
        Some(SiteLook {
            site: site.id.clone(),
            dataset: wanted.contract.id().clone(),
            asked,
            contract: offer.map(|offer| offer.contract.clone()),
            hash: offer.map(|offer| offer.hash),
            snapshot_at: offer.and_then(|offer| offer.snapshot_at),
            notes,
        })
    };
    sites.iter().filter_map(look).collect()
}

/// The offer that is the study's, or the one of its name that is nearest to it.
fn nearest<'a>(site: &'a SiteInfo, contract: &Contract) -> Option<&'a OfferInfo> {
    let of_name = site.datasets.iter().filter(|offer| offer.contract.name() == contract.id().name());
    of_name.max_by_key(|offer| (offer.contract == *contract.id(), offer.contract.version()))
}

fn of_offer(
    offer: &OfferInfo,
    wanted: &Wanted<'_>,
    known: &mut dyn FnMut(&ContractId, &Digest) -> Option<Vec<ColumnTraits>>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let same = offer.hash == wanted.contract.hash();
    if !same {
        notes.push(if offer.contract == *wanted.contract.id() { Note::OtherContent } else { Note::OtherVersion });
    }
    match (offer.snapshot_at, wanted.not_before) {
        (None, _) => notes.push(Note::NoSnapshot),
        (Some(taken), Some(wanted)) if taken < wanted => notes.push(Note::SnapshotOlder { taken, wanted }),
        _ => {}
    }
    let absent = offer.absent.iter().flatten().filter(|column| wanted.reads.contains(*column));
    notes.extend(absent.map(|column| Note::NotCollected { column: column.clone() }));
    let columns = if same { None } else { offer.columns.clone().or_else(|| known(&offer.contract, &offer.hash)) };
    match &columns {
        Some(columns) => notes.extend(differences(columns, wanted)),
        None if !same || offer.absent.is_none() => notes.push(Note::Untold),
        None => {}
    }
    notes
}

/// How the columns that a study reads differ from those of another contract.
fn differences(there: &[ColumnTraits], wanted: &Wanted<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let here = wanted.contract.columns().iter().filter(|column| wanted.reads.contains(&column.name));
    for here in here.map(ColumnTraits::of) {
        let column = here.name.clone();
        let Some(there) = there.iter().find(|there| there.name == column) else {
            notes.push(Note::ColumnMissing { column });
            continue;
        };
        if there.kind != here.kind {
            notes.push(Note::Type { column, there: there.kind.clone(), here: here.kind });
            continue;
        }
        if there.unit != here.unit {
            notes.push(Note::Unit { column: column.clone(), there: there.unit.clone(), here: here.unit });
        }
        if there.system != here.system {
            notes.push(Note::CodeSystem { column, there: there.system.clone(), here: here.system });
        }
    }
    notes
}

/// The sites of `offering` whose snapshot is new enough for a study that asks none before a moment.
///
/// # Errors
/// A site that the study names is older, or all are; `key` says where the study names them.
pub fn recent(
    offering: &[SiteId],
    named: &[SiteId],
    sites: &[SiteInfo],
    (contract, hash): (&ContractId, &Digest),
    not_before: Timestamp,
    file: &str,
) -> Result<Vec<SiteId>, Problems> {
    let taken = |id: &SiteId| {
        let site = sites.iter().find(|site| site.id == *id)?;
        let offer = site.datasets.iter().find(|offer| offer.contract == *contract && offer.hash == *hash)?;
        Some(offer.snapshot_at)
    };
    let wanted = day(not_before);
    let mut problems = Problems::default();
    for (i, site) in named.iter().enumerate() {
        // Of a site that offers nothing yet nothing is known.
        let Some(snapshot) = taken(site) else { continue };
        if snapshot.is_none_or(|at| at < not_before) {
            let of = |at| format!("has a snapshot of {contract} of {}", day(at));
            let has = snapshot.map_or_else(|| format!("has no snapshot of {contract}"), of);
            let problem = Problem::new(
                file,
                format!("sites[{i}]"),
                format!("`{site}` {has}, and none before {wanted} is wanted"),
            );
            problems.push(problem.hint("leave the site out, or ask it for a newer one"));
        }
    }
    let all = offering.len();
    let newest = offering.iter().filter_map(|site| taken(site).flatten()).max();
    let recent: Vec<SiteId> =
        offering.iter().filter(|site| taken(site).flatten().is_some_and(|at| at >= not_before)).cloned().collect();
    if named.is_empty() && all > 0 && recent.is_empty() {
        let newest = newest.map_or("no site has one".to_owned(), |at| format!("the newest is of {}", day(at)));
        let problem = Problem::new(file, "snapshot_not_before", format!("no site has a snapshot of {wanted} or later"));
        problems.push(problem.hint(newest));
    }
    problems.into_result(recent)
}

#[cfg(test)]
mod tests;

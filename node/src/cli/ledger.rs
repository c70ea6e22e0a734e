//! `bocage-node ledger …`: what was asked of this site, what left it, and whether its record holds. Reads the ledger, never the data.

mod export;
mod list;
mod story;
mod text;
mod verify;

use bocage_protocol::env::Timestamp;
use bocage_protocol::front::dates::{parse_date, parse_datetime};
use bocage_protocol::ids::StudyId;

use super::output::{Failure, Format, print, print_csv, print_json};
use crate::config::Config;
use crate::custodian::ledger::Ledger;
use crate::custodian::ledger::show::Reader;

pub use export::{What, export};
pub use list::{Filter, list};
pub use story::story;
pub use verify::{accept_restored, verify};

const DAY_SECS: i64 = 86_400;

fn open(config: &Config) -> Result<Ledger, Failure> {
    let path = config.state.ledger();
    if !path.exists() {
        return Err(Failure::theirs(format!("there is no ledger at {}", path.display()))
            .hint("the ledger begins when the node runs for the first time"));
    }
    let ledger = Ledger::open_read_only(&path)?;
    ledger.hold()?;
    Ok(ledger)
}

/// The moment that `2026-01-31`, which is its beginning, or `2026-01-31T12:00:00Z` names.
///
/// # Errors
/// Where it is neither.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let day = parse_date(text).map(|days| Timestamp(0).plus_secs(i64::from(days) * DAY_SECS));
    day.or_else(|| parse_datetime(text).map(Timestamp)).ok_or_else(|| "not a day like 2026-01-31".to_owned())
}

/// The end of a day, or the moment, that such a text names.
///
/// # Errors
/// As [`moment`].
pub fn end(text: &str) -> Result<Timestamp, String> {
    let at = moment(text)?;
    Ok(if parse_date(text).is_some() { at.plus_secs(DAY_SECS) } else { at })
}

/// Prints the records of a study, or all.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn show(config: &Config, study: Option<&str>, format: Format) -> Result<(), Failure> {
    let ledger = open(config)?;
    let study = study.map(|text| find(&ledger, text)).transpose()?;
    let mut reader = Reader::over(&ledger, &config.contracts)?;
    let mut records = Vec::new();
    ledger.records(study.as_ref(), |record| records.push(reader.show(record)))?;
    match format {
        Format::Json => print_json(&records),
        Format::Csv => print_csv(
            &["seq", "at", "kind", "study", "round", "body", "hash"],
            records.into_iter().map(|r| {
                let round = r.round.map(|n| n.to_string()).unwrap_or_default();
                let study = r.study.unwrap_or_default();
                let fields = [r.seq.to_string(), r.at, r.kind, study, round, r.body.to_string(), r.hash];
                fields.iter().map(|field| crate::report::plain(field)).collect()
            }),
        ),
        Format::Text => print(|out| records.iter().try_for_each(|record| text::record(out, record))),
    }
}

/// The study whose id begins with `text`.
fn find(ledger: &Ledger, text: &str) -> Result<StudyId, Failure> {
    let mut found: Vec<String> = Vec::new();
    ledger.outlines(|record| {
        if let Some(study) = record.study
            && study.starts_with(text)
            && !found.contains(&study)
        {
            found.push(study);
        }
    })?;
    match found.as_slice() {
        [one] => one.parse().map_err(|_| {
            Failure::theirs("the ledger holds a malformed study id").hint("run `bocage node ledger verify`")
        }),
        [] => Err(Failure::theirs(format!("no record is about a study {text}"))
            .hint("`bocage node ledger list` lists all studies")),
        _ => Err(Failure::theirs(format!("several studies begin with {text}")).hint("give more digits of the id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_at_midnight_and_a_moment_is_itself() {
        assert_eq!(moment("1970-01-02"), Ok(Timestamp(86_400_000)));
        assert_eq!(end("1970-01-02"), Ok(Timestamp(2 * 86_400_000)));
        assert_eq!(end("1970-01-01T00:00:01Z"), Ok(Timestamp(1000)));
        assert!(moment("yesterday").is_err() && end("2026-02-30").is_err());
    }
}

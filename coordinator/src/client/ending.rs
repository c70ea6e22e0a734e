//! What is done with a study's result, or with a study that has none yet: what is printed, where its report goes, how the command exits.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::{find, print};
use super::keep::{Place, fetch};
use super::{Api, ClientError, Profile, outcome};
use crate::api::types::{StudyState, StudyStatus};
use crate::output::say;
use crate::report::{self, Format};

/// The exit code of a study that is still open.
const STILL_OPEN: u8 = 3;

/// Where a report is written.
#[derive(Debug, Clone, Args)]
pub struct Out {
    /// Write result, tables, study and a page for people into this new folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the report that is there
    #[arg(long, requires = "out")]
    force: bool,
}

impl Out {
    pub(super) fn place(&self) -> Result<Option<Place>, ClientError> {
        self.out.as_deref().map(|dir| Place::find(dir, self.force)).transpose()
    }
}

/// What is done with a result.
pub(super) struct Then<'a> {
    /// How it is printed.
    pub format: Format,
    /// Where its report is written, by whose profile.
    pub keep: Option<(Place, &'a Profile)>,
}

/// Prints a published result, and writes its report where one is wanted.
pub(super) fn ended(api: &Api, status: &StudyStatus, then: &Then<'_>) -> Result<u8, ClientError> {
    if status.state == StudyState::Cancelled {
        return Err(ClientError::Cancelled(status.id));
    }
    let format = then.format;
    // A report that cannot be written keeps nobody from the result.
    let kept = then.keep.as_ref().map_or(Ok(()), |(place, profile)| keep(api, status, place, profile));
    let result = api.result(&status.id)?;
    let too_few = outcome::too_few(&result);
    // Tables of which every cell is hidden tell people nothing.
    let silent = format == Format::Text && too_few.as_ref().is_some_and(|few| few.nothing_else);
    let code = if silent { 0 } else { print(&report::result(&result, format))? };
    kept?;
    match too_few {
        Some(few) => Err(few.error),
        // The text has the sites and their reasons already.
        None if format == Format::Text => Ok(code),
        None => {
            outcome::absent(&result).iter().for_each(|line| say(format_args!("note: {line}")));
            Ok(code)
        }
    }
}

fn keep(api: &Api, status: &StudyStatus, place: &Place, profile: &Profile) -> Result<(), ClientError> {
    let fetched = fetch(api, &status.id, &profile.key()?, profile.published_by)?;
    place.write(&fetched.files)?;
    say(format_args!("the report is in {place}: open {}", place.page().display()));
    if let Some(key) = fetched.publisher.filter(|_| profile.published_by.is_none()) {
        say(format_args!(
            "published by the coordinator {key}\n  hint: if its operator says that this is its key, keep it in the profile: published_by = \"{key}\""
        ));
    }
    Ok(())
}

pub(super) fn left_open(status: &StudyStatus, then: &Then<'_>) -> Result<u8, ClientError> {
    print(&report::status(status, then.format))?;
    let (id, back) = (status.id.short(), then.keep.as_ref().map(|(place, _)| format!(" --out {place}")));
    let back = back.map_or_else(|| format!("show {id}"), |out| format!("result {id}{out}"));
    say(format_args!("\nthe study goes on without this command; come back with `bocage study {back}`"));
    say(format_args!("or end it with `bocage study cancel {}`", status.id.short()));
    Ok(STILL_OPEN)
}

pub(super) fn show(api: &Api, id: &str, then: &Then<'_>) -> Result<u8, ClientError> {
    let status = api.status(&find(api, id)?, None, Duration::ZERO)?;
    let format = then.format;
    match status.state {
        StudyState::Published => ended(api, &status, then),
        StudyState::Open if then.keep.is_some() => left_open(&status, then),
        StudyState::Cancelled if then.keep.is_some() => Err(ClientError::Cancelled(status.id)),
        StudyState::Cancelled => print(&report::status(&status, format)),
        StudyState::Open => print(&report::status(&status, format)).map(|_| STILL_OPEN),
    }
}

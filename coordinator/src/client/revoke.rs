//! `bocage network revoke` and `revoked`: the commands of whoever takes a hospital's certificates back.

use std::path::PathBuf;
use std::process::ExitCode;

use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::SiteId;
use clap::Args;

use super::args::{Client, exit, print};
use super::remembered::Remembered;
use super::{Api, ClientError, Profile};
use crate::api::types::{Revocation, RevokedInfo};
use crate::report::{Format, Grid, json};

/// `bocage network revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The site
    #[arg(required_unless_present = "again")]
    site: Option<SiteId>,
    /// One certificate only, by its serial number (`bocage sites --format json`)
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", conflicts_with = "lift")]
    reason: Option<String>,
    /// Give the site leave again, with the certificates that it had
    #[arg(long)]
    lift: bool,
    /// After the coordinator was restored: revoke again what was revoked from this folder, and the coordinator has forgotten
    #[arg(long, conflicts_with_all = ["site", "serial", "reason", "lift"])]
    again: bool,
    /// With --again: what a list names instead, which `network revoked --format json` wrote
    #[arg(long, value_name = "FILE", requires = "again")]
    from: Option<PathBuf>,
    #[command(flatten)]
    client: Client,
}

/// `bocage network revoked`.
#[derive(Debug, Args)]
pub struct RevokedArgs {
    #[command(flatten)]
    client: Client,
}

impl RevokeArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(profile, api)| match &self.site {
            Some(site) => self.one(site, &profile, &api),
            None => self.forgotten(&profile, &api),
        }))
    }

    fn one(&self, site: &SiteId, profile: &Profile, api: &Api) -> Result<u8, ClientError> {
        let wanted = Revocation { serial: self.serial.clone(), reason: self.reason.clone() };
        // Before anything is changed: a list that cannot be read must not be lost.
        let mut remembered = Remembered::of(profile)?;
        if self.lift {
            let lifted = api.lift_revocation(site, &wanted);
            let gone = matches!(&lifted, Err(ClientError::Refused(error)) if error.code == ErrorCode::NotFound);
            // Also where an earlier attempt got no further than the coordinator.
            if lifted.is_ok() || gone {
                remembered.lift(site, wanted.serial.as_deref(), &api.revoked()?.revoked)?;
            }
            lifted?;
            return print(&format!("site {site} is no longer revoked\n"));
        }
        let revoked = api.revoke(site, &wanted)?;
        let said = told(&revoked);
        remembered.add(revoked)?;
        print(&said)
    }

    /// Revokes again what the coordinator does not know any more.
    fn forgotten(&self, profile: &Profile, api: &Api) -> Result<u8, ClientError> {
        let mut own = Remembered::of(profile)?;
        let forgotten = match &self.from {
            Some(file) => Remembered::read(file.clone())?.forgotten(&api.revoked()?.revoked),
            None => own.forgotten(&api.revoked()?.revoked),
        };
        let mut said = String::new();
        for of in forgotten {
            match api.revoke(&of.site, &Revocation { serial: of.serial, reason: Some(of.reason) }) {
                Ok(revoked) => {
                    said += &told(&revoked);
                    own.add(revoked)?;
                }
                // It gets in by no certificate, and keeps nobody else's from being revoked.
                Err(ClientError::Refused(error)) if error.code == ErrorCode::SiteUnknown => {
                    said += &format!("{}\n", error.message);
                }
                Err(error) => return Err(error),
            }
        }
        print(if said.is_empty() { "the coordinator has forgotten nothing\n" } else { &said })
    }
}

fn told(of: &RevokedInfo) -> String {
    match &of.serial {
        Some(serial) => format!("the certificate {serial} of site {} is revoked\n", of.site),
        None => format!(
            "site {site} is revoked: its session is cut, and it gets none until it enrols anew\n\
             (bocage network invite {site} --replace) or this is lifted (bocage network revoke {site} --lift)\n",
            site = of.site
        ),
    }
}

impl RevokedArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(_, api)| {
            let list = api.revoked()?;
            print(&match self.client.format {
                Format::Json => json(&list),
                Format::Csv => table(&list.revoked).csv(),
                Format::Text if list.revoked.is_empty() => "nothing is revoked\n".to_owned(),
                Format::Text => table(&list.revoked).text(1),
            })
        }))
    }
}

fn table(revoked: &[RevokedInfo]) -> Grid {
    let mut grid = Grid::new(["site", "since", "what", "reason"]);
    for of in revoked {
        let what = match (&of.serial, of.enrolled_anew) {
            (Some(serial), _) => format!("certificate {serial}"),
            (None, true) => "what it had before it enrolled anew".to_owned(),
            (None, false) => "all".to_owned(),
        };
        grid.row([of.site.to_string(), of.at.to_string(), what, of.reason.clone()]);
    }
    grid
}

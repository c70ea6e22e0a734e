//! `bocage network revoke` and `revoked`: the commands of whoever takes a hospital's certificates back.

use std::process::ExitCode;

use bocage_protocol::ids::SiteId;
use clap::Args;

use super::args::{Client, exit, print};
use crate::api::types::{Revocation, RevokedInfo};
use crate::report::{Format, Grid, json};

/// `bocage network revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The site
    site: SiteId,
    /// One certificate only, by its serial number (`bocage sites --format json`)
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", conflicts_with = "lift")]
    reason: Option<String>,
    /// Give the site leave again, with the certificates that it had
    #[arg(long)]
    lift: bool,
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
        let wanted = Revocation { serial: self.serial.clone(), reason: self.reason.clone() };
        exit(self.client.open().and_then(|(_, api)| {
            if self.lift {
                api.lift_revocation(&self.site, &wanted)?;
                return print(&format!("site {} is no longer revoked\n", self.site));
            }
            let revoked = api.revoke(&self.site, &wanted)?;
            print(&told(&revoked))
        }))
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

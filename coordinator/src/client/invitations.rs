//! `bocage network invite`, `invitations` and `uninvite`: the commands of whoever adds hospitals to a network.
//!
//! An invitation goes into a file of mode 0600 and nowhere else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bocage_net::secret::write_secret;
use bocage_protocol::ids::SiteId;
use bocage_protocol::trust::Invitation;
use clap::Args;

use super::ClientError;
use super::args::{Client, exit, print};
use crate::api::types::{InvitationInfo, InvitationWanted};
use crate::report::{Format, Grid, json};

/// `bocage network invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// The site, as coordinator.toml names it
    site: SiteId,
    /// How many days the invitation is good
    #[arg(long, value_name = "N", default_value_t = 7)]
    days: u32,
    /// Let the site have another release key than it is known by
    #[arg(long)]
    replace: bool,
    /// The file to write; SITE.invite without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: Client,
}

/// `bocage network invitations`.
#[derive(Debug, Args)]
pub struct InvitationsArgs {
    #[command(flatten)]
    client: Client,
}

/// `bocage network uninvite`.
#[derive(Debug, Args)]
pub struct UninviteArgs {
    /// The site whose open invitation is taken back
    site: SiteId,
    #[command(flatten)]
    client: Client,
}

impl InviteArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.invite())
    }

    fn invite(&self) -> Result<u8, ClientError> {
        let file = self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.invite", self.site)));
        // Before the coordinator is asked: a new invitation takes the place of the one before, which may be this file.
        if file.exists() {
            return Err(ClientError::Secret(format!(
                "{}: exists already and is not overwritten\n  hint: remove it, or name another file: --out FILE",
                file.display()
            )));
        }
        let (_, api) = self.client.open()?;
        let wanted = InvitationWanted { site: self.site.clone(), days: self.days, replace: self.replace };
        let invitation = api.invite(&wanted)?;
        write_secret(&file, invitation.to_text()?.as_bytes())
            .map_err(|error| ClientError::Secret(error.to_string()))?;
        print(&made(&invitation, &file))
    }
}

fn made(invitation: &Invitation, file: &Path) -> String {
    format!(
        "{file}: an invitation of site {site}, good once, until {until}\n\
         fingerprint: {fingerprint}\n\n\
         It holds a secret. Hand it to the hospital by a way that nobody else reads, and tell it the fingerprint by another;\n\
         there: bocage node enrol {name} --dir DIR --fingerprint {fingerprint}\n",
        file = file.display(),
        site = invitation.site,
        until = invitation.expires_at,
        fingerprint = invitation.fingerprint,
        name = file.file_name().unwrap_or_default().display(),
    )
}

impl InvitationsArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(_, api)| {
            let list = api.invitations()?;
            print(&match self.client.format {
                Format::Json => json(&list),
                Format::Csv => table(&list.invitations).csv(),
                Format::Text if list.invitations.is_empty() => {
                    "no site was invited yet: bocage network invite SITE\n".to_owned()
                }
                Format::Text => table(&list.invitations).text(1),
            })
        }))
    }
}

fn table(invitations: &[InvitationInfo]) -> Grid {
    let mut grid = Grid::new(["site", "state", "made", "good until", "ended", "replaces the key", "id"]);
    for of in invitations {
        grid.row([
            of.site.to_string(),
            of.state.as_str().to_owned(),
            of.made_at.to_string(),
            of.expires_at.to_string(),
            of.ended_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            if of.replace { "yes" } else { "no" }.to_owned(),
            of.id.clone(),
        ]);
    }
    grid
}

impl UninviteArgs {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        exit(self.client.open().and_then(|(_, api)| {
            let withdrawn = api.uninvite(&self.site)?;
            print(&format!("the invitation of site {} is taken back\n", withdrawn.site))
        }))
    }
}

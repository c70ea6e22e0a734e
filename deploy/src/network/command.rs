//! `bocage network init|check|diff|render|status`: arguments, what each prints, and how it exits.
//!
//! `diff` exits as `diff` does: 0 nothing would change, 1 something would, 2 it could not be told.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bocage_coordinator::client::{Client, exit};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::counted::counted;
use bocage_protocol::env::Clock as _;
use bocage_protocol::front::with_lines;
use bocage_protocol::settings::Problems;
use clap::Args;

use super::rehearsal::rehearse;
use super::render::api_url;
use super::targets::{Target, rendered};
use super::update::{Changes, Edited};
use super::views::Views;
use super::{InitError, Network, Tree, TreeError, again, init, next_steps, steps};
use crate::cli::{fail, print};

/// `bocage network init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// What the network is to be
    file: PathBuf,
    /// The folder to make; one that an earlier `init` made is brought up to date, and keeps its keys
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also overwrite what was changed by hand since; what it was stays beside it, as FILE.old
    #[arg(long)]
    overwrite: bool,
}

/// `bocage network check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What the network is to be
    file: PathBuf,
}

/// `bocage network diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// What the network is to be
    file: PathBuf,
    /// The folder that `init` or `render` made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Compare with what `render` would write for this target, instead of what `init` would
    #[arg(long, value_enum)]
    target: Option<Target>,
}

/// `bocage network render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// What the network is to be
    file: PathBuf,
    /// The folder to write into; what is there already is brought up to date
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For what
    #[arg(long, value_enum, default_value_t = Target::All)]
    target: Target,
    /// Also overwrite what was changed by hand since; what it was stays beside it, as FILE.old
    #[arg(long)]
    overwrite: bool,
}

/// `bocage network status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    client: Client,
}

/// A network that its nodes would understand.
fn checked(file: &Path, out: Option<&Path>) -> Result<Network, Problems> {
    let name = file.display().to_string();
    let views = Views { file, out };
    let checked = Network::read(file).and_then(|network| rehearse(&network, &views).map(|_| network));
    // Where the text can still be read, each has its line.
    checked.map_err(|problems| match std::fs::read_to_string(file) {
        Ok(text) => with_lines(&text, &name, problems),
        Err(_) => problems,
    })
}

/// Whether something was made here before.
fn is_made(out: &Path) -> bool {
    out.join("ca/root.pem").exists() || out.join(super::update::MADE).exists()
}

fn failed(error: &InitError, code: u8) -> ExitCode {
    fail(&error.to_string(), error.hint(), code)
}

impl InitArgs {
    /// Does it.
    pub fn run(&self) -> ExitCode {
        let network = match checked(&self.file, Some(&self.out)) {
            Ok(network) => network,
            Err(problems) => return fail(&problems.to_string(), None, 1),
        };
        let (clock, mut entropy) = (SystemClock, SystemEntropy);
        if !is_made(&self.out) {
            return match init(&network, &self.out, &clock, &mut entropy) {
                Ok(()) => print(&next_steps(&network, &self.out)),
                Err(error) => failed(&error, 1),
            };
        }
        let made = again(&network, &self.out, &clock, &mut entropy);
        match made.and_then(|(tree, changes)| Ok((tree.update(&self.out, &changes, edited(self.overwrite))?, changes)))
        {
            Ok(((), changes)) => {
                let steps = steps::after(&network, &self.file, &self.out, &changes, edited(self.overwrite));
                print(&(said(&changes, edited(self.overwrite)) + &steps))
            }
            Err(error) => failed(&error, 1),
        }
    }
}

/// What becomes of files that a person changed.
fn edited(overwrite: bool) -> Edited {
    if overwrite { Edited::Overwrite } else { Edited::Keep }
}

/// What was done, file by file.
fn said(changes: &Changes, edited: Edited) -> String {
    let unchanged = changes.is_empty() && changes.written(edited).next().is_none();
    let nothing = if unchanged { "nothing has changed\n" } else { "" };
    changes.summary(edited) + nothing
}

impl CheckArgs {
    /// Does it.
    pub fn run(&self) -> ExitCode {
        match checked(&self.file, None) {
            Ok(network) => print(&summary(&network)),
            Err(problems) => fail(&problems.to_string(), None, 1),
        }
    }
}

/// A network in a few lines.
fn summary(network: &Network) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "{what:<15} {value}");
    };
    line("network", network.id.to_string());
    let tcp = network.tcp.as_ref().map(|tcp| format!(" and {tcp} (TCP)")).unwrap_or_default();
    line("coordinator", format!("sites dial {} (UDP){tcp}; people {}", network.quic, api_url(network)));
    line("contracts", network.contracts.iter().map(|c| c.contract.id().to_string()).collect::<Vec<_>>().join(" "));
    for body in &network.access_bodies {
        let key = body.key.map_or_else(|| "its key will be made".to_owned(), |key| key.to_string());
        line("access body", format!("{} ({key})", body.name));
    }
    line(
        "policy",
        format!(
            "threshold {} unless a site is stricter; {} at least",
            network.threshold(),
            counted(network.min_sites, "site")
        ),
    );
    let with_data = network.sites.iter().filter(|site| !site.datasets.is_empty()).count();
    line("sites", format!("{}, of which {with_data} with their datasets", network.sites.len()));
    text
}

impl DiffArgs {
    /// Does it.
    pub fn run(&self) -> ExitCode {
        let network = match checked(&self.file, Some(&self.out)) {
            Ok(network) => network,
            Err(problems) => return fail(&problems.to_string(), None, 2),
        };
        if !is_made(&self.out) {
            let nothing = format!("{} was made by neither `init` nor `render`", self.out.display());
            return fail(&nothing, Some("there is nothing to compare with yet: run one of them"), 2);
        }
        let changes = match self.target {
            None => again(&network, &self.out, &SystemClock, &mut SystemEntropy).map(|(_, changes)| changes),
            Some(target) => rendered(&network, target).changes(&self.out).map_err(InitError::from),
        };
        match changes {
            Ok(changes) if changes.is_empty() => print(&changes.unified()),
            Ok(changes) => match print(&changes.unified()) {
                ExitCode::SUCCESS => ExitCode::from(1),
                wrong => wrong,
            },
            Err(error) => failed(&error, 2),
        }
    }
}

impl RenderArgs {
    /// Does it.
    pub fn run(&self) -> ExitCode {
        let network = match checked(&self.file, Some(&self.out)) {
            Ok(network) => network,
            Err(problems) => return fail(&problems.to_string(), None, 1),
        };
        let tree = rendered(&network, self.target);
        match written(&tree, &self.out, self.overwrite) {
            Ok(said) => print(&said),
            Err(error) => failed(&error.into(), 1),
        }
    }
}

fn written(tree: &Tree, out: &Path, overwrite: bool) -> Result<String, TreeError> {
    if !is_made(out) {
        tree.write(out)?;
        return Ok(tree.files().fold(String::new(), |text, (path, _)| format!("{text}{}\n", path.display())));
    }
    let changes = tree.changes(out)?;
    tree.update(out, &changes, edited(overwrite))?;
    Ok(said(&changes, edited(overwrite)))
}

impl StatusArgs {
    /// Does it.
    pub fn run(&self) -> ExitCode {
        match self.client.standing() {
            Ok(standing) => print(&standing.show(SystemClock.now(), self.client.format)),
            Err(error) => exit(Err(error)),
        }
    }
}

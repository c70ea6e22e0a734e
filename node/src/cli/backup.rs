//! `bocage-node backup` and `restore`.

use std::path::PathBuf;

use bocage_keep::archive::look;
use bocage_keep::seal::{self, Identities, RECIPIENTS, Recipient};
use bocage_net::env::SystemClock;
use bocage_protocol::env::Clock as _;
use clap::{Args, Subcommand};

use super::OutputArgs;
use super::output::{Failure, Format, print, print_json};
use crate::backup;
use crate::config::{Config, Origin};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupArgs {
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE", required = true)]
    to: Option<PathBuf>,
    /// The public key (age1…) whose other half opens it; may be given several times
    #[arg(long, value_name = "KEY", required = true, value_parser = recipient)]
    recipient: Vec<Recipient>,
    /// Keep the snapshots, too. They hold patients' rows; without them new ones are taken, and studies under way must be run again
    #[arg(long)]
    with_snapshots: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Option<BackupCommand>,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Make a pair of keys for backups: write the secret half into a file, print the public one
    Keygen {
        /// The file for the secret half; take it off this machine afterwards
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Args)]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// The file with the secret half of the key that it was sealed to
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Where node.toml and what lies below its folder go
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    dir: Option<PathBuf>,
    /// Open the backup and hold all of it to its manifest, and restore nothing
    #[arg(long, conflicts_with_all = ["dir", "replace", "elsewhere"])]
    check: bool,
    /// Move what is there aside: it is kept beside its old place
    #[arg(long)]
    replace: bool,
    /// Also restore what belongs outside of DIR, by its absolute path
    #[arg(long)]
    elsewhere: bool,
    #[command(flatten)]
    output: OutputArgs,
}

fn recipient(text: &str) -> Result<Recipient, String> {
    text.parse().map_err(|error: seal::SealError| error.to_string())
}

/// Makes a backup, or keys for one.
///
/// # Errors
/// There is no backup then.
pub fn run(origin: &Origin, args: &BackupArgs) -> Result<(), Failure> {
    if let Some(BackupCommand::Keygen { out }) = &args.command {
        let recipient = seal::generate(out).map_err(said)?;
        return print(|text| writeln!(text, "{recipient}"));
    }
    let Some(to) = &args.to else { return Err(Failure::theirs("--to is missing")) };
    if args.recipient.len() > RECIPIENTS {
        return Err(Failure::theirs(format!("a backup is sealed to {RECIPIENTS} keys at most")));
    }
    let config = Config::load(origin)?;
    let now = SystemClock.now();
    let kept = backup::backup(&config, origin, to, &args.recipient, args.with_snapshots, now).map_err(said)?;
    let packed = &kept.packed;
    match args.output.format {
        Format::Text => print(|out| {
            writeln!(out, "{}: {} files, {} bytes, sealed, read back", to.display(), packed.files, packed.bytes)?;
            match kept.records {
                Some(records) => writeln!(out, "ledger   {records} records, whose chain holds")?,
                None => writeln!(out, "ledger   none yet")?,
            }
            writeln!(out, "sha256   {}", packed.sha256)
        }),
        _ => print_json(&serde_json::json!({
            "file": to, "bytes": packed.bytes, "files": packed.files, "sha256": packed.sha256, "records": kept.records,
        })),
    }
}

/// Puts a backup back, or looks whether that could be done.
///
/// # Errors
/// Everything is as before then.
pub fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let identities = Identities::read(&args.identity).map_err(said)?;
    let Some(dir) = &args.dir else {
        let manifest = look(&args.file, &identities).map_err(said)?;
        return match args.output.format {
            Format::Text => print(|out| {
                let about = &manifest.about;
                let of = about.site.as_deref().unwrap_or(&about.network);
                writeln!(
                    out,
                    "{}: whole; of the {} {of}, made at {}",
                    args.file.display(),
                    about.daemon,
                    about.made_at
                )?;
                manifest.files.iter().try_for_each(|file| writeln!(out, "{:>12}  {}", file.bytes, file.path))
            }),
            _ => print_json(&manifest),
        };
    };
    let now = SystemClock.now();
    let restored = backup::restore(&args.file, &identities, dir, args.replace, args.elsewhere, now).map_err(said)?;
    match args.output.format {
        Format::Text => print(|out| {
            let about = &restored.manifest.about;
            writeln!(out, "restored {} files of {}", restored.manifest.files.len(), about.made_at)?;
            for (was, is) in &restored.placed.aside {
                writeln!(out, "aside    {} is now {}", was.display(), is.display())?;
            }
            let Some(records) = restored.records else { return Ok(()) };
            let (config, site) = (restored.config.display(), about.site.as_deref().unwrap_or("SITE"));
            writeln!(
                out,
                "ledger   {records} records; it does not know what left after {}, so the node answers nothing yet:",
                about.made_at
            )?;
            writeln!(
                out,
                "         bocage checkpoint {site} > checkpoint.json      # where the coordinator is reached"
            )?;
            writeln!(out, "         bocage node run --config {config}")?;
            writeln!(out, "         bocage node ledger accept-restored --checkpoint checkpoint.json --config {config}")
        }),
        _ => print_json(&serde_json::json!({
            "about": restored.manifest.about, "files": restored.manifest.files.len(), "config": restored.config,
            "records": restored.records,
            "aside": restored.placed.aside.iter().map(|(was, is)| serde_json::json!({ "was": was, "is": is })).collect::<Vec<_>>(),
        })),
    }
}

/// An error whose text may hold a hint behind its message.
fn said(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    match text.split_once("\n  hint: ") {
        Some((message, hint)) => Failure::theirs(message).hint(hint),
        None => Failure::theirs(text),
    }
}

//! `bocage-coordinator backup` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use bocage_keep::archive::look;
use bocage_keep::seal::{self, Identities, RECIPIENTS, Recipient};
use bocage_protocol::env::Timestamp;
use clap::{Args, Subcommand};

use super::BackupError;
use crate::config::Config;
use crate::output::{print, say};

/// What `backup` is told, beside the configuration.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupArgs {
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE", required = true)]
    to: Option<PathBuf>,
    /// The public key (age1…) whose other half opens it; may be given several times
    #[arg(long, value_name = "KEY", required = true, value_parser = recipient)]
    recipient: Vec<Recipient>,
    #[command(subcommand)]
    command: Option<BackupCommand>,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Make a pair of keys for backups: write the secret half into a file, print the public one
    Keygen {
        /// The file for the secret half; take it off this machine afterwards
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// What `restore` is told.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// The file with the secret half of the key that it was sealed to
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Where coordinator.toml and what lies below its folder go
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
}

fn recipient(text: &str) -> Result<Recipient, String> {
    text.parse().map_err(|error: seal::SealError| error.to_string())
}

/// Runs `backup`.
pub fn backup(args: &BackupArgs, file: &std::path::Path, set: &[(String, String)], now: Timestamp) -> ExitCode {
    if let Some(BackupCommand::Keygen { out }) = &args.command {
        return match seal::generate(out) {
            Ok(recipient) => done(&format!("{recipient}\n")),
            Err(error) => failed(&error),
        };
    }
    let Some(to) = &args.to else { return failed(&"--to is missing") };
    if args.recipient.len() > RECIPIENTS {
        return failed(&format_args!("a backup is sealed to {RECIPIENTS} keys at most"));
    }
    let config = match Config::load(file, set) {
        Ok(config) => config,
        Err(problems) => return failed(&problems),
    };
    match super::backup(&config, file, set, to, &args.recipient, now) {
        Ok(packed) => done(&format!(
            "{}: {} files, {} bytes, sealed, read back\nsha256   {}\n",
            to.display(),
            packed.files,
            packed.bytes,
            packed.sha256
        )),
        Err(error) => failed(&error),
    }
}

/// Runs `restore`.
pub fn restore(args: &RestoreArgs, now: Timestamp) -> ExitCode {
    match restored(args, now) {
        Ok(text) => done(&text),
        Err(error) => failed(&error),
    }
}

fn restored(args: &RestoreArgs, now: Timestamp) -> Result<String, BackupError> {
    let identities = Identities::read(&args.identity)
        .map_err(|source| bocage_keep::archive::UnpackError::Seal { file: args.identity.clone(), source })?;
    let Some(dir) = &args.dir else {
        let manifest = look(&args.file, &identities)?;
        let about = &manifest.about;
        let head = format!(
            "{}: whole; of the {} of {}, made at {}\n",
            args.file.display(),
            about.daemon,
            about.network,
            about.made_at
        );
        return Ok(manifest
            .files
            .iter()
            .fold(head, |text, file| text + &format!("{:>12}  {}\n", file.bytes, file.path)));
    };
    let (manifest, placed) = super::restore(&args.file, &identities, dir, args.replace, args.elsewhere, now)?;
    let head = format!(
        "restored {} files of {}\nopen invitations are withdrawn; what was revoked since then is not any more: `bocage network revoke --again` revokes sites again, users and tokens are yours to revoke\n",
        manifest.files.len(),
        manifest.about.made_at
    );
    let aside = placed.aside.iter();
    Ok(aside.fold(head, |text, (was, is)| text + &format!("aside    {} is now {}\n", was.display(), is.display())))
}

fn done(text: &str) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format_args!("cannot write the answer: {error}")),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    say(format_args!("error: {error}"));
    ExitCode::from(1)
}

//! `bocage-node ledger verify`: whether the chain holds, and whether the ledger still is the one that somebody else remembers.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bocage_net::settings::unreadable;
use bocage_protocol::limits;
use bocage_protocol::trust::{KeptCheckpoints, PublicKey, SignedCheckpoint};

use super::{Failure, Format, open, print, print_csv, print_json};
use crate::config::Config;
use crate::config::environment::read_release_key;
use crate::custodian::ledger::{Ledger, Verified};

/// Recomputes the chain, and compares it with checkpoints that were kept elsewhere.
///
/// # Errors
/// Where it breaks or differs, or the ledger or a file cannot be read.
pub fn verify(config: &Config, checkpoints: &[PathBuf], format: Format) -> Result<(), Failure> {
    let kept = read_all(checkpoints)?;
    let ledger = open(config)?;
    let verified = holds(&ledger)?;
    let said = compare_all(config, &ledger, &kept).map_err(|(message, hint)| Failure::theirs(message).hint(hint))?;
    let (records, dropped) = (verified.records.to_string(), verified.dropped.to_string());
    match format {
        Format::Json => print_json(&serde_json::json!({
            "ok": true, "records": verified.records, "dropped_payloads": verified.dropped, "head": verified.head,
            "checkpoints": said,
        })),
        Format::Csv => print_csv(
            &["ok", "records", "dropped_payloads", "head"],
            [vec!["true".to_owned(), records, dropped, verified.head]],
        ),
        Format::Text => print(|out| {
            writeln!(out, "the chain of {records} records holds")?;
            if verified.dropped > 0 {
                writeln!(
                    out,
                    "of {dropped} the exact bytes were dropped by ledger.keep_payloads_days; their hashes fit"
                )?;
            }
            said.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            writeln!(out, "head {}", verified.head)
        }),
    }
}

/// Whether the chain holds, recomputed from its first record.
///
/// # Errors
/// Where it does not, or the ledger cannot be read.
pub(super) fn holds(ledger: &Ledger) -> Result<Verified, Failure> {
    ledger.verify()?.map_err(|broken| {
        let after =
            broken.last_good.map(|at| format!("; the last record that holds was written at {at}")).unwrap_or_default();
        Failure::theirs(format!("{broken}{after}"))
            .hint("the file was changed or damaged: keep it as it is, and compare it with a backup")
    })
}

/// What is wrong, and what to do about it.
pub(super) type Problem = (String, String);

/// The checkpoints of these files, by the files' names.
///
/// # Errors
/// Where a file cannot be read or holds none.
pub(super) fn read_all(files: &[PathBuf]) -> Result<Vec<(String, KeptCheckpoints)>, Failure> {
    files.iter().map(|file| Ok((file.display().to_string(), read(file)?))).collect()
}

/// Goes on with a ledger that is an older copy of itself: compared with these checkpoints, or knowing what was lost.
///
/// # Errors
/// Where a file holds none, or the node does not take the word.
pub fn accept_restored(config: &Config, files: &[PathBuf], knowing: bool, format: Format) -> Result<(), Failure> {
    let kept = read_all(files)?.into_iter().map(|(_, kept)| kept).collect();
    crate::cli::studies::accept_restored(config, kept, knowing, format)
}

/// What is to be said where the ledger fits them all.
///
/// # Errors
/// Where it does not.
pub(super) fn compare_all(
    config: &Config,
    ledger: &Ledger,
    kept: &[(String, KeptCheckpoints)],
) -> Result<Vec<String>, Problem> {
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let key = read_release_key(&config.release_key_file)
        .map_err(|(message, hint)| (format!("release.key_file: {message}"), hint.to_string()))?
        .public();
    let mut said = Vec::new();
    for (name, kept) in kept {
        said.extend(compare(config, ledger, &key, name, kept)?);
    }
    Ok(said)
}

/// Where a checkpoint comes from.
const CHECKPOINT: &str = "`bocage checkpoint SITE > FILE` writes one, on a machine that reaches the coordinator";

/// What `bocage checkpoint SITE` wrote, or a single checkpoint.
fn read(file: &Path) -> Result<KeptCheckpoints, Failure> {
    let name = file.display();
    let mut bytes = Vec::new();
    let limit = limits::CHECKPOINT_FILE_BYTES as u64 + 1;
    File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(|error| {
        Failure::theirs(format!("cannot read {name}: {}", unreadable(error.kind()))).hint(CHECKPOINT)
    })?;
    let single = || {
        serde_json::from_slice::<SignedCheckpoint>(&bytes).map(|newest| KeptCheckpoints { newest, contradiction: None })
    };
    serde_json::from_slice(&bytes)
        .or_else(|_| single())
        .map_err(|_| Failure::theirs(format!("{name} holds no checkpoint")).hint(CHECKPOINT))
}

fn compare(
    config: &Config,
    ledger: &Ledger,
    key: &PublicKey,
    name: &str,
    kept: &KeptCheckpoints,
) -> Result<Vec<String>, Problem> {
    for signed in kept.all() {
        if signed.checkpoint.site != config.site {
            let message =
                format!("{name}: the checkpoint is of site {}, this is {}", signed.checkpoint.site, config.site);
            return Err((message, format!("`bocage checkpoint {}` writes this site's", config.site)));
        }
        let checkpoint = signed.verify(key).map_err(|error| {
            let hint =
                "it was altered, or made before this site got a new release key: it proves nothing about this ledger";
            (format!("{name}: {error}"), hint.to_owned())
        })?;
        let fits = ledger
            .fits(checkpoint)
            .map_err(|error| (error.to_string(), "run the command as the node's own user".to_owned()))?;
        fits.map_err(|differs| {
            let hint = "this site's own release key signed that checkpoint: stop the node, keep the file as it is, and find out who put a backup back or cut the ledger";
            (format!("{name}: {differs}"), hint.to_owned())
        })?;
    }
    let newest = &kept.newest.checkpoint;
    let mut said = vec![format!(
        "it has all {} records that it had at {}, and the release that left then; what was written later has no witness in this file",
        newest.records, newest.at
    )];
    if kept.contradiction.is_some() {
        said.push("the coordinator warns of two checkpoints that do not fit each other, but this ledger has both: the node's clock was set back between them".to_owned());
    }
    Ok(said)
}

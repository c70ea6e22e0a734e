//! `bocage-node ledger verify`: whether the chain holds, and whether the ledger still is the one that somebody else remembers.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bocage_net::settings::unreadable;
use bocage_protocol::limits;
use bocage_protocol::trust::{KeptCheckpoints, PublicKey, SignedCheckpoint};

use super::{Failure, Format, open, print, print_csv, print_json, unusable};
use crate::config::Config;
use crate::config::environment::read_release_key;
use crate::custodian::ledger::Ledger;

/// Recomputes the chain, and compares it with checkpoints that were kept elsewhere.
///
/// # Errors
/// Where it breaks or differs, or the ledger or a file cannot be read.
pub fn verify(config: &Config, checkpoints: &[PathBuf], format: Format) -> Result<(), Failure> {
    let kept = checkpoints.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let ledger = open(config)?;
    let verified = ledger.verify().map_err(unusable)?.map_err(|broken| {
        let after =
            broken.last_good.map(|at| format!("; the last record that holds was written at {at}")).unwrap_or_default();
        Failure::theirs(format!("{broken}{after}"))
            .hint("the file was changed or damaged: keep it as it is, and compare it with a backup")
    })?;
    let mut said = Vec::new();
    if !kept.is_empty() {
        let key = release_key(config)?;
        for (file, kept) in checkpoints.iter().zip(&kept) {
            said.extend(compare(config, &ledger, &key, file, kept)?);
        }
    }
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

fn release_key(config: &Config) -> Result<PublicKey, Failure> {
    let key = read_release_key(&config.release_key_file)
        .map_err(|(message, hint)| Failure::theirs(format!("release.key_file: {message}")).hint(hint))?;
    Ok(key.public())
}

/// What `bocage checkpoint SITE` wrote, or a single checkpoint.
fn read(file: &Path) -> Result<KeptCheckpoints, Failure> {
    let name = file.display();
    let mut bytes = Vec::new();
    let limit = limits::CHECKPOINT_FILE_BYTES as u64 + 1;
    File::open(file)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| Failure::theirs(format!("cannot read {name}: {}", unreadable(error.kind()))))?;
    let single = || {
        serde_json::from_slice::<SignedCheckpoint>(&bytes).map(|newest| KeptCheckpoints { newest, contradiction: None })
    };
    serde_json::from_slice(&bytes).or_else(|_| single()).map_err(|_| {
        Failure::theirs(format!("{name} holds no checkpoint"))
            .hint("`bocage checkpoint SITE > FILE` writes one, on a machine that reaches the coordinator")
    })
}

/// What is to be said where the ledger fits.
fn compare(
    config: &Config,
    ledger: &Ledger,
    key: &PublicKey,
    file: &Path,
    kept: &KeptCheckpoints,
) -> Result<Vec<String>, Failure> {
    let name = file.display();
    for signed in kept.all() {
        if signed.checkpoint.site != config.site {
            let message =
                format!("{name}: the checkpoint is of site {}, this is {}", signed.checkpoint.site, config.site);
            return Err(
                Failure::theirs(message).hint(format!("`bocage checkpoint {}` writes this site's", config.site))
            );
        }
        let checkpoint = signed.verify(key).map_err(|error| {
            Failure::theirs(format!("{name}: {error}")).hint(
                "it was altered, or made before this site got a new release key: it proves nothing about this ledger",
            )
        })?;
        ledger.fits(checkpoint).map_err(unusable)?.map_err(|differs| {
            Failure::theirs(format!("{name}: {differs}")).hint(
                "this site's own release key signed that checkpoint: stop the node, keep the file as it is, and find out who put a backup back or cut the ledger",
            )
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

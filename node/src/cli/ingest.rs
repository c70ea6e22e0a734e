//! `bocage-node ingest DATASET`: the process that reads a source. The supervisor starts it by schedule, a person by hand (`datasets refresh`): it is the same
//! process then, in the same sandbox, and a person sees how far it is.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::children::{clock, make_private_dir, unconfined};
use super::datasets::{find, shown, split_hint};
use super::output::{Failure, Format, warn};
use super::running::differs;
use super::warnings;
use crate::config::environment::read_release_key;
use crate::config::{Config, Dataset};
use crate::custodian::optout::{IdForm, IdKey, identified};
use crate::custodian::others::Others;
use crate::custodian::snapshot::{Manifest, Progress};
use crate::custodian::{Switches, engine};
use crate::ingest::progress::Line;
use crate::ingest::{Ingest, Why};
use crate::sandbox::{Process, Sandbox};

/// Takes a snapshot for the supervisor, or for nobody in particular.
///
/// # Errors
/// Where the source or the disk fail. The snapshot before stays in use.
pub(super) fn run(config: Config, name: &str, why: Why, switches: &Switches) -> Result<(), Failure> {
    let dataset = find(&config, name)?.clone();
    let taken = take(config, &dataset, why, switches)?;
    let (rows, snapshot) = (taken.rows, taken.content.short());
    tracing::info!(dataset = dataset.name, rows, snapshot, "took a snapshot");
    for (what, _) in warnings::of(&taken) {
        tracing::warn!(dataset = dataset.name, "{what}; `bocage node check` says what to do about it");
    }
    Ok(())
}

/// Takes a snapshot for a person, and prints what was found.
///
/// # Errors
/// As [`run`].
pub(super) fn refresh(config: Config, name: &str, format: Format, switches: &Switches) -> Result<(), Failure> {
    let dataset = find(&config, name)?.clone();
    make_private_dir(&config.state.0)?;
    // The node provides the key once it has run; before that a person's command does.
    if identified(&config.custodian(), &dataset) && !config.state.ids_key().exists() {
        let key = read_release_key(&config.release_key_file)
            .map_err(|(message, hint)| Failure::theirs(message).hint(hint))?;
        IdKey::of(&key).provide(&config.state.ids_key()).map_err(Failure::theirs)?;
    }
    let (differs, file) = (differs(&config.state, &dataset), config.file.clone());
    let manifest = take(config, &dataset, Why::Refresh, switches)?;
    shown(&manifest, format)?;
    warnings::of(&manifest).iter().for_each(|(what, hint)| warn(what, hint.as_deref()));
    if differs {
        warn(
            &format!("the running node has other settings of {name} than {file}, and cannot use this snapshot"),
            Some("restart the node, so that it reads the file again"),
        );
    }
    Ok(())
}

/// Gives up what reading a source does not need, and reads it.
fn take(config: Config, dataset: &Dataset, why: Why, switches: &Switches) -> Result<Manifest, Failure> {
    // What it reads of secrets it reads now: none of them is in its reach later.
    let form = if identified(&config.custodian(), dataset) {
        let key = IdKey::read(&config.state.ids_key()).map_err(|error| {
            Failure::theirs(error)
                .hint("the node writes this key when it starts, and `datasets refresh` does before that")
        })?;
        Some(IdForm::with(config.optouts.as_ref(), key).map_err(Failure::theirs)?)
    } else {
        None
    };
    let folder = config.state.snapshots().join(&dataset.name);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| {
        Failure::theirs(format!("cannot make {}: {}", folder.display(), e.kind()))
            .hint("run the command as the node's own user")
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one does not wait.
        flag::register_conditional_default(signal, Arc::clone(&stop)).map_err(Failure::ours)?;
        flag::register(signal, Arc::clone(&stop)).map_err(Failure::ours)?;
    }
    let _ = engine::cores();
    let others = Others::of(&config.custodian(), dataset, form.as_ref());
    let process = if dataset.spec.source.remote().is_some() { Process::RemoteIngest } else { Process::Ingest };
    let sandbox = Sandbox::begin(process, &config, Some(dataset), switches).map_err(unconfined)?;
    // Polars and the driver of a database make runtimes, which wake themselves by a pair of sockets that all of a process share: it is made now.
    let shared = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::ours)?;
    let sealed = sandbox.seal().map_err(unconfined)?;
    let (form, others) = (form.as_ref(), &others);
    let ingest = Ingest { state: &config.state, rules: config.snapshots, dataset, form, others, size: switches.size };
    let line = Line::new(&dataset.name);
    let loose = RefCell::new(None);
    let taken = ingest.run(why, clock(switches).now(), &|progress| {
        // It is connected by now, and has seen no row.
        if progress == Progress::Begun
            && let Err(error) = sealed.hang_up()
        {
            loose.replace(Some(error));
            return false;
        }
        line.show(progress);
        if let Some(ingesting) = &switches.ingesting {
            ingesting(progress);
        }
        !stop.load(Ordering::Relaxed)
    });
    line.clear();
    drop(shared);
    if let Some(error) = loose.take() {
        return Err(unconfined(error));
    }
    taken.map_err(|error| split_hint(&error.to_string()))
}

//! Agent, custodian, ingest and herald as units of the machine, each started again by a service manager instead of the supervisor, under the
//! users that it chose.
//!
//! What the supervisor is told through a pipe stands in files then, in folders beside the socket, and each unit takes what is its own:
//!
//! ```text
//! custodian ──run/due/DATASET──▶ ingest --due       one process for each dataset, one after another
//!           ──run/pending/STUDY─▶ herald            the steward is told
//!           ──STATE/overran─────▶ itself, when it is started again after a query that took too long
//! ```
//! A query cannot be stopped from inside: the custodian ends itself, and is started again.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bocage_daemon::log::Form;
use bocage_daemon::notify::Notify;
use clap::Args;

use super::children::{OTHER_NODE, lock};
use super::environment;
use super::logging;
use super::output::Failure;
use crate::config::{Config, Dataset, Origin, StateDir};
use crate::custodian::others::in_order;
use crate::custodian::source::is_dataset_name;
use crate::custodian::{Progress, Report, Switches};
use crate::herald;
use crate::ingest::Why;
use crate::supervisor::process::Reexec;
use crate::supervisor::report::{REPORT_BYTES, pending_report};

/// How often a unit that does not end looks whether something is due.
const LOOK: Duration = Duration::from_secs(2);
/// What a custodian ends with whose query took too long: a failure that goes away by itself (`EX_TEMPFAIL`).
const OVERRAN: i32 = 75;
/// What a service manager says to a unit, beside what a child gets of the environment.
const OF_THE_MANAGER: &[&str] = &["NOTIFY_SOCKET", "WATCHDOG_"];

/// How one of the node's own processes is started.
#[derive(Args)]
pub(super) struct ChildArgs {
    /// The supervisor's process
    #[arg(long, hide = true)]
    pub(super) parent: Option<u32>,
    /// The attempt for which the last custodian was ended
    #[arg(long, hide = true)]
    pub(super) overran: Option<u64>,
    /// A unit of its own, with the environment that a child would have
    #[arg(long, hide = true, conflicts_with = "parent")]
    alone: bool,
}

impl ChildArgs {
    /// Whether a person or a service manager started it, with their own environment.
    pub(super) fn begins(&self) -> bool {
        self.parent.is_none() && !self.alone
    }
}

/// Becomes the process that the supervisor would have started as a child: in the same environment, with nothing that was meant for others.
pub(super) fn begin(
    command: &str,
    reexec: &Reexec,
    options: Vec<std::ffi::OsString>,
    switches: &Switches,
) -> Result<(), Failure> {
    let also: Vec<String> =
        OF_THE_MANAGER.iter().map(|&name| name.to_owned()).chain(switches.environment.clone()).collect();
    let mut again = Command::new(&reexec.exe);
    again.env_clear().envs(environment::of_children(&also));
    let error = again.args(&reexec.prefix).arg(command).args(options).arg("--alone").exec();
    Err(Failure::ours(format!("this program cannot start itself again: {error}")))
}

/// What a custodian that is a unit of its own has in place of a supervisor.
pub(super) struct Alone {
    state: StateDir,
    notify: Arc<Notify>,
    _node: File,
}

impl Alone {
    /// Takes the node's lock, and provides the folders that other units look into.
    pub(super) fn begin(state: &StateDir) -> Result<Self, Failure> {
        let node = lock(&state.lock(), OTHER_NODE)?;
        for folder in [state.due(), state.pending()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| {
                Failure::theirs(format!("cannot make {}: {}", folder.display(), e.kind()))
                    .hint("run_dir must be a folder in which the custodian's user may write")
            })?;
        }
        Ok(Self { state: state.clone(), notify: Arc::new(Notify::from_env()), _node: node })
    }

    /// The attempt for which the last custodian ended itself. A note that is read twice harms nobody: it counts for that attempt alone.
    pub(super) fn overran(&self) -> Option<u64> {
        fs::read_to_string(self.state.overran()).ok()?.trim().parse().ok()
    }

    /// Writes down what others have to do, and ends this process when a query takes too long. It starts a thread.
    pub(super) fn report(&self) -> Report {
        let (state, notify) = (self.state.clone(), Arc::clone(&self.notify));
        let (queries, told) = mpsc::channel();
        let note = state.overran();
        std::thread::spawn(move || watch(&told, &note));
        Arc::new(move |progress| {
            let written = match progress {
                Progress::Working { attempt, limit } => {
                    let _ = queries.send(Some((attempt, Instant::now() + limit)));
                    Ok(())
                }
                Progress::Idle => {
                    let _ = queries.send(None);
                    Ok(())
                }
                Progress::Beat => {
                    beat(&notify);
                    Ok(())
                }
                Progress::Due { dataset, why } => leave(&state.due().join(&dataset), why.as_str()),
                Progress::Pending { study, title } => {
                    leave(&state.pending().join(study.to_string()), &pending_report(&study, &title))
                }
            };
            if let Err(error) = written {
                tracing::error!(%error, "another unit cannot be told what is due");
            }
        })
    }
}

/// Says to a service manager that this unit is up and its loop turns. It takes the first of these words once.
pub(super) fn beat(notify: &Notify) {
    notify.ready();
    notify.alive();
}

/// Waits for the query that takes too long.
fn watch(told: &mpsc::Receiver<Option<(u64, Instant)>>, note: &Path) {
    let mut query: Option<(u64, Instant)> = None;
    loop {
        query = match query {
            None => match told.recv() {
                Ok(next) => next,
                Err(mpsc::RecvError) => return,
            },
            Some((attempt, until)) => match told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(next) => next,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Err(error) = leave(note, &attempt.to_string()) {
                        tracing::error!(%error, "it cannot be written down that a query took too long");
                    }
                    tracing::warn!(attempt, "its query takes longer than policy.query_secs: the custodian ends itself");
                    #[expect(clippy::disallowed_methods, reason = "the query holds a thread that nothing else ends")]
                    std::process::exit(OVERRAN);
                }
            },
        };
    }
}

/// Writes a small file whole or not at all.
fn leave(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_file_name(format!(".{}", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// The files of a folder, by name, without those that are still being written. A folder that is not there yet is empty.
fn left_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| !name(path).starts_with('.')).collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Takes a file's text away: what comes meanwhile is a new file.
fn take(path: &Path) -> Result<String, Failure> {
    let text = File::open(path).and_then(|file| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, REPORT_BYTES as u64), &mut text)?;
        Ok(text)
    });
    fs::remove_file(path).map_err(|e| {
        Failure::theirs(format!("cannot remove {}: {}", path.display(), e.kind()))
            .hint("this unit must run as the custodian's user")
    })?;
    Ok(text.unwrap_or_default())
}

/// Takes the snapshots that are due, each by a process of its own: a sandbox is for one source.
pub(super) fn ingests(
    origin: &Origin,
    log: Option<Form>,
    reexec: &Reexec,
    options: &[std::ffi::OsString],
    switches: &Switches,
    watch: bool,
) -> Result<(), Failure> {
    let config = Config::load(origin)?;
    logging::of_daemon(&config.log, log, "ingest");
    let environment = environment::of_children(&switches.environment);
    loop {
        let mut due = left_in(&config.state.due());
        due.sort_by_key(|file| turn(&config.datasets, &name(file)));
        for file in &due {
            let (dataset, why) = (name(file), take(file)?);
            let Some(why) = Why::parse(why.trim()).filter(|_| is_dataset_name(&dataset)) else {
                tracing::warn!(file = %file.display(), "it does not name a dataset that is due");
                continue;
            };
            let mut ingest = Command::new(&reexec.exe);
            ingest.env_clear().envs(environment.iter().map(|(name, value)| (name, value))).args(&reexec.prefix);
            ingest.arg("ingest").args(options).arg("--why").arg(why.as_str()).arg(&dataset);
            ingest.arg("--parent").arg(std::process::id().to_string());
            let ended = ingest.stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(Failure::ours)?;
            if !ended.success() {
                tracing::warn!(dataset, status = %ended, "ended: the snapshot before, if there is one, stays in use");
            }
        }
        if !goes_on(due.is_empty(), watch) {
            return Ok(());
        }
    }
}

/// When a dataset's turn comes: behind those that its rules look into.
fn turn(datasets: &BTreeMap<String, Dataset>, name: &str) -> usize {
    in_order(datasets).iter().take_while(|dataset| dataset.name != name).count()
}

/// Tells the steward of the studies that wait since the last time.
pub(super) fn herald(origin: &Origin, log: Option<Form>, watch: bool) -> Result<(), Failure> {
    let config = Config::load(origin)?;
    logging::of_daemon(&config.log, log, "herald");
    loop {
        let pending = left_in(&config.state.pending());
        for file in &pending {
            let line = take(file)?;
            herald::run(&mut line.as_bytes(), &config.steward, &config.site).map_err(Failure::ours)?;
        }
        if !goes_on(pending.is_empty(), watch) {
            return Ok(());
        }
    }
}

/// Whether to look into the folder again, with a pause where nothing was in it. Nobody tells of a new file here: where a service manager watches the
/// folder, nothing is run with `watch`.
fn goes_on(empty: bool, watch: bool) -> bool {
    if empty && watch {
        std::thread::park_timeout(LOOK);
    }
    !empty || watch
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::ids::Digest;

    fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir(dir.path().to_owned(), Some(dir.path().join("sockets")));
        (dir, state)
    }

    #[test]
    fn what_other_units_have_to_do_stands_in_files_that_each_takes_once() {
        let (_dir, state) = state();
        let alone = Alone::begin(&state).unwrap();
        let report = alone.report();
        for dataset in ["heart", "lung", "heart"] {
            report(Progress::Due { dataset: dataset.to_owned(), why: Why::Schedule });
        }
        let study = Digest::of("study", &[]);
        report(Progress::Pending { study, title: "Hearts".to_owned() });
        let due = left_in(&state.due());
        assert_eq!(due.iter().map(|file| name(file)).collect::<Vec<_>>(), ["heart", "lung"]);
        assert_eq!(take(&due[0]).unwrap(), Why::Schedule.as_str());
        assert_eq!(left_in(&state.due()).len(), 1);
        let pending = left_in(&state.pending());
        assert_eq!(take(&pending[0]).unwrap(), pending_report(&study, "Hearts"));
    }

    #[test]
    fn a_second_custodian_or_node_on_the_same_state_is_refused() {
        let (_dir, state) = state();
        let first = Alone::begin(&state).unwrap();
        assert!(Alone::begin(&state).is_err());
        drop(first);
        assert!(Alone::begin(&state).is_ok());
    }

    #[test]
    fn a_note_of_a_query_that_took_too_long_is_found_at_the_next_start() {
        let (_dir, state) = state();
        let alone = Alone::begin(&state).unwrap();
        assert_eq!(alone.overran(), None);
        leave(&state.overran(), "7").unwrap();
        assert_eq!(alone.overran(), Some(7));
    }
}

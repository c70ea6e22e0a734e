//! The three processes of a running node: the supervisor, and the two children that it starts. Each gets its own view of the
//! configuration and nothing else.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bocage_daemon::log::Form;
use bocage_daemon::notify::Notify;
use bocage_daemon::process::Process as OwnProcess;
use bocage_daemon::status::{self, Door, Watched, bind_private, unbind};
use bocage_net::Identities;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::env::Clock;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::environment;
use super::logging;
use super::output::Failure;
use super::reload::Reload;
use super::running;
use super::units::{self, Alone};
use crate::agent::{Agent, Presence, Upkeep, session_config};
use crate::config::environment::{read_identity, read_release_key};
use crate::config::{Config, Depth, Origin, StateDir};
use crate::custodian::desk::people::learn_users;
use crate::custodian::ledger::Ledger;
use crate::custodian::optout::IdKey;
use crate::custodian::server::Server;
use crate::custodian::watched::Status;
use crate::custodian::{Custodian, Progress, Report, Switches, engine};
use crate::herald;
use crate::sandbox::{self, Process, Sandbox, SandboxError};
use crate::supervisor::herald::Herald;
use crate::supervisor::process::{self, Launch, Life, Reexec, die_with};
use crate::supervisor::report::{IDLE_REPORT, beat_report, due_report, pending_report, working_report};

/// How long a query may go on of a node that is to stop now.
const HURRY: Duration = Duration::from_secs(3);
/// Why a node does not start whose state another one has.
pub(super) const OTHER_NODE: &str = "another node runs on this state directory";
/// How long a stopping agent waits until the coordinator has been told.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs a node until a signal to stop.
///
/// # Errors
/// Where the configuration has problems, or another node runs on the same state.
pub fn supervise(
    origin: &Origin,
    log: Option<Form>,
    reexec: &Reexec,
    options: Vec<OsString>,
    switches: &Switches,
) -> Result<(), Failure> {
    let config = Config::check(origin, Depth::ToStart, SystemClock.now())?;
    let level = logging::of_daemon(&config.log, log, "supervisor");
    let notify = Notify::from_env();
    make_private_dir(&config.state.0)?;
    let _lock = lock(&config.state.lock(), OTHER_NODE)?;
    tracing::info!(site = %config.site, network = %config.network, coordinator = config.coordinator.in_words(), "node starts");
    let environment = environment::of_children(&switches.environment);
    // Before anything that its children could not undo: the herald reaches what this process gives up.
    let herald =
        config.steward.is_told().then(|| Herald::start(reexec, &options)).transpose().map_err(Failure::ours)?;
    Sandbox::begin(Process::Supervisor, &config, None, switches).and_then(Sandbox::seal).map_err(unconfined)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::ours)?;
    let stop_within = Duration::from_secs(u64::from(config.stop_secs));
    let state = config.state.clone();
    let mut reload = Reload::of(origin.clone(), config, level);
    let life = Life { herald, notify, stop_within, reload: Box::new(move || reload.again()) };
    let launch = Launch { reexec, options: &options, environment: &environment };
    runtime.block_on(process::run(launch, life)).map_err(Failure::ours)?;
    // The agent may not remove its own, and neither could where it was killed.
    for process in ["agent", "custodian"] {
        unbind(&state.status_socket(process));
    }
    tracing::info!("node stopped");
    Ok(())
}

/// The herald's process.
///
/// # Errors
/// Where the configuration is of no use, or the supervisor cannot be heard.
pub fn herald(origin: &Origin, log: Option<Form>, parent: u32, switches: &Switches) -> Result<(), Failure> {
    die_with(parent).map_err(Failure::theirs)?;
    let config = Config::load(origin)?;
    logging::of_daemon(&config.log, log, "herald");
    let process = if config.steward.notify_command.is_empty() { Process::Herald } else { Process::CommandHerald };
    Sandbox::begin(process, &config, None, switches).and_then(Sandbox::seal).map_err(unconfined)?;
    // What the herald may not know goes out of scope here.
    let (steward, site) = (config.steward.clone(), config.site.clone());
    drop(config);
    herald::run(&mut std::io::stdin().lock(), &steward, &site).map_err(Failure::ours)
}

/// The agent's process. Without a parent it is a unit of its own.
///
/// # Errors
/// Where configuration or certificate are of no use.
pub fn agent(origin: &Origin, log: Option<Form>, parent: Option<u32>, switches: Switches) -> Result<(), Failure> {
    parent.map_or(Ok(()), die_with).map_err(Failure::theirs)?;
    let config = Config::load(origin)?;
    logging::of_daemon(&config.log, log, "agent");
    let notify = parent.is_none().then(Notify::from_env);
    if !config.state.shares_run() {
        make_private_dir(&config.state.0)?;
    }
    let door = status_door(&config.state, "agent")?;
    let this = OwnProcess::this();
    let sandbox = Sandbox::begin(Process::Agent, &config, None, &switches).map_err(unconfined)?;
    // What the agent may not know goes out of scope here.
    let config = config.agent();
    let identity = read_identity(&config.tls)
        .map_err(|(key, message, hint)| Failure::theirs(format!("{key}: {message}")).hint(hint))?;
    let (identities, clock) = (Identities::new(identity), clock(&switches));
    let ways = config
        .coordinator
        .ways(&identities, &clock)
        .map_err(|(key, message, hint)| Failure::theirs(format!("{key}: {message}")).hint(hint))?;
    let beat = move |session| match &notify {
        Some(notify) => units::beat(notify),
        None => say(beat_report(session)),
    };
    let presence = Presence::new(this, Arc::clone(&clock), Box::new(beat));
    let presence = Arc::new(presence.certified_by(identities.clone()));
    let (tell, told) = mpsc::channel(1);
    let (site, tls, now) = (config.site.clone(), config.tls.clone(), clock.now());
    let upkeep = Upkeep::new(site, tls, identities, told, now, &mut SystemEntropy);
    let way_back_secs = config.coordinator.quic_again_secs;
    let agent = Agent::new(session_config(&config), ways, config.socket, clock, Box::new(SystemEntropy));
    let agent = agent.with(upkeep).watched(Arc::clone(&presence)).coming_back_after(way_back_secs);
    let runtime = child_runtime()?;
    runtime.block_on(async {
        let mut stop = graces(HURRY)?;
        let door = Door::Unix(UnixListener::from_std(door).map_err(Failure::ours)?);
        let _hearing = JoinSet::from_iter([hear_hangups(tell)]);
        sandbox.seal().map_err(unconfined)?;
        let looking = tokio::spawn(status::serve(door, presence as Arc<dyn Watched>));
        let stop = async move {
            let _ = stop.recv().await;
        };
        if let Some(link) = agent.run(stop).await {
            let _ = tokio::time::timeout(FAREWELL, link.drained()).await;
        }
        looking.abort();
        Ok(())
    })
}

/// Passes on that everything is to be looked at anew.
async fn hear_hangups(tell: mpsc::Sender<()>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        // One that waits already is enough.
        let _ = tell.try_send(());
    }
}

/// The custodian's process. `overran` is the attempt for which its predecessor was ended. Without a parent it is a unit of its own.
///
/// # Errors
/// Where configuration, release key, ledger or socket are of no use.
pub fn custodian(
    origin: &Origin,
    log: Option<Form>,
    parent: Option<u32>,
    overran: Option<u64>,
    switches: Switches,
) -> Result<(), Failure> {
    parent.map_or(Ok(()), die_with).map_err(Failure::theirs)?;
    let config = Config::load(origin)?;
    logging::of_daemon(&config.log, log, "custodian");
    let this = OwnProcess::this();
    let stop_within = Duration::from_secs(u64::from(config.stop_secs));
    make_private_dir(&config.state.0)?;
    // Where a quota says how many cores there are, its files are out of reach later.
    let _ = engine::cores();
    learn_users();
    let alone = parent.is_none().then(|| Alone::begin(&config.state)).transpose()?;
    let sandbox = Sandbox::begin(Process::Custodian, &config, None, &switches).map_err(unconfined)?;
    let config = config.custodian();
    let lock = lock(&config.state.custodian_lock(), "another custodian runs on this state directory")?;
    let door = status_door(&config.state, "custodian")?;
    running::declare(&lock, &config);
    let key = read_release_key(&config.release_key_file)
        .map_err(|(message, hint)| Failure::theirs(format!("release.key_file: {message}")).hint(hint))?;
    if let Err(error) = IdKey::of(&key).provide(&config.state.ids_key()) {
        tracing::error!(%error, "no ingest can make tokens of patients");
    }
    let ledger = Ledger::open(&config.state.ledger())?;
    let (state, steward) = (config.state.clone(), config.steward.clone());
    let clock = clock(&switches);
    let overran = overran.or_else(|| alone.as_ref()?.overran());
    let report = alone.as_ref().map_or_else(report_to_supervisor, Alone::report);
    let custodian = Custodian::new(config, ledger, key, clock, report, switches);
    custodian.recover(overran).map_err(Failure::theirs)?;
    let runtime = child_runtime()?;
    let served = runtime.block_on(async {
        let stop = graces(stop_within)?;
        let server = Server::bind(&state, &steward).map_err(Failure::theirs)?;
        let door = Door::Unix(UnixListener::from_std(door).map_err(Failure::ours)?);
        let custodian = Arc::new(custodian);
        let server = server.watched_at(door, Arc::new(Status::new(Arc::clone(&custodian), this)));
        // All sockets are bound: from here on there can be no other.
        sandbox.seal().map_err(unconfined)?;
        server.run(custodian, stop).await.map_err(Failure::ours)
    });
    unbind(&state.status_socket("custodian"));
    // A query that is still running cannot be stopped: it ends with the process.
    runtime.shutdown_background();
    served
}

/// A process that cannot be confined does not start.
pub(super) fn unconfined(error: SandboxError) -> Failure {
    Failure::theirs(error).hint(sandbox::OVERRIDE)
}

pub(super) fn clock(switches: &Switches) -> Arc<dyn Clock> {
    switches.clock.clone().unwrap_or_else(|| Arc::new(SystemClock))
}

fn child_runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::ours)
}

/// Where a process shows how it is. Bound before its sandbox, which lets it bind nothing.
fn status_door(state: &StateDir, process: &str) -> Result<std::os::unix::net::UnixListener, Failure> {
    let path = state.status_socket(process);
    let bound = bind_private(&path).and_then(|door| {
        // In a folder of the machine's, its group looks at both units.
        let mode = fs::Permissions::from_mode(0o660);
        if state.shares_run() { fs::set_permissions(&path, mode).map(|()| door) } else { Ok(door) }
    });
    bound.map_err(|e| Failure::theirs(format!("cannot listen on {}: {e}", path.display())))
}

/// How long what is under way may take, each time that the supervisor asks this process to stop: `usual`, or little. An interrupt from the
/// terminal reaches all three processes; the children leave it to the supervisor.
fn graces(usual: Duration) -> Result<mpsc::Receiver<Duration>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::ours)?;
    let mut quit = signal(SignalKind::quit()).map_err(Failure::ours)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::ours)?;
    // One of a terminal that was closed neither.
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::ours)?;
    let (sender, graces) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            let grace = tokio::select! {
                _ = terminate.recv() => usual,
                _ = quit.recv() => HURRY,
                _ = interrupt.recv() => continue,
                _ = hangup.recv() => continue,
            };
            if sender.send(grace).await.is_err() {
                return;
            }
        }
    });
    Ok(graces)
}

/// Reports go through standard output, which is a pipe to the supervisor.
fn report_to_supervisor() -> Report {
    Arc::new(|progress| {
        let line = match progress {
            Progress::Working { attempt, limit } => {
                working_report(attempt, u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
            }
            Progress::Idle => IDLE_REPORT.to_owned(),
            Progress::Beat => beat_report(false).to_owned(),
            Progress::Due { dataset, why } => due_report(&dataset, why),
            Progress::Pending { study, title } => pending_report(&study, &title),
        };
        say(&line);
    })
}

pub(super) fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // The supervisor's death ends this process anyway.
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

pub(super) fn make_private_dir(path: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| {
        Failure::theirs(format!("cannot make the state directory {}: {}", path.display(), e.kind()))
            .hint("the node's user must be able to write there; state_dir in node.toml names another place")
    })
}

/// Takes an exclusive lock that lives as long as the file is held, whatever ends the process.
pub(super) fn lock(path: &Path, taken: &str) -> Result<File, Failure> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.map_err(|e| Failure::theirs(format!("cannot open {}: {}", path.display(), e.kind())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::theirs(format!("{taken} ({})", path.display()))
            .hint("stop the other one first, or give this node a state_dir of its own")),
        Err(TryLockError::Error(e)) => Err(Failure::theirs(format!("cannot lock {}: {}", path.display(), e.kind()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_on_the_same_state_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.lock");
        let first = lock(&path, "taken").unwrap();
        assert!(lock(&path, "taken").is_err());
        drop(first);
        assert!(lock(&path, "taken").is_ok());
    }
}

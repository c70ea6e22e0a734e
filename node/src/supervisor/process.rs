//! Carries out what the [`Supervisor`] decides: starts the children, reads their reports, passes signals on, and tells systemd how the node is.
//!
//! It must never touch the site's data or the network, and it must never leave a child behind: every child asks the kernel to be killed
//! with its parent ([`die_with`]).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bocage_daemon::notify::Notify;
use bocage_daemon::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::herald::{Herald, Told};
use super::ingests::{Due, Ingests};
use super::report::{Cause, REPORT_BYTES, Report, parse_report};
use super::sayings::{Loudness, Sayings};
use super::standing::Standing;
use super::{Action, Event, Role, Supervisor};

/// How this program starts itself again.
#[derive(Debug, Clone)]
pub struct Reexec {
    /// The executable.
    pub exe: PathBuf,
    /// What comes before the subcommand.
    pub prefix: Vec<OsString>,
}

impl Reexec {
    /// The running executable itself, with `prefix` before the subcommand.
    ///
    /// # Errors
    /// Where the kernel does not tell which executable that is.
    pub fn current(prefix: Vec<OsString>) -> std::io::Result<Self> {
        Ok(Self { exe: std::env::current_exe()?, prefix })
    }
}

/// Why the supervisor cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No signal handler could be installed.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    /// The process that started this one has gone.
    #[error("the supervisor that started this process has ended")]
    Orphan,
    /// The kernel does not link this process' life to its parent's.
    #[error("cannot bind this process' life to its supervisor's: {0}")]
    Bind(rustix::io::Errno),
}

/// Lets the kernel kill this process when its parent ends. The first thing that a child does.
///
/// # Errors
/// Where the parent is not `parent` any more: it ended before this call.
pub fn die_with(parent: u32) -> Result<(), ProcessError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(ProcessError::Bind)?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if now.and_then(|pid| u32::try_from(pid).ok()) == Some(parent) { Ok(()) } else { Err(ProcessError::Orphan) }
}

/// How children are started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program.
    pub reexec: &'a Reexec,
    /// What follows the subcommand in every child's command line.
    pub options: &'a [OsString],
    /// All that they get of the environment.
    pub environment: &'a [(OsString, OsString)],
}

/// What the node's life depends on beside its children.
pub struct Life {
    /// Who tells people.
    pub herald: Option<Herald>,
    /// Who is told how the node is.
    pub notify: Notify,
    /// What a round under way is given when the node stops.
    pub stop_within: Duration,
    /// Reads the configuration again; whether the custodian is to begin anew with it.
    pub reload: Box<dyn FnMut() -> bool>,
}

/// Runs both children until a signal to stop.
///
/// Must run on the main thread of a single-threaded runtime: the kernel counts the *thread* that started a child as its parent.
///
/// # Errors
/// Where no signal handler can be installed. Children that fail are started again, for ever.
pub async fn run(launch: Launch<'_>, life: Life) -> Result<(), ProcessError> {
    let Life { herald, notify, stop_within, mut reload } = life;
    let mut hangup = signal(SignalKind::hangup()).map_err(ProcessError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ProcessError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ProcessError::Signals)?;
    let (began, terminal) = (Instant::now(), Terminal::now());
    let mut herald = Told::by(herald);
    let mut supervisor = Supervisor::new(Duration::ZERO, stop_within);
    let sayings = Sayings::default();
    let mut children = Children { launch, agent: None, custodian: None, ingest: None, stopping: false, sayings };
    let mut standing = Standing::new(notify);
    let mut look = tokio::time::interval(standing.look_every());
    let mut ingests = Ingests::default();
    let (reports, mut reported) = mpsc::channel::<Reported>(16);
    loop {
        while let Some(action) = supervisor.poll_action() {
            if action == Action::Leave {
                return Ok(());
            }
            if let Action::Start { role, .. } = action {
                standing.beats.started(began.elapsed(), role);
            }
            if let Some(event) = children.apply(action, &reports) {
                supervisor.handle(began.elapsed(), event);
            }
        }
        while let Some(due) = ingests.begin_next() {
            if !children.start_ingest(&due) {
                ingests.ended();
            }
        }
        let wake = supervisor.poll_timeout().map(|at| began + at);
        let event = tokio::select! {
            _ = terminate.recv() => Some(Event::Drain),
            _ = hangup.recv() => match terminal.is_gone() {
                true => Some(Event::Stop),
                false => {
                    standing.reloads();
                    // It looks at its certificate's files.
                    children.signal(Role::Agent, Signal::HUP);
                    let anew = reload();
                    standing.reloaded(anew);
                    anew.then_some(Event::Reload)
                }
            },
            _ = look.tick() => {
                standing.look(began.elapsed());
                None
            }
            _ = interrupt.recv() => Some(Event::Stop),
            status = ended(&mut children.ingest) => {
                children.ingest_ended(&ingests.ended().unwrap_or_default(), &status);
                None
            }
            status = ended(&mut children.agent) => {
                standing.beats.ended(Role::Agent);
                Some(children.exited(Role::Agent, &status))
            }
            status = ended(&mut children.custodian) => {
                standing.beats.ended(Role::Custodian);
                Some(children.exited(Role::Custodian, &status))
            }
            Some(Reported { pid, role, report }) = reported.recv() => match report {
                Report::Beat { session } => {
                    if children.is(pid, role) {
                        children.sayings.up(role);
                        standing.beat(began.elapsed(), role, session);
                    }
                    None
                }
                // It may have ended by now.
                Report::Failed(cause) => {
                    children.failed(role, &cause);
                    None
                }
                Report::Due(due) => {
                    ingests.want(due);
                    None
                }
                Report::Event(event) => children.is(pid, Role::Custodian).then_some(event),
                Report::Pending(pending) => {
                    herald.tell(&pending).await;
                    None
                }
            },
            () = sleep_until(wake) => None,
        };
        if matches!(event, Some(Event::Drain | Event::Stop)) {
            standing.stops();
            children.stopping = true;
            ingests.stop();
            children.interrupt_ingest();
        }
        match event {
            Some(event) => supervisor.handle(began.elapsed(), event),
            None => supervisor.handle_timeout(began.elapsed()),
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn ended(child: &mut Option<Child>) -> String {
    match child {
        Some(child) => match child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => format!("cannot be waited for: {error}"),
        },
        None => std::future::pending().await,
    }
}

struct Children<'a> {
    launch: Launch<'a>,
    agent: Option<Child>,
    custodian: Option<Child>,
    ingest: Option<Child>,
    stopping: bool,
    sayings: Sayings,
}

impl Children<'_> {
    fn slot(&mut self, role: Role) -> &mut Option<Child> {
        match role {
            Role::Agent => &mut self.agent,
            Role::Custodian => &mut self.custodian,
        }
    }

    /// Whether this is the child's process still.
    fn is(&mut self, pid: u32, role: Role) -> bool {
        self.slot(role).as_ref().and_then(Child::id) == Some(pid)
    }

    fn apply(&mut self, action: Action, reports: &mpsc::Sender<Reported>) -> Option<Event> {
        match action {
            Action::Start { role, overran } => match self.start(role, overran, reports) {
                Ok(()) => None,
                Err(error) => {
                    tracing::error!(child = role.command(), %error, "cannot start the child");
                    Some(Event::Exited { role, told: false })
                }
            },
            Action::Terminate(role) => {
                self.signal(role, Signal::TERM);
                None
            }
            Action::Hurry(role) => {
                self.signal(role, Signal::QUIT);
                None
            }
            Action::Kill { role, overran } => {
                let why = if overran { "its query takes longer than policy.query_secs" } else { "it does not stop" };
                tracing::warn!(child = role.command(), why, "ended by force");
                self.signal(role, Signal::KILL);
                None
            }
            Action::Leave => None,
        }
    }

    fn start(&mut self, role: Role, overran: Option<u64>, reports: &mpsc::Sender<Reported>) -> std::io::Result<()> {
        let mut command = self.command(role.command());
        if let Some(attempt) = overran {
            command.arg("--overran").arg(attempt.to_string());
        }
        command.stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        if self.sayings.starts_quietly(role) {
            tracing::debug!(child = role.command(), pid, "started");
        } else {
            tracing::info!(child = role.command(), pid, "started");
        }
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(forward_reports(pid, role, stdout, reports.clone()));
        }
        *self.slot(role) = Some(child);
        Ok(())
    }

    /// How a child is started, whichever.
    fn command(&self, command: &str) -> Command {
        let Launch { reexec, options, environment } = &self.launch;
        let mut child = Command::new(&reexec.exe);
        child.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        child.args(&reexec.prefix).arg(command).args(*options);
        child.arg("--parent").arg(std::process::id().to_string());
        child.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        child
    }

    fn start_ingest(&mut self, due: &Due) -> bool {
        let mut command = self.command("ingest");
        command.arg("--why").arg(due.why.as_str()).arg(&due.dataset);
        match command.spawn() {
            Ok(child) => {
                tracing::info!(child = "ingest", dataset = due.dataset, pid = child.id(), "started");
                self.ingest = Some(child);
                true
            }
            Err(error) => {
                tracing::error!(child = "ingest", dataset = due.dataset, %error, "cannot start the child");
                false
            }
        }
    }

    fn ingest_ended(&mut self, dataset: &str, status: &str) {
        self.ingest = None;
        if status == "exit status: 0" {
            tracing::info!(child = "ingest", dataset, status, "ended");
        } else {
            tracing::warn!(
                child = "ingest",
                dataset,
                status,
                "ended: the snapshot before, if there is one, stays in use"
            );
        }
    }

    /// What it has not finished it takes away.
    fn interrupt_ingest(&self) {
        signal_to(self.ingest.as_ref(), Signal::TERM);
    }

    fn signal(&mut self, role: Role, signal: Signal) {
        signal_to(self.slot(role).as_ref(), signal);
    }

    /// A child says why it cannot go on.
    fn failed(&mut self, role: Role, cause: &Cause) {
        let (child, message, hint) = (role.command(), &cause.message, cause.hint.as_deref());
        if self.sayings.is_new(role, cause) {
            tracing::error!(child, hint, "it cannot go on: {message}");
        } else {
            tracing::debug!(child, hint, "it cannot go on: {message}");
        }
    }

    fn exited(&mut self, role: Role, status: &str) -> Event {
        let (child, told) = (role.command(), status == "exit status: 1");
        if self.stopping || status == "exit status: 0" {
            tracing::info!(child, status, "stopped");
        } else {
            let longest_secs = super::LONGEST_WAIT_FOR_PEOPLE.as_secs();
            match self.sayings.ended(role, told) {
                Loudness::Said => tracing::warn!(child, status, "ended"),
                Loudness::LastTime => tracing::warn!(
                    child,
                    status,
                    longest_secs,
                    "ended again: it is started again after growing waits, which is not said any more while its reason is the same"
                ),
                Loudness::Quiet => tracing::debug!(child, status, "ended"),
            }
        }
        *self.slot(role) = None;
        Event::Exited { role, told }
    }
}

fn signal_to(child: Option<&Child>, signal: Signal) {
    let pid = child.and_then(Child::id).and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended by itself in this moment; then there is nothing left to do.
        let _ = kill_process(pid, signal);
    }
}

/// A report, and whose it is.
struct Reported {
    pid: u32,
    role: Role,
    report: Report,
}

/// Passes a child's reports on until its pipe closes, or until it writes something that is not a report.
async fn forward_reports(pid: u32, role: Role, stdout: ChildStdout, reports: mpsc::Sender<Reported>) {
    let mut reader = BufReader::with_capacity(REPORT_BYTES, stdout);
    let mut line = Vec::new();
    loop {
        let Ok(available) = reader.fill_buf().await else { return };
        if available.is_empty() {
            return;
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(available.len(), |at| at + 1);
        line.extend_from_slice(&available[..taken]);
        reader.consume(taken);
        if end.is_some() {
            if let Some(report) = std::str::from_utf8(&line).ok().and_then(parse_report)
                && reports.send(Reported { pid, role, report }).await.is_err()
            {
                return;
            }
            line.clear();
        } else if line.len() > REPORT_BYTES {
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_parent_is_another_one_is_an_orphan() {
        assert!(matches!(die_with(0), Err(ProcessError::Orphan)));
        rustix::process::set_parent_process_death_signal(None).unwrap();
    }
}

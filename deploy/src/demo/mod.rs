//! `bocage demo`: a whole network on this machine, one study, and its answer beside the pooled truth.
//!
//! ```text
//! network init ─▶ 1 coordinator + 4 nodes (this executable again) ─▶ all online ─▶ study run ─▶ compare with the pooled files ─▶ show
//! ```
//! Network, client and processes are those of production. Only the comparison is not: it reads all four hospitals' rows in one place.

mod compare;
mod pooled;
mod processes;
mod setting;
mod show;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bocage_coordinator::api::types::{StudyResult, StudyState};
use bocage_coordinator::client::{
    Api, ClientError, Followed, GivenPermit, News, Profile, bind, follow, sign_and_submit,
};
use bocage_node::sandbox::Support;
use bocage_protocol::front::StudyText;
use bocage_protocol::settings::Problems;
use clap::{Args, ValueEnum};

use crate::cli::{fail, print, say};
use crate::network::InitError;

use self::pooled::Pooled;
use self::processes::Processes;
use self::setting::{HOSPITALS, STUDY, Setting};

/// How long the network may take to come up, and the study to be answered.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the coordinator is asked whether all hospitals are there.
const LOOK: Duration = Duration::from_millis(20);

/// `bocage demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave network, configuration and data in this new folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Ask without a permit, and show how every hospital refuses (exit 0 if they all do)
    #[arg(long)]
    no_permit: bool,
    /// How the answer is written to stdout
    #[arg(long, value_enum, default_value_t = DemoFormat::Text)]
    format: DemoFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DemoFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The demo's own `network.toml` is not right.
    #[error("{0}")]
    Template(#[from] Problems),
    /// The network could not be made.
    #[error(transparent)]
    Network(#[from] InitError),
    /// A file could not be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No port of this machine's loopback interface can be had.
    #[error("no free port on 127.0.0.1: {0}")]
    Ports(std::io::Error),
    /// A process could not be started.
    #[error("cannot start {name}: {reason}")]
    Start {
        /// Which.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A process ended before its time.
    #[error("{name} ended too early ({status}); its log ends with:\n{log}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// Something took longer than it ever should.
    #[error("{what} within {} s; the logs end with:\n{logs}", PATIENCE.as_secs())]
    Late {
        /// What did not happen.
        what: &'static str,
        /// The ends of all logs.
        logs: String,
    },
    /// The coordinator says no, or cannot be reached.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The operating system gives no event loop.
    #[error("cannot watch over processes: {0}")]
    Runtime(std::io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl DemoError {
    fn write(path: &Path, error: &std::io::Error) -> Self {
        DemoError::Write { path: path.to_owned(), reason: error.to_string() }
    }

    /// 1 where a person can do something about it, 2 where it is ours.
    fn exit_code(&self) -> u8 {
        match self {
            DemoError::Network(_) | DemoError::Write { .. } | DemoError::Ports(_) | DemoError::Interrupted => 1,
            DemoError::Template(_)
            | DemoError::Start { .. }
            | DemoError::Ended { .. }
            | DemoError::Late { .. }
            | DemoError::Client(_)
            | DemoError::Runtime(_) => 2,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            DemoError::Network(error) => {
                error.hint().map(|_| "name a folder that does not exist: --keep DIR".to_owned())
            }
            DemoError::Client(error) => error.hint(),
            DemoError::Ended { .. } | DemoError::Late { .. } => {
                Some("run `bocage demo --keep DIR` and look into DIR/logs".to_owned())
            }
            _ => None,
        }
    }
}

/// What the demo found.
struct Shown {
    setting: Setting,
    result: StudyResult,
    checks: Vec<compare::Check>,
    /// None where nobody was to answer.
    pooled: Option<Vec<pooled::PooledRow>>,
    processes: usize,
    times: Times,
}

/// How long the parts took.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    made: Duration,
    started: Duration,
    answered: Duration,
    all: Duration,
}

impl DemoArgs {
    /// Runs the demo. Exit 0 only if every comparison holds, or every hospital refuses what it must.
    pub fn run(&self) -> ExitCode {
        match self.demo() {
            Ok((shown, _folder)) => {
                let text = match self.format {
                    DemoFormat::Text => show::text(&shown, self.keep.is_some()),
                    DemoFormat::Json => show::json(&shown, self.keep.is_some()),
                };
                print(&text);
                if shown.checks.iter().all(|c| c.holds) { ExitCode::SUCCESS } else { ExitCode::from(2) }
            }
            Err(error) => fail(&error.to_string(), error.hint().as_deref(), error.exit_code()),
        }
    }

    /// The demo, and the folder that goes when it is dropped.
    fn demo(&self) -> Result<(Shown, Option<tempfile::TempDir>), DemoError> {
        let temporary = match &self.keep {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|e| DemoError::write(&std::env::temp_dir(), &e))?),
        };
        let dir = match (&self.keep, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(folder)) => folder.path().join("demo"),
            (None, None) => PathBuf::from("demo"),
        };
        // Behind the folder, so that it is dropped first: the processes end before their folder goes.
        let mut processes = Processes::new()?;
        let began = Instant::now();
        let mut times = Times::default();
        say("making a network of four hospitals, with fresh keys and certificates ...");
        let setting = Setting::make(&dir, !self.no_permit)?;
        times.made = began.elapsed();
        say("starting a coordinator and four nodes ...");
        start(&setting, &mut processes)?;
        let profile = Profile::find(Some(&setting.profile()))?;
        let api = Api::new(&profile)?;
        wait_for_hospitals(&api, &mut processes)?;
        times.started = began.elapsed() - times.made;
        say(if self.no_permit {
            "asking without a permit ..."
        } else {
            "asking one study of all four, under a permit ..."
        });
        let permit = profile.permit.as_deref().filter(|_| !self.no_permit).map(GivenPermit::read).transpose()?;
        let result = ask(&setting, &profile, permit.as_ref(), &api, &processes)?;
        times.answered = began.elapsed() - times.made - times.started;
        let count = processes.count() + 2 * HOSPITALS.len();
        processes.stop();
        times.all = began.elapsed();
        let (checks, pooled) = if self.no_permit {
            (compare::refusals(&result), None)
        } else {
            let truth = Pooled::read(&HOSPITALS);
            (compare::compare(&result, &truth), Some(truth.rows()))
        };
        let shown = Shown { setting, result, checks, pooled, processes: count, times };
        Ok((shown, temporary))
    }
}

/// One coordinator; a node for each hospital, which is a supervisor that starts an agent and a custodian.
fn start(setting: &Setting, processes: &mut Processes) -> Result<(), DemoError> {
    let args = |program: &str, command: &str, config: PathBuf| -> Vec<OsString> {
        vec![program.into(), command.into(), "--config".into(), config.into_os_string()]
    };
    let log = |name: &str| setting.logs().join(format!("{name}.log"));
    processes.start("coordinator", &args("coordinator", "serve", setting.coordinator()), &log("coordinator"))?;
    let support = Support::ask();
    for hospital in &HOSPITALS {
        let mut node = args("node", "run", setting.node(hospital.id));
        if !support.complete() {
            node.extend(["--set", "require_sandbox=false"].map(OsString::from));
        }
        processes.start(hospital.id, &node, &log(hospital.id))?;
    }
    if !support.complete() {
        say(&format!("this kernel has {support}: the demo's nodes run unconfined, which no hospital's should"));
    }
    Ok(())
}

/// Waits until every hospital has a session and its first snapshot: a study would wait for it as well, but its round trips would tell less.
fn wait_for_hospitals(api: &Api, processes: &mut Processes) -> Result<(), DemoError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        processes.pause(LOOK)?;
        match api.sites() {
            Ok(list) => {
                let ready = |s: &bocage_coordinator::api::types::SiteInfo| {
                    s.online && s.datasets.iter().any(|d| d.snapshot_at.is_some())
                };
                if list.sites.iter().filter(|s| ready(s)).count() == HOSPITALS.len() {
                    return Ok(());
                }
            }
            Err(ClientError::Unreachable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= deadline {
            return Err(DemoError::Late { what: "not all hospitals came online", logs: processes.tails() });
        }
    }
}

/// What `bocage study run` does.
fn ask(
    setting: &Setting,
    profile: &Profile,
    permit: Option<&GivenPermit>,
    api: &Api,
    processes: &Processes,
) -> Result<StudyResult, DemoError> {
    let key = profile.key()?;
    let file = setting.study().display().to_string();
    let text = StudyText::parse(STUDY, &file).map_err(ClientError::from)?;
    let bound = bind(api, profile, key.public(), permit, text, &file)?;
    let status = sign_and_submit(api, &bound, &key)?;
    let mut silent = |_: News<'_>| {};
    match follow(api, status, Some(PATIENCE), true, &mut silent)? {
        Followed::Ended(status) if status.state == StudyState::Published => Ok(api.result(&status.id)?),
        Followed::Ended(status) => Err(ClientError::Cancelled(status.id).into()),
        Followed::TimeOver(_) => Err(DemoError::Late { what: "the study was not answered", logs: processes.tails() }),
        Followed::Interrupted(_) => Err(DemoError::Interrupted),
    }
}

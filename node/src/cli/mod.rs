//! The command line of a node: `bocage-node`, and `bocage node …` of the umbrella command.
//!
//! Only this module reads arguments. Results go to standard output, everything else to standard error; the exit code is 0 when all is
//! well, 1 when the person has to change something, 2 when it is our fault.

mod backup;
mod check;
mod check_policy;
mod check_study;
mod children;
mod datasets;
mod doctor;
mod enrol;
mod environment;
mod fhir_export;
mod ingest;
mod ledger;
mod logging;
mod output;
mod quality;
mod reload;
mod running;
mod studies;
mod units;
mod warnings;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use bocage_daemon::log::{Form, quiet_panics};
use bocage_net::env::SystemClock;
use bocage_protocol::env::{Clock, Timestamp};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{Config, Origin};
use crate::custodian::ledger::account::Window;
pub use crate::custodian::{Moment, Switches};
use crate::ingest::Why;
pub use crate::supervisor::process::Reexec;
use crate::supervisor::process::die_with;
use output::{Failure, Format};
use units::ChildArgs;

/// Run a hospital's node, and look at what it does.
#[derive(Parser)]
#[command(name = "bocage-node", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone)]
struct Common {
    /// The node's configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "node.toml", display_order = 900)]
    config: PathBuf,
    /// Override a setting, e.g. --set policy.threshold=20; wins over the environment (BOCAGE_NODE__POLICY__THRESHOLD) and the file
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value, display_order = 901)]
    overrides: Vec<(String, String)>,
    /// How log lines are written: text or json; wins over [log] format of the configuration
    #[arg(long, global = true, value_name = "FORM", display_order = 902)]
    log: Option<Form>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node until it is told to stop
    Run,
    /// Enter a network by an invitation: make this site's keys and its folder
    Enrol(enrol::EnrolArgs),
    /// Look at the configuration and everything that it names; start nothing
    Check(CheckArgs),
    /// The site's datasets and their snapshots
    Datasets(DatasetsArgs),
    /// Read a dataset's source and take a snapshot, as a running node does by schedule; people use `datasets refresh`
    Ingest {
        /// The dataset's name in node.toml
        #[arg(required_unless_present = "due")]
        name: Option<String>,
        /// Take every snapshot that a custodian which is a unit of its own has asked for
        #[arg(long, conflicts_with = "name")]
        due: bool,
        /// Do not end, but take those that it asks for later too
        #[arg(long, requires = "due")]
        watch: bool,
        /// Why, as the ledger writes it
        #[arg(long, default_value = "refresh", value_parser = why)]
        why: Why,
        /// The supervisor's process
        #[arg(long, hide = true)]
        parent: Option<u32>,
    },
    /// The studies that wait for a person of this site, and that person's word
    #[command(subcommand)]
    Studies(StudiesCommand),
    /// Stop all answers at once, until `resume`
    Pause {
        /// Why; researchers read it while they wait
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let answers go on
    Resume(OutputArgs),
    /// Fetch a FHIR server's bulk export into its folder; where it was interrupted it goes on
    FhirExport(FhirExportArgs),
    /// Print the metrics of the running node, in Prometheus' text format
    Metrics,
    /// Say whether the processes of the running node are alive; exit code 1 where one is not
    Health {
        /// Say whether they do what they are for: a session, and a snapshot of every dataset
        #[arg(long)]
        ready: bool,
    },
    /// What this site was asked and what left it
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look at everything that a node needs, here and on the way to the coordinator, and say what to do about what is wrong
    Doctor(OutputArgs),
    /// Keep everything that a node needs in one file, sealed to a public key; also while it runs
    Backup(backup::BackupArgs),
    /// Put a backup back where nothing is, or in place of what is moved aside
    Restore(backup::RestoreArgs),
    /// Tell the steward of every study that a custodian which is a unit of its own has named (a unit of its own; `run` does all)
    #[command(hide = true)]
    Herald {
        #[command(flatten)]
        child: ChildArgs,
        /// Do not end, but tell of those that it names later too
        #[arg(long, conflicts_with = "parent")]
        watch: bool,
    },
    /// Talk to the coordinator (a unit of its own; `run` does all)
    #[command(hide = true)]
    Agent(ChildArgs),
    /// Answer from the data (a unit of its own; `run` does all)
    #[command(hide = true)]
    Custodian(ChildArgs),
}

#[derive(Args)]
struct CheckArgs {
    /// Say instead what the site's policy makes of this study, and by which rule: a study's text, or a signed study
    #[arg(long, value_name = "FILE")]
    study: Option<PathBuf>,
    /// The signed permit that the study relies on
    #[arg(long, value_name = "FILE", requires = "study")]
    permit: Option<PathBuf>,
    /// Whose text it is, where no permit says it: a name of [[trust]], or a key
    #[arg(long, value_name = "NAME", requires = "study")]
    researcher: Option<String>,
    /// The form of the verdict
    #[arg(long, value_name = "FORMAT", requires = "study")]
    format: Option<Format>,
}

#[derive(Args)]
struct DatasetsArgs {
    #[command(subcommand)]
    command: Option<DatasetsCommand>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Subcommand)]
enum DatasetsCommand {
    /// List the datasets (the default)
    List(OutputArgs),
    /// Take a new snapshot; studies that start afterwards are computed on it
    Refresh {
        /// The dataset's name in node.toml
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show what the taking of the snapshot found, and which snapshots are kept
    Show {
        /// The dataset's name in node.toml
        name: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove all snapshots of a dataset; the source's own files stay
    Drop {
        /// The dataset's name, in node.toml or before it was taken out of it
        name: String,
        /// Remove them, instead of saying what would be removed
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand)]
enum StudiesCommand {
    /// The studies that wait or are approved
    List {
        /// Also those that were refused or have ended
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Everything that is needed to decide: who asks, what would leave, what they have received
    Show {
        /// The study's id, or the beginning of it
        study: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Say yes: the study is answered
    Approve {
        /// The study's id, or the beginning of it
        study: String,
        /// The last day on which it may be answered, if that is before the study's own end
        #[arg(long, value_name = "DAY", value_parser = studies::until)]
        until: Option<Timestamp>,
        /// A line for those who read the ledger
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Say no, for good
    Refuse {
        /// The study's id, or the beginning of it
        study: String,
        /// Why; the researcher reads it
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Subcommand)]
enum LedgerCommand {
    /// List the studies: when, who, for what, what was decided, how much left
    List {
        /// Only studies whose id begins so
        #[arg(long, value_name = "ID")]
        study: Option<String>,
        /// Only studies of those whose name or key contains this
        #[arg(long, value_name = "NAME")]
        researcher: Option<String>,
        /// Only what happened from this day on, e.g. 2026-01-31
        #[arg(long, value_name = "DAY", value_parser = ledger::moment)]
        since: Option<Timestamp>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Tell all about one study: who asked, for what, who decided what, and every cell that left; without an id, show all records
    Show {
        /// The study's id, or the beginning of it
        #[arg(value_name = "ID", conflicts_with = "study")]
        id: Option<String>,
        /// The records of this study as they stand
        #[arg(long, value_name = "ID")]
        study: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Recompute the chain of hashes and say where it breaks
    Verify {
        /// Compare the ledger with what the coordinator remembers of it (`bocage checkpoint SITE > FILE`): a ledger that was cut off or put
        /// back has a chain that holds
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let answers go on with a ledger that is an older copy of itself, such as one from a backup
    AcceptRestored {
        /// What the coordinator remembers (`bocage checkpoint SITE > FILE`): where the ledger has all of it, nothing was lost
        #[arg(long, value_name = "FILE", required_unless_present = "knowing")]
        checkpoint: Vec<PathBuf>,
        /// Go on although what left since is not in the ledger
        #[arg(long = "i-know-what-was-lost")]
        knowing: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write the ledger for others: a page for people, tables for programs
    Export {
        /// Write one page, ordered by the Five Safes, with the record of processing (GDPR, article 30)
        #[arg(long, value_name = "FILE.html")]
        report: Option<PathBuf>,
        /// Write every cell that left into FILE.csv, or cells, studies and records into a folder
        #[arg(long, value_name = "DIR|FILE.csv")]
        csv: Option<PathBuf>,
        /// Compare the ledger with what the coordinator remembers of it (`bocage checkpoint SITE > FILE`), and say on the page whether it fits
        #[arg(long, value_name = "FILE", requires = "report")]
        checkpoint: Vec<PathBuf>,
        /// Only what happened from this day on, e.g. 2026-01-31
        #[arg(long, value_name = "DAY", value_parser = ledger::moment)]
        from: Option<Timestamp>,
        /// … and until the end of this one
        #[arg(long, value_name = "DAY", value_parser = ledger::end)]
        to: Option<Timestamp>,
    },
}

#[derive(Args, Clone, Copy)]
struct OutputArgs {
    /// The form of the output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct FhirExportArgs {
    /// The server's name in node.toml: [fhir_server.NAME]
    name: String,
    /// End an export that was interrupted: the server drops it, and what was fetched goes
    #[arg(long, conflicts_with = "public_key")]
    cancel: bool,
    /// Print the public half of the client's key, to be registered at the server, and fetch nothing
    #[arg(long)]
    public_key: bool,
    #[command(flatten)]
    output: OutputArgs,
}

fn why(text: &str) -> Result<Why, String> {
    Why::parse(text).ok_or_else(|| "start, epoch, schedule or refresh".to_owned())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not KEY=VALUE".to_owned()),
    }
}

/// Runs the node's command line. `args` begin with the program's name; `reexec` says how the program starts itself again.
pub fn main(args: impl IntoIterator<Item = OsString>, reexec: Reexec, switches: Switches) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&without_hidden(error)),
    };
    let of_supervisor =
        matches!(&cli.command, Command::Agent(args) | Command::Custodian(args) if args.parent.is_some());
    match run(cli, &reexec, switches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if of_supervisor => failure.report_to_supervisor(),
        Err(failure) => failure.report(),
    }
}

/// The same error, in which the commands of the node's own processes are not offered to people.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::ValidSubcommand) {
        let cli = Cli::command();
        let hidden = |name: &String| cli.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
        let shown = names.iter().filter(|name| !hidden(name)).cloned().collect();
        error.insert(ContextKind::ValidSubcommand, ContextValue::Strings(shown));
    }
    error
}

fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is no error, here neither.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

fn run(cli: Cli, reexec: &Reexec, switches: Switches) -> Result<(), Failure> {
    let Common { config: file, overrides, log } = cli.common.clone();
    let origin = Origin { file, overrides };
    match cli.command {
        Command::Run => children::supervise(&origin, log, reexec, cli.common.forwarded(), &switches),
        Command::Herald { child: ChildArgs { parent: Some(parent), .. }, .. } => {
            children::herald(&origin, log, parent, &switches)
        }
        Command::Herald { watch, .. } => units::herald(&origin, log, watch),
        Command::Agent(args) if args.begins() => units::begin("agent", reexec, cli.common.forwarded(), &switches),
        Command::Custodian(args) if args.begins() => {
            units::begin("custodian", reexec, cli.common.forwarded(), &switches)
        }
        Command::Agent(args) => children::agent(&origin, log, args.parent, switches),
        Command::Custodian(args) => children::custodian(&origin, log, args.parent, args.overran, switches),
        Command::Enrol(args) => {
            quiet_panics("enrol");
            args.run()
        }
        Command::Check(CheckArgs { study: Some(file), permit, researcher, format }) => {
            let (permit, researcher) = (permit.as_deref(), researcher.as_deref());
            let asked = check_study::Asked { file: &file, permit, researcher };
            check_study::run(&Config::load(&origin)?, &asked, SystemClock.now(), format.unwrap_or(Format::Text))
        }
        Command::Check(_) => {
            quiet_panics("check");
            check::run(&origin, SystemClock.now())
        }
        Command::Datasets(args) => {
            let config = Config::load(&origin)?;
            logging::of_command(&config.log, log, "datasets");
            match args.command {
                None => datasets::list(&config, args.output.format),
                Some(DatasetsCommand::List(output)) => datasets::list(&config, output.format),
                Some(DatasetsCommand::Refresh { name, output }) => {
                    ingest::refresh(config, &name, output.format, &switches)
                }
                Some(DatasetsCommand::Show { name, output }) => datasets::show(&config, &name, output.format),
                Some(DatasetsCommand::Drop { name, yes }) => datasets::drop(&config, &name, yes),
            }
        }
        Command::Ingest { name: None, watch, .. } => {
            units::ingests(&origin, log, reexec, &cli.common.forwarded(), &switches, watch)
        }
        Command::Ingest { name: Some(name), why, parent, .. } => {
            parent.map_or(Ok(()), die_with).map_err(Failure::theirs)?;
            let config = Config::load(&origin)?;
            match parent {
                Some(_) => drop(logging::of_daemon(&config.log, log, "ingest")),
                None => logging::of_command(&config.log, log, "ingest"),
            }
            ingest::run(config, &name, why, &switches)
        }
        Command::Studies(command) => desk(&Config::load(&origin)?, command),
        Command::Pause { reason, output } => studies::pause(&Config::load(&origin)?, reason, output.format),
        Command::Resume(output) => studies::resume(&Config::load(&origin)?, output.format),
        Command::FhirExport(FhirExportArgs { name, cancel, public_key, output }) => {
            let config = Config::load(&origin)?;
            match (cancel, public_key) {
                (true, _) => fhir_export::cancel(&config, &name),
                (_, true) => fhir_export::public_key(&config, &name),
                _ => fhir_export::run(&config, &name, output.format),
            }
        }
        Command::Metrics => watch::metrics(&watch::state(&origin)?),
        Command::Health { ready } => watch::health(&watch::state(&origin)?, ready),
        Command::Doctor(output) => {
            quiet_panics("doctor");
            doctor::run(&origin, children::clock(&switches), output.format)
        }
        Command::Backup(args) => backup::run(&origin, &args),
        Command::Restore(args) => backup::restore(&args),
        Command::Ledger(command) => read_ledger(&Config::load(&origin)?, command),
    }
}

fn read_ledger(config: &Config, command: LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::List { study, researcher, since, output } => {
            let window = Window { from: since, until: None };
            ledger::list(config, &ledger::Filter { study, researcher, window }, output.format)
        }
        LedgerCommand::Show { id: Some(id), output, .. } => ledger::story(config, &id, output.format),
        LedgerCommand::Show { study, output, .. } => ledger::show(config, study.as_deref(), output.format),
        LedgerCommand::Verify { checkpoint, output } => ledger::verify(config, &checkpoint, output.format),
        LedgerCommand::AcceptRestored { checkpoint, knowing, output } => {
            ledger::accept_restored(config, &checkpoint, knowing, output.format)
        }
        LedgerCommand::Export { report, csv, checkpoint, from, to } => {
            let what = ledger::What { report, csv, checkpoints: checkpoint, window: Window { from, until: to } };
            ledger::export(config, &what, SystemClock.now())
        }
    }
}

fn desk(config: &Config, command: StudiesCommand) -> Result<(), Failure> {
    match command {
        StudiesCommand::List { all, output } => studies::list(config, all, output.format),
        StudiesCommand::Show { study, output } => studies::show(config, &study, output.format),
        StudiesCommand::Approve { study, until, note, output } => {
            studies::approve(config, &study, until, note, output.format)
        }
        StudiesCommand::Refuse { study, reason, output } => studies::refuse(config, &study, &reason, output.format),
    }
}

impl Common {
    /// The same options for a child process.
    fn forwarded(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = vec!["--config".into(), self.config.clone().into()];
        for (key, value) in &self.overrides {
            options.extend(["--set".into(), format!("{key}={value}").into()]);
        }
        options.extend(self.log.iter().flat_map(|form| ["--log".into(), form.as_str().into()]));
        options
    }
}

#[cfg(test)]
mod tests;

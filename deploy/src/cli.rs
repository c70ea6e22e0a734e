//! The umbrella command line. It dispatches; what a command means is the business of the crate that it reaches.
//!
//! Results go to stdout, everything else to stderr. Exit 0: done; 1: the user's problem; 2: ours; 3: a study is still open.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use bocage_coordinator::client::{
    CheckpointArgs, DatasetsArgs, DoctorArgs, InvitationsArgs, InviteArgs, RevokeArgs, RevokedArgs, SitesArgs,
    StudyArgs, UninviteArgs,
};
use bocage_node::supervisor::process::{Reexec, die_with};
use clap::{Args, Parser, Subcommand};

use crate::access_body::{KeysArgs, PermitArgs};
use crate::demo::DemoArgs;
use crate::network::{CheckArgs, ContractArgs, DiffArgs, InitArgs, PackArgs, RenderArgs, RotateArgs, StatusArgs};

/// What a person types for a node's command line: its words repeat it.
pub const NODE: &str = "bocage node";
/// The same for the coordinator's.
pub const COORDINATOR: &str = "bocage coordinator";
/// What comes before the command line of a process of the demo, with the demo's process id: `bocage demo-child PID node run …`.
pub const CHILD: &str = "demo-child";

/// One question asked of many hospitals; no patient's row leaves its own.
#[derive(Debug, Parser)]
#[command(name = "bocage", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a coordinator and four hospital nodes here, and ask one study of them
    Demo(DemoArgs),
    /// Set up a network
    Network(NetworkArgs),
    /// Make a key, or show its public half
    Keys(KeysArgs),
    /// Write, sign, show, verify and take back permits
    Permit(PermitArgs),
    /// Check, run, list, show and cancel studies
    Study(StudyArgs),
    /// List the network's sites
    Sites(SitesArgs),
    /// List the network's datasets, or describe one
    Datasets(DatasetsArgs),
    /// Write down what a site's ledger said of itself, for `bocage node ledger verify --checkpoint`
    Checkpoint(CheckpointArgs),
    /// Look at what your profile names and at the way to the coordinator, and say what to do about what is wrong
    Doctor(DoctorArgs),
    /// Run and look after a hospital's node (as `bocage-node`)
    #[command(disable_help_flag = true)]
    Node(PassedOn),
    /// Run the coordinator (as `bocage-coordinator`)
    #[command(disable_help_flag = true)]
    Coordinator(PassedOn),
}

#[derive(Debug, Args)]
struct PassedOn {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

#[derive(Debug, Args)]
struct NetworkArgs {
    #[command(subcommand)]
    command: NetworkCommand,
}

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// Make certificate authority, keys and configuration of a network, or bring them up to date
    Init(InitArgs),
    /// Say everything that is wrong with a network's file, or what it is
    Check(CheckArgs),
    /// Show what `init` or `render` would change in a folder, and change nothing
    Diff(DiffArgs),
    /// Write units, containers, firewall rules and graphs for a network
    Render(RenderArgs),
    /// Show which sites are connected, and how they stand
    Status(StatusArgs),
    /// Invite a site of the coordinator's configuration: a file to enrol with, good once
    Invite(InviteArgs),
    /// List the invitations, and what became of them
    Invitations(InvitationsArgs),
    /// Take a site's open invitation back
    Uninvite(UninviteArgs),
    /// List the packs of contracts that come with Bocage, or write one out
    Pack(PackArgs),
    /// Draft, check and compare contracts
    Contract(ContractArgs),
    /// Exchange the intermediate or the root of the network's certificates
    Rotate(RotateArgs),
    /// Take a site's certificates back, or give it leave again
    Revoke(RevokeArgs),
    /// List what is revoked
    Revoked(RevokedArgs),
}

/// Runs the command line `args`, the program's name first.
///
/// Processes of a node and of the coordinator are dispatched before anything else is looked at: they set themselves up first thing.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = daemon(&args) {
        return code;
    }
    match Cli::try_parse_from(&args) {
        Ok(cli) => cli.command.run(),
        Err(error) => {
            // Help and version are answers; all else is the user's problem. A reader that went away is none.
            let _ = error.print();
            ExitCode::from(u8::from(error.use_stderr()))
        }
    }
}

impl Command {
    fn run(self) -> ExitCode {
        match self {
            Command::Demo(demo) => demo.run(),
            Command::Network(NetworkArgs { command }) => command.run(),
            Command::Keys(keys) => keys.run(),
            Command::Permit(permit) => permit.run(),
            Command::Study(study) => study.run(),
            Command::Sites(sites) => sites.run(),
            Command::Datasets(datasets) => datasets.run(),
            Command::Checkpoint(checkpoint) => checkpoint.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Node(passed) => node(passed.args),
            Command::Coordinator(passed) => coordinator(passed.args),
        }
    }
}

impl NetworkCommand {
    fn run(self) -> ExitCode {
        match self {
            NetworkCommand::Init(init) => init.run(),
            NetworkCommand::Check(check) => check.run(),
            NetworkCommand::Diff(diff) => diff.run(),
            NetworkCommand::Render(render) => render.run(),
            NetworkCommand::Status(status) => status.run(),
            NetworkCommand::Pack(pack) => pack.run(),
            NetworkCommand::Contract(contract) => contract.run(),
            NetworkCommand::Rotate(rotate) => rotate.run(),
            NetworkCommand::Revoke(revoke) => revoke.run(),
            NetworkCommand::Invite(invite) => invite.run(),
            NetworkCommand::Invitations(list) => list.run(),
            NetworkCommand::Uninvite(uninvite) => uninvite.run(),
            NetworkCommand::Revoked(revoked) => revoked.run(),
        }
    }
}

/// Runs `bocage node …` and `bocage coordinator …`, and the same as a child of the demo.
fn daemon(args: &[OsString]) -> Option<ExitCode> {
    let rest = args.get(1..)?;
    let rest = match rest {
        [first, parent, rest @ ..] if first == CHILD => {
            let parent = parent.to_str().and_then(|pid| pid.parse().ok());
            if parent.is_none_or(|pid| die_with(pid).is_err()) {
                return Some(fail("this command is part of `bocage demo`", None, 1));
            }
            rest
        }
        other => other,
    };
    let (first, rest) = rest.split_first()?;
    match first.to_str() {
        Some("node") => Some(node(rest.to_vec())),
        Some("coordinator") => Some(coordinator(rest.to_vec())),
        _ => None,
    }
}

fn node(rest: Vec<OsString>) -> ExitCode {
    match Reexec::current(vec!["node".into()]) {
        Ok(reexec) => {
            let args = std::iter::once(OsString::from(NODE)).chain(rest);
            bocage_node::cli::main(args, reexec, bocage_node::cli::Switches::default())
        }
        Err(error) => fail(&format!("this program's own file cannot be found: {error}"), None, 2),
    }
}

fn coordinator(rest: Vec<OsString>) -> ExitCode {
    let args = std::iter::once(OsString::from(COORDINATOR)).chain(rest);
    bocage_coordinator::cli::main(args, bocage_coordinator::cli::Switches::default())
}

/// Writes a result. A reader that went away is no error.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(&format!("cannot write the answer: {error}"), None, 1)
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Writes a line to stderr. Where that fails there is nobody left to tell.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes an error with its hint, and makes the exit code.
pub fn fail(error: &str, hint: Option<&str>, code: u8) -> ExitCode {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "error: {error}");
    if let Some(hint) = hint {
        let _ = writeln!(err, "  hint: {hint}");
    }
    ExitCode::from(code)
}

/// This program as a person can type it: its name if the shell finds it so, else its path.
pub fn program() -> String {
    let Ok(exe) = std::env::current_exe() else { return "bocage".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("bocage")).find(|file| file.is_file());
    let same =
        found.and_then(|file| file.canonicalize().ok()).is_some_and(|file| Some(file) == exe.canonicalize().ok());
    if same { "bocage".to_owned() } else { shell(&exe) }
}

/// A path as one word of a shell command.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_path_is_one_word_of_a_shell_command() {
        assert_eq!(shell(Path::new("/a/b-c_1.toml")), "/a/b-c_1.toml");
        assert_eq!(shell(Path::new("it's here/$HOME")), r"'it'\''s here/$HOME'");
    }

    #[test]
    fn a_child_of_the_demo_that_has_no_such_parent_is_refused() {
        let args = ["bocage", CHILD, "x", "node", "run"].map(OsString::from);
        assert_eq!(daemon(&args), Some(ExitCode::from(1)));
        assert_eq!(daemon(&["bocage", "sites"].map(OsString::from)), None);
    }
}

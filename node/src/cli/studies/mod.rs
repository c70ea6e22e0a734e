//! `bocage-node studies …`, `pause` and `resume`: the steward's commands. They speak to the running custodian; what only reads does without one.
//!
//! They never write the ledger themselves: whose word it is, the custodian learns from the kernel.

mod text;

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use bocage_net::env::SystemClock;
use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_protocol::env::{Clock as _, Timestamp};
use bocage_protocol::limits;
use bocage_protocol::trust::KeptCheckpoints;
use tokio::net::UnixStream;

use super::output::{Failure, Format, print, print_csv, print_json};
use crate::config::Config;
use crate::config::environment::read_release_key;
use crate::custodian::Controls;
use crate::custodian::desk::shown::{AtTheDesk, Dossier, Listed, Unwritten};
use crate::custodian::desk::wire::{Answer, Command, Order};
use crate::custodian::desk::{Desk, Secret};
use crate::custodian::ledger::Ledger;
use crate::custodian::ledger::bodies::named;

/// The longest that the custodian may take: a command waits for no query.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lists what is at the desk.
///
/// # Errors
/// Where neither node nor ledger can be read.
pub fn list(config: &Config, all: bool, format: Format) -> Result<(), Failure> {
    let desk = match ask(config, &Command::List { all })? {
        Some(answer) => desk_of(answer)?,
        None => beside(config, |desk| desk.list(all).map_err(Failure::theirs))?,
    };
    show_desk(&desk, format)
}

/// Shows everything about a study.
///
/// # Errors
/// Where there is no such study, or neither node nor ledger can be read.
pub fn show(config: &Config, study: &str, format: Format) -> Result<(), Failure> {
    let dossier = match ask(config, &Command::Show { study: study.to_owned() })? {
        Some(answer) => dossier_of(answer)?,
        None => beside(config, |desk| desk.find(study).map_err(|unsaid| Failure::theirs(&unsaid).hint(unsaid.hint())))?,
    };
    show_dossier(&dossier, format)
}

/// Says yes to a study.
///
/// # Errors
/// Where the node does not run or does not take it.
pub fn approve(
    config: &Config,
    study: &str,
    until: Option<Timestamp>,
    note: Option<String>,
    format: Format,
) -> Result<(), Failure> {
    let command = Command::Approve { study: study.to_owned(), until, note };
    word(config, &command, format)
}

/// Says no to a study.
///
/// # Errors
/// Where the node does not run or does not take it.
pub fn refuse(config: &Config, study: &str, reason: &str, format: Format) -> Result<(), Failure> {
    let command = Command::Refuse { study: study.to_owned(), reason: reason.to_owned() };
    word(config, &command, format)
}

/// Stops all answers.
///
/// # Errors
/// Where the node does not run or does not take it.
pub fn pause(config: &Config, reason: Option<String>, format: Format) -> Result<(), Failure> {
    let desk = desk_of(running(config, &Command::Pause { reason })?)?;
    show_pause(&desk, format)
}

/// Lets answers go on.
///
/// # Errors
/// Where the node does not run or does not take it.
pub fn resume(config: &Config, format: Format) -> Result<(), Failure> {
    let desk = desk_of(running(config, &Command::Resume)?)?;
    show_pause(&desk, format)
}

fn word(config: &Config, command: &Command, format: Format) -> Result<(), Failure> {
    let dossier = match running(config, command)? {
        Answer::Stopped { study } => return show_stopped(&study, format),
        other => dossier_of(other)?,
    };
    match format {
        Format::Text => print(|out| text::word(out, &dossier)),
        _ => show_dossier(&dossier, format),
    }
}

fn show_stopped(study: &str, format: Format) -> Result<(), Failure> {
    let state = "refused";
    match format {
        Format::Text => print(|out| {
            writeln!(
                out,
                "study {study} is refused: nothing of it leaves any more, and what left before is not handed out again"
            )
        }),
        Format::Json => print_json(&serde_json::json!({ "study": study, "state": state })),
        Format::Csv => print_csv(&["study", "state"], [vec![study.to_owned(), state.to_owned()]]),
    }
}

/// Goes on with a ledger that is an older copy of itself.
///
/// # Errors
/// Where the node does not run, or more is missing than the person says to know.
pub fn accept_restored(
    config: &Config,
    checkpoints: Vec<KeptCheckpoints>,
    knowing: bool,
    format: Format,
) -> Result<(), Failure> {
    let accepted = match running(config, &Command::AcceptRestored { checkpoints, knowing })? {
        Answer::Accepted(accepted) => accepted,
        other => return Err(refused(other)),
    };
    match format {
        Format::Text => print(|out| writeln!(out, "{accepted}; answers go on")),
        _ => print_json(&accepted),
    }
}

fn show_desk(desk: &AtTheDesk, format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => print(|out| text::desk(out, desk)),
        Format::Json => print_json(desk),
        Format::Csv => print_csv(&HEADER, desk.studies.iter().map(row)),
    }
}

fn show_dossier(dossier: &Dossier, format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => print(|out| text::dossier(out, dossier)),
        Format::Json => print_json(dossier),
        Format::Csv => print_csv(&HEADER, [row(&dossier.listed)]),
    }
}

fn show_pause(desk: &AtTheDesk, format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => print(|out| text::pause(out, desk.paused.as_ref()))?,
        Format::Json => print_json(&desk.paused)?,
        Format::Csv => {
            let row = desk.paused.iter().map(|p| {
                vec![p.at.clone(), p.by.uid.to_string(), p.by.user.clone(), p.reason.clone().unwrap_or_default()]
            });
            print_csv(&["paused_at", "uid", "user", "reason"], row)?;
        }
    }
    match desk.paused.as_ref().and_then(|paused| paused.unwritten.as_ref()) {
        Some(Unwritten { why, hint }) => Err(Failure::theirs(format!("the pause is not written down: {why}")).hint(
            format!("{hint}: the next study that asks then has it written down, or this command given again; until then a restart of the node ends it"),
        )),
        None => Ok(()),
    }
}

const HEADER: [&str; 10] =
    ["study", "state", "detail", "title", "researcher", "purpose", "dataset", "since", "until", "persons"];

fn row(listed: &Listed) -> Vec<String> {
    let Listed { study, state, detail, title, researcher, purpose, dataset, related, since, until, persons } =
        listed.clone();
    let (dataset, persons) = (named(&dataset, &related), persons.to_string());
    vec![study, state.as_str().to_owned(), detail, title, researcher, purpose, dataset, since, until, persons]
}

fn desk_of(answer: Answer) -> Result<AtTheDesk, Failure> {
    match answer {
        Answer::Desk(desk) => Ok(desk),
        other => Err(refused(other)),
    }
}

fn dossier_of(answer: Answer) -> Result<Dossier, Failure> {
    match answer {
        Answer::Study(dossier) => Ok(*dossier),
        other => Err(refused(other)),
    }
}

fn refused(answer: Answer) -> Failure {
    match answer {
        Answer::Failed { message, hint } => Failure::theirs(message).hint(hint),
        _ => Failure::ours("the node answered another command than this one"),
    }
}

/// The answer of the node, which must run.
fn running(config: &Config, command: &Command) -> Result<Answer, Failure> {
    ask(config, command)?.ok_or_else(|| {
        let socket = config.state.admin_socket();
        Failure::theirs(format!("the node does not run: nobody listens at {}", socket.display()))
            .hint("start it with `bocage node run`; `studies list` and `studies show` do without")
    })
}

/// The answer of the node; none where none runs.
fn ask(config: &Config, command: &Command) -> Result<Option<Answer>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::ours)?;
    let socket = config.state.admin_socket();
    runtime.block_on(async {
        let mut stream = match UnixStream::connect(&socket).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => {
                return Err(Failure::theirs(format!("cannot reach {}: {}", socket.display(), error.kind()))
                    .hint("run the command as the node's own user, as root, or as a member of [steward] group"));
            }
        };
        let token = config.state.admin_token();
        let token = std::fs::read_to_string(&token).map_err(|e| {
            Failure::theirs(format!("cannot read {}: {}", token.display(), e.kind()))
                .hint("run the command as the node's own user, as root, or as a member of [steward] group")
        })?;
        let order = Order { token, command: command.clone() };
        let bytes = serde_json::to_vec(&order).map_err(Failure::ours)?;
        let answered = tokio::time::timeout(PATIENCE, async {
            write_frame(&mut stream, &bytes).await?;
            read_frame(&mut stream, limits::FRAME_BYTES).await
        });
        let frame = match answered.await {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return Err(unanswered(&error)),
            Err(_) => return Err(Failure::ours("the node did not answer in time").hint("the node's log may say why")),
        };
        serde_json::from_slice(&frame).map(Some).map_err(|_| {
            Failure::theirs("the node's answer cannot be understood")
                .hint("node and command must be of one version: restart the node after an upgrade")
        })
    })
}

fn unanswered(error: &FrameError) -> Failure {
    Failure::theirs(format!("the node did not answer: {error}"))
        .hint("it answers its own user, root and the members of [steward] group; its log says whom it refused")
}

/// What the ledger says beside a node that does not run.
fn beside<T>(config: &Config, look: impl FnOnce(Desk<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
    let path = config.state.ledger();
    if !path.exists() {
        return Err(Failure::theirs(format!("the node does not run, and there is no ledger at {}", path.display()))
            .hint("the ledger begins when the node runs for the first time"));
    }
    let ledger = Ledger::open_read_only(&path)?;
    let key = read_release_key(&config.release_key_file)
        .map_err(|(message, hint)| Failure::theirs(format!("release.key_file: {message}")).hint(hint))?;
    let policy = config.custodian().policy_version();
    // Whose the ledger is, whoever looks at it.
    let own = std::fs::metadata(&path).map_or_else(|_| rustix::process::geteuid().as_raw(), |file| file.uid());
    let (secret, controls) = (Secret(&key), Controls::default());
    look(Desk { ledger: &ledger, secret, policy, own, now: SystemClock.now(), controls })
}

/// The end of a day, as a person writes it: `2027-01-31`, all of it included.
pub fn until(text: &str) -> Result<Timestamp, String> {
    bocage_protocol::front::dates::parse_date(text)
        .map(|day| Timestamp((i64::from(day) + 1) * 86_400_000 - 1))
        .ok_or_else(|| "not a day such as 2027-01-31".to_owned())
}

//! The admin socket, `run/admin.sock`: local commands come in here, and the kernel says whose they are.
//!
//! It is for the node's own user and the superuser; where `[steward] group` is set, for that group's members too. The agent has the same user and
//! can reach the socket, but it can read no file beside it: hence the token, new with each start, that a command must bring. The socket must never
//! be handed on to a network, and it never answers more than one frame with one frame.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bocage_net::env::SystemEntropy;
use bocage_net::frame::{read_frame, write_frame};
use bocage_protocol::env::Entropy as _;
use bocage_protocol::limits;
use bocage_protocol::marks::{one_line, steers};
use subtle::ConstantTimeEq as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use super::people::user_name;
use super::said::Unsaid;
use super::wire::{Answer, Command, Order};
use crate::config::{Group, StateDir, Steward};
use crate::custodian::Custodian;
use crate::custodian::controls::Control;
use crate::custodian::ledger::bodies::desk::Person;

/// How long a command may take to say what it wants: it is a local process.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Commands at a time. Beyond so many the one that has said nothing for longest makes room: whoever holds connections silences no steward.
const COMMANDS: usize = 64;

/// The bound socket.
pub struct Admin {
    listener: UnixListener,
    group: Option<u32>,
    token: Arc<str>,
}

impl Admin {
    /// Takes the bound socket, which only the node's own user can reach, and opens it to the stewards' group where there is one.
    ///
    /// # Errors
    /// Where the node's user is not one of the group's members.
    pub fn new(listener: UnixListener, state: &StateDir, steward: &Steward) -> io::Result<Self> {
        let token = new_token(state)?;
        let group = steward.group.as_ref().map(|group| open_to(group, state)).transpose()?;
        Ok(Self { listener, group, token })
    }

    /// Answers commands for ever.
    pub async fn serve(&self, custodian: &Arc<Custodian>) {
        let mut commands = JoinSet::new();
        let mut silent: VecDeque<(AbortHandle, Arc<AtomicBool>)> = VecDeque::new();
        loop {
            tokio::select! {
                Some(_) = commands.join_next() => {
                    silent.retain(|(task, known)| !task.is_finished() && !known.load(Ordering::Relaxed));
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        silent.retain(|(task, known)| !task.is_finished() && !known.load(Ordering::Relaxed));
                        if commands.len() >= COMMANDS {
                            match silent.pop_front() {
                                Some((task, _)) => task.abort(),
                                None => {
                                    tracing::warn!("a command is turned away: too many are under way");
                                    continue;
                                }
                            }
                        }
                        let known = Arc::new(AtomicBool::new(false));
                        let seen = Arc::clone(&known);
                        let command = answer(stream, Arc::clone(custodian), self.group, Arc::clone(&self.token), seen);
                        silent.push_back((commands.spawn(command), known));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a command");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }
}

/// Writes a new token beside the socket, for its owner alone.
fn new_token(state: &StateDir) -> io::Result<Arc<str>> {
    let mut bytes = [0; 32];
    SystemEntropy.fill(&mut bytes);
    let (token, path) = (hex::encode(bytes), state.admin_token());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(token.as_bytes())?;
    Ok(token.into())
}

/// Lets a group's members through the folders on the way, without letting them look around, and to the socket.
fn open_to(group: &Group, state: &StateDir) -> io::Result<u32> {
    let id = group.id;
    let mut opened = vec![(state.admin_socket(), 0o660), (state.admin_token(), 0o640)];
    if !state.shares_run() {
        opened.extend([(state.0.clone(), 0o710), (state.run(), 0o710)]);
    }
    for (path, mode) in opened {
        chown(&path, None, Some(id)).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("[steward] group: the node's user cannot give {} to {group}: {error}", path.display()),
            )
        })?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    Ok(id)
}

/// `known` is set once the token was shown.
async fn answer(
    mut stream: UnixStream,
    custodian: Arc<Custodian>,
    group: Option<u32>,
    token: Arc<str>,
    known: Arc<AtomicBool>,
) {
    let Some(person) = person(&stream, group) else {
        return tracing::warn!("refused a command of another user");
    };
    let frame = match tokio::time::timeout(REQUEST_TIMEOUT, read_frame(&mut stream, limits::ADMIN_BYTES)).await {
        Ok(Ok(frame)) => frame,
        _ => return tracing::warn!(by = %person, "a command did not say what it wants"),
    };
    let Ok(Order { token: shown, command }) = serde_json::from_slice::<Order>(&frame) else {
        return tracing::warn!(by = %person, "a command cannot be understood: is it of this version?");
    };
    let stranger = !bool::from(shown.as_bytes().ct_eq(token.as_bytes()));
    if stranger && custodian.switches.controls.enforces(Control::AdminToken) {
        return tracing::error!(by = %person, "a command without the token of run/admin.token: somebody who cannot read it tries to speak for a steward");
    }
    known.store(true, Ordering::Relaxed);
    // The ledger blocks; the compute thread is not waited for.
    let done = tokio::task::spawn_blocking(move || custodian.command(person, command)).await;
    let answer = done.unwrap_or_else(|_| failed("the command failed within the node", "its log has the cause"));
    let bytes = serde_json::to_vec(&answer).unwrap_or_default();
    if let Err(error) = write_frame(&mut stream, &bytes).await {
        tracing::debug!(%error, "the command left before its answer");
    }
}

/// Whose command it is, if it is one of those who may give one. With a group it is the kernel that lets its members reach the socket at all.
fn person(stream: &UnixStream, group: Option<u32>) -> Option<Person> {
    let uid = stream.peer_cred().ok()?.uid();
    let own = rustix::process::geteuid().as_raw();
    (uid == own || uid == 0 || group.is_some()).then(|| Person { uid, user: user_name(uid) })
}

fn failed(message: impl Into<String>, hint: impl Into<String>) -> Answer {
    Answer::Failed { message: message.into(), hint: hint.into() }
}

impl Custodian {
    /// Does what a person wants.
    pub fn command(&self, by: Person, command: Command) -> Answer {
        let mut answer = self.obey(by, command).unwrap_or_else(|unsaid| failed(unsaid.to_string(), unsaid.hint()));
        // The desk reads the ledger, which does not have this one.
        if let Some(paused) = self.unwritten().clone() {
            match &mut answer {
                Answer::Desk(desk) => desk.paused = Some(paused),
                Answer::Study(dossier) => dossier.paused = Some(paused),
                Answer::Stopped { .. } | Answer::Accepted(_) | Answer::Failed { .. } => {}
            }
        }
        answer
    }

    fn obey(&self, by: Person, command: Command) -> Result<Answer, Unsaid> {
        let study = match command {
            Command::List { all } => return Ok(Answer::Desk(self.desk().list(all)?)),
            Command::Pause { reason } => {
                self.pause(by, line(reason)?);
                return Ok(Answer::Desk(self.desk().list(false)?));
            }
            Command::Resume => {
                self.resume(by)?;
                return Ok(Answer::Desk(self.desk().list(false)?));
            }
            Command::AcceptRestored { checkpoints, knowing } => {
                return Ok(Answer::Accepted(self.accept_restored(by, &checkpoints, knowing)?));
            }
            Command::Show { study } => self.desk().named(&study)?,
            Command::Approve { study, until, note } => {
                let study = self.desk().named(&study)?;
                self.approve(&study, by, until, line(note)?)?;
                study
            }
            Command::Refuse { study, reason } => {
                let study = self.desk().named_or_asked(&study)?;
                self.deny(&study, by, line(Some(reason))?.unwrap_or_default())?;
                study
            }
        };
        match self.desk().dossier(&study)? {
            Some(dossier) => Ok(Answer::Study(Box::new(dossier))),
            // A no to a study that was never put on the desk.
            None => Ok(Answer::Stopped { study: study.to_string() }),
        }
    }
}

/// A person's words as they may be recorded, shown and sent: one line, not too long, not empty.
fn line(words: Option<String>) -> Result<Option<String>, Unsaid> {
    let Some(words) = words else { return Ok(None) };
    let words = words.trim();
    if words.is_empty() || words.len() > limits::SITE_MESSAGE_BYTES || words.contains(steers) {
        return Err(Unsaid::Words(one_line(words.get(..40).unwrap_or(words))));
    }
    Ok(Some(words.to_owned()))
}

//! Moving a session to another link, made beside the one that stands: as a renewed identity, or by a better way than the one that was open when the
//! session began. Make before break: the old link still brings the questions that were under way, until the coordinator closes it.

use bocage_net::{CloseCode, Dialler, Link};
use bocage_protocol::env::Timestamp;
use bocage_protocol::session::State;
use bocage_protocol::wire::hello::{Answer, Hello, RENEWAL, Welcome};
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest};
use tokio::time::timeout;

use super::upkeep::{PATIENCE, exchange};
use super::way_back::Standing;
use super::{Agent, Control, GREETING, Pending, greet};

/// Before a link that could not be made beside the one that stands is tried again.
const MOVE_AGAIN_SECS: i64 = 60;

/// A link on which the coordinator has welcomed the node, or why there is none.
pub(super) type Moved<D> = Result<(<D as Dialler>::Link, Welcome, Control<D>), String>;

/// Why a session moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    /// Its certificate has been exchanged.
    Certificate,
    /// A better way has been found open.
    Way,
}

/// The moves of an agent; at most one at a time.
pub(super) struct Moves<D: Dialler> {
    /// A link being made and greeted.
    pub(super) under_way: Pending<(Because, Moved<D>)>,
    /// When a link is to be made as the identity in force.
    pub(super) at: Option<Timestamp>,
    /// The better way being tried.
    pub(super) trying: Pending<Result<D::Link, String>>,
    /// Whether `under_way` leaves a certificate.
    leaves_certificate: bool,
}

impl<D: Dialler> Default for Moves<D> {
    fn default() -> Self {
        Self { under_way: None, at: None, trying: None, leaves_certificate: false }
    }
}

impl<D: Dialler> Moves<D> {
    /// Whether the certificate that the session was begun with is being left.
    pub(super) fn leave_certificate(&self) -> bool {
        self.at.is_some() || self.leaves_certificate
    }

    fn begin(&mut self, because: Because, link: impl Future<Output = Moved<D>> + Send + 'static) {
        self.leaves_certificate = because == Because::Certificate;
        self.under_way = Some(Box::pin(async move { (because, link.await) }));
    }
}

impl<D: Dialler> Agent<D> {
    /// Begins what is due: a move to a link as the identity in force, or a try of the better way.
    pub(super) fn begin_moves(&mut self, now: Timestamp) {
        let ready = matches!(self.session.state(), State::Ready { .. });
        let standing = self.link.as_ref().filter(|_| ready).map(|link| match self.dialler.is_second_choice(link) {
            true => Standing::Second,
            false => Standing::First,
        });
        self.way_back.follow(now, standing, self.entropy.as_mut());
        if !ready {
            // The next link is made as whoever one is then, by the way that is open then.
            self.moves = Moves::default();
        } else if self.moves.under_way.is_some() {
        } else if self.moves.at.is_some_and(|at| now >= at) {
            // The new identity dials by whichever way is open; one that was being tried was for the old one.
            (self.moves.at, self.moves.trying) = (None, None);
            let (dialler, hello) = (self.dialler.clone(), self.session.hello(now));
            self.moves.begin(Because::Certificate, async move {
                let link = dialler.connect().await.map_err(|e| e.to_string())?;
                welcomed::<D>(link, hello).await
            });
        } else if self.moves.trying.is_none() && self.way_back.take(now, self.entropy.as_mut()) {
            let dialler = self.dialler.clone();
            self.moves.trying =
                Some(Box::pin(async move { dialler.connect_by_first_choice().await.map_err(|e| e.to_string()) }));
        }
    }

    /// When [`Agent::begin_moves`] is due.
    pub(super) fn moves_due(&self) -> Option<Timestamp> {
        if self.moves.under_way.is_some() {
            return None;
        }
        let again = self.way_back.poll_timeout().filter(|_| self.moves.trying.is_none());
        [self.moves.at, again].into_iter().flatten().min()
    }

    /// The better way was tried. Where it is open the session moves there, after notice to the coordinator: without, it would hang up on what it has asked.
    pub(super) fn tried(&mut self, tried: Result<D::Link, String>) {
        let better = match tried {
            Ok(link) => link,
            Err(reason) => {
                return tracing::info!(reason, "the better way is still shut; the session stays where it is");
            }
        };
        let (State::Ready { version, .. }, Some(old)) = (self.session.state(), self.link.clone()) else { return };
        let hello = self.session.hello(self.clock.now());
        self.moves.begin(Because::Way, async move {
            // An older coordinator hears no notice: it asks anew what it had asked.
            if version >= RENEWAL
                && let Err(reason) = give_notice(&old).await
            {
                better.close(CloseCode::DONE, "not yet");
                return Err(reason);
            }
            welcomed::<D>(better, hello).await
        });
    }

    /// The session goes on over the new link.
    pub(super) fn moved(&mut self, because: Because, moved: Moved<D>) {
        let now = self.clock.now();
        self.moves.leaves_certificate = false;
        let again = Some(now.plus_secs(MOVE_AGAIN_SECS)).filter(|_| because == Because::Certificate);
        match moved {
            Ok((link, welcome, control)) if self.session.moved(now, &welcome) => {
                let (old, old_control) = (self.link.replace(link), self.control.replace(control));
                if let Some(old) = old {
                    let to = self.from_left.0.clone();
                    self.left.spawn(async move {
                        while let Ok(stream) = old.accept().await {
                            if to.send(stream).await.is_err() {
                                break;
                            }
                        }
                        drop(old_control);
                    });
                }
            }
            Ok((link, ..)) => {
                link.close(CloseCode::PROTOCOL, "that is not our coordinator");
                self.moves.at = self.moves.at.or(again);
            }
            Err(reason) => {
                match because {
                    Because::Certificate => tracing::warn!(
                        reason,
                        "no session under the new certificate yet; the one under the old goes on"
                    ),
                    Because::Way => {
                        tracing::info!(reason, "no session over the better way yet; the one that stands goes on")
                    }
                }
                self.moves.at = self.moves.at.or(again);
            }
        }
    }
}

/// Says on a link that the session is about to go on over another.
async fn give_notice<L: Link>(link: &L) -> Result<(), String> {
    match timeout(PATIENCE, exchange(link, &NodeRequest::Moves)).await {
        Ok(Ok(NodeReply::Noted)) => Ok(()),
        Ok(Ok(NodeReply::Refused(error))) => Err(format!("the coordinator refuses: {error}")),
        Ok(Ok(_)) => Err("the coordinator answered something else".to_owned()),
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err("the coordinator did not answer in time".to_owned()),
    }
}

/// Greets on a link that is made beside the one that stands.
async fn welcomed<D: Dialler>(link: D::Link, hello: Hello) -> Moved<D> {
    match timeout(GREETING, greet::<D>(link.clone(), hello)).await {
        Ok(Ok((Answer::Welcome(welcome), control))) => Ok((link, welcome, control)),
        Ok(Ok((Answer::Reject(error), _))) => Err(error.to_string()),
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err("the coordinator did not answer the hello in time".to_owned()),
    }
}

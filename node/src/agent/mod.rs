//! The agent: the node's only process that talks to the network. It keeps one session to the coordinator and hands frames on, unread.
//!
//! It must never read the site's data, ledger or release key: it is not told where they are, and what it forwards it does not decode.
//!
//! ```text
//! coordinator ──stream──▶ relay ──run/custodian.sock──▶ custodian
//! coordinator ◀─stream─── relay ◀─────────────────────── custodian        (no custodian, or its queue full: `busy`)
//! ```
//! [`Agent::run`] is the one owner: it turns what happens into events of [`Session`] and carries out the session's actions.

mod moves;
mod pace;
mod presence;
mod relay;
mod upkeep;
mod way_back;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bocage_daemon::process::Process;
use bocage_daemon::pulse::BEAT;
use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_net::{CloseCode, Dialler, Link};
use bocage_protocol::env::{Clock, Entropy};
use bocage_protocol::limits;
use bocage_protocol::session::{Action, Event, Report, Session, SessionConfig, State};
use bocage_protocol::wire::hello::{Answer, Hello, RENEWAL};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::moves::{Because, Moved, Moves};
use self::pace::{Pace, Real};
use self::way_back::WayBack;

pub use presence::{OnBeat, Presence};
pub use relay::RELAYS;
pub use upkeep::Upkeep;

/// The software as the hello names it.
pub const SOFTWARE: &str = concat!("bocage-node ", env!("CARGO_PKG_VERSION"));

/// How long the coordinator may take to answer the hello on a link beside the one that stands.
const GREETING: Duration = Duration::from_secs(10);
/// After how long the better way is tried for the first time, if nothing else is said.
pub const WAY_BACK_SECS: u32 = 300;
/// Streams of a link that is left, on their way to the relays.
const LEFT_STREAMS: usize = 16;
/// How long a stopping agent waits for the answers that are under way: the custodian has ended by then, or will not answer.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long a link stays up behind the last answer: closing it loses what is not delivered yet.
const LINGER: Duration = Duration::from_millis(300);

/// How often a coordinator's bad manners are told of at most.
const WARN_AGAIN: Duration = Duration::from_secs(60);

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The first stream of a link, on which the two greeted each other. It stays open as long as the session.
type Control<D> = <<D as Dialler>::Link as Link>::Stream;
type Greeted<D> = Result<(Answer, Control<D>), String>;

/// The agent's state: a session, and the link that it runs over.
pub struct Agent<D: Dialler> {
    dialler: Arc<D>,
    custodian: PathBuf,
    clock: Arc<dyn Clock>,
    pace: Arc<dyn Pace>,
    entropy: Box<dyn Entropy>,
    session: Session,
    link: Option<D::Link>,
    control: Option<Control<D>>,
    connecting: Pending<Result<D::Link, String>>,
    greeting: Pending<Greeted<D>>,
    relays: JoinSet<Option<FrameError>>,
    /// When it was last said that the coordinator does not keep to the protocol.
    warned: Option<Instant>,
    /// The certificate's; none where the transport has none.
    upkeep: Option<Upkeep>,
    /// Links that are made beside the one that stands.
    moves: Moves<D>,
    way_back: WayBack,
    /// Links that were left and still bring questions, until the coordinator closes them.
    left: JoinSet<()>,
    from_left: (mpsc::Sender<Control<D>>, mpsc::Receiver<Control<D>>),
    /// When the last answer was handed on.
    answered: Option<Instant>,
    /// Asked to stop, with answers on their way: until then.
    leaving: Option<Instant>,
    presence: Arc<Presence>,
}

/// What can happen to an agent.
enum Happening<D: Dialler> {
    Stop,
    Connected(Result<D::Link, String>),
    Greeted(Greeted<D>),
    Lost(String),
    Asked(Control<D>),
    /// By a link that is left.
    AskedByLeft(Control<D>),
    Upkeep(Option<upkeep::Answer>),
    Moved(Because, Moved<D>),
    Tried(Result<D::Link, String>),
    /// A request, or what the coordinator sent instead of one.
    Answered(Option<FrameError>),
    Beat,
    Leave,
    Nothing,
}

impl<D: Dialler> Agent<D> {
    /// An agent that is due to dial. `custodian` is the socket that frames are handed on to.
    pub fn new(
        config: SessionConfig,
        dialler: D,
        custodian: PathBuf,
        clock: Arc<dyn Clock>,
        entropy: Box<dyn Entropy>,
    ) -> Self {
        let session = Session::new(config, clock.now());
        let presence = Arc::new(Presence::new(Process::this(), Arc::clone(&clock), Box::new(|_| {})));
        Self {
            dialler: Arc::new(dialler),
            custodian,
            clock,
            pace: Arc::new(Real),
            entropy,
            session,
            link: None,
            control: None,
            connecting: None,
            greeting: None,
            relays: JoinSet::new(),
            warned: None,
            answered: None,
            leaving: None,
            presence,
            upkeep: None,
            moves: Moves::default(),
            way_back: WayBack::new(WAY_BACK_SECS),
            left: JoinSet::new(),
            from_left: mpsc::channel(LEFT_STREAMS),
        }
    }

    /// The same, with a certificate that is looked after.
    #[must_use]
    pub fn with(self, upkeep: Upkeep) -> Self {
        Self { upkeep: Some(upkeep), ..self }
    }

    /// The same, which tries a better way than the one that its session stands on after so long for the first time.
    #[must_use]
    pub fn coming_back_after(self, secs: u32) -> Self {
        Self { way_back: WayBack::new(secs), ..self }
    }

    /// The same, which says there how it is.
    #[must_use]
    pub fn watched(self, presence: Arc<Presence>) -> Self {
        Self { presence, ..self }
    }

    /// Keeps the session until `stop` completes. Returns the link that was closed last, so that the caller can wait until the
    /// coordinator has been told.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Option<D::Link> {
        tokio::pin!(stop);
        let mut last = None;
        let mut beat = tokio::time::interval(BEAT);
        loop {
            self.session.handle_timeout(self.clock.now(), self.entropy.as_mut());
            while let Some(action) = self.session.poll_action() {
                last = self.apply(action).or(last);
            }
            self.presence.at(self.session.state(), self.relays.len());
            if self.session.state() == State::Stopped {
                return last;
            }
            self.look_after_certificate();
            self.begin_moves(self.clock.now());
            let due_ms = self.due_in_ms();
            let happening = tokio::select! {
                () = &mut stop, if self.leaving.is_none() => Happening::Stop,
                () = at(self.leaving) => Happening::Leave,
                _ = beat.tick() => Happening::Beat,
                result = pending(&mut self.connecting) => Happening::Connected(result),
                result = pending(&mut self.greeting) => Happening::Greeted(result),
                happening = next_of_link::<D>(self.link.as_ref(), self.session.state()) => happening,
                what = happens(&mut self.upkeep) => Happening::Upkeep(what),
                (because, moved) = pending(&mut self.moves.under_way) => Happening::Moved(because, moved),
                tried = pending(&mut self.moves.trying) => Happening::Tried(tried),
                Some(stream) = self.from_left.1.recv() => Happening::AskedByLeft(stream),
                Some(_) = self.left.join_next() => Happening::Nothing,
                Some(done) = self.relays.join_next() => Happening::Answered(done.ok().flatten()),
                () = until(self.pace.as_ref(), due_ms) => Happening::Nothing,
            };
            self.take(happening);
        }
    }

    /// Once in a while: whoever sends such requests sends many.
    fn warn_of(&mut self, error: &FrameError, now: Instant) {
        if self.warned.is_none_or(|warned| now - warned >= WARN_AGAIN) {
            self.warned = Some(now);
            tracing::warn!(%error, "the coordinator sent what is no request: its link is closed");
        } else {
            tracing::debug!(%error, "what is no request, again");
        }
    }

    /// Turns what happened into an event of the session.
    fn take(&mut self, happening: Happening<D>) {
        let event = match happening {
            Happening::Nothing => return,
            Happening::Asked(stream) => return self.relay(stream, self.link.clone()),
            Happening::AskedByLeft(stream) => return self.relay(stream, None),
            Happening::Upkeep(what) => {
                let (now, upkeep) = (self.clock.now(), self.upkeep.as_mut());
                if upkeep.is_some_and(|upkeep| upkeep.take(now, what, self.entropy.as_mut())) {
                    self.moves.at = Some(now);
                }
                return;
            }
            Happening::Moved(because, moved) => return self.moved(because, moved),
            Happening::Tried(tried) => return self.tried(tried),
            Happening::Beat => return self.presence.beat(),
            Happening::Answered(foul) => {
                let now = Instant::now();
                if let Some(error) = foul {
                    self.warn_of(&error, now);
                }
                self.answered = Some(now);
                if self.leaving.is_some() && self.relays.is_empty() {
                    self.leaving = Some(now + LINGER);
                }
                return;
            }
            Happening::Stop => match self.last_answers() {
                Some(until) => {
                    self.leaving = Some(until);
                    return;
                }
                None => Event::Stop,
            },
            Happening::Leave => Event::Stop,
            Happening::Connected(Ok(link)) => {
                self.link = Some(link);
                Event::Connected
            }
            Happening::Connected(Err(reason)) => Event::ConnectFailed { reason },
            Happening::Greeted(Ok((answer, control))) => {
                self.control = Some(control);
                Event::HelloAnswered(answer)
            }
            Happening::Greeted(Err(reason)) | Happening::Lost(reason) => Event::Lost { reason },
        };
        self.session.handle(self.clock.now(), event, self.entropy.as_mut());
    }

    /// Has done what is due to the certificate. Where that has been exchanged the session moves to a link that is made as the new identity.
    fn look_after_certificate(&mut self) {
        let now = self.clock.now();
        // While the session moves nothing is asked: what stands is of a certificate that is being left, and its renewal was told already.
        let speaks = matches!(self.session.state(), State::Ready { version, .. } if version >= RENEWAL);
        let may_ask = speaks && !self.moves.leave_certificate();
        if let Some(upkeep) = &mut self.upkeep
            && upkeep.act(now, self.link.as_ref().filter(|_| may_ask), self.entropy.as_mut())
        {
            self.moves.at = Some(now);
        }
    }

    fn due_in_ms(&self) -> Option<i64> {
        let upkeep = self.upkeep.as_ref().map(Upkeep::due_at);
        let due = [self.session.poll_timeout(), upkeep, self.moves_due()].into_iter().flatten().min();
        due.map(|at| at.since_ms(self.clock.now()))
    }

    /// Carries out an action; returns the link that it closed.
    fn apply(&mut self, action: Action) -> Option<D::Link> {
        match action {
            Action::Connect => {
                let dialler = Arc::clone(&self.dialler);
                self.connecting = Some(Box::pin(async move { dialler.connect().await.map_err(|e| e.to_string()) }));
                None
            }
            Action::SendHello(hello) => {
                self.greeting = self.link.clone().map(|link| -> Pin<Box<dyn Future<Output = Greeted<D>> + Send>> {
                    Box::pin(greet::<D>(link, hello))
                });
                None
            }
            Action::Close(code) => self.close(code),
            Action::Report(report) => {
                self.presence.event(event_of(&report));
                tell(&report);
                None
            }
        }
    }

    fn close(&mut self, code: CloseCode) -> Option<D::Link> {
        self.greeting = None;
        self.control = None;
        let link = self.link.take()?;
        link.close(code, "");
        Some(link)
    }

    /// Until when an agent that is asked to stop waits for answers on their way, if there are any.
    fn last_answers(&self) -> Option<Instant> {
        let now = Instant::now();
        match self.answered {
            _ if !self.relays.is_empty() => Some(now + LAST_ANSWERS),
            Some(answered) if answered.elapsed() < LINGER => Some(answered + LINGER),
            _ => None,
        }
    }

    /// Hands a request on. `link`: the one that it came by, which is closed where the coordinator does not keep to the protocol.
    fn relay(&mut self, stream: Control<D>, link: Option<D::Link>) {
        let full = self.relays.len() >= RELAYS || self.leaving.is_some();
        let presence = Arc::clone(&self.presence);
        let socket = self.custodian.clone();
        self.relays.spawn(async move {
            let done = if full { relay::turn_away(stream).await } else { relay::hand_on(stream, &socket).await };
            match done {
                Ok(handed) => presence.request(handed),
                Err(error) if relay::is_foul(&error) => {
                    if let Some(link) = link {
                        link.close(CloseCode::PROTOCOL, "that was no request");
                    }
                    return Some(error);
                }
                Err(error) => tracing::debug!(%error, "a request was not answered"),
            }
            None
        });
    }
}

/// What happens next on the link, while there is one.
async fn next_of_link<D: Dialler>(link: Option<&D::Link>, state: State) -> Happening<D> {
    let Some(link) = link else { return std::future::pending().await };
    if !matches!(state, State::Ready { .. }) {
        return Happening::Lost(link.closed().await.to_string());
    }
    match link.accept().await {
        Ok(stream) => Happening::Asked(stream),
        Err(error) => Happening::Lost(error.0.to_string()),
    }
}

async fn happens(upkeep: &mut Option<Upkeep>) -> Option<upkeep::Answer> {
    match upkeep {
        Some(upkeep) => upkeep.happens().await,
        None => std::future::pending().await,
    }
}

async fn greet<D: Dialler>(link: D::Link, hello: Hello) -> Greeted<D> {
    let mut control = link.open().await.map_err(|e| e.to_string())?;
    write_frame(&mut control, &hello.encode()).await.map_err(|e| format!("the hello could not be sent: {e}"))?;
    let frame = read_frame(&mut control, limits::HELLO_BYTES).await;
    let frame = frame.map_err(|e| format!("the hello was not answered: {e}"))?;
    let answer = Answer::decode(&frame).map_err(|e| e.to_string())?;
    Ok((answer, control))
}

async fn pending<T>(future: &mut Pending<T>) -> T {
    match future {
        Some(running) => {
            let result = running.await;
            *future = None;
            result
        }
        None => std::future::pending().await,
    }
}

async fn until(pace: &dyn Pace, left_ms: Option<i64>) {
    match left_ms {
        Some(ms) => pace.wait(u64::try_from(ms).unwrap_or(0)).await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn event_of(report: &Report) -> &'static str {
    match report {
        Report::Ready { .. } => "ready",
        Report::ClockSkew { .. } => "clock_skew",
        Report::Waiting { .. } => "lost_or_not_reached",
        Report::Rejected { .. } => "rejected",
    }
}

fn tell(report: &Report) {
    if report.is_warning() {
        tracing::warn!("{report}");
    } else {
        tracing::info!("{report}");
    }
}

/// How the session of `config`'s node is kept.
pub fn session_config(config: &crate::config::AgentConfig) -> SessionConfig {
    SessionConfig::new(config.site.clone(), config.network.clone(), SOFTWARE)
}

#[cfg(test)]
mod tests;

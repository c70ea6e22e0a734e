//! The agent: the node's only process that talks to the network. It keeps one session to the coordinator and hands frames on, unread.
//!
//! It must never read the site's data, ledger or release key: it is not told where they are, and what it forwards it does not decode.
//!
//! ```text
//! coordinator ──stream──▶ relay ──run/custodian.sock──▶ custodian
//! coordinator ◀─stream─── relay ◀─────────────────────── custodian        (no custodian, or its queue full: `busy`)
//! ```
//! [`Agent::run`] is the one owner: it turns what happens into events of [`Session`] and carries out the session's actions.

mod presence;
mod relay;
mod upkeep;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bocage_daemon::process::Process;
use bocage_daemon::pulse::BEAT;
use bocage_net::frame::{read_frame, write_frame};
use bocage_net::{CloseCode, Dialler, Link};
use bocage_protocol::env::{Clock, Entropy, Timestamp};
use bocage_protocol::limits;
use bocage_protocol::session::{Action, Event, Report, Session, SessionConfig, State};
use bocage_protocol::wire::hello::{Answer, Hello, RENEWAL, Welcome};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use presence::{OnBeat, Presence};
pub use relay::RELAYS;
pub use upkeep::Upkeep;

/// The software as the hello names it.
pub const SOFTWARE: &str = concat!("bocage-node ", env!("CARGO_PKG_VERSION"));

/// How long the coordinator may take to answer the hello on a link beside the one that stands.
const GREETING: Duration = Duration::from_secs(10);
/// Before a link that could not be made beside the one that stands is tried again.
const MOVE_AGAIN_SECS: i64 = 60;
/// Streams of a link that is left, on their way to the relays.
const LEFT_STREAMS: usize = 16;
/// How long a stopping agent waits for the answers that are under way: the custodian has ended by then, or will not answer.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long a link stays up behind the last answer: closing it loses what is not delivered yet.
const LINGER: Duration = Duration::from_millis(300);

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// The first stream of a link, on which the two greeted each other. It stays open as long as the session.
type Control<D> = <<D as Dialler>::Link as Link>::Stream;
type Greeted<D> = Result<(Answer, Control<D>), String>;
type Moved<D> = Result<(<D as Dialler>::Link, Welcome, Control<D>), String>;

/// The agent's state: a session, and the link that it runs over.
pub struct Agent<D: Dialler> {
    dialler: Arc<D>,
    custodian: PathBuf,
    clock: Arc<dyn Clock>,
    entropy: Box<dyn Entropy>,
    session: Session,
    link: Option<D::Link>,
    control: Option<Control<D>>,
    connecting: Pending<Result<D::Link, String>>,
    greeting: Pending<Greeted<D>>,
    relays: JoinSet<()>,
    /// The certificate's; none where the transport has none.
    upkeep: Option<Upkeep>,
    /// A link that is made as a new identity, beside the one that stands.
    moving: Pending<Moved<D>>,
    move_at: Option<Timestamp>,
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
    Upkeep(Option<upkeep::Answer>),
    Moved(Moved<D>),
    Answered,
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
            entropy,
            session,
            link: None,
            control: None,
            connecting: None,
            greeting: None,
            relays: JoinSet::new(),
            answered: None,
            leaving: None,
            presence,
            upkeep: None,
            moving: None,
            move_at: None,
            left: JoinSet::new(),
            from_left: mpsc::channel(LEFT_STREAMS),
        }
    }

    /// The same, with a certificate that is looked after.
    #[must_use]
    pub fn with(self, upkeep: Upkeep) -> Self {
        Self { upkeep: Some(upkeep), ..self }
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
            let due_ms = self.due_in_ms();
            let happening = tokio::select! {
                () = &mut stop, if self.leaving.is_none() => Happening::Stop,
                () = at(self.leaving) => Happening::Leave,
                _ = beat.tick() => Happening::Beat,
                result = pending(&mut self.connecting) => Happening::Connected(result),
                result = pending(&mut self.greeting) => Happening::Greeted(result),
                happening = next_of_link::<D>(self.link.as_ref(), self.session.state()) => happening,
                what = happens(&mut self.upkeep) => Happening::Upkeep(what),
                moved = pending(&mut self.moving) => Happening::Moved(moved),
                Some(stream) = self.from_left.1.recv() => Happening::Asked(stream),
                Some(_) = self.left.join_next() => Happening::Nothing,
                Some(_) = self.relays.join_next() => Happening::Answered,
                () = until(due_ms) => Happening::Nothing,
            };
            self.take(happening);
        }
    }

    /// Turns what happened into an event of the session.
    fn take(&mut self, happening: Happening<D>) {
        let event = match happening {
            Happening::Nothing => return,
            Happening::Asked(stream) => return self.relay(stream),
            Happening::Upkeep(what) => {
                let (now, upkeep) = (self.clock.now(), self.upkeep.as_mut());
                if upkeep.is_some_and(|upkeep| upkeep.take(now, what, self.entropy.as_mut())) {
                    self.move_at = Some(now);
                }
                return;
            }
            Happening::Moved(moved) => return self.moved(moved),
            Happening::Beat => return self.presence.beat(),
            Happening::Answered => {
                let now = Instant::now();
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

    /// Has done what is due to the certificate, and begins to move to another link where that has been exchanged.
    fn look_after_certificate(&mut self) {
        let now = self.clock.now();
        let ready = matches!(self.session.state(), State::Ready { .. });
        // While the session moves nothing is asked: what stands is of a certificate that is being left, and its renewal was told already.
        let moves = self.moving.is_some() || self.move_at.is_some();
        let speaks = matches!(self.session.state(), State::Ready { version, .. } if version >= RENEWAL);
        let may_ask = speaks && !moves;
        if let Some(upkeep) = &mut self.upkeep
            && upkeep.act(now, self.link.as_ref().filter(|_| may_ask), self.entropy.as_mut())
        {
            self.move_at = Some(now);
        }
        if !ready {
            // The next link is made as whoever one is then.
            (self.moving, self.move_at) = (None, None);
        } else if self.move_at.is_some_and(|at| now >= at) && self.moving.is_none() {
            self.move_at = None;
            let (dialler, hello) = (Arc::clone(&self.dialler), self.session.hello(now));
            self.moving = Some(Box::pin(async move {
                let link = dialler.connect().await.map_err(|e| e.to_string())?;
                match tokio::time::timeout(GREETING, greet::<D>(link.clone(), hello)).await {
                    Ok(Ok((Answer::Welcome(welcome), control))) => Ok((link, welcome, control)),
                    Ok(Ok((Answer::Reject(error), _))) => Err(error.to_string()),
                    Ok(Err(reason)) => Err(reason),
                    Err(_) => Err("the coordinator did not answer the hello in time".to_owned()),
                }
            }));
        }
    }

    /// The session goes on over the new link. The old one still brings the answers' questions; the coordinator closes it.
    fn moved(&mut self, moved: Moved<D>) {
        let now = self.clock.now();
        let again = Some(now.plus_secs(MOVE_AGAIN_SECS));
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
                self.move_at = again;
            }
            Err(reason) => {
                tracing::warn!(reason, "no session under the new certificate yet; the one under the old goes on");
                self.move_at = again;
            }
        }
    }

    fn due_in_ms(&self) -> Option<i64> {
        let upkeep = self.upkeep.as_ref().map(Upkeep::due_at);
        // One link is made at a time.
        let move_at = self.move_at.filter(|_| self.moving.is_none());
        let due = [self.session.poll_timeout(), upkeep, move_at].into_iter().flatten().min();
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

    fn relay(&mut self, stream: Control<D>) {
        let full = self.relays.len() >= RELAYS || self.leaving.is_some();
        let presence = Arc::clone(&self.presence);
        let socket = self.custodian.clone();
        self.relays.spawn(async move {
            let done = if full { relay::turn_away(stream).await } else { relay::hand_on(stream, &socket).await };
            match done {
                Ok(handed) => presence.request(handed),
                Err(error) => tracing::debug!(%error, "a request was not answered"),
            }
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

async fn until(left_ms: Option<i64>) {
    match left_ms {
        Some(ms) => tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await,
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
mod tests {
    use super::*;
    use bocage_net::Listener;
    use bocage_net::env::{SystemClock, SystemEntropy};
    use bocage_net::memory::{MemoryLink, MemoryListener};
    use bocage_protocol::error::{ErrorCode, PublicError};
    use bocage_protocol::wire::codec;
    use bocage_protocol::wire::hello::Welcome;
    use bocage_protocol::wire::message::Reply;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;

    fn agent(listener: &MemoryListener, socket: PathBuf) -> Agent<bocage_net::memory::MemoryDialler> {
        let site: bocage_protocol::ids::SiteId = "cleveland".parse().unwrap();
        let mut config = SessionConfig::new(site.clone(), "heart".parse().unwrap(), SOFTWARE);
        config.backoff_min_ms = 1;
        let entropy = Box::new(SystemEntropy);
        Agent::new(config, listener.dialler(site), socket, Arc::new(SystemClock), entropy)
    }

    async fn welcome(listener: &MemoryListener) -> (MemoryLink, impl Send) {
        let link = listener.accept().await.unwrap();
        let mut control = link.accept().await.unwrap();
        let hello = Hello::decode(&read_frame(&mut control, 1000).await.unwrap()).unwrap();
        assert_eq!((hello.site.as_str(), hello.software.as_str()), ("cleveland", SOFTWARE));
        let answer = Answer::Welcome(Welcome { version: 1, network: "heart".parse().unwrap(), now: SystemClock.now() });
        write_frame(&mut control, &answer.encode()).await.unwrap();
        (link, control)
    }

    async fn ask(link: &MemoryLink, frame: &[u8]) -> Vec<u8> {
        let mut stream = link.open().await.unwrap();
        write_frame(&mut stream, frame).await.unwrap();
        stream.shutdown().await.unwrap();
        read_frame(&mut stream, limits::FRAME_BYTES).await.unwrap()
    }

    #[tokio::test]
    async fn frames_reach_the_custodian_unread_and_its_answers_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("custodian.sock");
        let custodian = UnixListener::bind(&socket).unwrap();
        let listener = MemoryListener::new();
        let agent = agent(&listener, socket);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(agent.run(async {
            let _ = stopped.await;
        }));
        let (link, _control) = welcome(&listener).await;
        let echo = tokio::spawn(async move {
            let (mut stream, _) = custodian.accept().await.unwrap();
            let mut frame = read_frame(&mut stream, 100).await.unwrap();
            frame.reverse();
            write_frame(&mut stream, &frame).await.unwrap();
        });
        assert_eq!(ask(&link, &[1, 2, 255]).await, [255, 2, 1]);
        echo.await.unwrap();
        stop.send(()).unwrap();
        assert!(running.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn without_a_custodian_the_answer_is_busy_and_a_lost_link_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let listener = MemoryListener::new();
        let agent = agent(&listener, dir.path().join("none.sock"));
        let running = tokio::spawn(agent.run(std::future::pending()));
        for _ in 0..3 {
            let (link, _control) = welcome(&listener).await;
            let reply: Reply = codec::decode(&ask(&link, &[0]).await, limits::FRAME_BYTES).unwrap();
            assert!(matches!(reply, Reply::Refused(PublicError { code: ErrorCode::Busy, .. })), "{reply:?}");
            link.sever("cable cut");
        }
        running.abort();
    }
}

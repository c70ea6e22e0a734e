//! The custodian's socket and its one compute thread.
//!
//! ```text
//! agent ──frame──▶ connection ──┬─ catalogue: answered at once
//!                               └─ round ──bounded queue──▶ compute thread (Custodian::round, one at a time)
//!       ◀─frame── connection ◀────────────────────────────────┘
//! ```
//! One connection carries one request. The server must never answer a process of another user, and never read more than one frame.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bocage_daemon::pulse::BEAT;
use bocage_daemon::status::{self, Door, Watched};
use bocage_net::frame::{FrameError, read_frame, write_frame};
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::limits;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Custodian;
use super::answer::Length;
use super::desk::socket::Admin;
use crate::config::{StateDir, Steward};

/// How long a connection may take to send its request: it is a local process.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections beyond the queue, for catalogues and for saying `busy`.
const SPARE_CONNECTIONS: usize = 64;
/// How often it is looked whether a snapshot is due to be taken.
const DUE_LOOK: Duration = Duration::from_secs(60);
/// How often it is looked whether a new one was taken.
const NEW_LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether payloads of the ledger are old enough to be dropped, beside at the start.
const RETENTION_LOOK: Duration = Duration::from_secs(86_400);

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The compute thread ended, which only a defect can cause.
    #[error("the compute thread ended unexpectedly")]
    Compute,
}

/// What the compute thread does, one after another.
enum Job {
    /// Answer a round.
    Round { request: Box<RoundRequest>, length: Length, answer: oneshot::Sender<Vec<u8>> },
    /// See whether payloads of the ledger are old enough to be dropped.
    Retention,
}

/// A bound socket that nobody is served on yet.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    admin: Admin,
    admin_path: PathBuf,
    status: Option<(Door, Arc<dyn Watched>)>,
}

impl Server {
    /// Binds `run/custodian.sock` and `run/admin.sock` with mode 0600 in a directory of mode 0700. A socket that an earlier custodian left is replaced: the
    /// caller holds the lock that tells that none is alive. In a directory of the machine's the first has mode 0660, and the directory's group where
    /// that is how it hands its group on.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn bind(state: &StateDir, steward: &Steward) -> Result<Self, ServerError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| ServerError::Bind { path, source }
        };
        let (path, admin_path) = (state.socket(), state.admin_socket());
        provide(state).map_err(at(&path))?;
        let listener = bind(&path, if state.shares_run() { 0o660 } else { 0o600 }).map_err(at(&path))?;
        let admin = bind(&admin_path, 0o600).map_err(at(&admin_path))?;
        let admin = Admin::new(admin, state, steward).map_err(at(&admin_path))?;
        Ok(Self { listener, path, admin, admin_path, status: None })
    }

    /// The same, which shows on `door` how it is.
    #[must_use]
    pub fn watched_at(self, door: Door, watched: Arc<dyn Watched>) -> Self {
        Self { status: Some((door, watched)), ..self }
    }

    /// Serves until `stop` says how long the running query may take to finish. A later word shortens that; without any it is not waited for.
    ///
    /// # Errors
    /// Where the compute thread ends by itself.
    pub async fn run(self, custodian: Arc<Custodian>, mut stop: mpsc::Receiver<Duration>) -> Result<(), ServerError> {
        let (queue, jobs) = mpsc::channel(limits::CUSTODIAN_QUEUE);
        let worker = Arc::clone(&custodian);
        let mut compute = tokio::task::spawn_blocking(move || work(&worker, jobs));
        let reader = Arc::clone(&custodian);
        tokio::task::spawn_blocking(move || reader.look_over_ledger());
        let (mut connections, mut looks) = (JoinSet::new(), JoinSet::new());
        let seats = Arc::new(Semaphore::new(limits::CUSTODIAN_QUEUE + SPARE_CONNECTIONS));
        let mut due = tokio::time::interval_at(tokio::time::Instant::now() + DUE_LOOK, DUE_LOOK);
        let mut new = tokio::time::interval_at(tokio::time::Instant::now() + NEW_LOOK, NEW_LOOK);
        for interval in [&mut due, &mut new] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut retention = tokio::time::interval_at(tokio::time::Instant::now() + RETENTION_LOOK, RETENTION_LOOK);
        let mut beat = tokio::time::interval(BEAT);
        let mut looking = JoinSet::new();
        if let Some((door, watched)) = self.status {
            looking.spawn(status::serve(door, watched));
        }
        let commands = self.admin.serve(&custodian);
        tokio::pin!(commands);
        let ended = loop {
            tokio::select! {
                grace = stop.recv() => break Ok(grace.unwrap_or_default()),
                _ = beat.tick() => custodian.beat(),
                () = &mut commands => {}
                _ = &mut compute => break Err(ServerError::Compute),
                Some(_) = connections.join_next() => {}
                // Not in the queue, whose seats are for requests. One look at a time.
                _ = due.tick(), if looks.is_empty() => {
                    let custodian = Arc::clone(&custodian);
                    looks.spawn_blocking(move || {
                        custodian.drop_old_designs();
                        custodian.ask_for_due_snapshots(false);
                    });
                }
                _ = new.tick(), if looks.is_empty() => {
                    let custodian = Arc::clone(&custodian);
                    looks.spawn_blocking(move || custodian.adopt_new_snapshots());
                }
                Some(_) = looks.join_next() => {}
                _ = retention.tick() => {
                    // With a full queue there is the next day.
                    let _ = queue.try_send(Job::Retention);
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        // Without a seat the connection is dropped, which its agent reports as `busy`.
                        if let Ok(seat) = Arc::clone(&seats).try_acquire_owned() {
                            let (custodian, queue) = (Arc::clone(&custodian), queue.clone());
                            connections.spawn(async move {
                                serve(stream, &custodian, &queue).await;
                                drop(seat);
                            });
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        };
        drop(self.listener);
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.admin_path);
        let grace = ended?;
        custodian.begin_stop();
        drop(queue);
        let finished = async {
            let _ = (&mut compute).await;
            while connections.join_next().await.is_some() {}
        };
        tokio::select! {
            () = finished => {}
            () = end_of(grace, stop) => {}
        }
        custodian.end_stop();
        Ok(())
    }
}

/// The end of a grace that a later word may shorten.
async fn end_of(grace: Duration, mut shorter: mpsc::Receiver<Duration>) {
    let mut until = Instant::now() + grace;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            Some(grace) = shorter.recv() => until = until.min(Instant::now() + grace),
        }
    }
}

fn provide(state: &StateDir) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(state.run())?;
    if state.shares_run() { Ok(()) } else { fs::set_permissions(state.run(), Permissions::from_mode(0o700)) }
}

fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody else can reach the socket before its own mode is set: the directory is closed already, or this process's mask is. And whoever
    // does reach it is asked who it is.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// The compute thread: recovers, asks for missing snapshots, then computes one round after another.
fn work(custodian: &Custodian, mut jobs: mpsc::Receiver<Job>) {
    custodian.adopt_new_snapshots();
    custodian.sweep_snapshots();
    custodian.ask_for_due_snapshots(true);
    custodian.drop_old_payloads();
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Round { request, length, answer } => {
                // A requester that left meanwhile will ask again and find the release in the ledger.
                let _ = answer.send(custodian.round_of(&request, length));
            }
            Job::Retention => {
                custodian.sweep_snapshots();
                custodian.drop_old_payloads();
            }
        }
    }
}

async fn serve(mut stream: UnixStream, custodian: &Arc<Custodian>, queue: &mpsc::Sender<Job>) {
    if !admitted(&stream, custodian.agent_user()) {
        tracing::warn!("refused a connection of another user");
        return;
    }
    let frame = match tokio::time::timeout(REQUEST_TIMEOUT, read_frame(&mut stream, limits::FRAME_BYTES)).await {
        Ok(Ok(frame)) => frame,
        Ok(Err(FrameError::Ended)) => return,
        Ok(Err(error)) => return tracing::warn!(%error, "a connection did not send a frame"),
        Err(_) => return tracing::warn!("a connection did not send its request in time"),
    };
    let reply = match codec::decode::<Request>(&frame, limits::FRAME_BYTES) {
        Err(error) => custodian.malformed(PublicError::from(error)),
        Ok(Request::Catalogue) => catalogue(Arc::clone(custodian)).await,
        Ok(Request::Particulars(known)) if known.len() <= limits::KNOWN_CONTRACTS => custodian.particulars(&known),
        Ok(Request::Particulars(_)) => custodian.malformed(PublicError::new(
            ErrorCode::TooLarge,
            format!("a coordinator names {} contracts at most", limits::KNOWN_CONTRACTS),
        )),
        Ok(Request::Witness(known)) if known.len() <= limits::WITNESSED => {
            let custodian = Arc::clone(custodian);
            tokio::task::spawn_blocking(move || custodian.witness(&known)).await.unwrap_or_else(|_| refused(busy()))
        }
        Ok(Request::Witness(_)) => custodian.malformed(PublicError::new(
            ErrorCode::TooLarge,
            format!("a coordinator remembers {} checkpoints at most", limits::WITNESSED),
        )),
        Ok(Request::Round(request)) => enqueue(request, Length::Own, queue).await,
        Ok(Request::Filled(request)) => enqueue(request, Length::OfPlans, queue).await,
    };
    if let Err(error) = write_frame(&mut stream, &reply).await {
        tracing::debug!(%error, "the agent left before the answer");
    }
}

/// Reads manifests, so not on an async thread.
async fn catalogue(custodian: Arc<Custodian>) -> Vec<u8> {
    tokio::task::spawn_blocking(move || custodian.catalogue()).await.unwrap_or_else(|_| refused(busy()))
}

async fn enqueue(request: RoundRequest, length: Length, queue: &mpsc::Sender<Job>) -> Vec<u8> {
    let (answer, answered) = oneshot::channel();
    if queue.try_send(Job::Round { request: Box::new(request), length, answer }).is_err() {
        return refused(busy());
    }
    answered.await.unwrap_or_else(|_| refused(busy()))
}

/// The site has too many requests waiting, or is just starting or stopping.
pub fn busy() -> PublicError {
    PublicError::new(ErrorCode::Busy, "the site is busy").hint("ask again in a few seconds")
}

/// A refusal as a frame.
pub fn refused(error: PublicError) -> Vec<u8> {
    // A public error is a few thousand bytes at most, so it always fits.
    codec::encode(&Reply::Refused(error)).unwrap_or_default()
}

/// A "not yet" as a frame.
pub fn pending(error: PublicError) -> Vec<u8> {
    codec::encode(&Reply::Pending(error)).unwrap_or_default()
}

fn admitted(stream: &UnixStream, agent: Option<u32>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || Some(peer.uid()) == agent)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc as std_mpsc;

    use super::*;
    use crate::config::environment::read_release_key;
    use crate::custodian::Switches;
    use crate::custodian::ledger::Ledger;
    use crate::fixture::{NOW, Site, Still};
    use tokio::io::AsyncWriteExt as _;

    fn custodian(site: &Site, switches: Switches) -> Arc<Custodian> {
        let config = site.config();
        fs::create_dir_all(&config.state.0).unwrap();
        let ledger = Ledger::open(&config.state.ledger()).unwrap();
        let key = read_release_key(&config.release_key_file).unwrap();
        let custodian = Custodian::new(config, ledger, key, Arc::new(Still(NOW)), Arc::new(|_| {}), switches);
        // Polars refuses to block a thread of the test's own runtime.
        std::thread::scope(|scope| scope.spawn(|| custodian.take_due_snapshots()).join().unwrap());
        Arc::new(custodian)
    }

    /// Switches that hold every query: it says that it runs, and goes on when the sender is dropped.
    fn holding() -> (Switches, std_mpsc::Receiver<()>, std_mpsc::Sender<()>) {
        let (started, query_runs) = std_mpsc::channel();
        let (release, held) = std_mpsc::channel::<()>();
        let hold = Mutex::new((started, held));
        let switches = Switches {
            before_query: Some(Arc::new(move |_| {
                let (started, held) = &*hold.lock().unwrap();
                let _ = started.send(());
                let _ = held.recv();
            })),
            ..Switches::default()
        };
        (switches, query_runs, release)
    }

    struct Running {
        socket: PathBuf,
        stop: mpsc::Sender<Duration>,
        task: tokio::task::JoinHandle<Result<(), ServerError>>,
    }

    fn start(site: &Site, switches: Switches) -> Running {
        let (stop, stopped) = mpsc::channel(1);
        let server = Server::bind(&site.config().state, &site.config().steward).unwrap();
        let task = tokio::spawn(server.run(custodian(site, switches), stopped));
        Running { socket: site.config().state.socket(), stop, task }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    async fn ask(socket: &Path, frame: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        write_frame(&mut stream, frame).await.unwrap();
        let reply = read_frame(&mut stream, limits::FRAME_BYTES).await.unwrap();
        codec::decode(&reply, limits::FRAME_BYTES).unwrap()
    }

    fn code(reply: Reply) -> Option<ErrorCode> {
        match reply {
            Reply::Refused(error) => Some(error.code),
            _ => None,
        }
    }

    #[tokio::test]
    async fn the_socket_is_private_replaces_a_stale_one_and_is_gone_after_a_stop() {
        let site = Site::new();
        let state = site.config().state;
        drop(Server::bind(&state, &site.config().steward).unwrap());
        assert!(state.socket().exists());
        let running = start(&site, Switches::default());
        assert_eq!((mode(&state.run()), mode(&running.socket)), (0o700, 0o600));
        assert_eq!(mode(&state.admin_socket()), 0o600);
        let request = codec::encode(&Request::Catalogue).unwrap();
        assert!(matches!(ask(&running.socket, &request).await, Reply::Catalogue(c) if c.datasets.len() == 1));
        running.stop.try_send(Duration::from_secs(3)).unwrap();
        running.task.await.unwrap().unwrap();
        assert!(!state.socket().exists() && !state.admin_socket().exists());
    }

    #[tokio::test]
    async fn a_local_command_is_answered_while_a_query_runs_and_what_is_none_is_not() {
        let site = Site::new();
        let (switches, query_runs, release) = holding();
        let running = start(&site, switches);
        let (socket, request) = (running.socket.clone(), site.request(&site.study()));
        let asking = tokio::spawn(async move { ask(&socket, &codec::encode(&Request::Round(request)).unwrap()).await });
        tokio::task::spawn_blocking(move || query_runs.recv().unwrap()).await.unwrap();
        let admin = site.config().state.admin_socket();
        let command = async |bytes: &[u8]| {
            let mut stream = UnixStream::connect(&admin).await.unwrap();
            write_frame(&mut stream, bytes).await.unwrap();
            read_frame(&mut stream, limits::FRAME_BYTES).await
        };
        assert!(command(b"{}").await.is_err());
        assert!(command(&vec![b' '; limits::ADMIN_BYTES + 1]).await.is_err());
        // The agent has the same user, and reaches the socket; it can read no file.
        assert!(command(br#"{"token":"","command":{"list":{"all":false}}}"#).await.is_err());
        let token = fs::read_to_string(site.config().state.admin_token()).unwrap();
        assert_eq!(mode(&site.config().state.admin_token()), 0o600);
        let list = format!(r#"{{"token":"{token}","command":{{"list":{{"all":false}}}}}}"#);
        let answer = command(list.as_bytes()).await.unwrap();
        assert!(String::from_utf8(answer).unwrap().starts_with(r#"{"desk":{"paused":null"#));
        drop(release);
        assert!(matches!(asking.await.unwrap(), Reply::Released(_)));
    }

    #[tokio::test]
    async fn whoever_holds_connections_to_the_admin_socket_silences_no_steward() {
        let site = Site::new();
        let _running = start(&site, Switches::default());
        let state = site.config().state;
        let mut held = Vec::new();
        for _ in 0..200 {
            held.push(UnixStream::connect(state.admin_socket()).await.unwrap());
        }
        let token = fs::read_to_string(state.admin_token()).unwrap();
        let list = format!(r#"{{"token":"{token}","command":{{"list":{{"all":false}}}}}}"#);
        let mut stream = UnixStream::connect(state.admin_socket()).await.unwrap();
        write_frame(&mut stream, list.as_bytes()).await.unwrap();
        assert!(read_frame(&mut stream, limits::FRAME_BYTES).await.is_ok());
        assert_eq!(held.len(), 200);
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused_and_the_next_connection_is_served() {
        let site = Site::new();
        let running = start(&site, Switches::default());
        assert_eq!(code(ask(&running.socket, &[9; 40]).await), Some(ErrorCode::Malformed));
        let mut cut = UnixStream::connect(&running.socket).await.unwrap();
        cut.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(cut);
        let mut huge = UnixStream::connect(&running.socket).await.unwrap();
        huge.write_all(&[0xff; 4]).await.unwrap();
        assert!(read_frame(&mut huge, 100).await.is_err());
        let request = codec::encode(&Request::Catalogue).unwrap();
        assert!(matches!(ask(&running.socket, &request).await, Reply::Catalogue(_)));
    }

    #[tokio::test]
    async fn while_a_query_runs_the_catalogue_is_answered_and_a_full_queue_is_busy() {
        let site = Site::new();
        let (switches, query_runs, release) = holding();
        let running = start(&site, switches);
        let request = codec::encode(&Request::Round(site.request(&site.study()))).unwrap();
        let mut waiting = JoinSet::new();
        let asking = |waiting: &mut JoinSet<Option<ErrorCode>>| {
            let (socket, request) = (running.socket.clone(), request.clone());
            waiting.spawn(async move { code(ask(&socket, &request).await) });
        };
        asking(&mut waiting);
        tokio::task::spawn_blocking(move || query_runs.recv().unwrap()).await.unwrap();
        for _ in 0..=limits::CUSTODIAN_QUEUE {
            asking(&mut waiting);
        }
        // Whichever comes last finds the queue full, and is the first to be answered.
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Some(ErrorCode::Busy));
        let catalogue = codec::encode(&Request::Catalogue).unwrap();
        assert!(matches!(ask(&running.socket, &catalogue).await, Reply::Catalogue(_)));
        drop(release);
        let mut answered = 0;
        while let Some(answer) = waiting.join_next().await {
            assert_ne!(answer.unwrap(), Some(ErrorCode::Busy));
            answered += 1;
        }
        assert_eq!(answered, 1 + limits::CUSTODIAN_QUEUE);
    }
}

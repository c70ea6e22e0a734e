//! The agent over links in memory.

mod outages;

use super::*;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::memory::MemoryDialler;
use bocage_net::memory::{MemoryLink, MemoryListener};
use bocage_net::ways::{Both, Ways};
use bocage_net::{ConnectError, Listener};
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::hello::Welcome;
use bocage_protocol::wire::message::Reply;
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest};
use std::sync::atomic::{AtomicBool, Ordering};
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
    welcome_to(listener, 1).await
}

async fn welcome_to(listener: &MemoryListener, version: u16) -> (MemoryLink, impl Send) {
    let link = listener.accept().await.unwrap();
    let mut control = link.accept().await.unwrap();
    let hello = Hello::decode(&read_frame(&mut control, 1000).await.unwrap()).unwrap();
    assert_eq!((hello.site.as_str(), hello.software.as_str()), ("cleveland", SOFTWARE));
    let answer = Answer::Welcome(Welcome { version, network: "heart".parse().unwrap(), now: SystemClock.now() });
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

#[tokio::test]
async fn a_coordinator_that_announces_more_than_a_request_loses_its_link_and_the_node_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let listener = MemoryListener::new();
    let agent = agent(&listener, dir.path().join("none.sock"));
    let running = tokio::spawn(agent.run(std::future::pending()));
    let (link, _control) = welcome(&listener).await;
    let mut stream = link.open().await.unwrap();
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert!(matches!(link.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::PROTOCOL, .. }));
    let (link, _control) = welcome(&listener).await;
    // One that gives up in the middle has done nothing wrong.
    let mut stream = link.open().await.unwrap();
    stream.write_all(&[0, 0]).await.unwrap();
    drop(stream);
    let reply: Reply = codec::decode(&ask(&link, &[0]).await, limits::FRAME_BYTES).unwrap();
    assert!(matches!(reply, Reply::Refused(PublicError { code: ErrorCode::Busy, .. })), "{reply:?}");
    running.abort();
}

/// A way that is shut until somebody opens it.
struct Shut {
    way: MemoryDialler,
    open: Arc<AtomicBool>,
}

impl Dialler for Shut {
    type Link = MemoryLink;

    async fn connect(&self) -> Result<MemoryLink, ConnectError> {
        match self.open.load(Ordering::SeqCst) {
            true => self.way.connect().await,
            false => Err(ConnectError::TimedOut { secs: 10 }),
        }
    }
}

/// A session on the second way, with a question under way, when the first way opens; the coordinator speaks this version.
async fn comes_back(version: u16) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("custodian.sock");
    let custodian = UnixListener::bind(&socket).unwrap();
    let (first, second) = (MemoryListener::new(), MemoryListener::new());
    let open = Arc::new(AtomicBool::new(false));
    let site = || "cleveland".parse().unwrap();
    let shut = Shut { way: first.dialler(site()), open: Arc::clone(&open) };
    let ways = Ways::Both(Both::new(shut, second.dialler(site()), Arc::new(SystemClock)));
    let config = SessionConfig::new(site(), "heart".parse().unwrap(), SOFTWARE);
    let agent = Agent::new(config, ways, socket, Arc::new(SystemClock), Box::new(SystemEntropy));
    let running = tokio::spawn(agent.coming_back_after(1).run(std::future::pending()));

    let (old, _old_control) = welcome_to(&second, version).await;
    let asking = tokio::spawn({
        let old = old.clone();
        async move { ask(&old, b"under way").await }
    });
    let (mut question, _) = custodian.accept().await.unwrap();
    assert_eq!(read_frame(&mut question, 100).await.unwrap(), b"under way");
    open.store(true, Ordering::SeqCst);
    if version >= RENEWAL {
        let mut notice = old.accept().await.unwrap();
        let request = read_frame(&mut notice, limits::RENEWAL_BYTES).await.unwrap();
        assert_eq!(codec::decode::<NodeRequest>(&request, limits::RENEWAL_BYTES).unwrap(), NodeRequest::Moves);
        write_frame(&mut notice, &codec::encode(&NodeReply::Noted).unwrap()).await.unwrap();
    }
    let (new, _control) = welcome_to(&first, version).await;
    let newer = tokio::spawn({
        let new = new.clone();
        async move { ask(&new, b"newer").await }
    });
    let (mut next, _) = custodian.accept().await.unwrap();
    assert_eq!(read_frame(&mut next, 100).await.unwrap(), b"newer");
    for (stream, answer) in [(&mut question, b"old"), (&mut next, b"new")] {
        write_frame(stream, answer).await.unwrap();
    }
    assert_eq!((asking.await.unwrap(), newer.await.unwrap()), (b"old".to_vec(), b"new".to_vec()));
    // What is left ends without a word; the session does not.
    old.close(CloseCode::REPLACED, "a newer session");
    drop(custodian);
    let reply: Reply = codec::decode(&ask(&new, &[0]).await, limits::FRAME_BYTES).unwrap();
    assert!(matches!(reply, Reply::Refused(PublicError { code: ErrorCode::Busy, .. })), "{reply:?}");
    running.abort();
}

#[tokio::test]
async fn a_session_on_the_second_way_moves_to_the_first_when_that_opens_and_answers_what_was_under_way() {
    comes_back(RENEWAL).await;
}

#[tokio::test]
async fn a_coordinator_of_an_earlier_version_is_moved_to_without_a_notice_that_it_would_not_understand() {
    comes_back(RENEWAL - 1).await;
}

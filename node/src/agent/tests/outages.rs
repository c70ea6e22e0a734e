//! Outages in simulated time: the agent itself, with its session and its links, while ten minutes pass in none.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use bocage_protocol::env::Timestamp;

use super::super::pace::Wait;
use super::*;

const START: Timestamp = Timestamp(1_790_000_000_000);
/// How often everybody else may go on before nobody has anything to do but to wait.
const TURNS: usize = 100;
/// How long a dialler waits for an answer.
const DIAL_MS: u64 = 10_000;

/// The time of a simulation: it stands still while anybody has something to do, and jumps to the next who waits.
#[derive(Default)]
struct Simulated {
    ms: AtomicU64,
    serial: AtomicU64,
    waiting: Mutex<BTreeMap<(u64, u64), ()>>,
}

/// Somebody who waits; one who does no longer is forgotten.
struct Waiting {
    time: Arc<Simulated>,
    key: (u64, u64),
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.time.waiting.lock().unwrap().remove(&self.key);
    }
}

#[derive(Clone)]
struct Time(Arc<Simulated>);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp(START.0 + self.0.ms.load(Ordering::SeqCst) as i64)
    }
}

impl Pace for Time {
    fn wait(&self, ms: u64) -> Wait {
        let time = Arc::clone(&self.0);
        let until = time.ms.load(Ordering::SeqCst) + ms;
        let waiting = Waiting { key: (until, time.serial.fetch_add(1, Ordering::SeqCst)), time };
        waiting.time.waiting.lock().unwrap().insert(waiting.key, ());
        Box::pin(async move {
            loop {
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                let first = waiting.time.waiting.lock().unwrap().keys().next().copied();
                if first == Some(waiting.key) {
                    waiting.time.ms.fetch_max(until, Ordering::SeqCst);
                    return;
                }
            }
        })
    }
}

/// A cable that is cut between two moments: who dials meanwhile hears nothing.
struct Cable {
    way: MemoryDialler,
    time: Time,
    cut: Arc<Mutex<Option<(u64, u64)>>>,
    dialled: Arc<AtomicU64>,
}

impl Dialler for Cable {
    type Link = MemoryLink;

    async fn connect(&self) -> Result<MemoryLink, ConnectError> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        let now = self.time.0.ms.load(Ordering::SeqCst);
        if self.cut.lock().unwrap().is_some_and(|(from, until)| (from..until).contains(&now)) {
            self.time.wait(DIAL_MS).await;
            return Err(ConnectError::TimedOut { secs: DIAL_MS / 1000 });
        }
        self.way.connect().await
    }
}

/// The agent's session is lost for so long while a question is under way; answers how long after the end of the outage the session stands again, and how
/// often was dialled meanwhile.
async fn lost_for(outage_ms: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("custodian.sock");
    let custodian = UnixListener::bind(&socket).unwrap();
    let (listener, time) = (MemoryListener::new(), Time(Arc::default()));
    let (cut, dialled) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
    let site = || "cleveland".parse().unwrap();
    let (of, counted) = (Arc::clone(&cut), Arc::clone(&dialled));
    let cable = Cable { way: listener.dialler(site()), time: time.clone(), cut: of, dialled: counted };
    let config = SessionConfig::new(site(), "heart".parse().unwrap(), SOFTWARE);
    let mut agent = Agent::new(config, cable, socket, Arc::new(time.clone()), Box::new(SystemEntropy));
    agent.pace = Arc::new(time.clone());
    let running = tokio::spawn(agent.run(std::future::pending()));
    let (link, _control) = welcome(&listener).await;

    // The custodian computes; the study is open at the coordinator.
    let asking = tokio::spawn({
        let link = link.clone();
        async move {
            let mut stream = link.open().await.unwrap();
            write_frame(&mut stream, b"round 3").await.unwrap();
            stream.shutdown().await.unwrap();
            read_frame(&mut stream, limits::FRAME_BYTES).await
        }
    });
    let (mut computing, _) = custodian.accept().await.unwrap();
    assert_eq!(read_frame(&mut computing, 100).await.unwrap(), b"round 3");
    let (from, before) = (time.0.ms.load(Ordering::SeqCst), dialled.load(Ordering::SeqCst));
    *cut.lock().unwrap() = Some((from, from + outage_ms));
    link.sever("no sign of life for 15 s");
    assert!(asking.await.unwrap().is_err(), "the question is lost with its link");
    // What was computed meanwhile reaches nobody, and ends nothing.
    let _ = write_frame(&mut computing, b"answer").await;

    let (link, _control) = welcome(&listener).await;
    let back = time.0.ms.load(Ordering::SeqCst);
    // The coordinator asks again, and the custodian has the answer.
    let asking = tokio::spawn(async move { ask(&link, b"round 3").await });
    let (mut again, _) = custodian.accept().await.unwrap();
    assert_eq!(read_frame(&mut again, 100).await.unwrap(), b"round 3");
    write_frame(&mut again, b"answer").await.unwrap();
    assert_eq!(asking.await.unwrap(), b"answer");
    running.abort();
    assert!(back >= from + outage_ms, "a link through a cut cable");
    (back - (from + outage_ms), dialled.load(Ordering::SeqCst) - before)
}

#[tokio::test]
async fn an_outage_of_ten_minutes_heals_within_the_longest_wait_and_the_question_is_answered_when_it_is_put_again() {
    for _ in 0..5 {
        let (late_ms, dialled) = lost_for(600_000).await;
        assert!(late_ms <= 40_000, "{late_ms} ms after the end of the outage");
        // 10 s of patience and 15 to 30 s of wait an attempt, and a few shorter ones at first.
        assert!((10..=40).contains(&dialled), "dialled {dialled} times");
    }
}

#[tokio::test]
async fn a_link_that_is_cut_for_a_moment_is_made_again_within_a_second() {
    for outage_ms in [0, 50] {
        let (late_ms, dialled) = lost_for(outage_ms).await;
        assert!(late_ms <= 1_000 && dialled == 1, "{late_ms} ms, {dialled} times");
    }
}

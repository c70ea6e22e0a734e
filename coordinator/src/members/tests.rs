//! Who gets a session, and which one is the site's.

use bocage_net::memory::MemoryListener;
use bocage_net::{Dialler as _, Listener as _};
use bocage_protocol::ErrorCode;
use bocage_protocol::wire::hello::Answer;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::*;
use crate::bench::{SITES, TestClock, hello, site};

struct Bench {
    listener: MemoryListener,
    members: Arc<Members>,
    serving: JoinSet<()>,
}

impl Bench {
    fn new() -> Self {
        let sites = SITES.map(|s| (site(s), s.to_owned()));
        let members = Arc::new(Members::new("heart-demo".parse().unwrap(), sites, TestClock::new()));
        Self { listener: MemoryListener::new(), members, serving: JoinSet::new() }
    }

    /// A link with `certified`'s certificate, served by the roster.
    async fn link(&mut self, certified: &str) -> bocage_net::memory::MemoryLink {
        let link = self.listener.dialler(site(certified)).connect().await.unwrap();
        let served = self.listener.accept().await.unwrap();
        let members = Arc::clone(&self.members);
        self.serving.spawn(async move { members.serve(served).await });
        link
    }

    /// A link whose hello is welcome; the request for the catalogue is dropped, so that it is registered without one.
    async fn session(&mut self, name: &str) -> bocage_net::memory::MemoryLink {
        let link = self.link(name).await;
        assert!(matches!(hello(&link, name).await, Answer::Welcome(w) if w.version == 1));
        let mut stream = link.accept().await.unwrap();
        stream.shutdown().await.unwrap();
        link
    }
}

#[tokio::test]
async fn the_certificate_and_the_roster_decide_who_gets_in() {
    let mut bench = Bench::new();
    let cases = [("cleveland", "hungary", ErrorCode::SiteMismatch), ("atlantis", "atlantis", ErrorCode::SiteUnknown)];
    for (certified, claimed, code) in cases {
        let link = bench.link(certified).await;
        let Answer::Reject(error) = hello(&link, claimed).await else { panic!("{claimed} got in") };
        assert_eq!(error.code, code);
        link.close(CloseCode::DONE, "");
        bench.serving.join_next().await.unwrap().unwrap();
    }
    assert!(bench.members.sites().iter().all(|s| !s.online));
}

#[tokio::test]
async fn a_newer_session_replaces_the_older_and_its_end_leaves_the_newer_alone() {
    let mut bench = Bench::new();
    let cleveland = site("cleveland");
    let older = bench.session("cleveland").await;
    let first = bench.members.session(&cleveland).await.unwrap();
    let newer = bench.session("cleveland").await;
    bench.members.other_session(&cleveland, &first).await;
    assert!(matches!(older.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::REPLACED, .. }));
    bench.serving.join_next().await.unwrap().unwrap();
    assert!(bench.members.online(&cleveland));
    assert!(bench.members.session(&cleveland).await.unwrap().serial() > first.serial());
    newer.sever("cut");
    bench.serving.join_next().await.unwrap().unwrap();
    assert!(!bench.members.online(&cleveland));
    assert!(bench.members.sites().iter().find(|s| s.id == cleveland).unwrap().last_seen.is_some());
}

#[tokio::test]
async fn a_peer_that_babbles_is_closed_and_harms_nobody() {
    let mut bench = Bench::new();
    let other = bench.session("hungary").await;
    bench.members.session(&site("hungary")).await.unwrap();
    let link = bench.link("cleveland").await;
    let mut stream = link.open().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(matches!(link.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::PROTOCOL, .. }));
    assert!(bench.members.online(&site("hungary")));
    drop(other);
}

#[tokio::test]
async fn a_site_that_is_not_in_the_roster_is_not_waited_for() {
    let bench = Bench::new();
    assert!(bench.members.session(&site("atlantis")).await.is_none());
}

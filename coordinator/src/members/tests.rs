//! Who gets a session, and which one is the site's.

use bocage_net::certificates::{Authority, SiteKey};
use bocage_net::denylist::{Denied, Refused};
use bocage_net::env::SystemEntropy;
use bocage_net::frame::{read_frame, write_frame};
use bocage_net::identity::{Identity, chain_der};
use bocage_net::memory::MemoryLink;
use bocage_net::memory::MemoryListener;
use bocage_net::tls::certified_site;
use bocage_net::{Dialler as _, Listener as _};
use bocage_protocol::ErrorCode;
use bocage_protocol::contract::ColumnTraits;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::limits::{
    CERTIFICATE_BYTES, FRAME_BYTES, HELLO_BYTES, MOVES_AN_HOUR, PARTICULAR_COLUMNS, RENEWAL_BYTES, RENEWALS_AN_HOUR,
    UNIT_BYTES,
};
use bocage_protocol::marks::steers;
use bocage_protocol::wire::codec;
use bocage_protocol::wire::hello::{Answer, VersionRange};
use bocage_protocol::wire::message::{Particular, Reply, Request};
use bocage_protocol::wire::renewal::{NodeReply, NodeRequest};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::*;
use crate::bench::{SITES, START, TestClock, hello, site};

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
        assert!(matches!(hello(&link, name).await, Answer::Welcome(w) if w.version == VERSIONS.max()));
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
async fn who_only_asks_is_told_and_takes_the_session_of_nobody() {
    let mut bench = Bench::new();
    let cleveland = site("cleveland");
    let own = bench.session("cleveland").await;
    let first = bench.members.session(&cleveland).await.unwrap();
    for (software, taken) in [("bocage-node 0.1.0", true), ("bocage-node 99.0.0", false)] {
        let link = bench.link("cleveland").await;
        let hello = Hello { versions: VERSIONS, site: site("cleveland"), software: software.into(), now: Timestamp(0) };
        let mut stream = link.open().await.unwrap();
        write_frame(&mut stream, &hello.encode_inquiry()).await.unwrap();
        let answer = Answer::decode(&read_frame(&mut stream, HELLO_BYTES).await.unwrap()).unwrap();
        assert_eq!(matches!(answer, Answer::Welcome(_)), taken, "{software}: {answer:?}");
        link.close(CloseCode::DONE, "");
        bench.serving.join_next().await.unwrap().unwrap();
    }
    assert_eq!(bench.members.session(&cleveland).await.unwrap().serial(), first.serial());
    drop(own);
}

#[tokio::test]
async fn a_site_is_told_what_is_remembered_of_its_ledger_before_it_has_a_session_also_where_it_is_busy_at_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut bench = Bench::new();
    let sites = SITES.map(|s| (site(s), s.to_owned()));
    let members = Members::new("heart-demo".parse().unwrap(), sites, TestClock::new());
    bench.members = Arc::new(members.remembering(store));
    let link = node(&mut bench, "cleveland", 3).await;
    answers(&link, offers).await;
    answers(&link, |_| Reply::Particulars(Particulars { datasets: vec![] })).await;
    answers(&link, |request| {
        assert_eq!(request, Request::Witness(vec![]));
        Reply::Refused(bocage_protocol::PublicError::new(ErrorCode::Busy, "it starts"))
    })
    .await;
    assert!(!bench.members.online(&site("cleveland")), "no round may be put before");
    answers(&link, |request| {
        assert_eq!(request, Request::Witness(vec![]));
        Reply::Witnessed
    })
    .await;
    bench.members.session(&site("cleveland")).await.unwrap();
}

#[tokio::test]
async fn a_site_that_is_not_in_the_roster_is_not_waited_for() {
    let bench = Bench::new();
    assert!(bench.members.session(&site("atlantis")).await.is_none());
}

/// A node that speaks versions up to `most`; its hello is welcome.
async fn node(bench: &mut Bench, name: &str, most: u16) -> MemoryLink {
    let link = bench.link(name).await;
    let versions = VersionRange::new(1, most).unwrap();
    let hello = Hello { versions, site: site(name), software: "test 1".into(), now: Timestamp(0) };
    let mut stream = link.open().await.unwrap();
    write_frame(&mut stream, &hello.encode()).await.unwrap();
    let answer = Answer::decode(&read_frame(&mut stream, HELLO_BYTES).await.unwrap()).unwrap();
    assert!(matches!(answer, Answer::Welcome(w) if w.version == most));
    link
}

/// Answers the next request.
async fn answers(link: &MemoryLink, reply: impl FnOnce(Request) -> Reply) {
    let mut stream = link.accept().await.unwrap();
    let request = codec::decode(&read_frame(&mut stream, FRAME_BYTES).await.unwrap(), FRAME_BYTES).unwrap();
    write_frame(&mut stream, &codec::encode(&reply(request)).unwrap()).await.unwrap();
    stream.shutdown().await.unwrap();
}

fn offers(request: Request) -> Reply {
    assert_eq!(request, Request::Catalogue);
    let contract = crate::bench::contract();
    let offer = Offer {
        contract: contract.id().clone(),
        hash: contract.hash(),
        snapshot_at: Some(Timestamp(0)),
        needs_permit: false,
    };
    Reply::Catalogue(Catalogue { datasets: vec![offer] })
}

fn offer(bench: &Bench, name: &str) -> OfferInfo {
    bench.members.sites().into_iter().find(|s| s.id == site(name)).unwrap().datasets.remove(0)
}

#[tokio::test]
async fn what_a_site_says_of_its_datasets_is_kept_on_one_line_and_within_bounds_or_not_at_all() {
    let mut bench = Bench::new();
    for (name, absent, kept) in [("cleveland", 2, true), ("hungary", PARTICULAR_COLUMNS, false)] {
        let link = node(&mut bench, name, 2).await;
        answers(&link, offers).await;
        answers(&link, |request| {
            assert_eq!(request, Request::Particulars(vec![]));
            let absent: Vec<ColumnName> = (0..absent).map(|i| format!("c{i}").parse().unwrap()).collect();
            let unit = Some(format!("k\n\u{202e}{}", "x".repeat(5000)));
            let column = ColumnTraits { name: absent[0].clone(), kind: "float".into(), unit, system: None };
            let contract = crate::bench::contract().id().clone();
            Reply::Particulars(Particulars {
                datasets: vec![Particular { contract, absent, columns: Some(vec![column]) }],
            })
        })
        .await;
        bench.members.session(&site(name)).await.unwrap();
        let offer = offer(&bench, name);
        assert_eq!((offer.absent.map(|absent| absent.len()), offer.columns.is_some()), (kept.then_some(absent), kept));
        if let Some(columns) = offer.columns {
            let unit = columns[0].unit.as_ref().unwrap();
            assert!(unit.len() <= UNIT_BYTES && !unit.contains(steers), "{unit}");
        }
    }
}

#[tokio::test]
async fn a_node_of_an_earlier_version_is_not_asked_what_it_cannot_understand() {
    let mut bench = Bench::new();
    let link = node(&mut bench, "cleveland", 1).await;
    answers(&link, offers).await;
    // Its session is there, and nothing else was asked before.
    bench.members.session(&site("cleveland")).await.unwrap();
    assert_eq!(offer(&bench, "cleveland").absent, None);
}

/// A bench whose sites renew their certificates.
fn renewing() -> (Bench, Authority) {
    let (bench, network) = (Bench::new(), "heart-demo".parse().unwrap());
    let root = Authority::new_root(&network, START, &mut SystemEntropy).unwrap();
    let authority = root.issue_intermediate(&network, START, &mut SystemEntropy).unwrap();
    let own = authority.issue_coordinator(&[], START, 30, &mut SystemEntropy).unwrap();
    let identity = Identity::from_pem(&own.chain_pem, &own.key_pem, root.certificate_pem()).unwrap();
    bench.members.renew_by(Identities::new(identity), Arc::new(Issuing::new(Some(authority))));
    (bench, root)
}

async fn asks(link: &MemoryLink, frame: &[u8]) -> NodeReply {
    let mut stream = link.open().await.unwrap();
    write_frame(&mut stream, frame).await.unwrap();
    codec::decode(&read_frame(&mut stream, RENEWAL_BYTES).await.unwrap(), RENEWAL_BYTES).unwrap()
}

fn renewal() -> Vec<u8> {
    let request = SiteKey::generate(&mut SystemEntropy).unwrap().request().unwrap();
    codec::encode(&NodeRequest::Renew(request)).unwrap()
}

fn refusal(reply: NodeReply) -> ErrorCode {
    let NodeReply::Refused(error) = reply else { panic!("{reply:?}") };
    error.code
}

#[tokio::test]
async fn a_node_gets_certificates_for_its_own_site_alone_and_so_many_within_an_hour() {
    let (mut bench, root) = renewing();
    let link = bench.session("cleveland").await;
    for _ in 0..RENEWALS_AN_HOUR {
        let NodeReply::Renewed { chain, roots } = asks(&link, &renewal()).await else { panic!() };
        let pem = |der: &Vec<u8>| pem::encode(&pem::Pem::new("CERTIFICATE", der.clone()));
        let (chain, roots): (String, String) = (chain.iter().map(pem).collect(), roots.iter().map(pem).collect());
        assert_eq!(certified_site(&chain, &roots, START).unwrap(), site("cleveland"));
        assert_eq!(chain_der(&roots).unwrap(), chain_der(root.certificate_pem()).unwrap());
    }
    assert_eq!(refusal(asks(&link, &renewal()).await), ErrorCode::Busy);
    // Another site has its own number.
    let other = bench.session("hungary").await;
    assert!(matches!(asks(&other, &renewal()).await, NodeReply::Renewed { .. }));
}

#[tokio::test]
async fn what_is_no_request_gets_no_certificate_and_keeps_the_session() {
    let (mut bench, _root) = renewing();
    let link = bench.session("cleveland").await;
    let encode = |request: &NodeRequest| codec::encode(request).unwrap();
    let long = encode(&NodeRequest::Renew(vec![0; CERTIFICATE_BYTES + 1]));
    for frame in [&[255_u8; 40][..], &[], &encode(&NodeRequest::Renew(vec![0x30, 0x80])), &long] {
        assert_eq!(refusal(asks(&link, frame).await), ErrorCode::Malformed);
    }
    assert!(matches!(asks(&link, &encode(&NodeRequest::Roots(vec![]))).await, NodeReply::Roots { renew: false, .. }));
    assert!(bench.members.online(&site("cleveland")));
}

#[tokio::test]
async fn a_revoked_site_loses_its_session_at_once_and_gets_neither_another_nor_a_certificate() {
    let (mut bench, _root) = renewing();
    let (link, other) = (bench.session("cleveland").await, bench.session("hungary").await);
    let session = bench.members.session(&site("cleveland")).await.unwrap();
    let sites = [(site("cleveland"), Refused::All)].into();
    bench.members.denylist().replace(Denied { sites, ..Denied::default() });
    assert!(matches!(session.ask(&Request::Catalogue).await, Err(Lost::Revoked)));
    assert!(matches!(link.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::DENIED, .. }));
    bench.serving.join_next().await.unwrap().unwrap();
    assert!(!bench.members.online(&site("cleveland")));
    let again = bench.link("cleveland").await;
    assert!(matches!(again.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::DENIED, .. }));
    let [revoked, sound] = ["cleveland", "hungary"]
        .map(|name| bench.members.sites().into_iter().find(|of| of.id == site(name)).unwrap().revoked);
    assert!(revoked && !sound && bench.members.online(&site("hungary")));
    drop(other);
}

/// Questions that are under way when a newer session comes: what the older one said before it decides.
async fn a_question_outlives_a_newer_session(said: Vec<u8>) {
    let (mut bench, _root) = renewing();
    let older = bench.session("cleveland").await;
    let first = bench.members.session(&site("cleveland")).await.unwrap();
    assert!(matches!(asks(&older, &said).await, NodeReply::Renewed { .. } | NodeReply::Noted));
    let asking = tokio::spawn({
        let first = Arc::clone(&first);
        async move { first.ask(&Request::Catalogue).await.unwrap().reply }
    });
    let mut asked = older.accept().await.unwrap();
    read_frame(&mut asked, FRAME_BYTES).await.unwrap();
    let _newer = bench.session("cleveland").await;
    bench.members.other_session(&site("cleveland"), &first).await;
    write_frame(&mut asked, &codec::encode(&offers(Request::Catalogue)).unwrap()).await.unwrap();
    asked.shutdown().await.unwrap();
    assert!(matches!(asking.await.unwrap(), Reply::Catalogue(_)));
    assert!(matches!(older.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::REPLACED, .. }));
}

#[tokio::test]
async fn a_session_whose_node_has_a_new_certificate_answers_what_it_was_asked_after_the_newer_has_come() {
    a_question_outlives_a_newer_session(renewal()).await;
}

#[tokio::test]
async fn a_session_whose_node_gave_notice_that_it_moves_answers_what_it_was_asked_after_the_newer_has_come() {
    a_question_outlives_a_newer_session(codec::encode(&NodeRequest::Moves).unwrap()).await;
}

#[tokio::test]
async fn a_site_may_move_so_often_within_an_hour_even_where_nothing_is_renewed() {
    let mut bench = Bench::new();
    let link = bench.session("cleveland").await;
    let moves = codec::encode(&NodeRequest::Moves).unwrap();
    for _ in 0..MOVES_AN_HOUR {
        assert_eq!(asks(&link, &moves).await, NodeReply::Noted);
    }
    assert_eq!(refusal(asks(&link, &moves).await), ErrorCode::Busy);
    assert_eq!(refusal(asks(&link, &renewal()).await), ErrorCode::NotIssuing);
}

#[tokio::test]
async fn a_node_of_an_earlier_version_that_opens_a_stream_is_cut_off() {
    let (mut bench, _root) = renewing();
    let link = node(&mut bench, "cleveland", 2).await;
    answers(&link, offers).await;
    answers(&link, |_| Reply::Particulars(Particulars { datasets: vec![] })).await;
    bench.members.session(&site("cleveland")).await.unwrap();
    let mut stream = link.open().await.unwrap();
    write_frame(&mut stream, &renewal()).await.unwrap();
    assert!(matches!(link.closed().await, bocage_net::Closed::ByPeer { code: CloseCode::PROTOCOL, .. }));
}

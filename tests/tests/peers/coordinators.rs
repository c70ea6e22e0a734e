//! A coordinator with bad manners towards a node. It holds the coordinator's keys, and can still only ask what a researcher signed.

use bocage_net::frame::{read_frame, write_frame};
use bocage_net::quic::QuicLink;
use bocage_net::{CloseCode, Closed, Link as _};
use bocage_protocol::analysis::RoundState;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::trust::SignedStudy;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest, Step};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::peer::{FakeCoordinator, ask, within};
use bocage_tests::process::{Process, peak_kib};
use tokio::io::AsyncWriteExt as _;

use super::{COST_KIB, EXE, GIB, study_of};

const FIRST: &str = HOSPITALS[0];

fn step(analysis: u16) -> Step {
    Step { analysis, state: RoundState::First }
}

fn code(reply: &Reply) -> Option<ErrorCode> {
    match reply {
        Reply::Refused(error) => Some(error.code),
        _ => None,
    }
}

/// How the node ends a link.
async fn cut_off(link: &QuicLink) -> Option<CloseCode> {
    match within(link.closed()).await {
        Closed::ByPeer { code, .. } => Some(code),
        _ => None,
    }
}

fn peaks(node: &Process) -> Vec<u64> {
    let children = ["agent", "custodian"].map(|role| node.child_pid(role).expect("a child"));
    children.into_iter().map(peak_kib).collect()
}

async fn snapshot_taken(link: &QuicLink) {
    loop {
        if let Reply::Catalogue(catalogue) = ask(link, &Request::Catalogue).await
            && catalogue.datasets.iter().all(|d| d.snapshot_at.is_some())
        {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_out_of_order_out_of_range_and_after_the_end_are_refused_and_repeats_are_bounded() {
    let lab = Lab::new(EXE);
    let coordinator = FakeCoordinator::listen(&lab);
    let node = lab.node(FIRST, &[]);
    let (link, _control) = coordinator.welcome().await;
    snapshot_taken(&link).await;
    let study =
        SignedStudy::sign(&lab.bound_study(&study_of(&HOSPITALS, "5m")), &lab.researcher()).expect("a signature");
    let round = |round, steps| Request::Round(RoundRequest { study: study.clone(), round, steps, revocations: None });
    let wrong = [
        round(1, vec![step(0)]),
        round(limits::ROUNDS, vec![step(0)]),
        round(u16::MAX, vec![step(0)]),
        round(0, vec![]),
        round(0, vec![step(1)]),
        round(0, vec![step(0), step(0)]),
        round(0, vec![step(0); 60_000]),
    ];
    for request in &wrong {
        assert_eq!(code(&ask(&link, request).await), Some(ErrorCode::RoundInvalid));
    }
    let released = ask(&link, &round(0, vec![step(0)])).await;
    assert!(matches!(released, Reply::Released(_)), "{released:?}");
    for request in &wrong {
        assert_eq!(code(&ask(&link, request).await), Some(ErrorCode::RoundInvalid), "after the end");
    }
    let before = peaks(&node);
    let mut answered = 0;
    let last = loop {
        let again = ask(&link, &round(0, vec![step(0)])).await;
        if again != released {
            break again;
        }
        answered += 1;
        assert!(answered <= limits::STUDY_REQUESTS, "repeats have no end");
    };
    assert_eq!(code(&last), Some(ErrorCode::RoundInvalid));
    assert!(answered >= 100, "{answered} repeats");
    node.wait_for_line(&["asks about this study without end", &study.id().to_string()]);
    let (verified, said) = lab.verify_ledger(FIRST);
    assert_eq!(verified, Some(0), "{said}");
    for (before, after) in before.iter().zip(peaks(&node)) {
        assert!(after.saturating_sub(*before) < COST_KIB, "from {before} to {after} KiB");
    }
    let next =
        SignedStudy::sign(&lab.bound_study(&study_of(&HOSPITALS, "5m")), &lab.researcher()).expect("a signature");
    let request = Request::Round(RoundRequest { study: next, round: 0, steps: vec![step(0)], revocations: None });
    assert!(matches!(ask(&link, &request).await, Reply::Released(_)), "the next study is answered as ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_none_and_streams_that_stop_half_way_cost_a_node_nothing_that_lasts() {
    let lab = Lab::new(EXE);
    let coordinator = FakeCoordinator::listen(&lab);
    let node = lab.node(FIRST, &[]);
    // A welcome of 1 GiB: the node goes, and comes again.
    let (link, mut control) = coordinator.greeted().await;
    control.write_all(&GIB).await.expect("sent");
    assert!(matches!(within(link.closed()).await, bocage_net::Closed::ByPeer { .. }));
    node.wait_for_line(&["the hello was not answered", "1073741824"]);
    let (link, _control) = coordinator.welcome().await;
    snapshot_taken(&link).await;
    let before = peaks(&node);
    let mut stream = within(link.open()).await.expect("a stream");
    stream.write_all(&GIB).await.expect("sent");
    assert_eq!(cut_off(&link).await, Some(CloseCode::PROTOCOL));
    node.wait_for_line(&["WARN", "the coordinator sent what is no request", "1073741824"]);
    let (link, _control) = coordinator.welcome().await;
    snapshot_taken(&link).await;
    let mut stream = within(link.open()).await.expect("a stream");
    write_frame(&mut stream, &[255; 1000]).await.expect("sent");
    let reply = within(read_frame(&mut stream, limits::FRAME_BYTES)).await.expect("a reply");
    let reply: Reply = bocage_protocol::wire::codec::decode(&reply, limits::FRAME_BYTES).expect("a reply");
    assert_eq!(code(&reply), Some(ErrorCode::Malformed));
    drop(stream);
    // Nearly as many as a node takes at a time.
    let mut half_open = Vec::new();
    for _ in 0..limits::CUSTODIAN_QUEUE - 8 {
        let mut stream = within(link.open()).await.expect("a stream");
        stream.write_all(&[0, 1]).await.expect("sent");
        half_open.push(stream);
    }
    snapshot_taken(&link).await;
    // Those that are given up are no fault.
    let last = half_open.pop();
    drop(half_open);
    snapshot_taken(&link).await;
    assert_eq!(cut_off(&link).await, Some(CloseCode::PROTOCOL));
    drop(last);
    let (link, _control) = coordinator.welcome().await;
    snapshot_taken(&link).await;
    for (before, after) in before.iter().zip(peaks(&node)) {
        assert!(after.saturating_sub(*before) < COST_KIB, "from {before} to {after} KiB");
    }
    let started = |child: &str| node.log().matches(&format!("started child=\"{child}\"")).count();
    assert_eq!((started("custodian"), started("agent")), (1, 1), "no child was restarted:\n{}", node.log());
}

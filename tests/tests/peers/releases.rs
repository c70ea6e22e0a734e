//! Releases that were not asked for: of another study, site or round, or seen before.

use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::Digest;
use bocage_protocol::limits;
use bocage_protocol::release::{Outcome, Part, Release, TableRelease};
use bocage_protocol::trust::{SecretKey, SignedRelease};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, Request, RoundRequest};
use bocage_tests::lab::{HOSPITALS, status};
use bocage_tests::peer::{FakeNode, release_key, reply, standing};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::{Others, study_of};

const FIRST: &str = HOSPITALS[0];

/// A release without numbers, for what is asked.
fn release(request: &RoundRequest) -> Release {
    let refused = PublicError::new(ErrorCode::PolicyRefused, "not here");
    Release {
        study: request.study.id(),
        site: FIRST.parse().expect("a site"),
        round: request.round,
        snapshot: Digest::of("snapshot", &[]),
        snapshot_at: Timestamp(0),
        parts: vec![Part { analysis: 0, plan: Digest::of("plan", &[]), outcome: Outcome::Refused(refused) }],
    }
}

fn sign(release: &Release, key: &SecretKey) -> SignedRelease {
    SignedRelease::sign(release, standing(), key).expect("a signature")
}

/// Plays the first hospital through one study; what it answers to its round is up to `answer`.
async fn play(
    others: &Others,
    node: &FakeNode,
    answer: impl FnOnce(&RoundRequest) -> SignedRelease,
) -> (SignedRelease, Value) {
    let study = others.lab.study("played", &study_of(&HOSPITALS, "5m"));
    let (request, mut stream) = node.asked().await;
    let (Request::Round(request) | Request::Filled(request)) = request else { panic!("not a round: {request:?}") };
    let signed = answer(&request);
    reply(&mut stream, &Reply::Released(signed.clone())).await;
    (signed, study.published())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_of_another_study_site_or_round_and_one_seen_before_is_no_answer() {
    let others = Others::start();
    let node = FakeNode::connect(&others.lab, FIRST).await;
    others.coordinator.wait_for_line(&["connected", FIRST]);
    let (key, other_key) = (release_key(&others.lab, FIRST), release_key(&others.lab, HOSPITALS[1]));
    let (seen, result) = play(&others, &node, |request| sign(&release(request), &key)).await;
    assert_eq!(status(&result, FIRST)["status"], "answered", "{result:#}");

    type Forge<'a> = Box<dyn FnOnce(&RoundRequest) -> SignedRelease + 'a>;
    let forged: [(&str, Forge<'_>); 5] = [
        ("replayed", Box::new(|_| seen)),
        ("another study", Box::new(|r| sign(&Release { study: Digest::of("other", &[]), ..release(r) }, &key))),
        (
            "another site",
            Box::new(|r| sign(&Release { site: HOSPITALS[1].parse().expect("a site"), ..release(r) }, &key)),
        ),
        ("a round that was not asked", Box::new(|r| sign(&Release { round: 7, ..release(r) }, &key))),
        ("another site's key", Box::new(|r| sign(&release(r), &other_key))),
    ];
    for (name, forge) in forged {
        let (_, result) = play(&others, &node, forge).await;
        let first = status(&result, FIRST);
        assert_eq!(first["status"], "refused", "{name}: {result:#}");
        assert_eq!(first["reason"]["code"], "release_invalid", "{name}: {result:#}");
        for site in &HOSPITALS[1..] {
            assert_eq!(status(&result, site)["status"], "answered", "{name}: {result:#}");
        }
    }
    others.coordinator.wait_for_line(&["site refused", FIRST, "release_invalid"]);
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_stops_half_way_costs_only_its_own_site() {
    let others = Others::start();
    let node = FakeNode::connect(&others.lab, FIRST).await;
    others.coordinator.wait_for_line(&["connected", FIRST]);
    let study = others.lab.study("half", &study_of(&HOSPITALS, "3s"));
    let (_, mut stream) = node.asked().await;
    // 16 MiB are announced, which is allowed; a few bytes come.
    stream.write_all(&(16_u32 << 20).to_be_bytes()).await.expect("sent");
    stream.write_all(&[0; 100]).await.expect("sent");
    let result = study.published();
    assert_eq!(status(&result, FIRST)["status"], "missing", "{result:#}");
    for site in &HOSPITALS[1..] {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    others.memory_is_bounded();
}

/// The body of a release whose table announces and brings so many cells, all hidden: a byte each on the wire, dozens in memory.
fn swollen(request: &RoundRequest, cells: u32) -> Vec<u8> {
    let table =
        TableRelease { threshold: 11, step: 0, total: None, cells: Vec::new(), held_back: false, rounded: false };
    let part = Part { analysis: 0, plan: Digest::of("plan", &[]), outcome: Outcome::Table(table) };
    let mut body = codec::encode(&Release { parts: vec![part], ..release(request) }).expect("bytes");
    // The number of cells stands last; 252 announces four bytes of it.
    assert_eq!(body.pop(), Some(0));
    body.push(252);
    body.extend(cells.to_le_bytes());
    body.resize(body.len() + cells as usize, 0);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_release_of_a_hostile_site_is_refused_before_it_is_unfolded() {
    let others = Others::start();
    let node = FakeNode::connect(&others.lab, FIRST).await;
    others.coordinator.wait_for_line(&["connected", FIRST]);
    let key = release_key(&others.lab, FIRST);
    // Nearly a whole frame, and as much as an answer of two cells could just be mistaken for.
    for cells in [(limits::FRAME_BYTES - 1000) as u32, 2000] {
        let signed = |request: &RoundRequest| {
            let (body, site) = (swollen(request, cells), FIRST.parse().expect("a site"));
            SignedRelease::of_bytes(body, site, standing(), &key).expect("a signature")
        };
        let (_, result) = play(&others, &node, signed).await;
        let first = status(&result, FIRST);
        assert_eq!(first["reason"]["code"], "release_invalid", "{result:#}");
        for site in &HOSPITALS[1..] {
            assert_eq!(status(&result, site)["status"], "answered", "{cells} cells: {result:#}");
        }
    }
    others.coordinator.wait_for_line(&["site refused", FIRST, "release_invalid"]);
    others.memory_is_bounded();
    others.do_not_notice();
}

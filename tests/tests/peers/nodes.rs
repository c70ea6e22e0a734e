//! Nodes with bad manners towards a coordinator.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bocage_net::certificates::{Authority, COORDINATOR_NAME};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::quic::{QuicClient, QuicLink};
use bocage_net::{CloseCode, Closed, ConnectError, Dialler as _, Identity, Link as _};
use bocage_protocol::env::Clock as _;
use bocage_protocol::limits;
use bocage_tests::lab::{HOSPITALS, status};
use bocage_tests::peer::{FakeNode, dialler, hello, within};
use bocage_tests::relay::mixed;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::{GIB, Others, study_of};

const FIRST: &str = HOSPITALS[0];

/// How the coordinator ends the link.
async fn cut_off(link: &QuicLink) -> Option<CloseCode> {
    match within(link.closed()).await {
        Closed::ByPeer { code, .. } => Some(code),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_a_gib_is_refused_where_it_is_announced_in_a_hello_and_in_a_reply() {
    let others = Others::start();
    let link = dialler(&others.lab, FIRST).connect().await.expect("a link");
    let mut control = within(link.open()).await.expect("a stream");
    control.write_all(&GIB).await.expect("sent");
    assert_eq!(cut_off(&link).await, Some(CloseCode::PROTOCOL));
    others.coordinator.wait_for_line(&["no hello", FIRST, "1073741824"]);

    let node = FakeNode::greet(&others.lab, FIRST).await;
    let (_, mut stream) = node.asked().await;
    stream.write_all(&GIB).await.expect("sent");
    assert_eq!(cut_off(&node.link).await, Some(CloseCode::PROTOCOL));
    others.coordinator.wait_for_line(&["peer cut off", FIRST, "1073741824"]);
    others.do_not_notice();
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_comes_a_byte_at_a_time_is_given_up_and_a_reply_that_is_none_ends_the_session() {
    let others = Others::start();
    let link = dialler(&others.lab, FIRST).connect().await.expect("a link");
    let mut control = within(link.open()).await.expect("a stream");
    let hello = hello(FIRST).encode();
    let frame = [&(hello.len() as u32).to_be_bytes()[..], &hello].concat();
    // All of it would take half a minute.
    let mut drops = tokio::time::interval(Duration::from_secs(30) / frame.len() as u32);
    let dripping = tokio::spawn(async move {
        let mut sent = 0;
        let code = loop {
            tokio::select! {
                code = cut_off(&link) => break code,
                _ = drops.tick() => match control.write_all(&frame[sent..=sent]).await {
                    Ok(()) => sent += 1,
                    Err(_) => break cut_off(&link).await,
                },
            }
        };
        (code, sent)
    });
    others.do_not_notice();
    let (code, sent) = dripping.await.expect("no panic");
    assert_eq!(code, Some(CloseCode::TIMEOUT));
    assert!(sent > 4, "some of the hello itself had come: {sent} bytes");
    others.coordinator.wait_for_line(&["no hello in time", FIRST]);

    let node = FakeNode::greet(&others.lab, FIRST).await;
    let (_, mut stream) = node.asked().await;
    stream.write_all(&[0, 0, 0, 3, 255, 255, 255]).await.expect("sent");
    assert_eq!(cut_off(&node.link).await, Some(CloseCode::PROTOCOL));
    others.coordinator.wait_for_line(&["peer cut off", FIRST, "not a message"]);
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_stops_half_way_ends_the_session_and_its_round_is_answered_over_the_next() {
    let others = Others::start();
    let node = FakeNode::connect(&others.lab, FIRST).await;
    others.coordinator.wait_for_line(&["connected", FIRST]);
    let study = others.lab.study("half", &study_of(&HOSPITALS, "5m"));
    let (_, mut stream) = node.asked().await;
    stream.write_all(&[0, 0, 1, 0, 7]).await.expect("sent");
    others.do_not_notice();
    assert_eq!(cut_off(&node.link).await, Some(CloseCode::TIMEOUT));
    others.coordinator.wait_for_line(&["peer cut off", FIRST, "within a frame"]);
    let _node = others.lab.node(FIRST, &[]);
    let result = study.published();
    assert_eq!(status(&result, FIRST)["status"], "answered", "{result:#}");
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_opens_a_stream_of_its_own_is_cut_off() {
    let others = Others::start();
    let mut node = FakeNode::connect(&others.lab, FIRST).await;
    others.coordinator.wait_for_line(&["connected", FIRST]);
    node.control.shutdown().await.expect("the control stream ends");
    drop(node.control);
    let mut unasked = within(node.link.open()).await.expect("a stream");
    let _ = unasked.write_all(b"an answer to nothing").await;
    assert_eq!(cut_off(&node.link).await, Some(CloseCode::PROTOCOL));
    others.coordinator.wait_for_line(&["cut off", FIRST, "opened a stream"]);
    others.do_not_notice();
    others.memory_is_bounded();
}

/// With which code the peer ended a link while it was being made.
fn code_of(error: &ConnectError) -> Option<CloseCode> {
    match error {
        ConnectError::Closed(Closed::ByPeer { code, .. }) => Some(*code),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_links_of_one_site_takes_no_place_from_another() {
    let others = Others::start();
    let dialler = Arc::new(dialler(&others.lab, FIRST));
    let mut links = JoinSet::new();
    for _ in 0..60 {
        let dialler = Arc::clone(&dialler);
        links.spawn(async move {
            let link = match dialler.connect().await {
                Ok(link) => link,
                // It may be cut off before the dialler knows that it stands.
                Err(error) => return code_of(&error),
            };
            let mut control = within(link.open()).await.ok()?;
            // Half a hello each.
            let _ = control.write_all(&[0, 0]).await;
            cut_off(&link).await
        });
    }
    others.coordinator.wait_for_line(&["cut off", FIRST, "too many links"]);
    others.do_not_notice();
    let codes: Vec<_> = links.join_all().await;
    let count = |wanted| codes.iter().filter(|code| **code == Some(wanted)).count();
    assert!(count(CloseCode::DENIED) > 0, "{codes:?}");
    assert_eq!(count(CloseCode::DENIED) + count(CloseCode::TIMEOUT), codes.iter().flatten().count(), "{codes:?}");
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_held_without_a_greeting_are_given_up_and_their_site_gets_in_again() {
    let others = Others::start();
    let dialler = dialler(&others.lab, FIRST);
    let mut held = Vec::new();
    // All of a site's places: without a stream, with an empty one, with a hello that says nothing more, and with one that is half there.
    for said in [None, Some(&[][..]), Some(&[0, 0, 0, 40][..]), Some(&[0, 0][..])].repeat(2) {
        let link = dialler.connect().await.expect("a link");
        let control = match said {
            None => None,
            Some(bytes) => {
                let mut control = within(link.open()).await.expect("a stream");
                control.write_all(bytes).await.expect("sent");
                Some(control)
            }
        };
        held.push((link, control));
    }
    let refused = match dialler.connect().await {
        Ok(link) => cut_off(&link).await,
        Err(error) => code_of(&error),
    };
    assert_eq!(refused, Some(CloseCode::DENIED));
    others.do_not_notice();
    for (link, _control) in &held {
        assert_eq!(cut_off(link).await, Some(CloseCode::TIMEOUT));
    }
    others.coordinator.wait_for_line(&["no hello in time", FIRST]);
    drop(FakeNode::connect(&others.lab, FIRST).await);
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_hellos_of_one_site_replaces_its_own_session_only_and_is_cut_off() {
    let others = Others::start();
    let mut last: Option<FakeNode> = None;
    let mut let_in = 0;
    let refused = loop {
        let node = match FakeNode::try_greet(&others.lab, FIRST).await {
            Ok(node) => node,
            Err(closed) => break closed,
        };
        node.offer_nothing().await;
        let_in += 1;
        // On a machine that is so slow that a second passes with each nobody is cut off, and nothing is shown.
        assert!(let_in < 100 * limits::HELLOS_AT_ONCE as usize, "nobody is cut off");
        if let Some(older) = last.replace(node) {
            assert_eq!(cut_off(&older.link).await, Some(CloseCode::REPLACED));
        }
    };
    assert!(matches!(refused, Closed::ByPeer { code: CloseCode::DENIED, .. }), "{refused:?}");
    assert!(let_in >= limits::HELLOS_AT_ONCE as usize, "{let_in}");
    others.coordinator.wait_for_line(&["cut off", FIRST, "too many hellos"]);
    others.do_not_notice();
    others.memory_is_bounded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_and_of_noise_keeps_no_site_out() {
    let others = Others::start();
    let stranger = stranger();
    let client = QuicClient::new(others.lab.quic_address(), COORDINATOR_NAME, &stranger, Arc::new(SystemClock));
    let client = Arc::new(client.expect("a client"));
    let mut handshakes = JoinSet::new();
    for _ in 0..200 {
        let client = Arc::clone(&client);
        handshakes.spawn(async move { client.connect().await.is_err() });
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for packet in 0..20_000_u64 {
        let mut noise: Vec<u8> = (0..150).flat_map(|i| mixed(packet << 8 | i).to_be_bytes()).collect();
        // What looks like the beginning of a connection, of version 1.
        let first = 0xc0 | (noise[0] & 0x0f);
        noise[..5].copy_from_slice(&[first, 0, 0, 0, 1]);
        let _ = socket.send_to(&noise, others.lab.quic_address());
    }
    others.do_not_notice();
    assert!(handshakes.join_all().await.into_iter().all(|refused| refused), "a stranger got in");
    drop(FakeNode::connect(&others.lab, FIRST).await);
    others.memory_is_bounded();
}

/// A site's identity of another authority that trusts the lab's.
fn stranger() -> Identity {
    let (now, mut entropy) = (SystemClock.now(), SystemEntropy);
    let network = "heart-lab".parse().expect("a network");
    let root = Authority::new_root(&network, now, &mut entropy).expect("a root");
    let issuing = root.issue_intermediate(&network, now, &mut entropy).expect("an intermediate");
    let issued = issuing.issue_site(&FIRST.parse().expect("a site"), now, 30, &mut entropy).expect("a certificate");
    Identity::from_pem(&issued.chain_pem, &issued.key_pem, root.certificate_pem()).expect("an identity")
}

#[test]
fn more_http_clients_that_say_nothing_than_there_are_seats_keep_nobody_out() {
    let others = Others::start();
    let connect = |i: usize| {
        let mut stream = TcpStream::connect(others.lab.api_address()).expect("a connection");
        let half = "GET /v1/network HTTP/1.1\r\nhost: x\r\nauthorization: Bea";
        let _ = stream.write_all(&half.as_bytes()[..i % half.len()]);
        stream
    };
    let mut silent: Vec<TcpStream> = (0..600).map(connect).collect();
    others.do_not_notice();
    for stream in &mut silent[..10] {
        stream.set_read_timeout(Some(bocage_tests::process::PATIENCE)).expect("a timeout");
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said);
        assert!(
            ended.is_ok() || !said.is_empty() || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    others.coordinator.wait_for_line(&["an HTTP client sent no request in time", "127.0.0.1"]);
    others.memory_is_bounded();
}

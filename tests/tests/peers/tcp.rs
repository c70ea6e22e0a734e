//! The same bad manners over TCP, and what is particular to it.

use std::io::Read as _;
use std::net::TcpStream;

use bocage_net::{CloseCode, Closed, Dialler as _, Link as _};
use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::peer::{tcp_dialler, within};
use bocage_tests::process::{PATIENCE, Process};
use tokio::io::AsyncWriteExt as _;

use super::{COST_KIB, EXE, GIB};

const FIRST: &str = HOSPITALS[0];

/// A coordinator that listens for TCP too, and what it held before anybody came.
fn coordinator() -> (Lab, Process, u64) {
    let lab = Lab::with_tcp(EXE);
    let coordinator = lab.coordinator();
    let before_kib = coordinator.peak_kib();
    (lab, coordinator, before_kib)
}

/// A node whose UDP goes nowhere gets in, and the coordinator has not grown much over those before it.
fn a_node_gets_in_and_memory_is_bounded(lab: &Lab, coordinator: &Process, before_kib: u64) {
    let over_tcp = ("BOCAGE_NODE__COORDINATOR__TRANSPORT".to_owned(), "tcp".to_owned());
    let _node = lab.node(HOSPITALS[1], &[over_tcp]);
    coordinator.wait_for_line(&["site connected", HOSPITALS[1]]);
    let grown = coordinator.peak_kib().saturating_sub(before_kib);
    println!("the coordinator held {before_kib} KiB before, and at most {grown} KiB more");
    assert!(grown < COST_KIB, "the coordinator grew by {grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_a_gib_is_refused_where_it_is_announced_over_tcp_too() {
    let (lab, coordinator, before_kib) = coordinator();
    let link = tcp_dialler(&lab, FIRST).connect().await.expect("a link");
    let mut control = within(link.open()).await.expect("a stream");
    control.write_all(&GIB).await.expect("sent");
    let ended = within(link.closed()).await;
    assert!(matches!(&ended, Closed::ByPeer { code: CloseCode::PROTOCOL, .. }), "{ended}");
    coordinator.wait_for_line(&["no hello", FIRST, "1073741824"]);
    a_node_gets_in_and_memory_is_bounded(&lab, &coordinator, before_kib);
}

#[test]
fn whoever_holds_connections_open_and_says_nothing_keeps_no_site_out() {
    let (lab, coordinator, before_kib) = coordinator();
    let mut held: Vec<TcpStream> =
        (0..600).map(|_| TcpStream::connect(lab.tcp_address()).expect("a connection")).collect();
    a_node_gets_in_and_memory_is_bounded(&lab, &coordinator, before_kib);
    // The first that came were hung up on for those that came after.
    held[0].set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert!(!held[0].read(&mut [0]).is_ok_and(|length| length > 0));
}

//! The same hospitals as in `firewalls`, behind the kernel's own firewall instead of a relay: each in a network namespace of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bocage_tests::hedge::{Entered, Hedge, enter};
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::proxy::ConnectProxy;
use bocage_tests::relay::{Relay, Weather};
use bocage_tests::sockets;

use super::firewalls::{CREDENTIALS, OUTSIDE, behind_proxy, nothing_listens};
use super::{EXE, study};

const DELAY_MS: u32 = 150;

fn env(key: &str, value: impl Into<String>) -> (String, String) {
    (format!("BOCAGE_NODE__COORDINATOR__{key}"), value.into())
}

#[test]
fn a_study_completes_over_hospitals_whose_networks_drop_udp_let_out_to_a_proxy_alone_and_lose_packets() {
    match enter(
        "hedges::a_study_completes_over_hospitals_whose_networks_drop_udp_let_out_to_a_proxy_alone_and_lose_packets",
    ) {
        Entered::Inside => {}
        Entered::Ran => return,
        Entered::Impossible(why) => {
            println!(
                "this machine makes no network of a hospital's own ({why}): what the relay's test shows is all that was shown"
            );
            return;
        }
    }
    let [no_udp, proxied, bad_line, plain] = HOSPITALS;
    let lab = Lab::with_tcp(EXE);
    let port = |address: String| address.parse::<SocketAddr>().expect("an address").port();
    let (quic, tcp) = (port(lab.quic_address()), port(lab.tcp_address()));
    for own in [lab.quic_address(), lab.tcp_address()] {
        lab.edit_coordinator(&format!("listen = \"{own}\""), &format!("listen = \"0.0.0.0:{}\"", port(own.clone())));
    }
    let coordinator = lab.coordinator();
    let proxy = ConnectProxy::at(Ipv4Addr::UNSPECIFIED, ([127, 0, 0, 1], tcp).into(), CREDENTIALS);

    let without_udp = Hedge::new(&[("out", "meta l4proto udp drop")]);
    let to_proxy = format!("tcp dport != {} drop", proxy.address().port());
    let behind = Hedge::new(&[("out", "meta l4proto != tcp drop"), ("out", &to_proxy)]);
    let lossy = "numgen random mod 100 < 5 drop";
    let losing = Hedge::new(&[("out", lossy), ("in", lossy)]);
    let open = Hedge::new(&[]);

    behind_proxy(
        &lab,
        proxied,
        SocketAddr::new(behind.outside().parse().expect("an address"), proxy.address().port()),
        "open sesame\n",
    );
    // A kernel without netem loses packets by itself, and has a relay to delay them.
    let relay = (!losing.delays(DELAY_MS)).then(|| {
        println!("this kernel delays no packets (netem): a relay outside of the hospital does");
        let relay = Relay::at(Ipv4Addr::UNSPECIFIED, ([127, 0, 0, 1], quic).into(), 5);
        relay.weather(Weather { delay: Duration::from_millis(DELAY_MS.into()), ..Weather::default() });
        relay
    });
    let slow = relay.as_ref().map_or(quic, |relay| port(relay.address()));

    let start = Instant::now();
    let dial = |hedge: &Hedge, quic: u16| env("ADDRESS", format!("{}:{quic}", hedge.outside()));
    let by_tcp = |hedge: &Hedge| env("TCP", format!("{}:{tcp}", hedge.outside()));
    let nodes = [
        lab.node_behind(&without_udp, no_udp, &[dial(&without_udp, quic), by_tcp(&without_udp)]),
        lab.node_behind(&behind, proxied, &[dial(&behind, quic)]),
        lab.node_behind(&losing, bad_line, &[dial(&losing, slow), env("TRANSPORT", "quic")]),
        lab.node_behind(&open, plain, &[dial(&open, quic), by_tcp(&open)]),
    ];
    for (node, way) in [(0, "over=TCP"), (1, "over=TCP"), (3, "over=QUIC")] {
        nodes[node].wait_for_line(&["the coordinator is reached", way]);
        println!("{}: {way} after {} ms, the node's start included", HOSPITALS[node], start.elapsed().as_millis());
    }
    lab.wait_for_offers(&HOSPITALS);
    let result = lab.study("hedges", &study("5m")).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    assert_eq!(proxy.asked(), [OUTSIDE], "one tunnel, to where the node wanted to go");
    assert!(nothing_listens(&nodes), "in here one may look");
    for node in &nodes {
        let listening = sockets::listening_beside(node.pid());
        assert!(listening.is_empty(), "nobody in the hospital's network listens: {listening:?}");
    }
    coordinator.terminate();
}

//! Hospitals behind strict firewalls: one that drops UDP, one that lets nothing out but an HTTP proxy, one whose line is bad. And that none of them
//! opens a port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bocage_net::secret::write_secret;
use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::process::Process;
use bocage_tests::proxy::ConnectProxy;
use bocage_tests::relay::{Relay, Weather};
use bocage_tests::sockets;

use super::{EXE, study};

/// `ada:open sesame`.
pub(super) const CREDENTIALS: &str = "YWRhOm9wZW4gc2VzYW1l";
/// A name that a proxy can look up, and a hospital cannot.
pub(super) const OUTSIDE: &str = "coordinator.outside.invalid:443";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Writes the proxy's section into a site's `node.toml`, and its password into a file.
pub(super) fn behind_proxy(lab: &Lab, site: &str, proxy: SocketAddr, password: &str) {
    let tcp = format!("tcp = \"{}\"", lab.tcp_address());
    let section = format!(
        "[coordinator.proxy]\nurl = \"http://{proxy}\"\nuser = \"ada\"\npassword_file = \"proxy.password\"\n[tls]"
    );
    lab.edit_node(site, &tcp, &format!("tcp = \"{OUTSIDE}\""));
    lab.edit_node(site, "[tls]", &section);
    write_secret(&lab.site(site).join("proxy.password"), password.as_bytes()).expect("a password");
}

#[test]
fn a_study_completes_over_hospitals_without_udp_with_nothing_but_a_proxy_and_with_a_bad_line() {
    let [no_udp, proxied, bad_line, plain] = HOSPITALS;
    let lab = Lab::with_tcp(EXE);
    let (dropped, lossy) = (Relay::new(address(&lab.quic_address()), 1), Relay::new(address(&lab.quic_address()), 2));
    dropped.weather(Weather { black_hole: true, ..Weather::default() });
    lossy.weather(Weather { loss_percent: 5, delay: Duration::from_millis(150), ..Weather::default() });
    let proxy = ConnectProxy::new(address(&lab.tcp_address()), CREDENTIALS);
    behind_proxy(&lab, proxied, proxy.address(), "open sesame\n");
    let quic_alone = ("BOCAGE_NODE__COORDINATOR__TRANSPORT".to_owned(), "quic".to_owned());
    let coordinator = lab.coordinator();
    let start = Instant::now();
    let nodes = [
        lab.node(no_udp, &[dropped.env()]),
        lab.node(proxied, &[dropped.env()]),
        lab.node(bad_line, &[lossy.env(), quic_alone]),
        lab.node(plain, &[]),
    ];
    for (node, way) in [(0, "over=TCP"), (1, "over=TCP"), (3, "over=QUIC")] {
        nodes[node].wait_for_line(&["the coordinator is reached", way]);
        println!("{way} after {} ms, the node's start included", start.elapsed().as_millis());
    }
    lab.wait_for_offers(&HOSPITALS);
    let result = lab.study("firewalls", &study("5m")).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    assert_eq!(proxy.asked(), [OUTSIDE], "one tunnel, to where the node wanted to go");
    nothing_listens(&nodes);
    // That the coordinator stops is told by either way. (Where packets are lost, so may be the one that says it.)
    coordinator.terminate();
    for node in [0, 1, 3] {
        nodes[node].wait_for_line(&["the coordinator is stopping"]);
    }
}

/// No process of a node has a TCP socket that listens. The only other sockets of the network are the agent's: over UDP it has one for a QUIC session, on
/// a port that the system chose for it, and over TCP those that it dialled. (A UDP socket is bound to receive answers; the filter at the agent's
/// calls leaves it neither `listen` nor `accept`, and QUIC's client drops what it did not ask for.)
/// Whether it could be seen.
pub(super) fn nothing_listens(nodes: &[Process]) -> bool {
    for node in nodes {
        let children = ["agent", "custodian"].map(|child| node.child_pid(child).expect("a child"));
        for pid in [node.pid()].into_iter().chain(children) {
            let Some(open) = sockets::of_process(pid) else {
                println!("the kernel does not let this user look into a node's processes: their sockets were not seen");
                return false;
            };
            assert!(!open.iter().any(|socket| socket.listens), "{open:?}");
            if pid == children[0] {
                assert!(!open.is_empty(), "the agent has its session");
                assert!(open.iter().filter(|socket| socket.kind.starts_with("udp")).count() <= 1, "{open:?}");
            } else {
                assert!(open.is_empty(), "{open:?}");
            }
        }
    }
    true
}

#[test]
fn a_session_over_tcp_goes_back_to_quic_when_udp_is_let_through_and_the_study_under_way_loses_nothing() {
    let [site, others @ ..] = HOSPITALS;
    let lab = Lab::with_tcp(EXE);
    let relay = Relay::new(address(&lab.quic_address()), 4);
    relay.weather(Weather { black_hole: true, ..Weather::default() });
    let hold = Hold::new(&lab.path(""));
    let coordinator = lab.coordinator();
    let again = ("BOCAGE_NODE__COORDINATOR__QUIC_AGAIN_SECS".to_owned(), "1".to_owned());
    let node = lab.node(site, &[relay.env(), again, hold.env()]);
    let _others: Vec<_> = others.iter().map(|site| lab.node(site, &[])).collect();
    node.wait_for_line(&["the coordinator is reached", "over=TCP"]);
    lab.wait_for_offers(&HOSPITALS);
    let study = lab.study("back", &study("5m"));
    let held = hold.next();
    let before = (node.lines(), coordinator.lines());
    relay.weather(Weather::default());
    node.wait_for_line_after(before.0, &["the coordinator is reached", "over=QUIC"]);
    node.wait_for_line_after(before.0, &["session ready"]);
    coordinator.wait_for_line_after(before.1, &["site connected", site]);
    held.release();
    hold.lift();
    let result = study.published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{result:#}");
    }
    // The question that was under way was answered where it had been put.
    let log = coordinator.log();
    assert!(!log.contains("asked in vain"), "{log}");
    // And what is asked from now on goes over QUIC: where that is shut again, the session ends.
    let before = node.lines();
    relay.weather(Weather { black_hole: true, ..Weather::default() });
    node.wait_for_line_after(before, &["no session", "no sign of life"]);
}

#[test]
fn a_session_over_tcp_that_is_lost_is_made_again_and_a_wrong_password_is_said_in_words() {
    let site = HOSPITALS[0];
    let lab = Lab::with_tcp(EXE);
    let dropped = Relay::new(address(&lab.quic_address()), 3);
    dropped.weather(Weather { black_hole: true, ..Weather::default() });
    let proxy = ConnectProxy::new(address(&lab.tcp_address()), CREDENTIALS);
    behind_proxy(&lab, site, proxy.address(), "open barley\n");
    let coordinator = lab.coordinator();
    let tcp_alone = ("BOCAGE_NODE__COORDINATOR__TRANSPORT".to_owned(), "tcp".to_owned());
    let node = lab.node(site, &[dropped.env(), tcp_alone.clone()]);
    node.wait_for_line(&["the proxy does not take this user and password (407)", "it takes Basic"]);
    drop(node);
    std::fs::remove_file(lab.site(site).join("proxy.password")).expect("the password");
    write_secret(&lab.site(site).join("proxy.password"), b"open sesame").expect("a password");
    let node = lab.node(site, &[dropped.env(), tcp_alone]);
    coordinator.wait_for_line(&["site connected", site]);
    // A coordinator that is killed says no good-bye: its end of the connection does.
    coordinator.kill();
    let lost = node.wait_for_line(&["no session"]);
    let coordinator = lab.coordinator();
    coordinator.wait_for_line(&["site connected", site]);
    node.wait_for_line_after(lost, &["session ready"]);
}

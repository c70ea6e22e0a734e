//! The doctor held against what is really on the way: proxies, firewalls and other networks' coordinators, each over real sockets. Each is named, with
//! what mends it, in JSON, and the command ends with 1; where the node would work all the same, with 0.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use bocage_net::env::SystemClock;
use bocage_net::tcp::TcpServer;
use bocage_net::{Identity, Listener as _};
use bocage_tests::clock;
use bocage_tests::lab::Lab;
use bocage_tests::proxy::ConnectProxy;
use bocage_tests::relay::{Relay, Weather};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519};
use serde_json::Value;

use super::doctor::{doctor, fails, level};
use super::{EXE, SITE, running, text};

/// `ada:open sesame`.
const CREDENTIALS: &str = "YWRhOm9wZW4gc2VzYW1l";
const BY_TCP: &str = "coordinator.transport=tcp";

/// A proxy that answers every request with the same head.
fn answering(head: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut reader = BufReader::new(client.try_clone().expect("the same connection"));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let _ = (&client).write_all(head.as_bytes());
        }
    });
    address
}

/// A firewall that opens TLS: whoever connects is shown a certificate of the hospital's own making.
fn intercepting() -> SocketAddr {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = TcpServer::bind(
                "127.0.0.1:0".parse().expect("an address"),
                &firewall(),
                std::sync::Arc::new(SystemClock),
            );
            let server = server.expect("a server");
            sender.send(server.local_address()).expect("the test waits");
            while server.accept().await.is_some() {}
        });
    });
    address.recv().expect("an address")
}

/// What it shows: the coordinator's name, certified by an authority of its own.
fn firewall() -> Identity {
    let key = || KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Corp Firewall CA");
    authority.distinguished_name.push(DnType::OrganizationName, "Eyes Ltd");
    let authority_key = key();
    let root = authority.self_signed(&authority_key).expect("a root");
    let issuer = Issuer::new(authority, authority_key);
    let leaf_key = key();
    let leaf = CertificateParams::new(["coordinator.bocage".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("a certificate");
    let chain = format!("{}{}", leaf.pem(), root.pem());
    Identity::from_pem(&chain, &leaf_key.serialize_pem(), &root.pem()).expect("an identity")
}

fn through(proxy: SocketAddr, more: &str) -> String {
    format!("[coordinator.proxy]\nurl = \"http://{proxy}\"\n{more}\n[tls]")
}

#[test]
fn a_proxy_that_asks_or_refuses_and_a_firewall_that_opens_tls_are_named_with_what_mends_it() {
    let lab = Lab::with_tcp(EXE);
    let (_coordinator, _nodes) = running(&lab);
    let file = lab.site(SITE).join("node.toml");
    let sound = std::fs::read_to_string(&file).expect("node.toml");
    let behind = |proxy: SocketAddr, more: &str| {
        std::fs::write(&file, sound.replacen("[tls]", &through(proxy, more), 1)).expect("node.toml");
        let (code, found) = doctor(&lab, &["--set", BY_TCP], &[]);
        assert_eq!(code, Some(1), "{found:#?}");
        found
    };
    let server: SocketAddr = lab.tcp_address().parse().expect("an address");
    let proxy = ConnectProxy::new(server, CREDENTIALS);
    fails(&behind(proxy.address(), ""), "proxy", "who we are (407)", "set user and password_file");
    let password = lab.site(SITE).join("proxy.password");
    bocage_net::secret::write_secret(&password, b"open barley").expect("a password");
    let login = "user = \"ada\"\npassword_file = \"proxy.password\"";
    fails(&behind(proxy.address(), login), "proxy", "does not take this user and password (407)", "correct user");
    fails(&behind(answering("HTTP/1.1 403 Forbidden\r\n\r\n"), ""), "proxy", "(403)", "allow CONNECT to");
    fails(&behind(answering("HTTP/1.1 502 Bad Gateway\r\n\r\n"), ""), "proxy", "502 Bad Gateway", "its administrators");
    fails(&behind(answering("SSH-2.0-OpenSSH\r\n"), ""), "proxy", "not HTTP", "coordinator.proxy.url");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    fails(&behind(nobody, ""), "proxy", "not reached", "coordinator.proxy.url");

    // Interception, on the proxy's way and on the straight one.
    let eyes = intercepting();
    std::fs::remove_file(&password).expect("the password");
    bocage_net::secret::write_secret(&password, b"open sesame").expect("a password");
    let looking = ConnectProxy::new(eyes, CREDENTIALS);
    fails(&behind(looking.address(), login), "interception", "Eyes Ltd", "left out of the firewall's inspection");
    std::fs::write(&file, &sound).expect("node.toml");
    let straight = format!("coordinator.tcp={eyes}");
    let (code, found) = doctor(&lab, &["--set", BY_TCP, "--set", &straight], &[]);
    assert_eq!(code, Some(1));
    fails(&found, "interception", "Corp Firewall CA", "left out of the firewall's inspection");

    // And one that lets the node through is no fault.
    std::fs::write(&file, sound.replacen("[tls]", &through(proxy.address(), login), 1)).expect("node.toml");
    let (code, found) = doctor(&lab, &["--set", BY_TCP], &[]);
    assert_eq!(
        (code, level(&found, "proxy"), level(&found, "session")),
        (Some(0), vec!["ok"], vec!["ok"]),
        "{found:#?}"
    );
}

#[test]
fn udp_that_is_swallowed_fails_alone_and_is_a_warning_where_tcp_carries() {
    let lab = Lab::with_tcp(EXE);
    let (_coordinator, _nodes) = running(&lab);
    let relay = Relay::new(lab.quic_address().parse().expect("an address"), 1);
    relay.weather(Weather { black_hole: true, ..Weather::default() });
    let swallowed = format!("coordinator.address={}", relay.address());
    let (code, found) = doctor(&lab, &["--set", &swallowed], &[]);
    assert_eq!((code, level(&found, "udp"), level(&found, "tcp")), (Some(0), vec!["warn"], vec!["ok"]), "{found:#?}");
    assert_eq!(level(&found, "session"), ["ok"], "asked over TCP");
    let (code, found) = doctor(&lab, &["--set", &swallowed, "--set", "coordinator.transport=quic"], &[]);
    assert_eq!(code, Some(1));
    fails(&found, "udp", "no answer within", "send UDP to");
    assert!(level(&found, "session").is_empty(), "nobody could be asked: {found:#?}");
}

#[test]
fn another_networks_coordinator_and_a_certificate_near_its_end_are_told() {
    let (lab, other) = (Lab::new(EXE), Lab::new(EXE));
    let (_theirs, (_coordinator, _nodes)) = (other.coordinator(), running(&lab));
    let (code, found) = doctor(&lab, &["--set", &format!("coordinator.address={}", other.quic_address())], &[]);
    assert_eq!(code, Some(1));
    fails(&found, "udp", "unknown issuer", "is coordinator.address another network's");
    // Of thirty days six are left, and nobody has renewed it.
    let (hand_file, hand) = (lab.path("clock"), clock::Steps::new(&lab.path("")));
    hand.set(86_400 * 24);
    let (_, found) = doctor(&lab, &[], &[(clock::VARIABLE, &hand_file)]);
    assert_eq!(level(&found, "certificate"), ["warn"], "{found:#?}");
    let warned = found.iter().find(|f| f["check"] == "certificate").expect("a finding");
    assert!(warned["what"].as_str().is_some_and(|said| said.contains("5 days left")), "{warned}");
    assert!(warned["fix"].as_str().is_some_and(|said| said.contains("renews it by itself")), "{warned}");
}

#[test]
fn a_full_disk_is_found_where_the_machine_lets_one_be_made() {
    let lab = Lab::new(EXE);
    let state = lab.site(SITE).join("state");
    std::fs::create_dir_all(&state).expect("the state folder");
    let on_small = |then: &[OsString]| {
        let script = "mount -t tmpfs -o size=300m,mode=0700 small \"$0\" && head -c 290m /dev/zero > \"$0\"/filler && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(&state).args(then);
        command.output()
    };
    match on_small(&["true".into()]) {
        Ok(output) if output.status.success() => {}
        _ => {
            return println!(
                "this machine lets nobody mount a small disk: the numbers alone are tested (`keep::doctor::machine`)"
            );
        }
    }
    let config = lab.site(SITE).join("node.toml");
    let words = [EXE, "node", "doctor", "--format", "json", "--config", text(&config)].map(OsString::from);
    let output = on_small(&words).expect("the command");
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1));
    fails(&found, "disk", "MiB free", "make room");
}

#[test]
fn what_the_coordinator_knows_otherwise_of_this_site_is_told() {
    let lab = Lab::new(EXE);
    let (coordinator, nodes) = running(&lab);
    // Another release key, and another text of the contract.
    let release = lab.site(SITE).join("release.key");
    let own = std::fs::read(&release).expect("the key");
    let others = std::fs::read(lab.site(super::TWO[1]).join("release.key")).expect("another site's");
    std::fs::write(&release, &others).expect("the key");
    let (code, found) = doctor(&lab, &[], &[]);
    assert_eq!(code, Some(1));
    fails(&found, "key", "would drop every release", "bocage network invite");
    std::fs::write(&release, &own).expect("the key");
    let mut contracts = std::fs::read_dir(lab.site(SITE).join("contracts")).expect("the contracts");
    let contract = contracts.next().expect("one").expect("one").path();
    let agreed = std::fs::read_to_string(&contract).expect("the contract");
    let changed = agreed.replacen("[0, 120]", "[0, 121]", 1);
    assert_ne!(agreed, changed);
    std::fs::write(&contract, changed).expect("the contract");
    let (code, found) = doctor(&lab, &[], &[]);
    assert_eq!(code, Some(1));
    fails(&found, "contracts", "is not the network's", "contracts.dir");
    std::fs::write(&contract, &agreed).expect("the contract");
    // A list of revoked permits that is too old, by this machine's clock.
    let (hand_file, hand) = (lab.path("clock"), clock::Steps::new(&lab.path("")));
    hand.set(86_400 * 31);
    let (_, found) = doctor(&lab, &[], &[(clock::VARIABLE, &hand_file)]);
    assert!(level(&found, "session").is_empty(), "with an ended certificate nobody is asked: {found:#?}");
    hand.set(86_400 * 24);
    let (_, found) = doctor(&lab, &[], &[(clock::VARIABLE, &hand_file)]);
    let warned = |f: &&Value| f["check"] == "policy" && f["level"] == "warn";
    let warned = found.iter().find(warned).unwrap_or_else(|| panic!("{found:#?}"));
    assert!(warned["what"].as_str().is_some_and(|said| said.contains("24 days old")), "{warned}");
    drop((coordinator, nodes));
}

#[test]
fn where_node_toml_is_no_toml_who_may_open_the_keys_is_looked_at_all_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new(EXE);
    let site = lab.site(SITE);
    lab.edit_node(SITE, "[tls]", "[tls");
    let (code, found) = doctor(&lab, &[], &[]);
    assert_eq!(
        (code, level(&found, "config"), level(&found, "modes")),
        (Some(1), vec!["fail"], vec!["ok"]),
        "{found:#?}"
    );
    std::fs::set_permissions(site.join("release.key"), std::fs::Permissions::from_mode(0o644)).expect("the mode");
    let (_, found) = doctor(&lab, &[], &[]);
    fails(&found, "modes", "release.key", "chmod 600");
}

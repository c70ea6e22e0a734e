//! The doctor beside a running node, and with things broken on purpose: each is named, with what mends it.

use std::path::Path;
use std::process::Command;

use bocage_net::certificates::Authority;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_protocol::env::Clock as _;
use bocage_tests::clock;
use bocage_tests::lab::{HOSPITALS, Lab};
use serde_json::Value;

use super::{EXE, SITE, running, study, text};

/// What the doctor of the site finds: the exit code and the findings.
pub(super) fn doctor(lab: &Lab, more: &[&str], env: &[(&str, &Path)]) -> (Option<i32>, Vec<Value>) {
    let config = lab.site(SITE).join("node.toml");
    let mut command = Command::new(EXE);
    command.args(["node", "doctor", "--format", "json", "--config", text(&config)]).args(more);
    let output = command.envs(env.iter().copied()).output().expect("the command");
    let findings = serde_json::from_slice(&output.stdout);
    let findings = findings.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), findings)
}

pub(super) fn level<'a>(findings: &'a [Value], check: &str) -> Vec<&'a str> {
    findings.iter().filter(|f| f["check"] == check).map(|f| f["level"].as_str().expect("a level")).collect()
}

/// The failure of this check says `what` and has a fix that says `fix`.
pub(super) fn fails(findings: &[Value], check: &str, what: &str, fix: &str) {
    let failed: Vec<&Value> = findings.iter().filter(|f| f["check"] == check && f["level"] == "fail").collect();
    let says = |f: &&Value| {
        f["what"].as_str().is_some_and(|said| said.contains(what))
            && f["fix"].as_str().is_some_and(|said| said.contains(fix))
    };
    assert!(failed.iter().any(says), "{check}: `{what}`, `{fix}`:\n{findings:#?}");
}

/// Runs `look` while a file of the site has other content; nothing where there is none.
fn with_file<T>(lab: &Lab, name: &str, content: Option<&[u8]>, look: impl FnOnce() -> T) -> T {
    let file = lab.site(SITE).join(name);
    let before = std::fs::read(&file).ok();
    match content {
        Some(content) => std::fs::write(&file, content).expect("the file"),
        None => std::fs::remove_file(&file).expect("the file"),
    }
    let found = look();
    match before {
        Some(before) => bocage_net::secret::write_atomically(&file, &before, 0o600).expect("the file"),
        None => std::fs::remove_file(&file).expect("the file"),
    }
    found
}

fn with_mode<T>(path: &Path, mode: u32, look: impl FnOnce() -> T) -> T {
    use std::os::unix::fs::PermissionsExt as _;
    let before = std::fs::metadata(path).expect("the file").permissions();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("the mode");
    let found = look();
    std::fs::set_permissions(path, before).expect("the mode");
    found
}

#[test]
fn a_doctor_beside_a_running_node_finds_all_well_and_takes_its_session_from_nobody() {
    let lab = Lab::new(EXE);
    let (coordinator, nodes) = running(&lab);
    // Its answer comes from a first snapshot.
    lab.study("first", &study(30)).published();
    let before = coordinator.lines();
    let (code, findings) = doctor(&lab, &[], &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    for check in [
        "config",
        "dns",
        "udp",
        "interception",
        "session",
        "clock",
        "certificate",
        "key",
        "disk",
        "modes",
        "sources",
        "contracts",
        "policy",
        "optouts",
        "snapshots",
        "ledger",
    ] {
        assert_eq!(level(&findings, check), ["ok"], "{check}: {findings:#?}");
    }
    coordinator.wait_for_line_after(before, &["asked whether it would be taken in", SITE]);
    let log = coordinator.log();
    let since: Vec<&str> = log.lines().skip(before).collect();
    assert!(!since.iter().any(|line| line.contains("disconnected") || line.contains("site connected")), "{since:?}");
    assert!(!nodes[0].log().contains("replaced"), "{}", nodes[0].log());

    // A researcher has one, too.
    let output = lab.run(&["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for check in ["config", "dns", "tcp", "key", "modes", "token", "api", "clock", "permit"] {
        assert!(said.lines().any(|line| line.starts_with("ok ") && line.contains(check)), "{check}:\n{said}");
    }
    drop(coordinator);
    let output = lab.run(&["doctor", "--format", "json"]);
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1));
    fails(&findings, "tcp", "refused", "is the coordinator running");
}

#[test]
fn what_is_broken_is_named_with_what_mends_it() {
    let lab = Lab::new(EXE);
    let (coordinator, nodes) = running(&lab);
    let site = lab.site(SITE);
    let look = |more: &[&str]| {
        let (code, findings) = doctor(&lab, more, &[]);
        assert_eq!(code, Some(1), "{more:?}: {findings:#?}");
        findings
    };
    // A name that leads nowhere, and something else that listens.
    let found = look(&["--set", "coordinator.address=no-such-host.invalid:4433"]);
    fails(&found, "dns", "no-such-host.invalid", "coordinator.address");
    fails(&found, "udp", "cannot find", "the look at the name");
    let found = look(&["--set", "coordinator.name=another.bocage"]);
    fails(&found, "udp", "name mismatch", "ca_file");
    // Settings.
    let toml = std::fs::read_to_string(site.join("node.toml")).expect("node.toml");
    let edited = |from: &str, to: &str| toml.replacen(from, to, 1).into_bytes();
    let found = with_file(&lab, "node.toml", Some(&edited("[policy]", "[policy]\nthreshhold = 7")), || look(&[]));
    fails(&found, "config", "threshhold", "did you mean");
    assert_eq!(level(&found, "disk").len(), 1, "the machine is looked at all the same");
    let optouts = edited("[policy]", "[optouts]\nsource = { kind = \"csv\", path = \"none.csv\" }\n[policy]");
    let found = with_file(&lab, "node.toml", Some(&optouts), || look(&[]));
    fails(&found, "config", "names no patient", "optout = ");
    fails(&look(&["--set", "snapshots.min_free_mib=4000000000"]), "disk", "MiB free", "make room");
    fails(&with_file(&lab, "data/heart.csv", None, || look(&[])), "sources", "heart.csv", "");
    // Keys and certificates.
    fails(&with_file(&lab, "release.key", Some(b"nonsense"), || look(&[])), "key", "release.key", "network init");
    let others = |name: &str| std::fs::read(lab.site(HOSPITALS[1]).join(name)).expect("another site's");
    let (cert, key) = ("tls/cert.pem", "tls/key.pem");
    let found = with_file(&lab, cert, Some(&others(cert)), || with_file(&lab, key, Some(&others(key)), || look(&[])));
    fails(&found, "certificate", &format!("for site {}", HOSPITALS[1]), "copy this site's own folder");
    fails(&found, "session", "site_mismatch", "");
    fails(&with_file(&lab, cert, None, || look(&[])), "certificate", "cannot read", "");
    let strange = Authority::new_root(&"other".parse().expect("a name"), SystemClock.now(), &mut SystemEntropy);
    let strange = strange.expect("an authority").certificate_pem().to_owned();
    let found = with_file(&lab, "ca.pem", Some(strange.as_bytes()), || look(&[]));
    assert!(
        found.iter().any(|f| f["level"] == "fail" && ["udp", "interception"].iter().any(|c| f["check"] == *c)),
        "{found:#?}"
    );
    // Who may read what.
    let found = with_mode(&site.join(key), 0o644, || look(&[]));
    fails(&found, "modes", "key.pem", "chmod 600");
    let found = with_mode(&site.join("state"), 0o777, || look(&[]));
    fails(&found, "modes", "state", "chmod 700");
    // A clock that is off, and one beyond the certificate's end.
    let (file, hand) = (lab.path("clock"), clock::Steps::new(&lab.path("")));
    hand.set(1000);
    let (code, found) = doctor(&lab, &[], &[(clock::VARIABLE, &file)]);
    assert_eq!(code, Some(1));
    fails(&found, "clock", "ahead of the coordinator", "time service");
    hand.set(86_400 * 400);
    fails(&doctor(&lab, &[], &[(clock::VARIABLE, &file)]).1, "certificate", "expired", "enrol anew");
    // A ledger that is none. The node's own is left alone.
    drop(nodes);
    let found = with_file(&lab, "state/ledger.sqlite", Some(&[7; 4096]), || {
        let _ = std::fs::remove_file(site.join("state/ledger.sqlite-wal"));
        let _ = std::fs::remove_file(site.join("state/ledger.sqlite-shm"));
        look(&[])
    });
    fails(&found, "ledger", "ledger.sqlite is no database of SQLite", "bocage node restore");
    // A site that the coordinator does not know, and a coordinator that is not there.
    drop(coordinator);
    let config = lab.path("net/coordinator/coordinator.toml");
    let roster = std::fs::read_to_string(&config).expect("the roster");
    std::fs::write(&config, roster.replacen(&format!("id = \"{SITE}\""), "id = \"somewhere\"", 1)).expect("the roster");
    let coordinator = lab.coordinator();
    fails(&look(&[]), "session", "site_unknown", "ask the coordinator");
    drop(coordinator);
    fails(&look(&[]), "udp", "no answer within", "UDP");
}

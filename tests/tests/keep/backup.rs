//! Backups that are made while studies run, and daemons that come back from them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bocage_node::custodian::ledger::Ledger;
use bocage_protocol::trust::KeptCheckpoints;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::process::PATIENCE;

use super::{EXE, SITE, fine, running, study, text};

fn keys(lab: &Lab) -> (String, String) {
    let identity = lab.path("backup.key");
    let recipient = fine(lab, &["node", "backup", "keygen", "--out", text(&identity)]);
    (recipient.trim().to_owned(), text(&identity).to_owned())
}

fn keep_node(lab: &Lab, recipient: &str, name: &str) -> (String, u64) {
    let (to, config) = (lab.path(name), lab.site(SITE).join("node.toml"));
    let args =
        ["node", "backup", "--to", text(&to), "--recipient", recipient, "--config", text(&config), "--format", "json"];
    let said: serde_json::Value = serde_json::from_str(&fine(lab, &args)).expect("JSON");
    (text(&to).to_owned(), said["records"].as_u64().expect("records"))
}

#[test]
fn backups_that_are_made_while_studies_run_are_each_one_state_of_the_ledger_and_of_the_store() {
    let lab = Lab::new(EXE);
    let _running = running(&lab);
    let (recipient, identity) = keys(&lab);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            for age in 30..40 {
                lab.study(&format!("load{age}"), &study(age)).published();
            }
            done.store(true, Ordering::Relaxed);
        });
        let (mut number, mut before) = (0, 0);
        while !done.load(Ordering::Relaxed) || number < 3 {
            let (file, records) = keep_node(&lab, &recipient, &format!("node-{number}.age"));
            assert!(records >= before, "the ledger grew from {before} to {records}");
            before = records;
            let into = lab.path(&format!("node-{number}"));
            fine(&lab, &["node", "restore", &file, "--identity", &identity, "--dir", text(&into)]);
            let ledger = Ledger::open_read_only(&into.join("state/ledger.sqlite")).expect("a ledger");
            let verified = ledger.verify().expect("readable").expect("its chain holds");
            assert_eq!(verified.records, records + 1, "and the record that it was put back");

            let (to, config) = (lab.path(&format!("store-{number}.age")), lab.path("net/coordinator/coordinator.toml"));
            let args =
                ["coordinator", "backup", "--to", text(&to), "--recipient", &recipient, "--config", text(&config)];
            fine(&lab, &args);
            let listed = fine(&lab, &["coordinator", "restore", text(&to), "--identity", &identity, "--check"]);
            for wanted in ["coordinator.toml", "state/coordinator.sqlite", "state/people.sqlite", "state/publisher.key"]
            {
                let wanted = &format!("here/{wanted}");
                assert!(listed.contains(wanted), "{wanted}: {listed}");
            }
            number += 1;
        }
        load.join().expect("all were published");
    });
    assert_eq!(lab.verify_ledger(SITE).0, Some(0));
    let left = std::fs::read_dir(lab.site(SITE).join("state")).expect("the state folder");
    let left: Vec<_> = left.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    assert!(!left.iter().any(|name| name.starts_with(".backup")), "{left:?}");
}

#[test]
fn a_node_that_comes_back_from_an_older_backup_says_so_waits_for_its_steward_and_goes_on() {
    let lab = Lab::new(EXE);
    let (coordinator, mut nodes) = running(&lab);
    let (recipient, identity) = keys(&lab);
    lab.study("first", &study(40)).published();
    let (file, _) = keep_node(&lab, &recipient, "kept.age");
    lab.study("second", &study(41)).published();

    let (site, into) = (lab.site(SITE), text(&lab.site(SITE)).to_owned());
    let refused = lab.run(&["node", "restore", &file, "--identity", &identity, "--dir", &into, "--replace"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("a node runs on"), "{said}");
    nodes.remove(0).kill();
    // Its custodian ends a moment after the supervisor.
    let until = Instant::now() + PATIENCE;
    let said = loop {
        let refused = lab.run(&["node", "restore", &file, "--identity", &identity, "--dir", &into]);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        if !said.contains("a node runs on") || Instant::now() > until {
            break said;
        }
    };
    assert!(said.contains("--replace"), "{said}");
    let said = fine(&lab, &["node", "restore", &file, "--identity", &identity, "--dir", &into, "--replace"]);
    assert!(said.contains("ledger accept-restored") && said.contains("aside"), "{said}");

    let from = coordinator.lines();
    let _node = lab.node(SITE, &[]);
    coordinator.wait_for_line_after(from, &["connected", SITE]);
    let third = lab.study("third", &study(42));
    coordinator.wait_for_line_after(from, &["waits for its steward", SITE]);
    let list = lab.get("/v1/studies");
    let ids = list["studies"].as_array().expect("studies").iter().map(|study| study["id"].as_str().expect("an id"));
    let mut reasons = ids.map(|id| status(&lab.get(&format!("/v1/studies/{id}")), SITE)["reason"]["code"].clone());
    assert!(reasons.any(|code| code == "ledger_restored"), "{list:#}");
    let (code, _, said) = lab.at_node(SITE, &["doctor"]);
    assert_eq!(code, Some(1), "{said}");

    let checkpoint = lab.path("checkpoint.json");
    let kept = fine(&lab, &["checkpoint", SITE]);
    std::fs::write(&checkpoint, &kept).expect("the file");
    let (code, _, said) = lab.at_node(SITE, &["ledger", "accept-restored", "--checkpoint", text(&checkpoint)]);
    assert!(code == Some(1) && said.contains("--i-know-what-was-lost"), "{said}");
    let (code, said, wrong) =
        lab.at_node(SITE, &["ledger", "accept-restored", "--checkpoint", text(&checkpoint), "--i-know-what-was-lost"]);
    assert!(code == Some(0) && said.contains("answers go on"), "{said}{wrong}");
    // It was signed before the word, so it may have been answered in what is lost.
    let (code, _, said) = third.end();
    assert!(code != 0 && said.contains("ledger_restored"), "{said}");
    lab.wait_for_offers(&[SITE]);
    assert_eq!(status(&lab.study("fourth", &study(43)).published(), SITE)["status"], "answered");
    let list = lab.at_node(SITE, &["ledger", "show"]).1;
    assert!(list.contains("restored") && list.contains("accepted"), "{list}");

    // What the coordinator remembers is told with each session, and is not asked about a second time.
    let kept: KeptCheckpoints = serde_json::from_str(&kept).expect("checkpoints");
    assert_eq!(kept.newest.checkpoint.site.as_str(), HOSPITALS[0]);
    let from = coordinator.lines();
    drop(_node);
    let _node = lab.node(SITE, &[]);
    coordinator.wait_for_line_after(from, &["connected", SITE]);
    lab.wait_for_offers(&[SITE]);
    assert_eq!(status(&lab.study("fifth", &study(44)).published(), SITE)["status"], "answered");
    assert!(site.join("node.toml").exists());
}

#[test]
fn a_coordinator_that_comes_back_from_a_backup_has_its_studies_and_goes_on() {
    let lab = Lab::new(EXE);
    let (coordinator, _nodes) = running(&lab);
    let (recipient, identity) = keys(&lab);
    lab.study("first", &study(40)).published();
    let publisher = || lab.get("/v1/network")["publisher"].as_str().expect("a key").to_owned();
    let before = publisher();
    let (to, folder) = (lab.path("store.age"), lab.path("net/coordinator"));
    let config = folder.join("coordinator.toml");
    fine(&lab, &["coordinator", "backup", "--to", text(&to), "--recipient", &recipient, "--config", text(&config)]);
    let again =
        lab.run(&["coordinator", "backup", "--to", text(&to), "--recipient", &recipient, "--config", text(&config)]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("not overwritten"));
    let args = ["coordinator", "restore", text(&to), "--identity", &identity, "--dir", text(&folder), "--replace"];
    let refused = lab.run(&args);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a coordinator runs on"), "{refused:?}");
    coordinator.kill();
    fine(&lab, &args);
    let coordinator = lab.coordinator();
    coordinator.wait_for_line(&["connected", SITE]);
    lab.wait_for_offers(&super::TWO);
    let list = lab.get("/v1/studies");
    assert_eq!(list["studies"].as_array().expect("studies").len(), 1, "{list}");
    assert_eq!(publisher(), before, "it publishes by the key that it had");
    lab.study("second", &study(41)).published();
}

#[test]
fn what_was_revoked_after_its_backup_is_brought_back_to_a_restored_coordinator() {
    let lab = Lab::new(EXE);
    let coordinator = lab.coordinator();
    let (recipient, identity) = keys(&lab);
    let (to, folder) = (lab.path("store.age"), lab.path("net/coordinator"));
    let (config, profile) = (folder.join("coordinator.toml"), lab.path("net/operator/profile.toml"));
    let network = |args: &[&str]| fine(&lab, &[&["network"], args, &["--profile", text(&profile)]].concat());
    let (lifted, before) = (super::TWO[1], HOSPITALS[2]);
    network(&["revoke", before]);
    fine(&lab, &["coordinator", "backup", "--to", text(&to), "--recipient", &recipient, "--config", text(&config)]);
    network(&["revoke", SITE, "--reason", "laptop stolen"]);
    network(&["revoke", lifted]);
    network(&["revoke", lifted, "--lift"]);
    coordinator.kill();
    let args = ["coordinator", "restore", text(&to), "--identity", &identity, "--dir", text(&folder), "--replace"];
    let said = fine(&lab, &args);
    assert!(said.contains("network revoke --again"), "{said}");

    let coordinator = lab.coordinator();
    let node = lab.node(SITE, &[]);
    coordinator.wait_for_line(&["site connected", SITE]);
    assert!(!network(&["revoked"]).contains(SITE), "the backup is older");
    let from = node.lines();
    let said = network(&["revoke", "--again"]);
    assert!(said.contains(SITE) && !said.contains(lifted) && !said.contains(before), "{said}");
    coordinator.wait_for_line(&["site cut off", SITE, "revoked"]);
    node.wait_for_line_after(from, &["refuses our certificate: revoked"]);
    let listed = network(&["revoked"]);
    assert!(listed.contains("laptop stolen") && listed.contains(before) && !listed.contains(lifted), "{listed}");
    assert!(network(&["revoke", "--again"]).contains("has forgotten nothing"));
}

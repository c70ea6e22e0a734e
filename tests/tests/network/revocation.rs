//! A site whose certificates are taken back, by the operator's commands: cut off, kept out over a restart, and back by either of the two ways.

use std::path::{Path, PathBuf};

use bocage_tests::lab::{HOSPITALS, Lab, dataset, status};
use bocage_tests::process::Process;

use super::enrolment::{SITE, fine, invited, operator, ran, text};
use super::{EXE, study_of};

/// The node of a site that enrols by this invitation with keys of its own.
fn enrolled(lab: &Lab, coordinator: &Process, invitation: &Path) -> Process {
    let from = coordinator.lines();
    let dir = lab.site(SITE);
    let (_, said, err) = ran(lab, &["node", "enrol", text(invitation), "--dir", text(&dir)]);
    assert!(said.contains("site long-beach is in network heart-lab"), "{said}{err}");
    let config = dir.join("node.toml");
    let written = std::fs::read_to_string(&config).expect("node.toml");
    std::fs::write(&config, written + &dataset()).expect("node.toml");
    lab.fill(SITE);
    let node = lab.node(SITE, &[]);
    coordinator.wait_for_line_after(from, &["site connected", SITE]);
    node
}

fn of_site(lab: &Lab) -> serde_json::Value {
    let sites = lab.get("/v1/sites");
    sites["sites"].as_array().and_then(|all| all.iter().find(|site| site["id"] == SITE)).expect("the site").clone()
}

/// The session ends, and the node hears why it gets no other.
fn is_cut_off(lab: &Lab, coordinator: &Process, node: &Process, (from, at_node): (usize, usize)) {
    coordinator.wait_for_line_after(from, &["site cut off", SITE, "revoked"]);
    node.wait_for_line_after(at_node, &["refuses our certificate: revoked"]);
    let site = of_site(lab);
    assert_eq!((&site["online"], &site["revoked"]), (&false.into(), &true.into()), "{site:#}");
}

fn lines(coordinator: &Process, node: &Process) -> (usize, usize) {
    (coordinator.lines(), node.lines())
}

#[test]
fn a_revoked_site_is_out_over_a_restart_and_comes_back_by_a_lift_or_by_a_new_invitation_and_not_by_its_old_certificate()
{
    let lab = Lab::where_one_enrols(EXE, SITE);
    let (coordinator, first) = invited(&lab);
    let _others: Vec<Process> =
        HOSPITALS.iter().filter(|site| **site != SITE).map(|site| lab.node(site, &[])).collect();
    let node = enrolled(&lab, &coordinator, &first);

    let before = lines(&coordinator, &node);
    operator(&lab, fine, &["revoke", SITE, "--reason", "laptop stolen"]);
    is_cut_off(&lab, &coordinator, &node, before);
    let at_node = node.lines();
    coordinator.kill();
    let coordinator = lab.coordinator();
    node.wait_for_line_after(at_node, &["refuses our certificate: revoked"]);
    assert!(!coordinator.log().contains(&format!("site connected site={SITE}")), "{}", coordinator.log());

    let from = coordinator.lines();
    operator(&lab, fine, &["revoke", SITE, "--lift"]);
    coordinator.wait_for_line_after(from, &["site connected", SITE]);
    assert_eq!(of_site(&lab)["revoked"], false);

    let before = lines(&coordinator, &node);
    operator(&lab, fine, &["revoke", SITE]);
    is_cut_off(&lab, &coordinator, &node, before);
    node.kill();
    // The thief has the laptop, with everything on it.
    let stolen = "stolen";
    std::fs::rename(lab.site(SITE), lab.site(stolen)).expect("another place");
    let second = lab.path("second.invite");
    operator(&lab, fine, &["invite", SITE, "--replace", "--out", text(&second)]);
    let _node = enrolled(&lab, &coordinator, &second);
    assert_eq!(of_site(&lab)["revoked"], false);
    let thief = lab.node(stolen, &[]);
    thief.wait_for_line(&["refuses our certificate: revoked"]);
    lab.wait_for_offers(&HOSPITALS);
    let result = lab.study("all", &study_of(&HOSPITALS, "5m")).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{site}: {result:#}");
    }
    // A lift is for a mistake: it opens nothing to who was there before the enrolment, also after another restart.
    let (code, _, said) = ran(&lab, &["network", "revoke", SITE, "--lift", "--profile", text(&profile(&lab))]);
    let lifted = code == Some(0);
    let at_thief = thief.lines();
    coordinator.kill();
    let coordinator = lab.coordinator();
    coordinator.wait_for_line(&["site connected", SITE]);
    assert!(!lifted, "{said}");
    thief.wait_for_line_after(at_thief, &["refuses our certificate: revoked"]);
}

fn profile(lab: &Lab) -> PathBuf {
    lab.path("net/operator/profile.toml")
}

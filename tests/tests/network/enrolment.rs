//! From an invitation to a completed study, by the commands of docs/OPERATING.md, with real processes over real sockets.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bocage_node::sandbox::Support;
use bocage_protocol::trust::Invitation;
use bocage_tests::lab::{HOSPITALS, Lab, dataset, status};
use bocage_tests::process::Process;

use super::{EXE, study_of};

pub(super) const SITE: &str = "long-beach";

/// A command to its end: exit code, standard output, standard error.
pub(super) fn ran(lab: &Lab, args: &[&str]) -> (Option<i32>, String, String) {
    let output = lab.run(args);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub(super) fn fine(lab: &Lab, args: &[&str]) -> String {
    let (code, out, err) = ran(lab, args);
    assert_eq!(code, Some(0), "{args:?}: {out}{err}");
    out
}

fn refused(lab: &Lab, args: &[&str]) -> String {
    let (code, _, err) = ran(lab, args);
    assert_eq!(code, Some(1), "{args:?}: {err}");
    assert!(err.contains("  hint: "), "{err}");
    err
}

/// A command of the network's operator.
pub(super) fn operator(lab: &Lab, run: impl FnOnce(&Lab, &[&str]) -> String, args: &[&str]) -> String {
    let profile = lab.path("net/operator/profile.toml");
    run(lab, &[&["network"], args, &["--profile", text(&profile)]].concat())
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A network with its coordinator, in which [`SITE`] was invited; the invitation's file.
pub(super) fn invited(lab: &Lab) -> (Process, std::path::PathBuf) {
    let coordinator = lab.coordinator();
    let file = lab.path("long-beach.invite");
    let said = operator(lab, fine, &["invite", SITE, "--out", text(&file)]);
    assert!(said.contains("fingerprint: ") && said.contains("bocage node enrol long-beach.invite"), "{said}");
    assert_eq!(std::fs::metadata(&file).expect("the invitation").permissions().mode() & 0o777, 0o600);
    (coordinator, file)
}

fn invitation(file: &Path) -> Invitation {
    let text = std::fs::read_to_string(file).expect("an invitation");
    Invitation::parse(&text, "invitation").expect("an invitation").0
}

fn fingerprint(said: &str) -> &str {
    said.split("fingerprint: ").nth(1).expect("a fingerprint").get(..64).expect("64 digits")
}

#[test]
fn a_hospital_is_invited_enrols_and_answers_a_study_with_keys_that_it_made_itself() {
    let lab = Lab::where_one_enrols(EXE, SITE);
    assert!(!lab.site(SITE).exists(), "nothing was made for it");
    let (coordinator, file) = invited(&lab);
    let dir = lab.site(SITE);
    let (code, said, err) = ran(&lab, &["node", "enrol", text(&file), "--dir", text(&dir)]);
    assert!(said.contains("site long-beach is in network heart-lab"), "{said}{err}");
    let (proposed, next) = (said.find("the network proposes this [policy]"), said.find("next: say in"));
    assert!(proposed.is_some() && proposed < next && said.contains("    threshold = "), "{said}");
    // It ends with the doctor, who finds fault with a kernel that cannot confine the node.
    assert!(code == Some(0) || !Support::ask().complete(), "{said}{err}");
    assert_eq!(fingerprint(&said), invitation(&file).fingerprint);
    coordinator.wait_for_line(&["site enrolled", SITE]);

    let config = dir.join("node.toml");
    let written = std::fs::read_to_string(&config).expect("node.toml");
    std::fs::write(&config, written + &dataset()).expect("node.toml");
    // Its trust is in the access body; the lab's researcher asks under a permit of that.
    lab.fill(SITE);
    fine(&lab, &["node", "check", "--config", text(&config)]);
    let nodes: Vec<Process> = HOSPITALS.iter().map(|site| lab.node(site, &[])).collect();
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let result = lab.study("all", &study_of(&HOSPITALS, "2m")).published();
    for site in HOSPITALS {
        assert_eq!(status(&result, site)["status"], "answered", "{site}: {result}");
    }

    // What it knows of its site outlives the coordinator.
    coordinator.kill();
    let coordinator = lab.coordinator();
    coordinator.wait_for_line(&["connected", SITE]);
    let listed = operator(&lab, fine, &["invitations"]);
    assert!(listed.lines().any(|line| line.starts_with("long-beach") && line.contains("used")), "{listed}");
    let elsewhere = lab.path("thief");
    let said = refused(&lab, &["node", "enrol", text(&file), "--dir", text(&elsewhere)]);
    assert!(said.contains("the invitation was used with other keys, at 20"), "{said}");
    assert!(!elsewhere.exists() && !lab.path(".thief.enrolling").exists(), "keys that nobody knows are left");
    let said = refused(&lab, &["node", "enrol", text(&file), "--dir", text(&dir)]);
    assert!(said.contains("holds a node already"), "{said}");
    drop(nodes);
}

#[test]
fn an_invitation_that_was_taken_back_and_one_of_another_network_get_nobody_in() {
    let lab = Lab::where_one_enrols(EXE, SITE);
    let (coordinator, first) = invited(&lab);
    let said = operator(&lab, refused, &["invite", SITE, "--out", text(&first)]);
    assert!(said.contains("exists already and is not overwritten"), "{said}");
    let (second, dir) = (lab.path("second.invite"), lab.path("node"));
    operator(&lab, fine, &["invite", SITE, "--out", text(&second), "--days", "1"]);
    let said = refused(&lab, &["node", "enrol", text(&first), "--dir", text(&dir)]);
    assert!(said.contains("the invitation was taken back at 20"), "{said}");
    operator(&lab, fine, &["uninvite", SITE]);
    let said = refused(&lab, &["node", "enrol", text(&second), "--dir", text(&dir)]);
    assert!(said.contains("(invitation_withdrawn)"), "{said}");
    operator(&lab, refused, &["uninvite", SITE]);
    operator(&lab, refused, &["invite", "atlantis", "--out", text(&lab.path("atlantis.invite"))]);

    // Another network's coordinator answers where the invitation says that its own does.
    let other = Lab::where_one_enrols(EXE, SITE);
    let (_other, theirs) = invited(&other);
    let mut misled = invitation(&second);
    misled.tcp = invitation(&theirs).tcp;
    let altered = misled.to_text().expect("a text");
    std::fs::write(&second, altered).expect("written");
    let said = refused(&lab, &["node", "enrol", text(&second), "--dir", text(&dir)]);
    assert!(said.contains("altered"), "{said}");
    let sealed = misled.sealed().expect("sealed");
    std::fs::write(&second, sealed.to_text().expect("a text")).expect("written");
    let told = invitation(&theirs).fingerprint;
    let said = refused(&lab, &["node", "enrol", text(&second), "--dir", text(&dir), "--fingerprint", &told]);
    assert!(said.contains(&sealed.fingerprint) && said.contains("do not enrol"), "{said}");
    let said = refused(&lab, &["node", "enrol", text(&second), "--dir", text(&dir)]);
    assert!(said.contains("cannot reach the coordinator") && said.contains("certificate is refused"), "{said}");
    assert!(said.contains("fingerprint"), "{said}");

    // Nobody answers at all.
    coordinator.kill();
    let said = refused(&lab, &["node", "enrol", text(&first), "--dir", text(&dir)]);
    assert!(said.contains("cannot connect to 127.0.0.1:") && said.contains("--proxy"), "{said}");
    assert!(!dir.exists());
}

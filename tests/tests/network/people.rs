//! Who uses the coordinator, as its operator types it while the coordinator runs.

use std::path::Path;

use bocage_tests::lab::Lab;

use super::EXE;

/// `bocage coordinator …` to a good end; answers what it says.
fn coordinator(lab: &Lab, args: &[&str]) -> String {
    let config = text(&lab.path("net/coordinator/coordinator.toml"));
    let output = lab.run(&[&["coordinator"], args, &["--config", &config]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// What `bocage sites` says with this profile, and whether that went well.
fn sites(lab: &Lab, profile: &str) -> (bool, String) {
    let output = lab.run(&["sites", "--profile", profile]);
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_user_made_while_the_coordinator_runs_comes_in_until_disabled_and_the_audit_has_it_all() {
    let lab = Lab::new(EXE);
    let _running = lab.coordinator();
    let (folder, token) = (lab.path("net/researcher"), lab.path("net/researcher/ada.token"));
    let profile = std::fs::read_to_string(folder.join("profile.toml")).expect("a profile");
    let of_ada = folder.join("ada.toml");
    std::fs::write(&of_ada, profile.replace("api.token", "ada.token")).expect("a profile");
    let of_ada = text(&of_ada);

    let said = coordinator(&lab, &["users", "add", "ada", "--role", "researcher"]);
    assert!(said.contains("ada: researcher"), "{said}");
    let said = coordinator(&lab, &["tokens", "create", "ada", "--days", "7", "--out", &text(&token)]);
    assert!(said.contains(" of ada is in ") && !said.contains("bocage_"), "{said}");
    assert_eq!(sites(&lab, &of_ada), (true, String::new()));
    assert!(coordinator(&lab, &["tokens", "list"]).contains("ada"));

    coordinator(&lab, &["users", "disable", "ada"]);
    let (well, said) = sites(&lab, &of_ada);
    assert!(!well && said.contains("the token's user was disabled at ") && said.contains("tokens create"), "{said}");
    assert!(coordinator(&lab, &["users", "list"]).contains("disabled since"));

    // The operator of `network init` looks, and is no researcher.
    let (well, said) = sites(&lab, &text(&lab.path("net/operator/profile.toml")));
    assert!(well, "{said}");
    let audit = coordinator(&lab, &["audit", "list"]);
    for what in ["users add", "tokens create", "users disable"] {
        assert!(audit.contains(what), "{what} is not in\n{audit}");
    }
    let said = coordinator(&lab, &["audit", "verify"]);
    let (first, hash) = said.trim_end().split_once('\n').expect("a hash");
    assert!(first.starts_with("3 entries hold"), "{said}");
    coordinator(&lab, &["users", "enable", "ada"]);
    assert!(coordinator(&lab, &["audit", "verify", "--noted", hash]).starts_with("4 entries hold"));
    assert_eq!(coordinator(&lab, &["audit", "export"]).lines().count(), 4);
}

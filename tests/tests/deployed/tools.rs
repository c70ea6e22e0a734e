//! What is rendered, held against the tools that read such files: systemd-analyze, promtool, nft, hadolint, and the published schema of compose files.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use bocage_tests::lab::repository;

use super::rendered::{Rendered, files};

/// The exposure that a unit may have at most, by `systemd-analyze security`, in tenths.
const EXPOSURE_TENTHS: &str = "20";

/// Runs a tool and answers what it said, or says that it is not installed.
fn tool(name: &str, args: &[&str], files: &[PathBuf]) -> Option<(bool, String)> {
    match Command::new(name).args(args).args(files).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            Some((output.status.success(), said))
        }
        Err(error) => {
            eprintln!("{name} cannot be run here ({error}): what it would say is not known");
            None
        }
    }
}

fn below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let found: Vec<PathBuf> = files(folder)
        .into_iter()
        .filter(|(name, _)| name.ends_with(ending))
        .map(|(name, _)| folder.join(name))
        .collect();
    assert!(!found.is_empty(), "no {ending} in {}", folder.display());
    found
}

#[test]
fn every_unit_is_understood_by_systemd_and_exposes_little() {
    let rendered = Rendered::new("");
    // Units whose program is not there are none.
    let programs = rendered.path("bin");
    std::fs::create_dir(&programs).expect("a folder");
    std::os::unix::fs::symlink(super::EXE, programs.join("bocage")).expect("a link");
    let text = std::fs::read_to_string(rendered.path("network.toml")).expect("network.toml");
    let paths = format!("[paths]\nprograms = \"{}\"\n", programs.display());
    std::fs::write(rendered.path("network.toml"), text + &paths).expect("network.toml");
    let out = rendered.render("systemd");
    for folder in ["systemd/coordinator", "systemd/sites/north", "systemd/sites/south"] {
        let folder = out.join(folder);
        let mut units = below(&folder, ".service");
        for service in &units {
            let args = ["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_TENTHS];
            let Some((fine, said)) = tool("systemd-analyze", &args, std::slice::from_ref(service)) else { return };
            assert!(fine, "{}: {said}", service.display());
        }
        units.extend(
            files(&folder)
                .iter()
                .filter(|(name, _)| name.ends_with(".path") || name.ends_with(".target"))
                .map(|(name, _)| folder.join(name)),
        );
        let Some((fine, said)) = tool("systemd-analyze", &["verify", "--man=no"], &units) else { return };
        // What it says of other units of this machine is not about ours.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("bocage")).collect();
        assert!(fine && ours.is_empty(), "{said}");
    }
}

#[test]
fn users_and_folders_are_made_as_the_units_want_them() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("the tests are not root: users and folders are not made");
    }
    let rendered = Rendered::new("");
    let folder = rendered.render("deb").join("deb");
    let root = rendered.path("root");
    std::fs::create_dir_all(root.join("etc")).expect("a folder");
    let root = format!("--root={}", root.display());
    let Some((fine, said)) = tool("systemd-sysusers", &[&root], &below(&folder, "sysusers.conf")) else { return };
    assert!(fine, "{said}");
    let Some((fine, said)) = tool("systemd-tmpfiles", &[&root, "--create"], &below(&folder, "tmpfiles.conf")) else {
        return;
    };
    assert!(fine, "{said}");
    let run = std::fs::metadata(rendered.path("root/run/bocage")).expect("the folder of sockets");
    assert_eq!(run.permissions().mode() & 0o7777, 0o3771);
    let users = std::fs::read_to_string(rendered.path("root/etc/passwd")).expect("users");
    let number = |name: &str| {
        let line = users.lines().find_map(|line| line.strip_prefix(&format!("{name}:x:"))).expect("a user");
        line.split(':').next().expect("a number").parse::<u32>().expect("a number")
    };
    let owner = |path: &str| std::fs::metadata(rendered.path(path)).expect("a folder").uid();
    assert_eq!(owner("root/var/lib/bocage"), number("bocage"));
    assert_eq!(owner("root/etc/bocage/tls"), number("bocage-agent"));
    assert_eq!(owner("root/var/lib/bocage-coordinator"), number("bocage-coordinator"));
}

#[test]
fn the_rules_of_graphs_are_understood_by_prometheus() {
    let folder = Rendered::new("");
    let out = folder.render("prometheus").join("prometheus");
    for (args, path) in [
        (["check", "config"], "prometheus.yml"),
        (["check", "rules"], "rules/coordinator.yml"),
        (["check", "rules"], "rules/node.yml"),
    ] {
        let Some((fine, said)) = tool("promtool", &args, &[out.join(path)]) else { return };
        assert!(fine, "{path}: {said}");
    }
}

#[test]
fn the_rules_of_packets_are_understood_by_nftables() {
    let rendered = Rendered::new("[users]\ncustodian = \"daemon\"\nagent = \"nobody\"\n");
    let out = rendered.render("firewall").join("firewall");
    for rules in below(&out, ".nft") {
        let Some((fine, said)) = tool("nft", &["--check", "--file"], std::slice::from_ref(&rules)) else { return };
        if said.contains("Operation not permitted") {
            return eprintln!("nft may not ask this machine's kernel: what it would say is not known");
        }
        assert!(fine, "{}: {said}", rules.display());
    }
}

#[test]
fn compose_files_follow_the_published_schema_and_the_custodian_has_no_network() {
    let rendered = Rendered::new("");
    let out = rendered.render("compose").join("compose");
    let check = r#"
import json, sys
try:
    import jsonschema, yaml
except ImportError as missing:
    print(missing); sys.exit(3)
schema = json.load(open(sys.argv[1]))
for path in sys.argv[2:]:
    document = yaml.safe_load(open(path))
    jsonschema.Draft7Validator(schema).validate(document)
    if "coordinator" not in path:
        assert set(document["services"]) == {"custodian", "ingest", "agent", "herald"}, path
    for name, service in document["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and not service["user"].startswith("0"), name
        mounts = " ".join(service["volumes"])
        if name == "custodian":
            assert service["network_mode"] == "none" and "tls" not in mounts, name
        if name == "ingest":
            remote = "south" in path
            assert ("network_mode" in service) != remote and "release.key" not in mounts, name
        if name in ("agent", "herald"):
            assert not any(secret in mounts for secret in ["state", "data", "release.key"]), name
        if name == "herald":
            assert "tls" not in mounts and "network_mode" not in service, name
"#;
    let schema = repository("tests/data/compose/compose_spec.json");
    let files: Vec<PathBuf> = std::iter::once(schema).chain(below(&out, "compose.yaml")).collect();
    let Some((fine, said)) = tool("python3", &["-W", "ignore", "-c", check], &files) else { return };
    if said.contains("No module named") {
        return eprintln!("python3 has no jsonschema and yaml here: compose files are not held against their schema");
    }
    assert!(fine, "{said}");
}

#[test]
fn the_containerfile_passes_the_linter() {
    let rendered = Rendered::new("");
    let file = rendered.render("compose").join("compose/Containerfile");
    let text = std::fs::read_to_string(&file).expect("a Containerfile");
    let last_user = text.lines().rfind(|line| line.starts_with("USER ")).expect("a user");
    assert!(!last_user.contains("root") && !last_user.starts_with("USER 0"), "{last_user}");
    let Some((fine, said)) = tool("hadolint", &["--no-color"], &[file]) else { return };
    assert!(fine, "{said}");
}

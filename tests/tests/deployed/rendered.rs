//! What is rendered for a small network, to the byte.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bocage_tests::lab::repository;
use tempfile::TempDir;

/// Two sites, one of which reads a database of another machine, behind a coordinator of a name.
pub const NETWORK: &str = r#"
network = "two-hospitals"
contracts = ["heart.toml"]
[coordinator]
quic = "coordinator.example.org:4433"
api = "127.0.0.1:8443"
[publication]
min_sites = 2
[researcher]
name = "Ada"
mode = "exact"
[[site]]
id = "north"
name = "North \"Hospital\" $(id) %i"
contact = "it@north.example.org"
[site.dataset.heart]
contract = "heart@1"
source = { kind = "csv", path = "data/heart.csv" }
[[site]]
id = "south"
name = "South Hospital"
[site.dataset.heart]
contract = "heart@1"
source = { kind = "postgres", host = "2001:db8::7", database = "d", user = "u", password_file = "p", ca_file = "c.pem", table = "t" }
"#;

/// A folder with a network's file and whatever was rendered from it.
pub struct Rendered(TempDir);

impl Rendered {
    /// Writes the network's file, with more lines at its end.
    pub fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(repository("deploy/templates/heart.toml"), folder.path().join("heart.toml")).expect("a contract");
        std::fs::write(folder.path().join("network.toml"), format!("{NETWORK}{more}")).expect("network.toml");
        Self(folder)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Runs `bocage network COMMAND network.toml …` in the folder.
    pub fn network(&self, command: &str, args: &[&str]) -> Output {
        let mut bocage = Command::new(super::EXE);
        bocage.current_dir(self.0.path()).args(["network", command, "network.toml"]).args(args);
        bocage.output().expect("the command")
    }

    /// Renders a target into `out`.
    pub fn render(&self, target: &str) -> PathBuf {
        let done = self.network("render", &["--out", "out", "--target", target]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        self.path("out")
    }
}

/// All files below a folder by their path in it, in order.
pub fn files(folder: &Path) -> Vec<(String, String)> {
    fn below(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("below it").display().to_string();
                found.push((name, std::fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    let mut found = Vec::new();
    below(folder, folder, &mut found);
    found.sort();
    found
}

#[test]
fn what_is_rendered_for_a_network_is_the_golden_text() {
    let rendered = Rendered::new("");
    let mut text = String::new();
    for (name, content) in files(&rendered.render("all")) {
        // The hashes follow from the files.
        if name != "made.sha256" {
            let _ = write!(text, "== {name}\n{content}");
        }
    }
    let golden = repository("tests/golden/rendered.txt");
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    if text != wanted {
        let found = std::env::temp_dir().join("bocage-rendered.txt");
        std::fs::write(&found, &text).expect("a file");
        panic!("{} is not what is rendered; found: {}", golden.display(), found.display());
    }
}

#[test]
fn the_package_in_the_repository_is_what_is_rendered_for_a_network_that_says_nothing_of_paths_and_users() {
    let rendered = Rendered::new("");
    let made = files(&rendered.render("deb").join("deb"));
    let kept = files(&repository("deploy/debian"));
    assert_eq!(
        kept.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        made.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    for (kept, made) in kept.iter().zip(&made) {
        assert_eq!(kept, made);
    }
    let manifest = std::fs::read_to_string(repository("deploy/Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("assets");
    let named: Vec<&str> = assets.iter().filter_map(|asset| asset[0].as_str()?.strip_prefix("debian/")).collect();
    for (name, _) in &made {
        let script = name == "postinst" || name == "prerm";
        assert!(script || named.contains(&name.as_str()), "{name} is not in the package");
    }
}

#[test]
fn init_can_be_said_again_and_diff_says_before_what_it_would_do() {
    let rendered = Rendered::new("");
    let text = |output: &Output| {
        String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
    };
    assert_eq!(rendered.network("diff", &["--out", "net"]).status.code(), Some(2), "there is nothing to compare with");
    let first = rendered.network("init", &["--out", "net"]);
    assert!(first.status.success(), "{}", text(&first));
    let same = rendered.network("diff", &["--out", "net"]);
    assert_eq!((same.status.code(), text(&same).as_str()), (Some(0), ""));
    assert_eq!(text(&rendered.network("init", &["--out", "net"])), "nothing has changed\n");

    // A third site, and another threshold.
    let file = rendered.path("network.toml");
    let more = "[defaults.policy]\nthreshold = 20\n[[site]]\nid = \"west\"\nname = \"West\"\n";
    std::fs::write(&file, format!("{NETWORK}{more}")).expect("network.toml");
    let differs = rendered.network("diff", &["--out", "net"]);
    let said = text(&differs);
    assert_eq!(differs.status.code(), Some(1), "{said}");
    for wanted in [
        "+++ b/coordinator/coordinator.toml",
        "+id = \"west\"",
        "-threshold = 11",
        "+threshold = 20",
        "new secret: sites/west/release.key",
    ] {
        assert!(said.contains(wanted), "{wanted}\nin\n{said}");
    }
    let secret = std::fs::read_to_string(rendered.path("net/sites/north/release.key")).expect("a key");
    assert!(!said.contains(secret.trim()) && !said.contains("PRIVATE KEY"), "{said}");
    assert!(!rendered.path("net/sites/west").exists(), "diff changes nothing");

    // What a person changed is not lost.
    let node = rendered.path("net/sites/north/node.toml");
    let mine = std::fs::read_to_string(&node).expect("node.toml") + "\n# mine\n";
    std::fs::write(&node, &mine).expect("node.toml");
    let done = rendered.network("init", &["--out", "net"]);
    let said = text(&done);
    assert!(done.status.success() && rendered.path("net/sites/west/release.key").exists(), "{said}");
    for wanted in [
        "sites/north/node.toml: kept as it was changed by hand; what it would be is in sites/north/node.toml.new\n",
        "sites/south/node.toml: changed\n",
        "sites/west/release.key: new\n",
        "bocage network init network.toml --out net --overwrite",
        "bocage coordinator check --config net/coordinator/coordinator.toml",
    ] {
        assert!(said.contains(wanted), "{wanted}\nin\n{said}");
    }
    assert_eq!(std::fs::read_to_string(&node).expect("node.toml"), mine);
    let proposed = std::fs::read_to_string(rendered.path("net/sites/north/node.toml.new")).expect("a proposal");
    assert!(proposed.contains("threshold = 20") && !proposed.contains("# mine"), "{proposed}");
    let differs = rendered.network("diff", &["--out", "net"]);
    assert_eq!(differs.status.code(), Some(0), "what was changed by hand stays");
    assert!(text(&differs).contains("-# mine"), "and is shown: {}", text(&differs));
    let done = rendered.network("init", &["--out", "net", "--overwrite"]);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(std::fs::read_to_string(&node).expect("node.toml"), proposed);
    assert_eq!(std::fs::read_to_string(rendered.path("net/sites/north/node.toml.old")).expect("what it was"), mine);
    assert_eq!(std::fs::read_to_string(rendered.path("net/sites/north/release.key")).expect("a key"), secret);
    assert_eq!(rendered.network("diff", &["--out", "net"]).status.code(), Some(0));

    // Something that cannot be compared is neither the same nor different.
    std::fs::write(&file, "network = 1").expect("network.toml");
    assert_eq!(rendered.network("diff", &["--out", "net"]).status.code(), Some(2));
}

#[test]
fn one_target_is_rendered_and_compared_beside_the_others_and_what_a_site_had_goes_with_it() {
    let rendered = Rendered::new("");
    let out = rendered.render("all");
    let code = |target: &str| rendered.network("diff", &["--out", "out", "--target", target]).status.code();
    assert_eq!(code("systemd"), Some(0));
    rendered.render("systemd");
    assert_eq!(code("all"), Some(0), "the others are still known");
    let file = rendered.path("network.toml");
    let text = std::fs::read_to_string(&file).expect("network.toml");
    std::fs::write(&file, text.replace("\"south\"", "\"west\"")).expect("network.toml");
    assert_eq!(code("systemd"), Some(1));
    rendered.render("systemd");
    assert!(!out.join("systemd/sites/south").exists() && out.join("systemd/sites/west").exists());
    assert!(out.join("compose/sites/south/compose.yaml").exists(), "the other targets were not rendered");
}

#[test]
fn check_says_what_the_network_is_or_everything_that_a_node_would_refuse() {
    let rendered = Rendered::new("");
    let good = rendered.network("check", &[]);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(
        good.status.success() && said.contains("two-hospitals") && said.contains("2, of which 2 with their datasets"),
        "{said}"
    );
    let rendered = Rendered::new(
        "[defaults.policy]\nthreshold = 1\n[site.dataset.more]\ncontract = \"hart@1\"\nsource = { kind = \"csv\", path = \"x\" }\n",
    );
    let bad = rendered.network("check", &[]);
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(
        said.contains("network.toml: line ") && said.contains(", defaults.policy.threshold: must be from 3"),
        "{said}"
    );
    assert!(said.contains(", site[1].dataset.more.contract: no contract hart@1 is known"), "{said}");
}

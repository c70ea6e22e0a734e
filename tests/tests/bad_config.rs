//! What people write wrongly, and what they are told: file, key, what is wrong and what to do, every problem of a file at once.
//!
//! Each `golden/config/NAME.cases` holds cases over the sound text `NAME.toml` beside it:
//!
//! ```text
//! == what is wrong
//! - a line that is taken away
//! + a line that stands in its place (at the end, where none was taken)
//! ! write FILE TEXT        also: bytes FILE HEX…, copy FROM TO, remove FILE, mode FILE OCTAL
//! ! env VARIABLE VALUE     then the daemon's own `check` is run, with this in its environment; also: set KEY=VALUE
//! --
//! the problems, exactly
//! ```

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bocage_net::certificates::Authority;
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::secret::write_secret;
use bocage_protocol::contract;
use bocage_protocol::env::{Clock as _, Entropy, Timestamp};
use bocage_protocol::front::{BindContext, PermitContext, StudyText, permit};
use bocage_protocol::ids::SiteId;
use bocage_protocol::settings::Problems;
use bocage_protocol::trust::SecretKey;

/// The day on which the tests run: the daemons' own `check` looks at certificates by no other clock.
fn now() -> Timestamp {
    SystemClock.now()
}

struct Constant;
impl Entropy for Constant {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/config").join(name)
}

struct Case {
    title: String,
    steps: Vec<String>,
    says: String,
}

fn cases(text: &str) -> Vec<Case> {
    let read = |block: &str| {
        let (title, rest) = block.split_once('\n').expect("a title");
        let (steps, says) = rest.split_once("--\n").unwrap_or_else(|| panic!("`{title}` has no --"));
        let steps = steps.lines().map(str::to_owned).collect();
        Case { title: title.to_owned(), steps, says: says.trim_end().to_owned() }
    };
    format!("\n{text}").split("\n== ").skip(1).map(|block| read(&format!("{block}\n"))).collect()
}

/// Takes the steps of a case in `dir`, whose file `name` is sound.
fn spoil(dir: &Path, name: &str, case: &Case) {
    let mut lines: Vec<String> =
        fs::read_to_string(dir.join(name)).expect("a sound file").lines().map(str::to_owned).collect();
    let mut at = None;
    for step in &case.steps {
        let (kind, text) = step.split_once(' ').expect("a step");
        match kind {
            "-" => {
                let found = lines.iter().position(|line| line == text);
                let found = found.unwrap_or_else(|| panic!("`{}`: there is no line {text}", case.title));
                lines.remove(found);
                at = Some(found);
            }
            "+" => {
                let place = at.unwrap_or(lines.len());
                lines.insert(place, text.to_owned());
                at = Some(place + 1);
            }
            _ => {}
        }
    }
    fs::write(dir.join(name), lines.join("\n") + "\n").expect("a spoilt file");
    for step in case.steps.iter().filter_map(|s| s.strip_prefix("! ")) {
        act(dir, step);
    }
}

/// What the daemon's own `check` says, where a case has something for its environment or command line.
fn checked(dir: &Path, name: &str, case: &Case) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bocage-lab"));
    command.args([name, "check", "--config", &format!("{name}.toml")]).current_dir(dir);
    let mut given = 0;
    for step in case.steps.iter().filter_map(|s| s.strip_prefix("! ")) {
        match step.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["env", variable, value] => command.env(variable, value),
            ["set", setting] => command.args(["--set", setting]),
            _ => continue,
        };
        given += 1;
    }
    (given > 0).then(|| {
        let output = command.output().expect("the command");
        assert_eq!(output.status.code(), Some(1), "{}", case.title);
        String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
    })
}

fn act(dir: &Path, step: &str) {
    if step.starts_with("env ") || step.starts_with("set ") {
        return;
    }
    let words: Vec<&str> = step.split(' ').collect();
    let path = dir.join(words[1]);
    match words[0] {
        "write" => fs::write(path, words[2..].join(" ").replace("\\n", "\n")).expect("written"),
        "bytes" => {
            let bytes = words[2..].iter().map(|b| u8::from_str_radix(b, 16).expect("a byte")).collect::<Vec<_>>();
            fs::write(path, bytes).expect("written");
        }
        "copy" => assert!(fs::copy(path, dir.join(words[2])).is_ok(), "{step}"),
        "remove" => fs::remove_file(path).expect("removed"),
        "mode" => {
            let mode = u32::from_str_radix(words[2], 8).expect("a mode");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        }
        other => panic!("unknown step {other}"),
    }
}

/// Runs all cases of `name.cases`. `lay` puts everything but `name.toml` into a folder; `told` reads the folder.
fn run(name: &str, lay: impl Fn(&Path), told: impl Fn(&Path) -> Result<(), Problems>) -> usize {
    let (file, list) = (format!("{name}.toml"), format!("{name}.cases"));
    let wanted = fs::read_to_string(golden(&list)).expect("a list of cases");
    let (mut found, mut wrong) = (String::new(), Vec::new());
    let cases = cases(&wanted);
    let sound = Case { title: "sound".to_owned(), steps: vec![], says: String::new() };
    for case in std::iter::once(&sound).chain(&cases) {
        let dir = tempfile::tempdir().expect("a folder");
        lay(dir.path());
        fs::copy(golden(&file), dir.path().join(&file)).expect("a sound file");
        spoil(dir.path(), &file, case);
        let problems = checked(dir.path(), name, case)
            .unwrap_or_else(|| told(dir.path()).err().map(|p| p.to_string()).unwrap_or_default());
        let says = problems.replace(&format!("{}/", dir.path().display()), "");
        if case.title == "sound" {
            assert_eq!(says, "", "{file}");
            continue;
        }
        let steps = case.steps.join("\n");
        let _ = write!(found, "== {}\n{steps}\n--\n{says}\n\n", case.title);
        if says.is_empty() || says != case.says {
            wrong.push(format!("== {}\n{says}", case.title));
        }
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&list);
    fs::write(&kept, found).expect("what was found");
    assert!(wrong.is_empty(), "other problems than {list} wants (all: {}):\n{}", kept.display(), wrong.join("\n"));
    cases.len()
}

fn certificates(dir: &Path, site: Option<&str>) {
    let network = "heart-lab".parse().expect("a network");
    let entropy = &mut SystemEntropy;
    let root = Authority::new_root(&network, now(), entropy).expect("a root");
    let issuing = root.issue_intermediate(&network, now(), entropy).expect("an authority");
    let (issued, cert, key) = match site {
        Some(site) => (issuing.issue_site(&site.parse().expect("a site"), now(), 30, entropy), "site.pem", "site.key"),
        None => (issuing.issue_coordinator(&[], now(), 30, entropy), "cert.pem", "key.pem"),
    };
    let issued = issued.expect("a certificate");
    fs::write(dir.join("ca.pem"), root.certificate_pem()).expect("written");
    fs::write(dir.join(cert), &issued.chain_pem).expect("written");
    write_secret(&dir.join(key), issued.key_pem.as_bytes()).expect("written");
}

fn contracts(dir: &Path) {
    fs::create_dir(dir.join("contracts")).expect("a folder");
    fs::copy(golden("contract.toml"), dir.join("contracts/visits.toml")).expect("copied");
}

#[test]
fn a_node_says_everything_that_is_wrong_with_its_configuration() {
    use bocage_node::config::{Config, Depth, Origin};
    let lay = |dir: &Path| {
        certificates(dir, Some("cleveland"));
        contracts(dir);
        let release = SecretKey::generate(&mut Constant).to_text();
        write_secret(&dir.join("release.key"), release.as_bytes()).expect("written");
        fs::write(dir.join("visits.csv"), "patient,age,sex,cholesterol,num,seen\na,1,f,200,0,2020-01-01\n")
            .expect("data");
    };
    let told = |dir: &Path| {
        let origin = Origin { file: dir.join("node.toml"), overrides: Vec::new() };
        Config::check(&origin, Depth::Everything, now()).map(drop)
    };
    assert!(run("node", lay, told) >= 30);
}

#[test]
fn a_coordinator_says_everything_that_is_wrong_with_its_configuration() {
    use bocage_coordinator::config::{Config, Setup};
    let lay = |dir: &Path| {
        certificates(dir, None);
        contracts(dir);
    };
    let told = |dir: &Path| {
        let config = Config::load(&dir.join("coordinator.toml"), &[])?;
        Setup::load(&config, now()).map(drop)
    };
    assert!(run("coordinator", lay, told) >= 10);
}

#[test]
fn a_network_says_everything_that_is_wrong_with_it() {
    let lay = |dir: &Path| {
        fs::copy(golden("contract.toml"), dir.join("contract.toml")).expect("copied");
    };
    run("network", lay, |dir| bocage::network::Network::read(&dir.join("network.toml")).map(drop));
}

#[test]
fn a_contract_says_everything_that_is_wrong_with_it() {
    run(
        "contract",
        |_| {},
        |dir| {
            let text = fs::read_to_string(dir.join("contract.toml")).expect("a contract");
            contract::parse(&text, "contract.toml").map(drop)
        },
    );
}

#[test]
fn a_study_says_everything_that_is_wrong_with_it() {
    let contract = fs::read_to_string(golden("contract.toml")).expect("a contract");
    let contract = contract::parse(&contract, "contract.toml").expect("a contract");
    let roster: Vec<SiteId> = ["cleveland", "hungary", "switzerland"].map(|s| s.parse().expect("a site")).into();
    let context = BindContext {
        network: "heart-lab".parse().expect("a network"),
        researcher: SecretKey::generate(&mut Constant).public(),
        offering: &roster,
        roster: &roster,
        min_sites_floor: 2,
        now: now(),
        nonce: [7; 16],
        permit: None,
    };
    run(
        "study",
        |_| {},
        |dir| {
            let text = fs::read_to_string(dir.join("study.toml")).expect("a study");
            StudyText::parse(&text, "study.toml")?.bind(&contract, &context).map(drop)
        },
    );
}

#[test]
fn a_permit_says_everything_that_is_wrong_with_it() {
    let contract = fs::read_to_string(golden("contract.toml")).expect("a contract");
    let contracts = [contract::parse(&contract, "contract.toml").expect("a contract")];
    let issuer = SecretKey::generate(&mut Constant).public();
    let context = PermitContext { issuer, contracts: Some(&contracts), nonce: [7; 16] };
    run(
        "permit",
        |_| {},
        |dir| {
            let text = fs::read_to_string(dir.join("permit.toml")).expect("a permit");
            permit(&text, "permit.toml", &context).map(drop)
        },
    );
}

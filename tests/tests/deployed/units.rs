//! A node without a supervisor: agent, custodian and ingest as processes of their own, under users of their own where the tests may choose them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use bocage_tests::hold::Hold;
use bocage_tests::lab::{HOSPITALS, Lab, status};
use bocage_tests::process::{PATIENCE, Process};
use serde_json::Value;

use super::EXE;

/// Users that no machine has; the kernel does not mind.
const CUSTODIAN: u32 = 65_532;
const AGENT: u32 = 65_531;
const STRANGER: u32 = 65_530;
const LINK: u32 = 65_529;
const SETPRIV: &str = "/usr/bin/setpriv";

/// A lab whose first hospital runs as units.
struct Units {
    lab: Lab,
    /// Whether each process has its own user.
    apart: bool,
}

impl Units {
    fn new() -> Self {
        let lab = Lab::new(EXE);
        let apart = may_choose_users();
        if !apart {
            eprintln!(
                "the tests are not root, or their program cannot be read by others: the units run under one user"
            );
        }
        let site = lab.site(HOSPITALS[0]);
        let (state, run) = (site.join("state"), lab.path("run"));
        let agent = if apart { AGENT } else { rustix::process::geteuid().as_raw() };
        let lines = format!("run_dir = {:?}\nagent_user = {agent}\nstate_dir = ", run.display().to_string());
        lab.edit_node(HOSPITALS[0], "state_dir = ", &lines);
        for folder in [&state, &run] {
            fs::create_dir(folder).expect("a folder");
        }
        if apart {
            for folder in [lab.path(""), lab.path("net"), lab.path("net/sites"), site.clone()] {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).expect("a mode");
            }
            give(&site.join("release.key"), CUSTODIAN, CUSTODIAN);
            give(&site.join("tls"), AGENT, AGENT);
            give(&state, CUSTODIAN, CUSTODIAN);
            give(&run, CUSTODIAN, LINK);
            fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("a mode");
        }
        fs::set_permissions(&run, fs::Permissions::from_mode(0o3771)).expect("a mode");
        Self { lab, apart }
    }

    fn start(&self, user: u32, command: &[&str], env: &[(String, String)]) -> Process {
        let config = self.lab.site(HOSPITALS[0]).join("node.toml");
        let (user, group) = (format!("--reuid={user}"), format!("--regid={LINK}"));
        let mut words: Vec<&OsStr> = vec![];
        if self.apart {
            words.extend([&user, &group, "--clear-groups", EXE].map(OsStr::new));
        }
        words.push(OsStr::new("node"));
        words.extend(command.iter().map(OsStr::new));
        words.extend([OsStr::new("--config"), config.as_os_str()]);
        let exe = if self.apart { SETPRIV } else { EXE };
        Process::start(command[0], Path::new(exe), &words, env)
    }

    fn custodian(&self, env: &[(String, String)]) -> Process {
        self.start(CUSTODIAN, &["custodian"], env)
    }

    fn ingest(&self) -> Process {
        self.start(CUSTODIAN, &["ingest", "--due", "--watch"], &[])
    }

    fn agent(&self) -> Process {
        self.start(AGENT, &["agent"], &[])
    }

    fn others(&self) -> Vec<Process> {
        HOSPITALS[1..].iter().map(|site| self.lab.node(site, &[])).collect()
    }

    fn socket(&self) -> PathBuf {
        self.lab.path("run/custodian.sock")
    }
}

/// A service manager that listens to one unit.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn of(units: &Units, unit: &str) -> Self {
        let path = units.lab.path(&format!("notify-{unit}"));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self { socket, path }
    }

    fn env(&self) -> [(String, String); 2] {
        let path = self.path.display().to_string();
        [("NOTIFY_SOCKET".to_owned(), path), ("WATCHDOG_USEC".to_owned(), "60000000".to_owned())]
    }

    fn hears(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.socket.recv(&mut bytes).expect("a word of the unit");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

/// A file, or a folder with all below, to its owner.
fn give(path: &Path, user: u32, group: u32) {
    chown(path, Some(user), Some(group)).expect("an owner");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            give(&entry.expect("an entry").path(), user, group);
        }
    }
}

fn may_choose_users() -> bool {
    let everybody_enters = |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.mode() & 0o001 != 0);
    let reached = Path::new(EXE).ancestors().skip(1).all(everybody_enters);
    rustix::process::geteuid().is_root() && Path::new(SETPRIV).exists() && reached
}

fn study() -> String {
    format!(
        "title = \"Units\"\npurpose = \"scientific_research\"\ndataset = \"heart@1\"\nanswer_within = \"5m\"\nsites = {HOSPITALS:?}\n\
         [[analysis]]\nname = \"by_sex\"\ntable = {{ by = [\"sex\"], show = [\"count\", \"mean(chol)\"] }}\n"
    )
}

fn assert_all_four(result: &Value) {
    for site in HOSPITALS {
        assert_eq!(status(result, site)["status"], "answered", "{result:#}");
    }
}

#[test]
fn a_node_whose_processes_are_units_of_their_own_answers_as_any_other() {
    let units = Units::new();
    let coordinator = units.lab.coordinator();
    let _others = units.others();
    let [of_custodian, of_agent] = ["custodian", "agent"].map(|unit| Manager::of(&units, unit));
    let custodian = units.custodian(&of_custodian.env());
    let _ingest = units.ingest();
    let _agent = units.start(AGENT, &["agent"], &of_agent.env());
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    for manager in [of_custodian, of_agent] {
        assert_eq!([manager.hears(), manager.hears()], ["READY=1", "WATCHDOG=1"]);
    }
    let standing = units.lab.run(&["network", "status"]);
    let standing = String::from_utf8_lossy(&standing.stdout).into_owned();
    assert!(standing.ends_with("\n4 of 4 sites connected\n"), "{standing}");
    assert_all_four(&units.lab.study("units", &study()).published());
    let socket = fs::metadata(units.socket()).expect("a socket");
    assert_eq!(socket.mode() & 0o7777, 0o660);
    if units.apart {
        assert_eq!((socket.uid(), socket.gid()), (CUSTODIAN, LINK), "the folder hands its group on");
    }
    // A node beside it is refused, and so is a second custodian.
    let (code, _, said) = units.lab.at_node(HOSPITALS[0], &["run"]);
    assert!(code == Some(1) && said.contains("another node runs on this state directory"), "{said}");
    drop(custodian);
    // One that was started again finds its snapshot, and nobody else was.
    let _custodian = units.custodian(&[]);
    assert_all_four(&units.lab.study("again", &study().replace("mean(chol)", "mean(trestbps)")).published());
}

#[test]
fn a_herald_that_watches_tells_of_each_study_that_begins_to_wait_and_goes_on() {
    let units = Units::new();
    let told = units.lab.path("run/told");
    let tell = format!(
        "[steward]\nnotify_command = [\"/bin/sh\", \"-c\", \"echo $BOCAGE_TITLE >> {}\"]\n[log]\n",
        told.display()
    );
    units.lab.edit_node(HOSPITALS[0], "[log]\n", &tell);
    units.lab.edit_node(HOSPITALS[0], "[policy]\n", "[policy]\ndecide = \"ask\"\n");
    let coordinator = units.lab.coordinator();
    let _others = units.others();
    let _custodian = units.custodian(&[]);
    let _ingest = units.ingest();
    let _agent = units.agent();
    let herald = units.start(CUSTODIAN, &["herald", "--watch"], &[]);
    coordinator.wait_for_line(&["connected", HOSPITALS[0]]);
    units.lab.wait_for_offers(&HOSPITALS);
    let mut at = 0;
    for title in ["First", "Second"] {
        let _waits = units.lab.study(title, &study().replace("\"Units\"", &format!("{title:?}")));
        at = herald.wait_for_line_after(at, &["the steward was told"]);
    }
    assert_eq!(fs::read_to_string(&told).expect("what was told"), "First\nSecond\n");
}

#[test]
fn a_process_of_a_user_that_the_configuration_does_not_name_is_not_answered() {
    let units = Units::new();
    if !units.apart {
        return;
    }
    let _coordinator = units.lab.coordinator();
    give(&units.lab.site(HOSPITALS[0]).join("tls"), STRANGER, STRANGER);
    let custodian = units.custodian(&[]);
    let _ingest = units.ingest();
    // It has the agent's certificate and reaches the socket by its group: the kernel tells who it is.
    let _stranger = units.start(STRANGER, &["agent"], &[]);
    custodian.wait_for_line(&["refused a connection of another user"]);
}

#[test]
fn a_custodian_whose_query_takes_too_long_ends_itself_and_does_not_try_it_again() {
    let units = Units::new();
    let hold = Hold::new(units.lab.path("").as_path());
    fs::set_permissions(units.lab.path("hold.sock"), fs::Permissions::from_mode(0o666)).expect("a mode");
    let coordinator = units.lab.coordinator();
    let _others = units.others();
    let limit = ("BOCAGE_NODE__POLICY__QUERY_SECS".to_owned(), "1".to_owned());
    let mut custodian = units.custodian(&[hold.env(), limit]);
    let (_ingest, _agent) = (units.ingest(), units.agent());
    for site in HOSPITALS {
        coordinator.wait_for_line(&["connected", site]);
    }
    let running = units.lab.study("overrun", &study());
    let _held = hold.next();
    custodian.wait();
    assert!(custodian.log().contains("the custodian ends itself"), "{}", custodian.log());
    let again = units.custodian(&[]);
    let result = running.published();
    assert!(status(&result, HOSPITALS[0])["reason"].to_string().contains("query_too_heavy"), "{result:#}");
    again.wait_for_line(&["the custodian ended within a query", "Overran"]);
    hold.lift();
    assert_all_four(&units.lab.study("after", &study().replace("mean(chol)", "mean(trestbps)")).published());
}

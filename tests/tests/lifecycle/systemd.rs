//! What systemd hears of daemons that it has started with `Type=notify`.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use bocage_tests::lab::{HOSPITALS, Lab};
use bocage_tests::process::PATIENCE;
use rustix::process::Signal;

use super::EXE;

/// systemd's side.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn of(lab: &Lab, name: &str) -> Self {
        let path = lab.path(name);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Self { socket, path }
    }

    fn env(&self) -> Vec<(String, String)> {
        let path = self.path.display().to_string();
        // A third of it is how often a sign of life comes.
        [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "600000".to_owned())].map(|(k, v)| (k.to_owned(), v)).to_vec()
    }

    /// What comes until something that begins so.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).unwrap_or_else(|e| panic!("no {wanted} after {heard:?}: {e}"));
            heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            if heard.last().is_some_and(|last| last.starts_with(wanted)) {
                return heard;
            }
        }
    }
}

#[test]
fn a_node_is_ready_when_both_parts_are_up_and_tells_of_reload_life_and_end() {
    let lab = Lab::new(EXE);
    let systemd = Systemd::of(&lab, "node.notify");
    let node = lab.node(HOSPITALS[0], &systemd.env());
    systemd.until("READY=1");
    assert!(node.child_pid("custodian").is_some() && node.child_pid("agent").is_some());
    assert!(lab.custodian_socket(HOSPITALS[0]).exists(), "ready before it listens");
    systemd.until("WATCHDOG=1");
    systemd.until("STATUS=custodian and agent are up, without a session");
    node.signal(Signal::HUP);
    systemd.until("RELOADING=1\nMONOTONIC_USEC=");
    systemd.until("READY=1");
    // Its children have their own standard output and none of systemd's variables.
    for child in ["agent", "custodian"] {
        let pid = node.child_pid(child).expect("a child");
        let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("the process is there");
        assert!(!String::from_utf8_lossy(&environment).contains("NOTIFY_SOCKET"), "{child}");
    }
    node.signal(Signal::TERM);
    systemd.until("STOPPING=1");
    assert_eq!(node.exit_code(), Some(0));
}

#[test]
fn a_coordinator_is_ready_when_it_listens_and_tells_of_reload_life_and_end() {
    let lab = Lab::new(EXE);
    let systemd = Systemd::of(&lab, "coordinator.notify");
    let coordinator = lab.coordinator_with(&systemd.env());
    systemd.until("READY=1");
    assert!(lab.try_get("/v1/network").is_some());
    systemd.until("WATCHDOG=1");
    systemd.until("STATUS=0 of 4 sites connected");
    coordinator.signal(Signal::HUP);
    systemd.until("RELOADING=1\nMONOTONIC_USEC=");
    systemd.until("READY=1");
    coordinator.signal(Signal::TERM);
    systemd.until("STOPPING=1");
    assert_eq!(coordinator.exit_code(), Some(0));
}

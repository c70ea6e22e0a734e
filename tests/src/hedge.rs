//! Hospitals behind the kernel's own firewall: each in a network of its own (a namespace) with one cable to the outside, where coordinator and test are.
//!
//! The outside is such a namespace itself, in which the test runs again: nothing of this machine's own network is touched, and all of it ends with the
//! test. That wants the right to make namespaces (root, mostly), `unshare`, `ip` and `nft`; where one is missing, the test says which, and the relay's
//! test is what there is.

use std::ffi::OsString;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// Says to the test that it runs outside of the hedges already.
const VARIABLE: &str = "BOCAGE_TEST_HEDGE";
/// Folders that namespaces need are this run's own.
const ENTER: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
/// What a machine must be able to do.
const PROBE: &str = "mount -t tmpfs tmpfs /run && ip netns add probe && ip link add name probe-a type veth peer name probe-b && \
     ip netns exec probe nft 'add table inet hedge; add chain inet hedge out { type filter hook output priority 0; }; \
     add rule inet hedge out numgen random mod 100 < 5 drop'";

/// What became of [`enter`].
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    /// This is the run in a network of its own.
    Inside,
    /// That run was made, and passed.
    Ran,
    /// This machine lets nobody make one; what it said.
    Impossible(String),
}

/// Runs the test of this name again, in a network of its own.
pub fn enter(test: &str) -> Entered {
    if std::env::var_os(VARIABLE).is_some() {
        return Entered::Inside;
    }
    let outside = |script: &str, rest: &[OsString]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]).args(rest);
        command
    };
    match outside(PROBE, &[]).output() {
        Err(error) => return Entered::Impossible(format!("unshare: {error}")),
        Ok(output) if !output.status.success() => {
            return Entered::Impossible(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(_) => {}
    }
    let this = std::env::current_exe().expect("this test's own file");
    let again = [this.into_os_string(), "--exact".into(), test.into(), "--nocapture".into()];
    let output = outside(ENTER, &again).env(VARIABLE, "1").output().expect("the test");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "no test is called {test}:\n{said}");
    println!("{said}");
    Entered::Ran
}

/// A hospital's network.
pub struct Hedge {
    name: String,
    outside: String,
}

impl Hedge {
    /// A network with a cable, and all that it may not do: rules of `nft` for what goes `out` and for what comes `in`, one each.
    pub fn new(rules: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let hedge = Self { name: format!("hospital-{number}"), outside: format!("10.77.{number}.1") };
        let (near, far, own) = (format!("inner-{number}"), format!("outer-{number}"), format!("10.77.{number}.2/24"));
        run("ip", &["netns", "add", &hedge.name]);
        run("ip", &["link", "add", "name", &far, "type", "veth", "peer", "name", &near, "netns", &hedge.name]);
        run("ip", &["address", "add", &format!("{}/24", hedge.outside), "dev", &far]);
        run("ip", &["link", "set", &far, "up"]);
        hedge.run(&["ip", "link", "set", "lo", "up"]);
        hedge.run(&["ip", "address", "add", &own, "dev", &near]);
        hedge.run(&["ip", "link", "set", &near, "up"]);
        hedge.run(&["ip", "route", "add", "default", "via", &hedge.outside]);
        hedge.run(&["nft", "add table inet hedge"]);
        for (chain, hook) in [("out", "output"), ("in", "input")] {
            hedge.run(&["nft", &format!("add chain inet hedge {chain} {{ type filter hook {hook} priority 0; }}")]);
        }
        for (chain, rule) in rules {
            let side = if *chain == "out" { "oifname" } else { "iifname" };
            hedge.run(&["nft", &format!("add rule inet hedge {chain} {side} != lo {rule}")]);
        }
        hedge
    }

    /// Where the outside is, as this hospital sees it.
    pub fn outside(&self) -> &str {
        &self.outside
    }

    /// What makes a command run in here: it stands before it.
    pub fn prefix(&self) -> Vec<OsString> {
        ["ip", "netns", "exec", &self.name].map(OsString::from).to_vec()
    }

    /// Makes every packet that leaves wait for so long, where the kernel can.
    pub fn delays(&self, ms: u32) -> bool {
        let number = self.name.trim_start_matches("hospital-");
        let delay = format!("{ms}ms");
        let command = ["tc", "qdisc", "add", "dev", &format!("inner-{number}"), "root", "netem", "delay", &delay];
        Command::new("ip").args(["netns", "exec", &self.name]).args(command).output().is_ok_and(|o| o.status.success())
    }

    fn run(&self, command: &[&str]) {
        run("ip", &[&["netns", "exec", &self.name], command].concat());
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

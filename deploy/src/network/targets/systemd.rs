//! systemd: agent, custodian, ingest and herald as hardened units under two users, and the coordinator's.
//!
//! ```text
//! bocage-node.target ─┬─ bocage-custodian.service   user `bocage`: data, ledger, release key; no network at all
//!                     ├─ bocage-agent.service       user `bocage-agent`: network, certificate; cannot see the state folder or the release key
//!                     ├─ bocage-ingest.path         starts bocage-ingest.service when the custodian asks for a snapshot
//!                     └─ bocage-herald.path         starts bocage-herald.service when a study waits for a person
//! ```

use super::super::spec::{Network, Places, Site, Users};
use super::super::{Tree, listen};
use super::people;
use super::servers;
use super::unit::Unit;

/// What every unit of Bocage gives up.
const HARDENED: &[(&str, &str)] = &[
    ("NoNewPrivileges", "yes"),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("DevicePolicy", "closed"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("UMask", "0077"),
    ("LimitCORE", "0"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallErrorNumber", "EPERM"),
    ("SystemCallFilter", "@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp"),
    ("SystemCallFilter", "~@privileged @resources @keyring @memlock @aio"),
];

/// No socket leaves the machine, nor reaches another program by its address.
const WITHOUT_NETWORK: &[(&str, &str)] =
    &[("PrivateNetwork", "yes"), ("IPAddressDeny", "any"), ("RestrictAddressFamilies", "AF_UNIX")];
/// It dials.
const WITH_NETWORK: &[(&str, &str)] = &[("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6")];

/// Started again for ever, like the supervisor's children.
const RESTARTED: &[(&str, &str)] = &[
    ("Restart", "always"),
    ("RestartSec", "1"),
    // A ledger of years is looked over before its custodian serves.
    ("TimeoutStartSec", "5min"),
    // What is under way may end first: `stop_secs`, and a little more.
    ("TimeoutStopSec", "60"),
    ("WatchdogSec", "60"),
];
/// It says itself when it is up, and that its loop turns.
const NOTIFIES: &[(&str, &str)] = &[("Type", "notify"), ("NotifyAccess", "main")];

/// Certificates, and at the coordinator more, are read again.
const HANG_UP: &str = "/bin/kill -HUP $MAINPID";

/// A node's units and what they need.
pub struct Node<'a> {
    places: &'a Places,
    users: &'a Users,
}

/// All of it.
pub fn render(network: &Network, tree: &mut Tree) {
    let places = network.places.clone().unwrap_or_default();
    for site in &network.sites {
        let folder = format!("systemd/sites/{}", site.id);
        node(&places, &network.users, Some(site), &folder, tree);
        tree.file(format!("{folder}/README.txt"), people::node_units(network, site, &places));
    }
    coordinator(&places, &network.users, ports(network), "systemd/coordinator", tree);
    tree.file("systemd/coordinator/README.txt", people::coordinator_units(network, &places));
}

/// The ports that the coordinator listens on for sites.
fn ports(network: &Network) -> Vec<u16> {
    [Some(&network.quic), network.tcp.as_ref()].into_iter().flatten().map(|address| listen(address).port()).collect()
}

/// The units of a node, into a folder. Without a site: of any whose sources are on its own machine.
pub fn node(places: &Places, users: &Users, site: Option<&Site>, folder: &str, tree: &mut Tree) {
    let node = Node { places, users };
    let remote = site.is_some_and(|site| !servers(site).is_empty());
    let mut file = |name: &str, text: &str| tree.file(format!("{folder}/{name}"), text);
    file("bocage-node.target", TARGET);
    file("bocage-custodian.service", node.custodian().text());
    file("bocage-agent.service", node.agent().text());
    file("bocage-ingest.service", node.ingest(remote).text());
    file("bocage-ingest.path", node.watch("ingest", "Snapshots that are due", "due").text());
    file("bocage-herald.service", node.herald().text());
    file("bocage-herald.path", node.watch("herald", "Studies that wait for a person", "pending").text());
    file("bocage-node.sysusers.conf", &node.sysusers());
    file("bocage-node.tmpfiles.conf", &node.tmpfiles());
}

const TARGET: &str = "\
# Rendered by `bocage network render`.
[Unit]
Description=Bocage node
Wants=bocage-custodian.service bocage-agent.service bocage-ingest.path bocage-herald.path

[Install]
WantedBy=multi-user.target
";

impl Node<'_> {
    fn command(&self, command: &str) -> String {
        format!("{}/bocage node {command} --config {}/node.toml", self.places.programs, self.places.config)
    }

    /// Beginning of a unit that belongs to the node. Its settings count, whatever `node.toml` says of the places.
    fn unit(&self, about: &str, more: &[(&str, &str)]) -> Unit {
        let mut unit = Unit::new(about);
        unit.set("PartOf", "bocage-node.target").all(more).section("Service");
        for (name, value) in [
            ("STATE_DIR", self.places.state.as_str()),
            ("RUN_DIR", self.places.run.as_str()),
            ("AGENT_USER", &self.users.agent.to_string()),
        ] {
            unit.set("Environment", format!("BOCAGE_NODE__{name}={value}"));
        }
        unit
    }

    fn custodian(&self) -> Unit {
        let mut unit = self.unit("Bocage custodian: answers from the data", &[("StartLimitIntervalSec", "0")]);
        unit.all(NOTIFIES).set("ExecStart", self.command("custodian")).all(RESTARTED);
        self.of_custodian(&mut unit);
        unit.set("ReadWritePaths", format!("{} {}", self.places.state, self.places.run))
            .set("InaccessiblePaths", format!("-{}/tls", self.places.config))
            .comment("No PrivateUsers: the custodian asks the kernel which user is at the other end of its socket.")
            .set("CapabilityBoundingSet", "")
            .all(HARDENED)
            .comment("What [steward] group needs: a socket is given to a group that the user is in.")
            .set("SystemCallFilter", "chown fchown fchownat lchown")
            .all(WITHOUT_NETWORK);
        unit
    }

    fn agent(&self) -> Unit {
        let mut unit = self.unit(
            "Bocage agent: talks to the coordinator",
            &[
                ("Wants", "network-online.target"),
                ("After", "network-online.target bocage-custodian.service"),
                ("StartLimitIntervalSec", "0"),
            ],
        );
        unit.all(NOTIFIES).set("ExecStart", self.command("agent")).set("ExecReload", HANG_UP).all(RESTARTED);
        unit.set("User", self.users.agent.to_string())
            .set("Group", self.users.link())
            .set("ReadWritePaths", format!("{} -{}/tls", self.places.run, self.places.config))
            .set("InaccessiblePaths", format!("{} -{}/release.key", self.places.state, self.places.config))
            .set("CapabilityBoundingSet", "")
            .set("PrivateUsers", "yes")
            .all(HARDENED)
            .all(WITH_NETWORK);
        unit
    }

    fn ingest(&self, remote: bool) -> Unit {
        let mut unit = self.unit("Bocage ingest: takes the snapshots that are due", &[]);
        unit.set("Type", "oneshot").set("ExecStart", self.command("ingest --due"));
        self.of_custodian(&mut unit);
        unit.set("ReadWritePaths", format!("{} {}", self.places.state, self.places.run))
            .set(
                "InaccessiblePaths",
                format!("-{0}/tls -{0}/release.key -{1}/ledger.sqlite", self.places.config, self.places.state),
            )
            .set("CapabilityBoundingSet", "")
            .set("PrivateUsers", "yes")
            .all(HARDENED);
        if remote {
            unit.all(WITH_NETWORK);
        } else {
            unit.comment("A source on another machine needs a drop-in that sets the next three as bocage-agent.service has them.")
                .all(WITHOUT_NETWORK);
        }
        unit
    }

    fn herald(&self) -> Unit {
        let mut unit = self.unit("Bocage herald: tells the steward that studies wait", &[]);
        unit.set("Type", "oneshot").set("ExecStart", self.command("herald"));
        self.of_custodian(&mut unit);
        unit.set("ReadWritePaths", self.places.run.as_str())
            .set(
                "InaccessiblePaths",
                format!("{1} -{0}/tls -{0}/release.key -{0}/data", self.places.config, self.places.state),
            )
            .set("CapabilityBoundingSet", "")
            .set("PrivateUsers", "yes")
            .all(HARDENED)
            .all(WITH_NETWORK);
        unit
    }

    fn of_custodian(&self, unit: &mut Unit) {
        let user = self.users.custodian.to_string();
        unit.set("User", &user).set("Group", self.users.link()).set("SupplementaryGroups", &user);
    }

    fn watch(&self, unit: &str, about: &str, folder: &str) -> Unit {
        let mut path = Unit::new(about);
        path.set("PartOf", "bocage-node.target")
            .section("Path")
            .set("DirectoryNotEmpty", format!("{}/{folder}", self.places.run))
            .set("Unit", format!("bocage-{unit}.service"));
        path
    }

    fn sysusers(&self) -> String {
        let (custodian, agent, link) = (&self.users.custodian, &self.users.agent, self.users.link());
        let state = &self.places.state;
        format!(
            "# Rendered by `bocage network render`.\n\
             g {link} -\n\
             u {custodian} - \"Bocage custodian\" {state}\n\
             u {agent} - \"Bocage agent\"\n\
             m {custodian} {link}\n\
             m {agent} {link}\n"
        )
    }

    fn tmpfiles(&self) -> String {
        let (custodian, agent, link) = (&self.users.custodian, &self.users.agent, self.users.link());
        let Places { config, state, run, .. } = self.places;
        format!(
            "# Rendered by `bocage network render`. The folder of sockets hands its group on to what is made in it, and nobody removes another's socket.\n\
             d {config} 0755 root root -\n\
             d {config}/contracts 0755 root root -\n\
             d {config}/tls 0700 {agent} {agent} -\n\
             d {state} 0700 {custodian} {custodian} -\n\
             d {run} 3771 {custodian} {link} -\n\
             d {run}/due 0700 {custodian} {link} -\n\
             d {run}/pending 0700 {custodian} {link} -\n"
        )
    }
}

/// The coordinator's unit and what it needs, into a folder.
pub fn coordinator(places: &Places, users: &Users, ports: Vec<u16>, folder: &str, tree: &mut Tree) {
    let user = users.coordinator.to_string();
    let Places { programs, config, state, .. } = places;
    let state = format!("{state}-coordinator");
    let mut unit = Unit::new("Bocage coordinator");
    unit.all(&[("Wants", "network-online.target"), ("After", "network-online.target"), ("StartLimitIntervalSec", "0")])
        .section("Service")
        .all(NOTIFIES)
        .set("ExecReload", HANG_UP)
        .set("ExecStart", format!("{programs}/bocage coordinator serve --config {config}/coordinator/coordinator.toml"))
        .set("Environment", format!("BOCAGE_COORDINATOR__STATE_DIR={state}"))
        .all(RESTARTED)
        .set("User", &user)
        .set("Group", &user)
        .set("ReadWritePaths", format!("{state} -{config}/coordinator/tls"));
    // Only a port below 1024 needs a right, and it is the only one.
    match ports.iter().any(|port| *port < 1024) {
        true => {
            unit.set("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE").set("AmbientCapabilities", "CAP_NET_BIND_SERVICE")
        }
        false => unit.set("CapabilityBoundingSet", "").set("PrivateUsers", "yes").set("AmbientCapabilities", ""),
    };
    let hardened: Vec<(&str, &str)> =
        HARDENED.iter().filter(|(key, _)| *key != "AmbientCapabilities").copied().collect();
    unit.all(&hardened).all(WITH_NETWORK).section("Install").set("WantedBy", "multi-user.target");
    tree.file(format!("{folder}/bocage-coordinator.service"), unit.text());
    tree.file(
        format!("{folder}/bocage-coordinator.sysusers.conf"),
        format!("# Rendered by `bocage network render`.\nu {user} - \"Bocage coordinator\" {state}\n"),
    );
    tree.file(
        format!("{folder}/bocage-coordinator.tmpfiles.conf"),
        format!(
            "# Rendered by `bocage network render`.\n\
             d {config} 0755 root root -\n\
             d {config}/coordinator 0750 root {user} -\n\
             d {config}/coordinator/tls 0700 {user} {user} -\n\
             d {state} 0700 {user} {user} -\n"
        ),
    );
}

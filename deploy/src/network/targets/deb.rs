//! What goes into a Debian package beside the program: units, users and folders for these paths, as `[package.metadata.deb]` of `deploy/Cargo.toml` names
//! them. `deploy/debian` holds those of a network that says nothing else; render others over it to build a package of your own.

use super::super::Tree;
use super::super::spec::Network;
use super::systemd;

/// All of it.
pub fn render(network: &Network, tree: &mut Tree) {
    let places = network.places.clone().unwrap_or_default();
    systemd::node(&places, &network.users, None, "deb", tree);
    // A package does not know the port; one below 1024 needs a right, and costs the unit nothing where it is not used.
    systemd::coordinator(&places, &network.users, vec![443], "deb", tree);
    tree.file("deb/postinst", POSTINST);
    tree.file("deb/prerm", PRERM);
}

const POSTINST: &str = "\
#!/bin/sh
# Rendered by `bocage network render`. Nothing is started: a node needs its keys first (bocage node enrol), a coordinator its folder.
set -e
if [ \"$1\" = configure ]; then
    systemd-sysusers bocage-node.conf bocage-coordinator.conf
    systemd-tmpfiles --create bocage-node.conf bocage-coordinator.conf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        for unit in bocage-custodian.service bocage-agent.service bocage-coordinator.service; do
            systemctl try-restart \"$unit\"
        done
    fi
fi
";

const PRERM: &str = "\
#!/bin/sh
# Rendered by `bocage network render`. State and configuration stay.
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now bocage-node.target bocage-coordinator.service
    systemctl stop bocage-custodian.service bocage-agent.service bocage-ingest.path bocage-herald.path
fi
";

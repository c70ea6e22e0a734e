//! What people read beside the files: how they are installed, and what goes where. The only texts that have names for people in them, as plain text.

use std::fmt::Write as _;

use super::super::listen;
use super::super::render::has_tls;
use super::super::spec::{Host, Network, Places, Site};
use super::servers;

/// How a node's units are installed.
pub fn node_units(network: &Network, site: &Site, places: &Places) -> String {
    let Places { programs, config, state, run } = places;
    let (custodian, agent, link) = (&network.users.custodian, &network.users.agent, network.users.link());
    format!(
        "The node of {id} ({name}) under systemd, as root, in this folder:\n\
         \n\
         install -m 0755 bocage {programs}/bocage          # the program, built with cargo build --release --locked\n\
         install -m 0644 bocage-node.sysusers.conf /etc/sysusers.d/bocage-node.conf && systemd-sysusers\n\
         install -m 0644 bocage-node.tmpfiles.conf /etc/tmpfiles.d/bocage-node.conf && systemd-tmpfiles --create\n\
         install -m 0644 bocage-*.service bocage-*.path bocage-node.target /etc/systemd/system/ && systemctl daemon-reload\n\
         \n\
         The site's folder goes to {config}: node.toml, ca.pem, contracts/ and data/ for everybody or for {custodian}, and each key for its own user alone:\n\
         \n\
         chown {custodian} {config}/release.key && chmod 0600 {config}/release.key\n\
         chown -R {agent} {config}/tls && chmod 0700 {config}/tls\n\
         \n\
         So that commands find what the units have, node.toml has these lines (before its first section):\n\
         \n\
         state_dir = \"{state}\"\n\
         run_dir = \"{run}\"\n\
         agent_user = \"{agent}\"\n\
         \n\
         Then, and whenever node.toml has changed (a study under way goes on):\n\
         \n\
         {programs}/bocage node check --config {config}/node.toml      # as root: no one user may read everything\n\
         systemctl enable --now bocage-node.target\n\
         systemctl restart bocage-custodian bocage-agent\n\
         \n\
         What they count, as root: {programs}/bocage node metrics --config {config}/node.toml\n\
         \n\
         All other commands run as {custodian}: sudo -u {custodian} {programs}/bocage node studies list --config {config}/node.toml\n\
         {custodian} has data, ledger and release key; {agent} has the network and the certificate. They meet in {run}, which both reach through the group {link}.\n\
         Data in a home folder is not seen: ProtectHome is on.\n",
        id = site.id,
        name = site.name,
    )
}

/// How the coordinator's unit is installed.
pub fn coordinator_units(network: &Network, places: &Places) -> String {
    let Places { programs, config, state, .. } = places;
    let user = &network.users.coordinator;
    format!(
        "The coordinator of {id} under systemd, as root, in this folder:\n\
         \n\
         install -m 0755 bocage {programs}/bocage\n\
         install -m 0644 bocage-coordinator.sysusers.conf /etc/sysusers.d/bocage-coordinator.conf && systemd-sysusers\n\
         install -m 0644 bocage-coordinator.tmpfiles.conf /etc/tmpfiles.d/bocage-coordinator.conf && systemd-tmpfiles --create\n\
         install -m 0644 bocage-coordinator.service /etc/systemd/system/ && systemctl daemon-reload\n\
         \n\
         The folder `coordinator` that `bocage network init` made goes to {config}/coordinator, its secrets for {user} alone; its state will be in {state}-coordinator:\n\
         \n\
         chown -R {user} {config}/coordinator\n\
         systemctl enable --now bocage-coordinator.service\n",
        id = network.id,
    )
}

/// How a node's containers are started.
pub const NODE_CONTAINERS: &str = "\
The node as four containers of one image (built by the Containerfile one folder further up): beside compose.yaml lies the site's folder as `bocage network
init` or `bocage node enrol` made it, with node.toml, contracts/, ca.pem, data/, and the keys for the users of the image:

chown 10001 release.key && chmod 0600 release.key
chown -R 10002 tls && chmod 0700 tls
docker compose up --detach

The custodian has no network; the agent has neither data nor release key; the herald, which tells the steward of studies that wait, has no key at all. Commands run in the custodian's container:

docker compose exec custodian bocage node studies list --config /etc/bocage/node.toml

The settings state_dir, run_dir and agent_user come from the compose file. What node.toml names beside these files has to be mounted by a
compose.override.yaml: for the herald that is the program of [steward] notify_command, and notify_ca_file.
";

/// How the coordinator's container is started.
pub const COORDINATOR_CONTAINER: &str = "\
The coordinator as a container: beside compose.yaml lies the folder `coordinator` that `bocage network init` made, for the user of the image:

chown -R 10004 .
docker compose up --detach

It shares the machine's network: its interface for people may listen on the machine's own address alone.
";

/// The table for whoever keeps a hospital's firewall.
pub fn firewall(network: &Network) -> String {
    let mut text = format!(
        "What the network {} needs of firewalls.\n\n\
         A hospital's node opens no port: nothing comes in. Out of it goes:\n\n\
         {:<32} {:<40} {:<10} {}\n",
        network.id, "from", "to", "protocol", "port"
    );
    let mut row = |from: &str, to: &str, protocol: &str, port: &str| {
        let _ = writeln!(text, "{from:<32} {to:<40} {protocol:<10} {port}");
    };
    let quic = Host::of(&network.quic);
    for site in &network.sites {
        if let Some(host) = &quic {
            row(site.id.as_str(), &host.name, "UDP", &host.port.to_string());
        }
        let tcp = network.tcp.as_ref().and_then(|tcp| Host::of(tcp));
        if let Some(host) = site.proxy.as_ref().map(|proxy| proxy.host.clone()).or(tcp) {
            let what = if site.proxy.is_some() { format!("{} (proxy)", host.name) } else { host.name.clone() };
            row(site.id.as_str(), &what, "TCP", &host.port.to_string());
        }
        for (server, port) in servers(site) {
            row(site.id.as_str(), &plain(&server), "TCP", &port.to_string());
        }
    }
    row("every site", "its name servers", "UDP, TCP", "53");
    let _ = write!(
        text,
        "\nInto the coordinator comes: UDP {}{} from the sites; {}.\n\n\
         sites/ID.nft and coordinator.nft are the same for nftables: sites/ID.nft lets the node's two users nowhere else. Rules go by user, so load them\n\
         after the users exist: nft --check --file ID.nft && nft --file ID.nft\n\nSites:\n",
        listen(&network.quic).port(),
        network.tcp.as_ref().map(|tcp| format!(" and TCP {}", listen(tcp).port())).unwrap_or_default(),
        match has_tls(network) {
            true => format!("people come to TCP {}", network.api.port()),
            false => format!("{} is for its own machine alone", network.api),
        },
    );
    for site in &network.sites {
        let contact = site.contact.as_deref().map(|contact| format!(", {contact}")).unwrap_or_default();
        let _ = writeln!(text, "  {}: {}{contact}", site.id, site.name);
    }
    text
}

/// A text of somebody else's on one line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

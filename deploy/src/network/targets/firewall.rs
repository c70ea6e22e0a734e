//! Packets: what a hospital's firewall must let out, as a table for people and as rules for nftables that bind the node's own users. Nothing comes in.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::super::render::has_tls;
use super::super::spec::{Host, Network, Site};
use super::super::{Tree, listen};
use super::{people, servers};

/// All of it.
pub fn render(network: &Network, tree: &mut Tree) {
    tree.file("firewall/README.txt", people::firewall(network));
    tree.file("firewall/coordinator.nft", coordinator(network));
    for site in &network.sites {
        tree.file(format!("firewall/sites/{}.nft", site.id), node(network, site));
    }
}

const HEAD: &str =
    "#!/usr/sbin/nft -f\n# Rendered by `bocage network render`. Check it with: nft --check --file FILE\n";

/// What a machine is reached by.
enum Reached {
    /// An address: only that.
    At(IpAddr),
    /// A name, which a packet does not have: any address, by the port alone.
    Anywhere,
}

impl Reached {
    fn of(host: &Host) -> Self {
        host.address().map_or(Self::Anywhere, Self::At)
    }

    fn rule(&self) -> String {
        match self {
            Self::At(IpAddr::V4(address)) => format!("ip daddr {address} "),
            Self::At(IpAddr::V6(address)) => format!("ip6 daddr {address} "),
            Self::Anywhere => String::new(),
        }
    }
}

fn node(network: &Network, site: &Site) -> String {
    let (agent, custodian) = (&network.users.agent, &network.users.custodian);
    let mut rules = String::new();
    let mut rule = |user: &dyn std::fmt::Display, rest: &str| {
        let _ = writeln!(rules, "        meta skuid \"{user}\" {rest} accept");
    };
    rule(agent, "oifname \"lo\"");
    rule(custodian, "oifname \"lo\"");
    rule(agent, "udp dport 53");
    rule(agent, "tcp dport 53");
    if let Some(host) = Host::of(&network.quic) {
        rule(agent, &format!("{}udp dport {}", Reached::of(&host).rule(), host.port));
    }
    let proxy = site.proxy.as_ref().map(|proxy| proxy.host.clone());
    if let Some(host) = proxy.or_else(|| Host::of(network.tcp.as_ref()?)) {
        rule(agent, &format!("{}tcp dport {}", Reached::of(&host).rule(), host.port));
    }
    let mut unknown = String::new();
    let servers = servers(site);
    if !servers.is_empty() {
        rule(custodian, "udp dport 53");
        rule(custodian, "tcp dport 53");
    }
    for (name, port) in servers {
        match Host::of(&format!("{}:{port}", if name.contains(':') { format!("[{name}]") } else { name })) {
            Some(host) => rule(custodian, &format!("{}tcp dport {}", Reached::of(&host).rule(), host.port)),
            None => unknown.push_str("        # a source's server has no name that can be used here: add it by hand\n"),
        }
    }
    format!(
        "{HEAD}# The node opens no port: nothing needs to come in. Where a rule has no address, the host has a name, and packets have none; name its addresses to be stricter.\n\
         table inet bocage_node {{\n    chain output {{\n        type filter hook output priority filter; policy accept;\n\
         {rules}{unknown}        # where node.toml has [steward] notify_url, add its server for the user {custodian}\n        meta skuid {{ \"{agent}\", \"{custodian}\" }} counter reject with icmpx admin-prohibited\n    }}\n}}\n"
    )
}

fn coordinator(network: &Network) -> String {
    let mut rules = format!("        udp dport {} accept\n", listen(&network.quic).port());
    if let Some(tcp) = &network.tcp {
        let _ = writeln!(rules, "        tcp dport {} accept", listen(tcp).port());
    }
    let people = network.api.port();
    let _ = match has_tls(network) {
        true => writeln!(rules, "        tcp dport {people} accept"),
        false => writeln!(rules, "        iifname != \"lo\" tcp dport {people} counter reject with tcp reset"),
    };
    format!(
        "{HEAD}# What the coordinator listens on. Whatever else this machine serves has rules of its own.\n\
         table inet bocage_coordinator {{\n    chain input {{\n        type filter hook input priority filter; policy accept;\n{rules}    }}\n}}\n"
    )
}

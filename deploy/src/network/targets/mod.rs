//! `bocage network render`: what machines need to run a network, as files for systemd, containers, packets and graphs. Pure: the same network gives the same
//! bytes, and nothing in it is a secret.
//!
//! Only ids, users, paths and hosts stand in these files, and none of them can hold a character that means anything there: that is what their types are
//! for. Names for people stand in plain text alone.

mod compose;
mod deb;
mod firewall;
mod people;
mod prometheus;
mod systemd;
mod unit;
mod yaml;

use clap::ValueEnum;

use super::Tree;
use super::spec::{Network, Site};

/// For what files are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Units, users and folders
    Systemd,
    /// A Containerfile, and a compose file for each machine
    Compose,
    /// What `cargo deb` puts into the package, for these paths and users
    Deb,
    /// Rules for nftables, and a table for people
    Firewall,
    /// Scrape configuration and alerts
    Prometheus,
    /// All of these
    All,
}

impl Target {
    /// Where its files are.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Target::Systemd => &["systemd"],
            Target::Compose => &["compose"],
            Target::Deb => &["deb"],
            Target::Firewall => &["firewall"],
            Target::Prometheus => &["prometheus"],
            Target::All => &["systemd", "compose", "deb", "firewall", "prometheus"],
        }
    }
}

/// The files of a target, each target in a folder of its own.
pub fn rendered(network: &Network, target: Target) -> Tree {
    // Nobody needs a unit or a rule for a site that is gone.
    let mut tree = Tree::below(target.folders()).taking_away();
    let wanted = |this: Target| target == this || target == Target::All;
    if wanted(Target::Systemd) {
        systemd::render(network, &mut tree);
    }
    if wanted(Target::Compose) {
        compose::render(network, &mut tree);
    }
    if wanted(Target::Deb) {
        deb::render(network, &mut tree);
    }
    if wanted(Target::Firewall) {
        firewall::render(network, &mut tree);
    }
    if wanted(Target::Prometheus) {
        prometheus::render(network, &mut tree);
    }
    tree
}

/// The servers of other machines that a site's sources come from, `HOST:PORT` each as it stands in the file.
fn servers(site: &Site) -> Vec<(String, i64)> {
    let sources = site.datasets.values().filter_map(|dataset| dataset.get("source")?.as_table());
    let remote = sources.filter(|source| source.get("kind").and_then(toml::Value::as_str) == Some("postgres"));
    let mut servers: Vec<(String, i64)> = remote
        .filter_map(|source| {
            let host = source.get("host")?.as_str().filter(|host| !host.starts_with('/'))?;
            Some((host.to_owned(), source.get("port").and_then(toml::Value::as_integer).unwrap_or(POSTGRES)))
        })
        .collect();
    servers.sort();
    servers.dedup();
    servers
}

/// The port of a PostgreSQL server that says no other.
const POSTGRES: i64 = 5432;

#[cfg(test)]
mod tests;

//! What a person does with a folder that `init` made, or brought up to date.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bocage_protocol::counted::counted;

use super::spec::Network;
use super::update::{Changes, Edited};
use crate::cli::shell;

/// What a person does with the folder `out`.
pub fn next_steps(network: &Network, out: &Path) -> String {
    let at = |path: &str| shell(&out.join(path));
    let mut text = String::new();
    let _ =
        writeln!(text, "network {} is in {}: {}\n", network.id, out.display(), counted(network.sites.len(), "site"));
    let _ = writeln!(text, "1. take the root key offline: {}", at("ca/root.key"));
    let _ = writeln!(
        text,
        "2. start the coordinator:\n     bocage coordinator serve --config {}",
        at("coordinator/coordinator.toml")
    );
    let _ = match network.sites.iter().find(|site| !site.enrol) {
        Some(site) => {
            let (sites, file) = (at("sites"), at(&format!("sites/{}/node.toml", site.id)));
            writeln!(
                text,
                "3. bring each folder below {sites} to its site, put the data in place, then there:\n     bocage node check --config {file}\n     bocage node run --config {file}"
            )
        }
        None => writeln!(text, "3. let each site enter the network:"),
    };
    for site in network.sites.iter().filter(|site| site.enrol) {
        let profile = at("operator/profile.toml");
        let _ = writeln!(
            text,
            "   {} enrols: with the coordinator running, and hand it the file:\n     bocage network invite {0} --profile {profile}",
            site.id
        );
    }
    let profile = at("researcher/profile.toml");
    let permit = at("access-body/researcher.permit");
    let _ = match network.access_bodies.iter().any(|body| body.key.is_none()) {
        true => writeln!(
            text,
            "4. hand {} to whoever issues permits; the researcher has one already:\n     bocage permit show {permit}",
            at("access-body")
        ),
        false => writeln!(
            text,
            "4. ask an access body for a permit for the researcher's key:\n     bocage keys show {}",
            at("researcher/researcher.key")
        ),
    };
    let _ = writeln!(
        text,
        "5. as the researcher:\n     bocage sites --profile {profile}\n     bocage study run study.toml --profile {profile}"
    );
    let _ = writeln!(
        text,
        "6. keep {} with whoever runs the coordinator; others get users and tokens of their own:\n     bocage coordinator users add ada --role researcher --config {}",
        at("operator"),
        at("coordinator/coordinator.toml")
    );
    text
}

/// What a person does after `changes` were made to the folder `out` by the file `from`.
pub fn after(network: &Network, from: &Path, out: &Path, changes: &Changes, edited: Edited) -> String {
    let at = |path: &str| shell(&out.join(path));
    let mut text = String::new();
    if edited == Edited::Keep && changes.proposed().next().is_some() {
        let (from, out) = (shell(from), shell(out));
        let _ = writeln!(
            text,
            "\nof each .new, bring what you want into the file beside it; or have that overwritten:\n     bocage network diff {from} --out {out}\n     bocage network init {from} --out {out} --overwrite"
        );
    }
    if changes.written(edited).any(|path| path.starts_with("coordinator")) {
        let _ = writeln!(
            text,
            "\nbring what changed in {} to the coordinator, look at it there, and start it again:\n     bocage coordinator check --config {}",
            at("coordinator"),
            at("coordinator/coordinator.toml")
        );
    }
    let folders: BTreeSet<PathBuf> = changes.written(edited).filter_map(|path| site_of(path)).collect();
    if let Some(first) = folders.first() {
        let which = match folders.len() {
            1 => at(&first.display().to_string()),
            many => format!("{many} folders below {}", at("sites")),
        };
        let _ = writeln!(
            text,
            "\nbring what changed in {which} to its site, look at it there, and start the node again:\n     bocage node check --config {}",
            at(&format!("{}/node.toml", first.display()))
        );
    }
    for site in network.sites.iter().filter(|site| site.enrol && changes.enters(&site.id)) {
        let profile = at("operator/profile.toml");
        let _ = writeln!(
            text,
            "\n{} enrols: with the coordinator running, and hand it the file:\n     bocage network invite {0} --profile {profile}",
            site.id
        );
    }
    text
}

/// The folder of the site that a file is of.
fn site_of(path: &Path) -> Option<PathBuf> {
    path.starts_with("sites").then(|| path.iter().take(2).collect())
}

//! What the coordinator knows of this site, held against what is here: the key that releases are signed with, the texts of contracts, and how new the
//! lists of revoked permits are. A coordinator of an earlier version tells none of it, and nothing is found then.

use bocage_keep::doctor::{Check, Finding};
use bocage_protocol::env::Timestamp;
use bocage_protocol::limits::INQUIRY_CONTRACTS;
use bocage_protocol::trust::PublicKey;
use bocage_protocol::wire::inquiry::Known;

use crate::config::environment::read_release_key;
use crate::config::{AccessBody, Config};
use crate::custodian::ledger::Ledger;

const DAY_MS: i64 = 86_400_000;

/// Holds what is known there against what is here.
pub(super) fn compared(known: &Known, config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut found: Vec<Finding> = release_key(known, config).into_iter().collect();
    found.extend(contracts(known, config));
    let seen = Seen::of(config);
    found.extend(config.trust.access_bodies.iter().filter_map(|body| list(known, body, &seen, now)));
    found
}

fn release_key(known: &Known, config: &Config) -> Option<Finding> {
    // What is wrong with it the look at the key says.
    let own = read_release_key(&config.release_key_file).ok()?.public();
    match known.release_key {
        Some(theirs) if theirs == own => None,
        Some(theirs) => {
            let what = format!(
                "the coordinator knows this site by the release key {theirs}, and {} holds {own}: it would drop every release",
                config.release_key_file.display()
            );
            let fix = "put the key of before back (`bocage node restore`), or have the network's operator invite this site again: `bocage network invite` with --replace, then `bocage node enrol`";
            Some(Finding::fail(Check::Key, what, fix))
        }
        None => {
            let what = "the coordinator knows no release key of this site";
            Some(Finding::fail(
                Check::Key,
                what,
                "enrol it: `bocage node enrol` with an invitation of the network's operator",
            ))
        }
    }
}

/// A study names its contract by the hash of its text: where the texts differ, none can be about this dataset.
fn contracts(known: &Known, config: &Config) -> Vec<Finding> {
    let fix = "put the network's own text into contracts.dir (the operator has it, and `bocage datasets CONTRACT --text` shows it), or have the operator take this one up";
    let found = config.datasets.values().filter_map(|dataset| {
        let (id, hash) = (dataset.contract.id(), dataset.contract.hash());
        match known.contracts.iter().find(|(theirs, _)| theirs == id) {
            Some((_, theirs)) if *theirs == hash => None,
            Some((_, theirs)) => {
                let (own, theirs) = (hash.short(), theirs.short());
                let what = format!(
                    "{}: the text of {id} here is not the network's ({own} here, {theirs} there): no study can be about it",
                    dataset.name
                );
                Some(Finding::fail(Check::Contracts, what, fix))
            }
            // Where it could not tell all, what is missing may be known there.
            None if known.contracts.len() >= INQUIRY_CONTRACTS => None,
            None => {
                let what = format!("{}: the network has no contract {id}: nobody is told of this dataset", dataset.name);
                Some(Finding::warn(Check::Contracts, what, fix))
            }
        }
    });
    found.collect()
}

/// The newest lists that this site has seen: each came with a round, and is in the ledger.
pub(crate) struct Seen(Vec<(PublicKey, Timestamp)>);

impl Seen {
    /// Those in the ledger, if there is one that can be read.
    pub(crate) fn of(config: &Config) -> Self {
        let path = config.state.ledger();
        let lists = Ledger::open_read_only(&path).and_then(|ledger| ledger.books(|books| books.lists().clone()));
        let lists = lists.unwrap_or_default();
        let bodies = config.trust.access_bodies.iter();
        Self(bodies.filter_map(|body| Some((body.key, lists.of(&body.key)?.issued_at))).collect())
    }

    /// When the newest list of an access body was signed.
    pub(crate) fn newest(&self, body: &AccessBody) -> Option<Timestamp> {
        self.0.iter().find(|(key, _)| *key == body.key).map(|(_, at)| *at)
    }
}

/// The list that the next round would be judged by: the newer of what the coordinator hands on and what was seen here.
fn list(known: &Known, body: &AccessBody, seen: &Seen, now: Timestamp) -> Option<Finding> {
    let fix = format!(
        "{} signs a new list and publishes it: `bocage permit list`, `bocage permit publish`; until then no study begins under its permits",
        body.name
    );
    let there = known.lists.iter().find(|(key, _)| *key == body.key);
    let Some((_, handed_on)) = there else {
        let what = format!("the coordinator does not know the access body {} ({})", body.name, body.key);
        return Some(Finding::warn(
            Check::Policy,
            what,
            "its operator names it in coordinator.toml, or take the [[trust]] out",
        ));
    };
    match (*handed_on).max(seen.newest(body)) {
        None => {
            let what = format!("there is no list yet of the permits that {} has taken back", body.name);
            Some(Finding::fail(Check::Policy, what, fix))
        }
        Some(at) => old(body, at, now).map(|(what, refused)| match refused {
            true => Finding::fail(Check::Policy, what, fix),
            false => Finding::warn(Check::Policy, what, fix),
        }),
    }
}

/// How a list is too old, or soon will be: in a sentence, and whether studies are refused already.
pub(crate) fn old(body: &AccessBody, at: Timestamp, now: Timestamp) -> Option<(String, bool)> {
    let (age_ms, days) = (now.since_ms(at), i64::from(body.revocations_days));
    let what = format!(
        "the newest list of the permits that {} has taken back is of {at}, {} days old; beyond {days} days no study begins under its permits",
        body.name,
        age_ms.div_euclid(DAY_MS)
    );
    // A quarter of the time is left for somebody to sign the next one.
    let soon = age_ms > days * DAY_MS / 4 * 3;
    soon.then_some((what, age_ms > days * DAY_MS))
}

#[cfg(test)]
mod tests {
    use bocage_keep::doctor::Level;

    use super::*;
    use crate::fixture::{NOW, Site};

    fn site() -> (Site, Config) {
        let site = Site::new();
        let text = std::fs::read_to_string(site.path("node.toml")).unwrap();
        let body = site.body.public();
        std::fs::write(
            site.path("node.toml"),
            format!(
                "{text}\n[[trust]]\nkind = \"access_body\"\nname = \"Our body\"\nkey = \"{body}\"\nmode = \"exact\"\n"
            ),
        )
        .unwrap();
        let config = Config::load(&site.origin()).unwrap();
        (site, config)
    }

    fn sound(config: &Config) -> Known {
        let contract = |d: &crate::config::Dataset| (d.contract.id().clone(), d.contract.hash());
        Known {
            release_key: Some(read_release_key(&config.release_key_file).unwrap().public()),
            contracts: config.datasets.values().map(contract).collect(),
            lists: config.trust.access_bodies.iter().map(|body| (body.key, Some(NOW))).collect(),
        }
    }

    #[test]
    fn a_coordinator_that_knows_the_site_as_it_is_finds_nothing() {
        let (_site, config) = site();
        assert!(!config.datasets.is_empty() && !config.trust.access_bodies.is_empty());
        assert_eq!(compared(&sound(&config), &config, NOW), []);
    }

    #[test]
    fn what_the_coordinator_knows_otherwise_is_told_with_what_would_come_of_it() {
        let (_site, config) = site();
        let (id, _) = sound(&config).contracts[0].clone();
        let at_days = |days: i64| Some(NOW.plus_secs(-days * 86_400));
        let other = config.trust.access_bodies[0].key;
        for (change, check, level, what) in [
            (
                &(|k: &mut Known| k.release_key = Some(k.lists[0].0)) as &dyn Fn(&mut Known),
                Check::Key,
                Level::Fail,
                "it would drop every release",
            ),
            (&|k| k.release_key = None, Check::Key, Level::Fail, "knows no release key"),
            (
                &|k| k.contracts[0].1 = bocage_protocol::ids::Digest::from_bytes([3; 32]),
                Check::Contracts,
                Level::Fail,
                "is not the network's",
            ),
            (&|k| k.contracts.clear(), Check::Contracts, Level::Warn, "the network has no contract"),
            (&|k| k.lists.clear(), Check::Policy, Level::Warn, "does not know the access body Our body"),
            (&|k| k.lists[0].1 = None, Check::Policy, Level::Fail, "there is no list yet"),
            (&|k| k.lists[0].1 = at_days(24), Check::Policy, Level::Warn, "24 days old"),
            (&|k| k.lists[0].1 = at_days(31), Check::Policy, Level::Fail, "31 days old"),
        ] {
            let mut known = sound(&config);
            change(&mut known);
            let found = compared(&known, &config, NOW);
            let [finding] = found.as_slice() else { panic!("{what}: {found:#?}") };
            assert_eq!((finding.check, finding.level), (check, level), "{finding:#?}");
            assert!(finding.what.contains(what) && finding.fix.is_some(), "{finding:#?}");
        }
        let mut known = sound(&config);
        known.lists = vec![(other, at_days(22))];
        assert_eq!(compared(&known, &config, NOW), [], "three quarters of thirty days are not over");
        // What it could not tell is no lack.
        let filler = (format!("{}x@1", id.name()).parse().unwrap(), bocage_protocol::ids::Digest::from_bytes([1; 32]));
        known.contracts = vec![filler; INQUIRY_CONTRACTS];
        assert_eq!(compared(&known, &config, NOW), []);
    }
}

//! What the site itself has: the certificate and its days, the ledger, snapshots and the last ingest of each dataset.

use std::sync::Arc;

use bocage_keep::doctor::{Check, Finding, Probe};
use bocage_protocol::counted::counted;
use bocage_protocol::env::{Clock, Timestamp};

use super::MACHINE;
use crate::config::Config;
use crate::config::environment::{read_identity, read_release_key};
use crate::custodian::data::usable;
use crate::custodian::desk::{Secret, paused, waits_to_be_accepted};
use crate::custodian::ledger::Ledger;
use crate::ingest::attempt::{Unfinished, unfinished};

const DAY_MS: i64 = 86_400_000;
/// A certificate that has so few days left was not renewed when it should have been.
const SOON_DAYS: i64 = 8;

pub(super) fn probes(config: &Arc<Config>, clock: &Arc<dyn Clock>) -> Vec<Probe> {
    let of = |look: fn(&Config, Timestamp) -> Vec<Finding>| {
        let (config, now) = (Arc::clone(config), clock.now());
        move || look(&config, now)
    };
    vec![
        Probe::new(Check::Certificate, MACHINE, of(certificate)),
        Probe::new(Check::Ledger, MACHINE, of(ledger)),
        Probe::new(Check::Snapshots, MACHINE, of(snapshots)),
    ]
}

fn certificate(config: &Config, now: Timestamp) -> Vec<Finding> {
    let fail = |what: String, fix: &str| vec![Finding::fail(Check::Certificate, what, fix)];
    let identity = match read_identity(&config.tls) {
        Ok(identity) => identity,
        Err((key, message, hint)) => return fail(format!("{key}: {message}"), &hint),
    };
    match identity.site() {
        Ok(named) if named == config.site => {}
        Ok(named) => return fail(format!("it is for site {named}"), "copy this site's own folder, or correct `site`"),
        Err(error) => return fail(error.to_string(), "a node needs a site's certificate"),
    }
    let (from, until) = (identity.valid_from(), identity.valid_until());
    let days = until.since_ms(now).div_euclid(DAY_MS);
    let renew = "a connected node renews it by itself: see in its log why not; once it has ended, enrol anew with an invitation";
    if now < from {
        return fail(format!("it is valid from {from} on, and here it is {now}"), "set this machine's clock right");
    }
    if now > until {
        return fail(format!("it expired at {until}"), renew);
    }
    let what = format!(
        "of site {}, with a chain to this network's authority; {} left",
        config.site,
        counted(days.max(0).unsigned_abs(), "day")
    );
    match days {
        ..=SOON_DAYS => vec![Finding::warn(Check::Certificate, what, renew)],
        _ => vec![Finding::ok(Check::Certificate, what)],
    }
}

fn ledger(config: &Config, _: Timestamp) -> Vec<Finding> {
    let path = config.state.ledger();
    if !path.exists() {
        return vec![Finding::ok(Check::Ledger, "none yet: it begins when the node runs for the first time")];
    }
    let looked = Ledger::open_read_only(&path).and_then(|ledger| {
        let (records, _) = ledger.head()?;
        let key = read_release_key(&config.release_key_file).ok();
        let secret = key.as_ref().map(Secret);
        let restored = secret.map(|secret| waits_to_be_accepted(&ledger, secret)).transpose()?.flatten();
        let stopped = secret.map(|secret| paused(&ledger, secret)).transpose()?.flatten();
        Ok((records, restored, stopped))
    });
    match looked {
        Err(error) => vec![Finding::fail(Check::Ledger, error.to_string(), error.hint())],
        Ok((_, Some(restored), _)) => {
            let fix = "`bocage checkpoint SITE > FILE`, then `bocage node ledger accept-restored --checkpoint FILE`";
            vec![Finding::fail(Check::Ledger, format!("{restored}; nothing is answered"), fix)]
        }
        Ok((_, None, Some(pause))) => {
            let what = format!("all answers are paused by {} since {}", pause.by, pause.at);
            vec![Finding::warn(Check::Ledger, what, "`bocage node resume` ends it")]
        }
        Ok((records, None, None)) => vec![Finding::ok(Check::Ledger, counted(records, "record"))],
    }
}

fn snapshots(config: &Config, _: Timestamp) -> Vec<Finding> {
    let custodian = config.custodian();
    let found = config.datasets.values().map(|dataset| {
        let name = &dataset.name;
        if let Some(failed @ Unfinished::Failed(_)) = unfinished(&config.state.snapshots(), name) {
            let fix = format!("mend what it says, then `bocage node datasets refresh {name}`");
            return Finding::fail(Check::Snapshots, format!("{name}: {}", failed.sentence()), fix);
        }
        match usable(&custodian, dataset) {
            Ok(manifest) => Finding::ok(Check::Snapshots, format!("{name}: {} rows", manifest.rows)),
            Err(_) => {
                let what = format!("{name}: no snapshot of these settings yet");
                Finding::warn(Check::Snapshots, what, "a running node takes one by itself; studies wait for it")
            }
        }
    });
    found.collect()
}

//! `bocage doctor`: looks at what a researcher needs, on this machine and on the way to the coordinator, and says what to do about what is wrong. It
//! signs nothing and hands nothing in.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bocage_keep::doctor::{Check, Examined, Finding, Level, Probe, machine, run};
use bocage_net::env::SystemClock;
use bocage_net::https;
use bocage_protocol::counted::counted;
use bocage_protocol::env::{Clock as _, Timestamp};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::limits;
use bocage_protocol::trust::PublicKey;
use bocage_protocol::wire::release::{OURS, Release};

use super::{Api, ClientError, GivenPermit, Profile};

/// How long a look at this machine may take, or at a name.
const HERE: Duration = Duration::from_secs(10);
/// How long the coordinator's interface may take.
const THERE: Duration = Duration::from_secs(40);
/// How long one address may take to be connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// Beyond this a clock is worth a look; at five minutes studies are refused.
const SKEW_MS: i64 = 30_000;
const REFUSED_MS: i64 = 300_000;
const DAY_MS: i64 = 86_400_000;
/// Days before a permit's end at which its holder should know of it.
const SOON_DAYS: i64 = 14;

/// Looks at everything that the profile `given` names.
pub fn examine(given: Option<&Path>) -> Examined {
    let profile = match Profile::find(given) {
        Ok(profile) => Arc::new(profile),
        Err(error) => return run(vec![Probe::new(Check::Config, HERE, move || vec![of(Check::Config, &error)])]),
    };
    let probe = |check, within, look: fn(&Profile) -> Vec<Finding>| {
        let profile = Arc::clone(&profile);
        Probe::new(check, within, move || look(&profile))
    };
    run(vec![
        probe(Check::Config, HERE, |profile| {
            let what = format!("network {} at {}", profile.network, profile.coordinator);
            vec![Finding::ok(Check::Config, what)]
        }),
        probe(Check::Dns, HERE, |profile| vec![name(&address(profile))]),
        probe(Check::Tcp, THERE, |profile| vec![connects(&address(profile))]),
        probe(Check::Interception, THERE, |profile| interception(profile).into_iter().collect()),
        probe(Check::Key, HERE, |profile| vec![key(profile)]),
        probe(Check::Modes, HERE, modes),
        probe(Check::Permit, HERE, |profile| vec![permit(profile, SystemClock.now())]),
        probe(Check::Api, THERE, |profile| api(profile, SystemClock.now())),
    ])
}

fn of(check: Check, error: &ClientError) -> Finding {
    let text = error.to_string();
    let (what, hint) = text.split_once("\n  hint: ").unwrap_or((&text, "see the profile's keys in the manual"));
    Finding::fail(check, what, error.hint().unwrap_or_else(|| hint.to_owned()))
}

/// Host and port of the coordinator's interface.
fn address(profile: &Profile) -> String {
    let (scheme, rest) = profile.coordinator.split_once("://").unwrap_or(("http", &profile.coordinator));
    let authority = rest.split('/').next().unwrap_or(rest);
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "https") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    }
}

fn name(address: &str) -> Finding {
    let fix = "correct `coordinator` in the profile, or ask for the name in this machine's DNS";
    match address.to_socket_addrs().map(Iterator::count) {
        Ok(0) => Finding::fail(Check::Dns, format!("{address} has no address"), fix),
        Ok(count) => Finding::ok(Check::Dns, format!("{address}: {}", counted(count, "address"))),
        Err(error) => Finding::fail(Check::Dns, format!("{address}: {error}"), fix),
    }
}

fn connects(address: &str) -> Finding {
    let addresses = address.to_socket_addrs().into_iter().flatten().take(ADDRESSES);
    let mut why = "the name has no address".to_owned();
    for one in addresses {
        match TcpStream::connect_timeout(&one, CONNECT) {
            Ok(_) => return Finding::ok(Check::Tcp, format!("{address}: something listens")),
            Err(error) => why = error.to_string(),
        }
    }
    let fix =
        "is the coordinator running, is its api.listen this address, and does a firewall let this machine reach it?";
    Finding::fail(Check::Tcp, format!("{address}: {why}"), fix)
}

/// Whether the certificate that is shown is of somebody whom the profile does not name. Of a profile without `ca_file` this cannot be told: a firewall's
/// authority is often among the machine's own. Where a proxy stands on the way, its look is what the interface's says.
fn interception(profile: &Profile) -> Option<Finding> {
    let file = profile.ca_file.as_ref().filter(|_| profile.coordinator.starts_with("https://"))?;
    if ureq::Proxy::try_from_env().is_some() && !profile.is_loopback() {
        return None;
    }
    let (trusted, address) = (super::read_file(file, limits::SECRET_FILE_BYTES).ok()?, address(profile));
    let host = address.rsplit_once(':')?.0.trim_start_matches('[').trim_end_matches(']').to_owned();
    let to = address.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&to, CONNECT).ok()?;
    stream.set_read_timeout(Some(CONNECT)).and_then(|()| stream.set_write_timeout(Some(CONNECT))).ok()?;
    Some(match https::stranger(&mut stream, &host, &trusted, Arc::new(SystemClock)) {
        Some(issuer) => Finding::fail(
            Check::Interception,
            format!(
                "{address} shows a certificate issued by `{issuer}`, of which {} knows nothing: nothing was sent",
                file.display()
            ),
            format!(
                "ask that {address} is left out of the inspection of TLS; if that is the coordinator's own authority, name it as `ca_file`"
            ),
        ),
        None => Finding::ok(Check::Interception, "nobody looks into TLS with an authority of their own"),
    })
}

fn key(profile: &Profile) -> Finding {
    let Some(file) = &profile.key_file else {
        return Finding::ok(Check::Key, "the profile has no `key_file`: it is of somebody who signs nothing");
    };
    match profile.key() {
        Ok(key) => Finding::ok(Check::Key, format!("{}: {}", file.display(), key.public())),
        Err(error) => of(Check::Key, &error),
    }
}

fn modes(profile: &Profile) -> Vec<Finding> {
    let secrets: Vec<PathBuf> = profile.key_file.iter().chain([&profile.token_file]).cloned().collect();
    // Beside the files themselves it is nobody's matter who may look into the folder.
    machine::modes(&secrets, Path::new(""))
}

fn permit(profile: &Profile, now: Timestamp) -> Finding {
    let Some(path) = &profile.permit else {
        let fix = "name your permit as `permit` in the profile, or with each command by --permit FILE";
        return Finding::warn(Check::Permit, "the profile names no permit: most sites answer under one only", fix);
    };
    let permit = match GivenPermit::read(path) {
        Ok(given) => given.permit,
        Err(error) => return of(Check::Permit, &error),
    };
    let days = permit.valid_to.since_ms(now).div_euclid(DAY_MS);
    let fix = "ask the access body for a new one";
    let what = format!("{} of {}: {} left", permit.id, permit.title, counted(days.max(0).unsigned_abs(), "day"));
    let own = profile.key().ok().is_none_or(|key| key.public() == permit.holder.key);
    match days {
        _ if !own => Finding::fail(
            Check::Permit,
            format!("{} is for another key than `key_file`'s", permit.id),
            "use the key that the permit was issued to",
        ),
        _ if now > permit.valid_to => {
            Finding::fail(Check::Permit, format!("{} ended at {}", permit.id, permit.valid_to), fix)
        }
        _ if now < permit.valid_from => {
            let what = format!("{} begins at {}", permit.id, permit.valid_from);
            Finding::fail(Check::Permit, what, "wait; compare this machine's clock with the time")
        }
        ..=SOON_DAYS => Finding::warn(Check::Permit, what, fix),
        _ => Finding::ok(Check::Permit, what),
    }
}

/// What the interface itself says: whether it takes the token, serves this network, is of a release that fits, and what its clock says.
fn api(profile: &Profile, now: Timestamp) -> Vec<Finding> {
    let api = match Api::new(profile) {
        Ok(api) => api,
        Err(error) => return vec![of(Check::Token, &error)],
    };
    let network = match api.network() {
        Ok(network) => network,
        Err(error @ ClientError::Refused(_)) if is_unauthorised(&error) => return vec![of(Check::Token, &error)],
        Err(error) => return vec![of(Check::Api, &error)],
    };
    let mut found = vec![Finding::ok(Check::Token, "the coordinator takes it")];
    if network.network != profile.network {
        let what = format!("the coordinator serves network {}, the profile is of {}", network.network, profile.network);
        found.push(Finding::fail(Check::Api, what, "use the profile of that network: --profile FILE"));
    } else {
        found.push(fits(&network.version));
        found.extend(publisher(profile.published_by, network.publisher));
    }
    found.extend(api.clock().map(|there| skew(there.since_ms(now))));
    found.extend(taken_back(profile, &api));
    found
}

/// That the permit stands in its access body's list, as the coordinator has it.
fn taken_back(profile: &Profile, api: &Api) -> Option<Finding> {
    let error = GivenPermit::read(profile.permit.as_deref()?).ok()?.taken_back(&api.revocations().ok()?.lists)?;
    Some(Finding::fail(Check::Permit, error.message, error.hint.unwrap_or_default()))
}

fn is_unauthorised(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(error) if error.code == ErrorCode::Unauthorised)
}

fn fits(version: &str) -> Finding {
    let what = format!("the coordinator is of version {version}, this program of {OURS}");
    match Release::of_node(&format!("bocage-node {version}")) {
        Some(theirs) if !OURS.works_with(theirs) => {
            let older = if OURS.is_before(theirs) { "this program" } else { "the coordinator" };
            Finding::warn(Check::Api, what, format!("upgrade {older}: they may differ by one minor version"))
        }
        _ => Finding::ok(Check::Api, what),
    }
}

/// Whether the coordinator signs what it publishes by the key that the profile has.
fn publisher(ours: Option<PublicKey>, theirs: Option<PublicKey>) -> Option<Finding> {
    Some(match (ours, theirs) {
        (None, None) => return None,
        (Some(ours), Some(theirs)) if ours == theirs => {
            Finding::ok(Check::Api, format!("the coordinator publishes as {theirs}, as the profile has it"))
        }
        (None, Some(theirs)) => {
            Finding::ok(Check::Api, format!("the coordinator publishes as {theirs}; the profile has no `published_by`"))
        }
        (Some(ours), theirs) => {
            let (theirs, ours) = (theirs.map(Box::new), Box::new(ours));
            of(Check::Api, &ClientError::OtherPublisher { url: "the coordinator".to_owned(), theirs, ours })
        }
    })
}

fn skew(ms: i64) -> Finding {
    let side = if ms > 0 { "behind" } else { "ahead of" };
    let what = format!("this clock is {} s {side} the coordinator's", ms.abs() / 1000);
    let level = match ms.abs() {
        off if off > REFUSED_MS => Level::Fail,
        off if off > SKEW_MS => Level::Warn,
        _ => return Finding::ok(Check::Clock, what),
    };
    let fix = "let a time service set this machine's clock: a study that is signed in the future is refused";
    Finding { level, ..Finding::warn(Check::Clock, what, fix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(dir: &Path, coordinator: &str) -> PathBuf {
        let file = dir.join("profile.toml");
        let text = format!(
            "coordinator = \"{coordinator}\"\nnetwork = \"heart-demo\"\ntoken_file = \"api.token\"\nkey_file = \"my.key\"\n"
        );
        std::fs::write(&file, text).unwrap();
        bocage_net::secret::write_secret(&dir.join("api.token"), b"token").unwrap();
        let key = bocage_protocol::trust::SecretKey::generate(&mut bocage_net::env::SystemEntropy);
        bocage_net::secret::write_secret(&dir.join("my.key"), key.to_text().as_bytes()).unwrap();
        file
    }

    fn level(examined: &Examined, check: Check) -> Option<Level> {
        examined.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.level).max()
    }

    #[test]
    fn a_coordinator_that_is_not_there_fails_with_its_address_while_the_rest_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        // Nobody listens on a port that was just given back.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = profile(dir.path(), &format!("http://127.0.0.1:{port}"));
        let examined = examine(Some(&file));
        assert_eq!(examined.exit_code(), 1);
        for (check, wanted) in [
            (Check::Config, Level::Ok),
            (Check::Dns, Level::Ok),
            (Check::Key, Level::Ok),
            (Check::Modes, Level::Ok),
            (Check::Tcp, Level::Fail),
            (Check::Api, Level::Fail),
            (Check::Permit, Level::Warn),
        ] {
            assert_eq!(level(&examined, check), Some(wanted), "{check}: {:#?}", examined.findings);
        }
        assert!(
            examined.findings.iter().all(|f| f.level == Level::Ok || f.fix.as_ref().is_some_and(|fix| !fix.is_empty()))
        );
    }

    #[test]
    fn what_is_wrong_in_the_profiles_files_is_found_without_a_coordinator() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = profile(dir.path(), "https://does-not-exist.invalid:8443");
        std::fs::set_permissions(dir.path().join("my.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let examined = examine(Some(&file));
        for check in [Check::Dns, Check::Key, Check::Modes, Check::Api] {
            assert_eq!(level(&examined, check), Some(Level::Fail), "{check}: {:#?}", examined.findings);
        }
        let none = examine(Some(&dir.path().join("none.toml")));
        assert_eq!((none.exit_code(), level(&none, Check::Config)), (1, Some(Level::Fail)));
    }

    #[test]
    fn a_coordinator_that_publishes_by_another_key_than_the_profile_has_fails() {
        let [one, other] = [1, 2].map(|seed| Some(crate::bench::key(seed).public()));
        let level = |ours, theirs| publisher(ours, theirs).map(|finding| finding.level);
        assert_eq!(level(None, None), None, "an older coordinator does not sign");
        assert_eq!([level(None, one), level(one, one)], [Some(Level::Ok); 2]);
        assert_eq!([level(one, other), level(one, None)], [Some(Level::Fail); 2]);
        let said = publisher(one, other).unwrap();
        assert!(said.fix.unwrap().contains("published_by"));
    }

    #[test]
    fn a_coordinator_of_a_version_too_far_off_is_worth_a_look() {
        assert_eq!(fits(env!("CARGO_PKG_VERSION")).level, Level::Ok);
        let far = fits("99.0.0");
        assert!(far.level == Level::Warn && far.what.contains("99.0.0") && far.fix.unwrap().contains("this program"));
        assert_eq!([0, 31_000, -301_000].map(|ms| skew(ms).level), [Level::Ok, Level::Warn, Level::Fail]);
    }
}

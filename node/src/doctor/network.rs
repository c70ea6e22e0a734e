//! The way to the coordinator: the name, then a handshake over each transport, with this site's own certificate and the node's own code. Over the first
//! one that works it is asked whether this site would be taken in. No hello is said, so no session begins and a running node keeps its own.

use std::sync::Arc;
use std::time::Duration;

use bocage_keep::doctor::{Check, Finding, Probe};
use bocage_net::frame::{read_frame, write_frame};
use bocage_net::quic::QuicClient;
use bocage_net::{CloseCode, ConnectError, Dialler, Identity, Link};
use bocage_protocol::env::Clock;
use bocage_protocol::limits::{CLOCK_TOLERANCE_SECS, HELLO_BYTES};
use bocage_protocol::wire::hello::{Answer, Hello, VERSIONS};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::agent::SOFTWARE;
use crate::config::Config;
use crate::config::environment::read_identity;

/// How long a name may take to be looked up.
const NAME: Duration = Duration::from_secs(5);
/// How long handshakes and an answer may take together: four addresses may be tried, each for ten seconds.
const WAY: Duration = Duration::from_secs(55);
/// How long the coordinator may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Beyond this a clock is worth a look; [`CLOCK_TOLERANCE_SECS`] is where studies are refused.
const SKEW_MS: i64 = 30_000;

pub(super) fn probes(config: &Arc<Config>, clock: &Arc<dyn Clock>) -> Vec<Probe> {
    let address = config.coordinator.address.clone();
    let (of, time) = (Arc::clone(config), Arc::clone(clock));
    vec![
        Probe::new(Check::Dns, NAME + NAME, move || vec![name(&address)]),
        Probe::new(Check::Udp, WAY, move || over_udp(&of, &time)),
    ]
}

/// Runs asynchronous work to its end, on this thread.
fn block<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    Ok(Builder::new_current_thread().enable_all().build()?.block_on(work))
}

fn name(address: &str) -> Finding {
    // A time limit must begin within the runtime.
    let looked = block(async { timeout(NAME, tokio::net::lookup_host(address)).await });
    let fix =
        format!("correct coordinator.address ({address}), or ask for the name in this machine's DNS or /etc/hosts");
    match looked {
        Ok(Ok(Ok(found))) => match found.count() {
            0 => Finding::fail(Check::Dns, format!("{address} has no address"), fix),
            count => Finding::ok(Check::Dns, format!("{address}: {count} addresses")),
        },
        Ok(Ok(Err(error))) | Err(error) => Finding::fail(Check::Dns, format!("{address}: {error}"), fix),
        Ok(Err(_)) => Finding::fail(Check::Dns, format!("{address}: no answer within {} s", NAME.as_secs()), fix),
    }
}

fn over_udp(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    // What is wrong with it the look at the certificate says.
    let Ok(identity) = read_identity(&config.tls) else { return Vec::new() };
    let coordinator = &config.coordinator;
    let client = match QuicClient::new(&coordinator.address, &coordinator.name, &identity, Arc::clone(clock)) {
        Ok(client) => client,
        Err(error) => {
            return vec![Finding::fail(Check::Udp, error.to_string(), "the look at the certificate says more")];
        }
    };
    block(way(Check::Udp, &client, config, &identity, clock.as_ref())).unwrap_or_else(|error| {
        vec![Finding::fail(Check::Udp, error.to_string(), "this machine lets no socket be made")]
    })
}

/// Shakes hands over one transport and asks.
async fn way<D: Dialler>(over: Check, dialler: &D, config: &Config, _: &Identity, clock: &dyn Clock) -> Vec<Finding> {
    let address = &config.coordinator.address;
    let link = match dialler.connect().await {
        Ok(link) => link,
        Err(error) => return vec![unreached(over, address, &error)],
    };
    let mut found = vec![
        Finding::ok(over, format!("{address}: both sides accept each other's certificate")),
        Finding::ok(Check::Interception, "nobody looks into TLS: the certificate is this network's own"),
    ];
    let hello =
        Hello { versions: VERSIONS, site: config.site.clone(), software: SOFTWARE.to_owned(), now: clock.now() };
    found.extend(match timeout(ANSWER, ask(&link, &hello)).await {
        Ok(Ok(answer)) => answered(&answer, config, clock),
        Ok(Err(why)) => vec![unanswered(&why)],
        Err(_) => vec![unanswered("no answer in time")],
    });
    link.close(CloseCode::DONE, "a look");
    found
}

async fn ask<L: Link>(link: &L, hello: &Hello) -> Result<Answer, String> {
    let mut stream = link.open().await.map_err(|error| error.to_string())?;
    write_frame(&mut stream, &hello.encode_inquiry()).await.map_err(|error| error.to_string())?;
    let frame = read_frame(&mut stream, HELLO_BYTES).await.map_err(|error| error.to_string())?;
    Answer::decode(&frame).map_err(|error| error.to_string())
}

/// A coordinator from before inquiries closes the link over one: that is no fault of this site.
fn unanswered(why: &str) -> Finding {
    let fix =
        "if the coordinator is of an older version, this cannot be asked: look at `bocage sites` once the node runs";
    Finding::warn(Check::Session, format!("the coordinator did not say whether it would take this site in: {why}"), fix)
}

fn answered(answer: &Answer, config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    match answer {
        Answer::Reject(error) => {
            let fix = error.hint.clone().unwrap_or_else(|| "the manual's table of error codes says more".to_owned());
            vec![Finding::fail(Check::Session, error.to_string(), fix)]
        }
        Answer::Welcome(welcome) if welcome.network != config.network => {
            let what = format!("this coordinator is of network {}, node.toml says {}", welcome.network, config.network);
            vec![Finding::fail(Check::Session, what, "correct coordinator.address or network")]
        }
        Answer::Welcome(welcome) => {
            let what = format!("the coordinator takes this site in, with protocol version {}", welcome.version);
            vec![Finding::ok(Check::Session, what), skew(welcome.now.since_ms(clock.now()))]
        }
    }
}

fn skew(ms: i64) -> Finding {
    let side = if ms > 0 { "behind" } else { "ahead of" };
    let what = format!("this clock is {} s {side} the coordinator's", ms.abs() / 1000);
    let fix = "let a time service (chrony, systemd-timesyncd) set this machine's clock; compare the coordinator's, too";
    match ms.abs() {
        off if off > CLOCK_TOLERANCE_SECS * 1000 => Finding::fail(Check::Clock, what, fix),
        off if off > SKEW_MS => Finding::warn(Check::Clock, what, fix),
        _ => Finding::ok(Check::Clock, what),
    }
}

/// What a failed handshake means, and what to do about it.
fn unreached(over: Check, address: &str, error: &ConnectError) -> Finding {
    let (check, fix) = match error {
        ConnectError::Resolve { .. } => (over, "the look at the name says more".to_owned()),
        ConnectError::TimedOut { .. } => {
            (over, format!("let this machine send UDP to {address}, and the answers come back; or use TCP"))
        }
        ConnectError::Silent { .. } | ConnectError::Unreachable { .. } => {
            (over, format!("let this machine connect to {address} over TCP, or name the proxy in [coordinator.proxy]"))
        }
        ConnectError::Proxy(_) => (Check::Proxy, "see [coordinator.proxy] in node.toml".to_owned()),
        ConnectError::Intercepted { .. } => {
            (Check::Interception, format!("ask that {address} is left out of the firewall's inspection of TLS"))
        }
        ConnectError::PeerCertificate(_) => {
            (over, "tls.ca_file must be this network's; is coordinator.address another network's?".to_owned())
        }
        ConnectError::OwnCertificate(_) => {
            (Check::Certificate, "ask the network's coordinator for this site's certificate again".to_owned())
        }
        ConnectError::WrongProtocol => (over, "something else listens there: correct coordinator.address".to_owned()),
        ConnectError::Busy => (over, "try again in a minute".to_owned()),
        _ => (over, "the coordinator's log may say more".to_owned()),
    };
    Finding::fail(check, format!("{address}: {error}"), fix)
}

#[cfg(test)]
mod tests {
    use bocage_keep::doctor::Level;

    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_with_the_side_and_fails_where_studies_would() {
        assert_eq!(skew(29_000).level, Level::Ok);
        let behind = skew(31_000);
        assert!(behind.level == Level::Warn && behind.what.contains("31 s behind"), "{behind:?}");
        let ahead = skew(-301_000);
        assert!(ahead.level == Level::Fail && ahead.what.contains("301 s ahead"), "{ahead:?}");
    }

    #[test]
    fn whoever_intercepts_tls_and_a_proxy_that_refuses_are_findings_of_their_own() {
        let intercepted =
            unreached(Check::Tcp, "c:443", &ConnectError::Intercepted { issuer: "Corp Firewall CA".into() });
        assert_eq!(intercepted.check, Check::Interception);
        assert!(intercepted.what.contains("Corp Firewall CA"), "{intercepted:?}");
        let refused = bocage_net::tcp::ProxyError::Forbidden { address: "c:443".into() };
        assert_eq!(unreached(Check::Tcp, "c:443", &refused.into()).check, Check::Proxy);
    }
}

//! The way to the coordinator: the name, then a handshake over each transport, with this site's own certificate and the node's own code. Over the first
//! one that works it is asked whether this site would be taken in. No hello is said, so no session begins and a running node keeps its own.

use std::sync::Arc;
use std::time::Duration;

use bocage_keep::doctor::{Check, Finding, Level, Probe};
use bocage_net::frame::{read_frame, write_frame};
use bocage_net::quic::QuicClient;
use bocage_net::tcp::{ProxyError, Route, TcpClient};
use bocage_net::transport::CertificateFault;
use bocage_net::{CloseCode, ConnectError, Dialler, Identity, Link};
use bocage_protocol::counted::counted;
use bocage_protocol::env::Clock;
use bocage_protocol::limits::{CLOCK_TOLERANCE_SECS, HELLO_BYTES};
use bocage_protocol::wire::hello::{Answer, Hello, VERSIONS};
use bocage_protocol::wire::inquiry::Known;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::known::compared;
use crate::agent::SOFTWARE;
use crate::config::environment::read_identity;
use crate::config::{Config, Coordinator, Transport};

/// How long a name may take to be looked up.
const NAME: Duration = Duration::from_secs(5);
/// How long handshakes and an answer may take together: four addresses may be tried, each for ten seconds.
const WAY: Duration = Duration::from_secs(55);
/// How long the coordinator may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Beyond this a clock is worth a look; [`CLOCK_TOLERANCE_SECS`] is where studies are refused.
const SKEW_MS: i64 = 30_000;

pub(super) fn probes(config: &Arc<Config>, clock: &Arc<dyn Clock>) -> Vec<Probe> {
    let (of, with, time) = (Arc::clone(config), Arc::clone(config), Arc::clone(clock));
    vec![
        Probe::new(Check::Dns, NAME + NAME, move || names(&of.coordinator).iter().map(|name| look_up(name)).collect()),
        Probe::new(Check::Session, WAY, move || ways(&with, &time)),
    ]
}

/// What this machine must look up: behind a proxy it is the proxy that looks the coordinator up.
fn names(coordinator: &Coordinator) -> Vec<String> {
    let udp = coordinator.transport != Transport::Tcp;
    let mut names: Vec<String> = udp.then(|| coordinator.address.clone()).into_iter().collect();
    match (&coordinator.proxy, &coordinator.tcp) {
        (Some(proxy), _) => names.push(format!("{}:{}", proxy.url.host, proxy.url.port)),
        (None, Some(tcp)) if coordinator.transport != Transport::Quic => names.push(tcp.clone()),
        _ => {}
    }
    names
}

/// Runs asynchronous work to its end, on this thread.
fn block<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    Ok(Builder::new_current_thread().enable_all().build()?.block_on(work))
}

fn look_up(address: &str) -> Finding {
    // A time limit must begin within the runtime.
    let looked = block(async { timeout(NAME, tokio::net::lookup_host(address)).await });
    let fix =
        format!("correct coordinator.address ({address}), or ask for the name in this machine's DNS or /etc/hosts");
    match looked {
        Ok(Ok(Ok(found))) => match found.count() {
            0 => Finding::fail(Check::Dns, format!("{address} has no address"), fix),
            count => Finding::ok(Check::Dns, format!("{address}: {}", counted(count, "address"))),
        },
        Ok(Ok(Err(error))) | Err(error) => Finding::fail(Check::Dns, format!("{address}: {error}"), fix),
        Ok(Err(_)) => Finding::fail(Check::Dns, format!("{address}: no answer within {} s", NAME.as_secs()), fix),
    }
}

/// Shakes hands over every way that the settings allow, and asks over the first one that works.
fn ways(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    // What is wrong with it the look at the certificate says.
    let Ok(identity) = read_identity(&config.tls) else { return Vec::new() };
    block(shake(config, &identity, clock)).unwrap_or_else(|error| {
        vec![Finding::fail(Check::Session, error.to_string(), "this machine lets no socket be made")]
    })
}

async fn shake(config: &Config, identity: &Identity, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let Coordinator { address, tcp, transport, proxy, name, .. } = &config.coordinator;
    let by_udp = async {
        if *transport == Transport::Tcp {
            return None;
        }
        let client = QuicClient::new(address, name, identity, Arc::clone(clock));
        Some(match client {
            Ok(client) => over(Check::Udp, address, &client, config, clock.as_ref()).await,
            Err(error) => {
                Err(Finding::fail(Check::Certificate, error.to_string(), "ask for this site's certificate again"))
            }
        })
    };
    let by_tcp = async {
        let tcp = tcp.as_ref().filter(|_| *transport != Transport::Quic)?;
        let proxy = match proxy.as_ref().map(|proxy| proxy.read(clock)).transpose() {
            Ok(proxy) => proxy,
            Err((key, message, hint)) => {
                return Some(Err(Finding::fail(Check::Proxy, format!("{key}: {message}"), hint)));
            }
        };
        let client = TcpClient::new(Route { address: tcp.clone(), proxy }, name, identity, Arc::clone(clock));
        Some(match client {
            Ok(client) => over(Check::Tcp, tcp, &client, config, clock.as_ref()).await,
            Err(error) => {
                Err(Finding::fail(Check::Certificate, error.to_string(), "ask for this site's certificate again"))
            }
        })
    };
    let (udp, by_tcp) = tokio::join!(by_udp, by_tcp);
    let mut found = Vec::new();
    match &udp {
        Some(Ok(_)) => found.push(Finding::ok(Check::Udp, accepted(address, ""))),
        // Where TCP carries, the node does without.
        Some(Err(finding)) if matches!(by_tcp, Some(Ok(_))) && finding.check == Check::Udp => {
            found.push(Finding { level: Level::Warn, ..finding.clone() });
        }
        Some(Err(finding)) => found.push(finding.clone()),
        None => {}
    }
    match &by_tcp {
        Some(Ok(_)) => {
            let through = if proxy.is_some() { " through the proxy" } else { "" };
            found.push(Finding::ok(Check::Tcp, accepted(tcp.as_deref().unwrap_or_default(), through)));
            found.extend(proxy.as_ref().map(|_| Finding::ok(Check::Proxy, "it lets the connection through")));
        }
        Some(Err(finding)) => found.push(finding.clone()),
        None => {}
    }
    if let (Some(Ok(said)), _) | (_, Some(Ok(said))) = (udp, by_tcp) {
        found.extend(said);
    }
    found
}

fn accepted(at: &str, through: &str) -> String {
    format!("{at}{through}: both sides accept each other's certificate")
}

/// Shakes hands over one way, and asks at once: the coordinator waits for no greeting for long.
async fn over<D: Dialler>(
    check: Check,
    address: &str,
    dialler: &D,
    config: &Config,
    clock: &dyn Clock,
) -> Result<Vec<Finding>, Finding> {
    match dialler.connect().await {
        Ok(link) => Ok(asked(&link, config, clock).await),
        Err(error) => Err(unreached(check, address, &error)),
    }
}

/// Asks over a link whose other end is the coordinator.
async fn asked<L: Link>(link: &L, config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let mut found =
        vec![Finding::ok(Check::Interception, "nobody looks into TLS: the certificate is this network's own")];
    let hello =
        Hello { versions: VERSIONS, site: config.site.clone(), software: SOFTWARE.to_owned(), now: clock.now() };
    found.extend(match timeout(ANSWER, ask(link, &hello)).await {
        Ok(Ok((answer, known))) => {
            let mut found = answered(&answer, config, clock);
            if matches!(&answer, Answer::Welcome(welcome) if welcome.network == config.network) {
                found.extend(known.iter().flat_map(|known| compared(known, config, clock.now())));
            }
            found
        }
        Ok(Err(why)) => vec![unanswered(&why)],
        Err(_) => vec![unanswered("no answer in time")],
    });
    link.close(CloseCode::DONE, "a look");
    found
}

async fn ask<L: Link>(link: &L, hello: &Hello) -> Result<(Answer, Option<Known>), String> {
    let mut stream = link.open().await.map_err(|error| error.to_string())?;
    write_frame(&mut stream, &hello.encode_inquiry()).await.map_err(|error| error.to_string())?;
    let frame = read_frame(&mut stream, HELLO_BYTES).await.map_err(|error| error.to_string())?;
    Known::read(&frame).map_err(|error| error.to_string())
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
        ConnectError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::ConnectionRefused => {
            let who = "nobody listens there: is the coordinator up, and does it take TCP ([tcp] of its configuration)?";
            (over, format!("{who} Else correct the address"))
        }
        ConnectError::Silent { .. } | ConnectError::Unreachable { .. } => {
            (over, format!("let this machine connect to {address} over TCP, or name its proxy in [coordinator.proxy]"))
        }
        ConnectError::Proxy(error) => (Check::Proxy, by_proxy(error, address)),
        ConnectError::Intercepted { .. } => {
            (Check::Interception, format!("ask that {address} is left out of the firewall's inspection of TLS"))
        }
        ConnectError::PeerCertificate(CertificateFault::Expired | CertificateFault::NotYetValid) => {
            (over, "set this machine's clock right; if it is, the coordinator's certificate must be renewed".to_owned())
        }
        ConnectError::PeerCertificate(_) => {
            (over, "tls.ca_file must be this network's; is coordinator.address another network's?".to_owned())
        }
        ConnectError::OwnCertificate(CertificateFault::Revoked) => {
            let why = "ask the network's operator why: they lift it (`bocage network revoke SITE --lift`), or invite this site anew";
            (Check::Certificate, why.to_owned())
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

/// What to do about a proxy that lets nothing through.
fn by_proxy(error: &ProxyError, address: &str) -> String {
    match error {
        ProxyError::AuthenticationRequired { .. } => "set user and password_file in [coordinator.proxy]".to_owned(),
        ProxyError::AuthenticationRefused { .. } => {
            "correct user or the file of password_file in [coordinator.proxy]; only Basic is spoken".to_owned()
        }
        ProxyError::Forbidden { .. } => format!("ask its administrators to allow CONNECT to {address}"),
        ProxyError::Tls { .. } => {
            "correct ca_file in [coordinator.proxy]: the authorities of its certificate".to_owned()
        }
        ProxyError::Refused { .. } => format!("ask its administrators why it leads nobody to {address}"),
        ProxyError::Unreachable(_) | ProxyError::NotHttp | ProxyError::TooLong { .. } | ProxyError::Ended(_) => {
            "correct coordinator.proxy.url, or ask its administrators whether this machine may use it".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
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

//! `[coordinator]` of `node.toml`: where the coordinator is, and which ways lead there. What the ways need from files is read by [`Coordinator::ways`],
//! when the agent starts and when a person asks for a check.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bocage_net::Identities;
use bocage_net::quic::QuicClient;
use bocage_net::secret::read_secret_text;
use bocage_net::tcp::{Credentials, Proxy, ProxyUrl, Route, TcpClient};
use bocage_net::ways::{Both, Ways};
use bocage_protocol::env::Clock;
use bocage_protocol::limits::{CA_BUNDLE_BYTES, SECRET_FILE_BYTES};
use serde::Deserialize;
use serde_json::Value;

use super::environment::secret_problem;
use super::sections::Reader;
use crate::agent::WAY_BACK_SECS;

const NAME: &str = "coordinator.bocage";
/// How long the first try of QUIC may be put off: a day.
const QUIC_AGAIN_SECS: std::ops::RangeInclusive<u32> = 1..=86_400;

/// Whom the agent dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinator {
    /// `HOST:PORT` for QUIC.
    pub address: String,
    /// `HOST:PORT` for TCP, if the network has that.
    pub tcp: Option<String>,
    /// Which of the two are used.
    pub transport: Transport,
    /// After how long a session that stands on TCP tries QUIC for the first time.
    pub quic_again_secs: u32,
    /// The proxy on the way over TCP.
    pub proxy: Option<ProxySettings>,
    /// The name in its certificate.
    pub name: String,
}

/// How the coordinator is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// By QUIC, and by TCP where the network has it and QUIC does not answer.
    #[default]
    Auto,
    /// By QUIC alone.
    Quic,
    /// By TCP alone.
    Tcp,
}

/// An HTTP proxy, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    /// Where it is.
    pub url: ProxyUrl,
    /// User, and the file with the password.
    pub login: Option<(String, PathBuf)>,
    /// The authorities that its certificate may come from.
    pub ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct RawCoordinator {
    address: String,
    tcp: Option<String>,
    #[serde(default)]
    transport: Transport,
    quic_again_secs: Option<u32>,
    #[serde(default)]
    proxy: Value,
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawProxy {
    url: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

/// The ways to the coordinator, as the agent uses them.
pub type ToCoordinator = Ways<QuicClient, TcpClient>;

/// A setting that is to blame, a sentence and a hint.
pub(crate) type Blame = (&'static str, String, String);

impl Reader<'_> {
    pub(super) fn coordinator(&mut self, value: &Value) -> Option<Coordinator> {
        let raw: RawCoordinator = self.section(value, "coordinator")?;
        let mut sound = self.host_and_port("coordinator.address", &raw.address, 4433);
        if let Some(tcp) = &raw.tcp {
            sound &= self.host_and_port("coordinator.tcp", tcp, 443);
        }
        if raw.transport == Transport::Tcp && raw.tcp.is_none() {
            let hint =
                "add tcp = \"HOST:443\", where the network's coordinator listens for TCP, or leave transport out";
            self.problem("coordinator.transport", "there is no address for TCP", hint);
            sound = false;
        }
        let proxy = if raw.proxy.is_null() { None } else { Some(self.proxy(&raw)?) };
        let name = raw.name.unwrap_or_else(|| NAME.to_owned());
        let quic_again_secs = raw.quic_again_secs.unwrap_or(WAY_BACK_SECS);
        if !QUIC_AGAIN_SECS.contains(&quic_again_secs) {
            let message = format!("{quic_again_secs} is not from 1 to {} seconds", QUIC_AGAIN_SECS.end());
            self.problem("coordinator.quic_again_secs", message, "300 is usual; transport = \"tcp\" never tries QUIC");
            sound = false;
        }
        let (address, tcp, transport) = (raw.address, raw.tcp, raw.transport);
        sound.then_some(Coordinator { address, tcp, transport, quic_again_secs, proxy, name })
    }

    fn host_and_port(&mut self, key: &str, address: &str, usual: u16) -> bool {
        let sound = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
        // The address goes into an HTTP proxy's request as it is.
        let sound = sound && address.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound {
            let short = key.rsplit('.').next().unwrap_or(key);
            self.problem(key, "not HOST:PORT", format!("for example {short} = \"coordinator.example.org:{usual}\""));
        }
        sound
    }

    fn proxy(&mut self, coordinator: &RawCoordinator) -> Option<ProxySettings> {
        let raw: RawProxy = self.section(&coordinator.proxy, "coordinator.proxy")?;
        let base = self.base;
        let url = raw.url.parse::<ProxyUrl>().map_err(|rule| {
            self.problem("coordinator.proxy.url", rule, "for example url = \"http://proxy.hospital.example:3128\"");
        });
        let mut sound = true;
        let mut wrong = |key: &str, message: &str, hint: &str| {
            self.problem(format!("coordinator.proxy{key}"), message, hint);
            sound = false;
        };
        if coordinator.tcp.is_none() || coordinator.transport == Transport::Quic {
            wrong(
                "",
                "a proxy leads to a TCP address only",
                "add coordinator.tcp = \"HOST:443\", and leave transport = \"quic\" out",
            );
        }
        let login = match (raw.user, raw.password_file) {
            (Some(user), Some(file)) if !user.contains(':') && !user.chars().any(char::is_control) => {
                Some((user, base.join(file)))
            }
            (None, None) => None,
            (Some(_), Some(_)) => {
                wrong(".user", "has a colon or a control character", "a proxy's user name has neither");
                None
            }
            _ => {
                wrong(
                    "",
                    "user and password_file go together",
                    "give both, or neither where the proxy asks nobody who they are",
                );
                None
            }
        };
        let secure = url.as_ref().is_ok_and(|url| url.secure);
        if secure && raw.ca_file.is_none() {
            let hint = "its authorities as PEM; for a public one the system's bundle, such as /etc/ssl/certs/ca-certificates.crt";
            wrong(".ca_file", "an https proxy is verified by this file, and it is missing", hint);
        }
        let ca_file = raw.ca_file.map(|file| base.join(file));
        let url = url.ok()?;
        sound.then_some(ProxySettings { url, login, ca_file })
    }
}

impl Coordinator {
    /// The ways there, each connection as whoever one is then. Reads the proxy's files.
    ///
    /// # Errors
    /// The key that is to blame, a sentence and a hint.
    pub fn ways(&self, identities: &Identities, clock: &Arc<dyn Clock>) -> Result<ToCoordinator, Blame> {
        let unusable = |error: bocage_net::identity::CertificateError| {
            ("tls", error.to_string(), "ask the network's coordinator for this site's folder again".to_owned())
        };
        let quic = || {
            QuicClient::new(self.address.clone(), self.name.clone(), identities, Arc::clone(clock)).map_err(unusable)
        };
        let Some(address) = self.tcp.clone().filter(|_| self.transport != Transport::Quic) else {
            return Ok(Ways::First(quic()?));
        };
        let proxy = self.proxy.as_ref().map(|proxy| proxy.read(clock)).transpose()?;
        let route = Route { address, proxy };
        let tcp = TcpClient::new(route, self.name.clone(), identities, Arc::clone(clock)).map_err(unusable)?;
        Ok(match self.transport {
            Transport::Tcp => Ways::Second(tcp),
            Transport::Auto | Transport::Quic => Ways::Both(Both::new(quic()?, tcp, Arc::clone(clock))),
        })
    }

    /// The port that the agent dials over TCP, if it does.
    pub fn tcp_port(&self) -> Option<u16> {
        let own = self.tcp.as_ref().filter(|_| self.transport != Transport::Quic)?;
        match &self.proxy {
            Some(proxy) => Some(proxy.url.port),
            None => own.rsplit_once(':')?.1.parse().ok(),
        }
    }

    /// Files that the agent reads for it: the first is a secret.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let proxy = self.proxy.iter();
        let bundles = self.proxy.iter().filter_map(|proxy| proxy.ca_file.as_deref());
        proxy.filter_map(|proxy| Some(proxy.login.as_ref()?.1.as_path())).chain(bundles)
    }

    /// The file with the proxy's password.
    pub fn password_file(&self) -> Option<&Path> {
        Some(&self.proxy.as_ref()?.login.as_ref()?.1)
    }

    /// The ways in a line for people.
    pub fn in_words(&self) -> String {
        let quic = format!("{} (QUIC)", self.address);
        let through =
            self.proxy.as_ref().map_or(String::new(), |proxy| format!(" through the proxy {}", proxy.url.host));
        match (&self.tcp, self.transport) {
            (Some(tcp), Transport::Auto) => format!("{quic}, else {tcp} (TCP){through}"),
            (Some(tcp), Transport::Tcp) => format!("{tcp} (TCP){through}"),
            _ => quic,
        }
    }
}

impl ProxySettings {
    /// The proxy, with what its files say.
    ///
    /// # Errors
    /// The key that is to blame, a sentence and a hint.
    pub fn read(&self, clock: &Arc<dyn Clock>) -> Result<Proxy, Blame> {
        const PASSWORD: &str = "coordinator.proxy.password_file";
        const CA: &str = "coordinator.proxy.ca_file";
        let login = match &self.login {
            None => None,
            Some((user, file)) => {
                let text = read_secret_text(file, SECRET_FILE_BYTES).map_err(|error| {
                    let (message, hint) = secret_problem(error);
                    (PASSWORD, message, hint)
                })?;
                let password = text.strip_suffix('\n').unwrap_or(&text);
                let password = password.strip_suffix('\r').unwrap_or(password);
                Some(Credentials::new(user.as_str(), password.to_owned().into()))
            }
        };
        let bundle = match &self.ca_file {
            None => None,
            Some(file) => {
                let unread = |message: String| {
                    (
                        CA,
                        format!("{}: {message}", file.display()),
                        "relative paths are relative to node.toml".to_owned(),
                    )
                };
                let length =
                    std::fs::metadata(file).map_err(|error| unread(format!("cannot be read: {}", error.kind())))?.len();
                if length > CA_BUNDLE_BYTES as u64 {
                    return Err(unread(format!("larger than {CA_BUNDLE_BYTES} bytes")));
                }
                Some(
                    std::fs::read_to_string(file)
                        .map_err(|error| unread(format!("cannot be read: {}", error.kind())))?,
                )
            }
        };
        Proxy::new(&self.url, login.as_ref(), bundle.as_deref(), Arc::clone(clock)).map_err(|error| {
            (CA, error.to_string(), "certificates of authorities in PEM form, one behind the other".to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bocage_net::env::SystemClock;
    use bocage_net::secret::write_secret;

    use super::*;
    use crate::config::Config;
    use crate::fixture::Site;

    fn with(section: &str) -> (Site, Result<Config, bocage_protocol::settings::Problems>) {
        let site = Site::new();
        site.edit_config("address = \"127.0.0.1:4433\"", &format!("address = \"127.0.0.1:4433\"\n{section}"));
        let config = Config::load(&site.origin());
        (site, config)
    }

    #[test]
    fn without_a_word_about_it_the_way_is_quic_alone() {
        let (_site, config) = with("");
        let coordinator = config.unwrap().coordinator;
        assert_eq!((coordinator.tcp_port(), coordinator.files().count()), (None, 0));
        assert_eq!(coordinator.in_words(), "127.0.0.1:4433 (QUIC)");
    }

    #[test]
    fn a_proxy_with_a_password_and_a_bundle_is_read_from_its_files() {
        let (site, config) = with(
            "tcp = \"c.example.org:443\"\n[coordinator.proxy]\nurl = \"https://proxy.example.org:8443\"\nuser = \"ada\"\n\
             password_file = \"proxy.password\"\nca_file = \"ca.pem\"",
        );
        let coordinator = config.unwrap().coordinator;
        assert_eq!(coordinator.tcp_port(), Some(8443), "the proxy's, not the coordinator's");
        assert_eq!(
            coordinator.in_words(),
            "127.0.0.1:4433 (QUIC), else c.example.org:443 (TCP) through the proxy proxy.example.org"
        );
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let proxy = coordinator.proxy.as_ref().unwrap();
        let (key, message, _) = proxy.read(&clock).unwrap_err();
        assert_eq!(key, "coordinator.proxy.password_file", "{message}");
        write_secret(&site.path("proxy.password"), b"open sesame\n").unwrap();
        assert_eq!(proxy.read(&clock).unwrap().address(), "proxy.example.org:8443");
        fs::write(site.path("ca.pem"), "nothing").unwrap();
        assert_eq!(proxy.read(&clock).unwrap_err().0, "coordinator.proxy.ca_file");
    }

    #[test]
    fn every_contradiction_is_named_with_its_remedy() {
        let proxy = "[coordinator.proxy]\nurl = \"http://p:1\"\n";
        for (section, key) in [
            ("tcp = \"nowhere\"", "coordinator.tcp: not HOST:PORT"),
            ("tcp = \"a b:443\"", "coordinator.tcp: not HOST:PORT"),
            ("transport = \"tcp\"", "coordinator.transport: there is no address for TCP"),
            ("transport = \"udp\"", "coordinator.transport: "),
            ("quic_again_secs = 0", "coordinator.quic_again_secs: 0 is not from 1 to 86400 seconds"),
            (proxy, "coordinator.proxy: a proxy leads to a TCP address only"),
            (&format!("tcp = \"c:443\"\ntransport = \"quic\"\n{proxy}"), "coordinator.proxy: a proxy leads"),
            (&format!("tcp = \"c:443\"\n{proxy}user = \"a\""), "coordinator.proxy: user and password_file go together"),
            (
                &format!("tcp = \"c:443\"\n{proxy}user = \"a:b\"\npassword_file = \"p\""),
                "coordinator.proxy.user: has a colon",
            ),
            (
                "tcp = \"c:443\"\n[coordinator.proxy]\nurl = \"https://p:1\"",
                "coordinator.proxy.ca_file: an https proxy",
            ),
            (
                "tcp = \"c:443\"\n[coordinator.proxy]\nurl = \"http://u:p@p:1\"",
                "coordinator.proxy.url: user and password stand",
            ),
            (
                "tcp = \"c:443\"\n[coordinator.proxy]\nurl = \"http://p:1\"\npasword_file = \"x\"",
                "did you mean `password_file`?",
            ),
        ] {
            let text = with(section).1.unwrap_err().to_string();
            assert!(text.contains(key), "{section}: {text}");
        }
    }
}

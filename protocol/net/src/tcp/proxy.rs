//! An HTTP proxy on the way (RFC 9110, 9.3.6: CONNECT). It is asked for a tunnel and learns host and port; what goes through the tunnel is TLS
//! between node and coordinator, which it cannot read.

use std::fmt;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use bocage_protocol::env::Clock;
use bocage_protocol::limits::{PROXY_ANSWER_BYTES, PROXY_ANSWER_HEADERS};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::route::{Pipe, connect};
use crate::identity::{self, CertificateError};
use crate::tls;
use crate::transport::{ConnectError, printable};

/// Why a proxy let nothing through.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy itself was not reached.
    #[error("the proxy is not reached: {0}")]
    Unreachable(#[source] Box<ConnectError>),
    /// TLS with the proxy itself failed.
    #[error("TLS with the proxy failed: {reason} (ca_file must have the authority of its certificate)")]
    Tls {
        /// What was wrong.
        reason: String,
    },
    /// 407, and nothing was offered.
    #[error("the proxy asks who we are (407): set user and password_file in [coordinator.proxy]; it takes {schemes}")]
    AuthenticationRequired {
        /// The ways that it offers.
        schemes: String,
    },
    /// 407 in spite of user and password.
    #[error("the proxy does not take this user and password (407); it takes {schemes}")]
    AuthenticationRefused {
        /// The ways that it offers.
        schemes: String,
    },
    /// 403.
    #[error(
        "the proxy does not let us through to {address} (403): ask its administrators to allow CONNECT to that host and port"
    )]
    Forbidden {
        /// Where to.
        address: String,
    },
    /// Any other answer that is no tunnel.
    #[error("the proxy made no tunnel to {address}: it answered {status} {reason}")]
    Refused {
        /// Where to.
        address: String,
        /// The number.
        status: u16,
        /// What the proxy said of it.
        reason: String,
    },
    /// Its answer is not HTTP.
    #[error("the proxy's answer is not HTTP (is this the address of an HTTP proxy?)")]
    NotHttp,
    /// Its answer has no end.
    #[error("the proxy's answer is longer than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// It hung up.
    #[error("the proxy hung up before it answered: {0}")]
    Ended(#[from] io::Error),
}

/// Who we are to a proxy.
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A user and a password, which go to the proxy as they are (base64): over `http://` everybody on the way to it can read them.
    pub fn new(user: impl Into<String>, password: Zeroizing<String>) -> Self {
        Self { user: user.into(), password }
    }

    fn basic(&self) -> Zeroizing<String> {
        let both = Zeroizing::new(format!("{}:{}", self.user, *self.password));
        Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(both.as_bytes()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// An HTTP proxy.
#[derive(Clone)]
pub struct Proxy {
    /// `HOST:PORT`.
    address: String,
    host: String,
    /// For `https://`.
    tls: Option<Arc<ClientConfig>>,
    basic: Option<Arc<Zeroizing<String>>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tls, credentials) = (self.tls.is_some(), self.basic.is_some());
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("tls", &tls)
            .field("credentials", &credentials)
            .finish()
    }
}

/// The parts of a proxy's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Whether the way to the proxy itself is TLS.
    pub secure: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::str::FromStr for ProxyUrl {
    type Err = &'static str;

    /// `http://HOST:PORT` or `https://HOST:PORT`, with nothing behind it but perhaps a slash.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "not http://HOST:PORT or https://HOST:PORT";
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(FORM),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("user and password stand in keys of their own, not in the address");
        }
        let (host, port) = rest.rsplit_once(':').ok_or(FORM)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || (bare.is_some() && c == ':');
        let port: u16 = port.parse().map_err(|_| FORM)?;
        if host.is_empty() || port == 0 || !host.chars().all(plain) {
            return Err(FORM);
        }
        Ok(Self { secure, host: host.to_owned(), port })
    }
}

impl Proxy {
    /// A proxy at `url`. One with TLS is verified against `ca_pem`, and must have that.
    ///
    /// # Errors
    /// Where `ca_pem` holds no certificates, or is missing.
    pub fn new(
        url: &ProxyUrl,
        credentials: Option<&Credentials>,
        ca_pem: Option<&str>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificateError> {
        let tls = match url.secure {
            true => {
                let trusted = identity::bundle(ca_pem.unwrap_or_default())?;
                Some(Arc::new(tls::proxy_client(&trusted, clock)?))
            }
            false => None,
        };
        let host = &url.host;
        let address =
            if host.contains(':') { format!("[{host}]:{}", url.port) } else { format!("{host}:{}", url.port) };
        let basic = credentials.map(|credentials| Arc::new(credentials.basic()));
        Ok(Self { address, host: host.clone(), tls, basic })
    }

    /// `HOST:PORT` of the proxy.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A tunnel to `address`. Who calls it sets a time limit.
    pub(super) async fn tunnel(&self, address: &str) -> Result<Pipe, ProxyError> {
        let stream = connect(&self.address).await.map_err(|error| ProxyError::Unreachable(Box::new(error)))?;
        let mut pipe: Pipe = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let wrong = |reason: &dyn fmt::Display| ProxyError::Tls { reason: reason.to_string() };
                let name = ServerName::try_from(self.host.clone()).map_err(|error| wrong(&error))?;
                let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
                Box::new(connecting.await.map_err(|error| wrong(&in_words(&error)))?)
            }
        };
        pipe.write_all(self.request(address).as_bytes()).await?;
        pipe.flush().await?;
        let answer = read_answer(&mut pipe).await?;
        self.judge(&answer, address)?;
        Ok(pipe)
    }

    fn request(&self, address: &str) -> Zeroizing<String> {
        let mut request = Zeroizing::new(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"));
        if let Some(basic) = &self.basic {
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(basic);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request
    }

    fn judge(&self, answer: &[u8], address: &str) -> Result<(), ProxyError> {
        let mut headers = [httparse::EMPTY_HEADER; PROXY_ANSWER_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let complete = response.parse(answer).is_ok_and(|status| status.is_complete());
        let (true, Some(status)) = (complete, response.code) else { return Err(ProxyError::NotHttp) };
        let address = address.to_owned();
        let offered = || {
            let named = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("proxy-authenticate"));
            let schemes: Vec<_> =
                named.filter_map(|header| printable(header.value).split(' ').next().map(str::to_owned)).collect();
            if schemes.is_empty() { "nothing that it names".to_owned() } else { schemes.join(", ") }
        };
        match status {
            200..=299 => Ok(()),
            407 if self.basic.is_some() => Err(ProxyError::AuthenticationRefused { schemes: offered() }),
            407 => Err(ProxyError::AuthenticationRequired { schemes: offered() }),
            403 => Err(ProxyError::Forbidden { address }),
            _ => {
                let reason = printable(response.reason.unwrap_or_default().as_bytes());
                Err(ProxyError::Refused { address, status, reason })
            }
        }
    }
}

fn in_words(error: &io::Error) -> String {
    match tls::stream_error(error) {
        ConnectError::Intercepted { issuer } => format!("its certificate is issued by `{issuer}`"),
        ConnectError::PeerCertificate(fault) => format!("its certificate is refused: {fault}"),
        other => other.to_string(),
    }
}

/// The head of an answer, up to the empty line. Byte by byte at its end, since what follows is the tunnel's.
async fn read_answer<R: AsyncRead + Unpin>(pipe: &mut R) -> Result<Vec<u8>, ProxyError> {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == PROXY_ANSWER_BYTES {
            return Err(ProxyError::TooLong { limit: PROXY_ANSWER_BYTES });
        }
        answer.push(pipe.read_u8().await?);
        // A server of another kind says so at once; there is no use in waiting for its end.
        if !b"HTTP/1.".starts_with(&answer[..answer.len().min(7)]) {
            return Err(ProxyError::NotHttp);
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;

//! One server, asked again and again: every request goes through [`Session::ask`], which holds the rules on tokens, redirects, waiting and trying again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bocage_protocol::env::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::base::Base;
use crate::body::{Body, Broken};
use crate::error::BulkError;
use crate::server::Server;
use crate::token::Access;
use crate::wait::{back_off, retry_after};
use crate::world::{Event, World};

/// Redirects that are followed on the server itself.
const REDIRECTS: usize = 5;
/// The longest certificate file.
const CA_BYTES: u64 = 4 << 20;

/// One request.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// The body of a form.
    pub(crate) form: Option<String>,
    /// Whether it bears the access token. Nothing that goes to another server may.
    pub(crate) with_token: bool,
    /// Who is asked for what, in an error.
    pub(crate) place: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) fn get(url: Url, place: &'a str) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), form: None, with_token: true, place }
    }
}

/// An answer with its body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

/// A server, and what is needed to ask it.
pub(crate) struct Session<'a> {
    http: reqwest::Client,
    pub(crate) base: Base,
    pub(crate) access: Option<Access>,
    pub(crate) world: World<'a>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(server: &Server, world: World<'a>) -> Result<Self, BulkError> {
        let access = server.client.as_ref().map(|client| Access::new(client, &server.types)).transpose()?;
        let http = client(&server.base, server.ca_file.as_deref(), world.bounds.patience)?;
        Ok(Self { http, base: server.base.clone(), access, world })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.timer.now()
    }

    /// Asks until there is an answer to go by: 429, 5xx and broken connections are tried again after a while, and a token that is not accepted is
    /// fetched anew, once. Any other status is the caller's.
    pub(crate) async fn ask(&mut self, request: &Request<'_>) -> Result<Response, BulkError> {
        let mut again = 0;
        let mut renewed = false;
        loop {
            let mut headers = request.headers.clone();
            if request.with_token && self.base.owns(&request.url) && self.access.is_some() {
                headers.insert(AUTHORIZATION, Box::pin(self.token()).await?);
            }
            let answer = self.once(request, headers).await;
            again += 1;
            let last = again >= self.world.bounds.tries;
            let wait_ms = match answer {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && request.with_token => {
                    let had_token = self.forget_token();
                    if renewed || !had_token {
                        let what = if had_token { "a fresh access token" } else { "a request without a token" };
                        return Err(BulkError::Unauthorised { place: request.place.to_owned(), what });
                    }
                    renewed = true;
                    continue;
                }
                Ok(answer) if answer.status().is_redirection() => {
                    return Err(BulkError::Redirected { place: request.place.to_owned() });
                }
                Ok(answer) if worth_a_wait(answer.status()) && !last => match retry_after(answer.headers(), self.now())
                {
                    Some(secs) => self.bearable(secs, request.place)?.saturating_mul(1000),
                    None => back_off(again, self.world.entropy),
                },
                Ok(answer) => return Ok(answer),
                Err(NoAnswer { lasts: false, .. }) if !last => back_off(again, self.world.entropy),
                Err(NoAnswer { why, .. }) => {
                    return Err(BulkError::Unreachable { place: request.place.to_owned(), why });
                }
            };
            self.pause(wait_ms, request.place).await;
        }
    }

    /// Waits before something is tried again.
    pub(crate) async fn pause(&mut self, ms: u64, place: &str) {
        (self.world.told)(Event::Again { place, secs: ms.div_ceil(1000) });
        self.world.timer.wait(Duration::from_millis(ms)).await;
    }

    pub(crate) fn bearable(&self, secs: i64, place: &str) -> Result<u64, BulkError> {
        let limit_secs = self.world.bounds.ready_secs;
        match u64::try_from(secs) {
            Ok(wait) if secs <= limit_secs => Ok(wait),
            _ => Err(BulkError::Busy { place: place.to_owned(), secs, limit_secs }),
        }
    }

    /// [`Session::ask`] for an answer of at most `limit` bytes, with its body; one that breaks off is asked for again.
    pub(crate) async fn ask_whole(&mut self, request: &Request<'_>, limit: usize) -> Result<Answer, BulkError> {
        let mut times = 0;
        loop {
            times += 1;
            let answer = self.ask(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            match self.read(answer, limit, request.place).await? {
                Ok(bytes) => return Ok(Answer { status, headers, bytes }),
                Err(_) if times < self.world.bounds.tries => {
                    let wait_ms = back_off(times, self.world.entropy);
                    self.pause(wait_ms, request.place).await;
                }
                Err(broken) => return Err(self.gave_up(broken, request.place, times)),
            }
        }
    }

    pub(crate) fn gave_up(&self, broken: Broken, place: &str, times: u32) -> BulkError {
        let how = match broken {
            Broken::Cut => "the connection was cut".to_owned(),
            Broken::Slow => format!("64 KiB took longer than {} s", self.world.bounds.block_patience.as_secs_f32()),
        };
        BulkError::Cut { place: place.to_owned(), times, how }
    }

    /// A body of at most `limit` bytes, or how it broke off.
    pub(crate) async fn read(
        &self,
        answer: Response,
        limit: usize,
        place: &str,
    ) -> Result<Result<Vec<u8>, Broken>, BulkError> {
        let mut body = Body::new(answer, self.world.bounds.block_patience);
        let mut bytes = Vec::new();
        loop {
            match body.next().await {
                Ok(Some(more)) if bytes.len() + more.len() <= limit => bytes.extend_from_slice(&more),
                Ok(Some(_)) => {
                    return Err(BulkError::TooLarge { place: place.to_owned(), limit_bytes: limit as u64 });
                }
                Ok(None) => return Ok(Ok(bytes)),
                Err(broken) => return Ok(Err(broken)),
            }
        }
    }

    async fn once(&self, request: &Request<'_>, headers: HeaderMap) -> Result<Response, NoAnswer> {
        let mut builder = self.http.request(request.method.clone(), request.url.clone()).headers(headers);
        if let Some(form) = &request.form {
            builder = builder.body(form.clone());
        }
        let patience = self.world.bounds.patience;
        match tokio::time::timeout(patience, builder.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err(NoAnswer { why: format!("it was silent for {} s", patience.as_secs_f32()), lasts: false }),
        }
    }
}

/// The header's value for a token, which no log shows.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn worth_a_wait(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Why there was no answer.
struct NoAnswer {
    why: String,
    /// Whether it will be the same in a minute.
    lasts: bool,
}

/// What went wrong below HTTP. The addresses in such errors hold what only the server may know, so of the chain only the last cause is told, and only
/// where it is about connecting. A certificate that nobody vouches for is no passing thing.
fn reason(error: &reqwest::Error) -> NoAnswer {
    if !error.is_connect() {
        return NoAnswer { why: "the connection was cut before there was an answer".to_owned(), lasts: false };
    }
    let mut cause: &dyn std::error::Error = error;
    let mut lasts = false;
    while let Some(next) = cause.source() {
        cause = next;
        // An I/O error passes over what it wraps when it is asked for its source.
        while let Some(wrapped) = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
            cause = wrapped;
        }
        lasts |= matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)));
    }
    NoAnswer { why: cause.to_string(), lasts }
}

fn client(base: &Base, ca_file: Option<&Path>, patience: Duration) -> Result<reqwest::Client, BulkError> {
    let setup = |error: &dyn std::fmt::Display| BulkError::Setup(error.to_string());
    let roots = match ca_file {
        Some(file) => of_file(file)?,
        None => of_machine(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| setup(&error))?.with_root_certificates(roots).with_no_client_auth();
    let origin = base.clone();
    let same_server = redirect::Policy::custom(move |attempt| {
        // A file may lie on another server; that one may not send us on at all.
        let stays = origin.owns(attempt.url()) && attempt.previous().iter().all(|url| origin.owns(url));
        if stays && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
    });
    reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .redirect(same_server)
        .connect_timeout(patience)
        .http1_only()
        .no_proxy()
        // Bytes are kept as they come: what a resumed file's offset counts.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .referer(false)
        .user_agent(concat!("bocage/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| setup(&error))
}

/// The certificates of a file.
pub(crate) fn of_file(path: &Path) -> Result<RootCertStore, BulkError> {
    let wrong = |what: String| BulkError::Ca { path: path.to_owned(), what };
    let length = std::fs::metadata(path).map_err(|error| wrong(error.kind().to_string()))?.len();
    if length > CA_BYTES {
        return Err(wrong(format!("larger than {CA_BYTES} bytes")));
    }
    let pem = std::fs::read(path).map_err(|error| wrong(error.kind().to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err(wrong("no certificate is in it".to_owned())) } else { Ok(roots) }
}

fn of_machine() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

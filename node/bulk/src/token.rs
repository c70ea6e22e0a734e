//! SMART backend services: an access token for an assertion that the client's key signed. Kept until shortly before its end; never written down.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bocage_protocol::env::Timestamp;
use bocage_protocol::limits::BULK_ANSWER_BYTES;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use crate::error::BulkError;
use crate::key::SigningKey;
use crate::server::{Client, ResourceType};
use crate::session::{Answer, Request, Session, bearer};

/// An assertion's life; the standard allows five minutes, and clocks differ.
const ASSERTION_SECS: i64 = 240;
/// A token's life where its server does not say: short, since a token that is no longer accepted is fetched anew anyway.
const UNSAID_SECS: i64 = 60;
/// So long before its end a token is fetched anew …
const MARGIN_SECS: i64 = 30;
/// The error codes of RFC 6749 and of its extensions for client assertions: a server's own texts may hold anything.
const CODES: &[&str] = &[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
];

/// A registered client, and the token that it has.
pub(crate) struct Access {
    client: Client,
    key: SigningKey,
    types: Vec<ResourceType>,
    /// Where tokens are, and which form of scopes the server knows.
    found: Option<(Url, &'static str)>,
    token: Option<(HeaderValue, Timestamp)>,
}

#[derive(Deserialize)]
struct Discovered {
    token_endpoint: String,
    #[serde(default)]
    capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    token_type: String,
    expires_in: Option<i64>,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

impl Access {
    pub(crate) fn new(client: &Client, types: &[ResourceType]) -> Result<Self, BulkError> {
        let key = SigningKey::read(&client.key_file, client.key_id.as_deref())?;
        Ok(Self { client: client.clone(), key, types: types.to_vec(), found: None, token: None })
    }

    fn scope(&self, read: &str) -> String {
        match &self.client.scope {
            Some(scope) => scope.clone(),
            None if self.types.is_empty() => format!("system/*.{read}"),
            None => self.types.iter().map(|kind| format!("system/{kind}.{read}")).collect::<Vec<_>>().join(" "),
        }
    }
}

impl Session<'_> {
    /// The value of the `Authorization` header: of a token that lives on for a while.
    pub(crate) async fn token(&mut self) -> Result<HeaderValue, BulkError> {
        let now = self.now();
        if let Some((token, until)) = self.access.as_ref().and_then(|access| access.token.as_ref())
            && now < *until
        {
            return Ok(token.clone());
        }
        let (endpoint, read) = self.token_endpoint().await?;
        let place = format!("the token server {}", endpoint.host_str().unwrap_or_default());
        let form = self.grant(&endpoint, read)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let request = Request {
            method: Method::POST,
            url: endpoint,
            headers,
            form: Some(form),
            with_token: false,
            place: &place,
        };
        let Answer { status, bytes, .. } = self.ask_whole(&request, BULK_ANSWER_BYTES).await?;
        if !status.is_success() {
            return Err(BulkError::Refused { place, why: denial(status, &bytes) });
        }
        let granted: Granted = serde_json::from_slice(&bytes)
            .map_err(|_| BulkError::malformed(&place, "its answer holds no access token"))?;
        let bearing = granted.token_type.eq_ignore_ascii_case("bearer");
        let token = bearer(&granted.access_token).filter(|_| bearing);
        let token = token.ok_or_else(|| BulkError::malformed(&place, "its answer holds no bearer token"))?;
        let life = granted.expires_in.unwrap_or(UNSAID_SECS).max(0);
        let until = self.now().plus_secs(life - MARGIN_SECS.min(life / 2));
        if let Some(access) = &mut self.access {
            access.token = Some((token.clone(), until));
        }
        Ok(token)
    }

    /// Drops the token; whether there was one.
    pub(crate) fn forget_token(&mut self) -> bool {
        self.access.as_mut().is_some_and(|access| access.token.take().is_some())
    }

    async fn token_endpoint(&mut self) -> Result<(Url, &'static str), BulkError> {
        if let Some(found) = self.access.as_ref().and_then(|access| access.found.clone()) {
            return Ok(found);
        }
        let place = format!("{}/.well-known/smart-configuration", self.base);
        let mut request = Request::get(self.base.below(".well-known/smart-configuration"), &place);
        request.with_token = false;
        request.headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
        let Answer { status, bytes, .. } = self.ask_whole(&request, BULK_ANSWER_BYTES).await?;
        if status != StatusCode::OK {
            return Err(BulkError::Status { place, status: status.as_u16(), codes: String::new() });
        }
        let found: Discovered = serde_json::from_slice(&bytes)
            .map_err(|_| BulkError::malformed(&place, "it does not say where tokens are (token_endpoint)"))?;
        let endpoint = Url::parse(&found.token_endpoint).ok().filter(|url| self.base.allows(url));
        let endpoint =
            endpoint.ok_or_else(|| BulkError::malformed(&place, "its token_endpoint is not an https:// address"))?;
        let knows = |version: &str| found.capabilities.iter().any(|capability| capability == version);
        let read = if knows("permission-v2") && !knows("permission-v1") { "rs" } else { "read" };
        if let Some(access) = &mut self.access {
            access.found = Some((endpoint.clone(), read));
        }
        Ok((endpoint, read))
    }

    /// The form that asks for a token.
    fn grant(&mut self, endpoint: &Url, read: &str) -> Result<String, BulkError> {
        let now = self.now();
        let mut nonce = [0; 24];
        self.world.entropy.fill(&mut nonce);
        let Some(access) = &self.access else { return Ok(String::new()) };
        let id = access.client.id.as_str();
        let claims = json!({
            "iss": id, "sub": id, "aud": endpoint.as_str(), "jti": BASE64.encode(nonce),
            "iat": now.0 / 1000, "exp": now.plus_secs(ASSERTION_SECS).0 / 1000,
        });
        let assertion = access.key.sign(&claims)?;
        // A URL's query has the form of a form.
        let mut form = endpoint.clone();
        form.query_pairs_mut()
            .clear()
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", &access.scope(read))
            .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            .append_pair("client_assertion", &assertion);
        Ok(form.query().unwrap_or_default().to_owned())
    }
}

fn denial(status: StatusCode, bytes: &[u8]) -> String {
    let said = serde_json::from_slice::<Denied>(bytes).ok();
    let code = said.and_then(|denied| CODES.iter().find(|code| **code == denied.error));
    match code {
        Some(code) => format!("{code} (status {})", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    }
}

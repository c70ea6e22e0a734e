//! The coordinator's HTTP interface as blocking calls. It follows no redirect: the token goes to the configured address alone.

use std::time::Duration;

use bocage_net::https;
use bocage_protocol::contract::{self, Contract};
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::{ErrorCode, PublicError};
use bocage_protocol::ids::{ContractId, SiteId, StudyId};
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{Invitation, KeptCheckpoints, SignedPublication, SignedRevocations, SignedStudy};
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, RequestBuilder};

use super::ClientError;
use super::profile::Profile;
use crate::api::types::{
    DatasetList, InvitationList, InvitationWanted, NetworkInfo, ProblemJson, Revocation, RevocationsInfo,
    RevocationsList, RevokedInfo, RevokedList, SiteList, StudyList, StudyResult, StudyStatus, Withdrawn,
};
use crate::report::plain;

/// How long a plain call may take.
const CALL: Duration = Duration::from_secs(30);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// A coordinator, as one profile reaches it. It has no `Debug`: it holds the token.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    authorization: String,
}

impl Api {
    /// Reads the profile's token. Nothing is sent yet.
    ///
    /// # Errors
    /// The token file, or the file of authorities, cannot be used.
    pub fn new(profile: &Profile) -> Result<Self, ClientError> {
        let token = profile.token()?;
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(https::provider())
            .root_certs(roots(profile)?)
            .build();
        let proxy = if profile.is_loopback() { None } else { ureq::Proxy::try_from_env() };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("bocage/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .https_only(profile.coordinator.starts_with("https://"))
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { agent, base: profile.coordinator.clone(), authorization: format!("Bearer {}", token.trim()) })
    }

    /// The coordinator's address.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// The coordinator's clock, to a second, where its answer says it.
    pub fn clock(&self) -> Option<Timestamp> {
        let response = self.send_get("/v1/network", CALL).ok()?;
        let date = response.headers().get("date")?.to_str().ok()?;
        let since = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok().map(Timestamp)
    }

    /// The network and its floor of sites.
    pub fn network(&self) -> Result<NetworkInfo, ClientError> {
        self.get("/v1/network", CALL)
    }

    /// The roster.
    pub fn sites(&self) -> Result<SiteList, ClientError> {
        self.get("/v1/sites", CALL)
    }

    /// What is known of a site's ledger.
    pub fn checkpoints(&self, site: &SiteId) -> Result<KeptCheckpoints, ClientError> {
        self.get(&format!("/v1/checkpoints/{site}"), CALL)
    }

    /// The contracts, and who offers data under them.
    pub fn datasets(&self) -> Result<DatasetList, ClientError> {
        self.get("/v1/datasets", CALL)
    }

    /// One contract, parsed.
    pub fn contract(&self, id: &ContractId) -> Result<Contract, ClientError> {
        Ok(contract::parse(&self.contract_text(id)?, &format!("{}/v1/contracts/{id}", self.base))?)
    }

    /// One contract, as its authors wrote it.
    pub fn contract_text(&self, id: &ContractId) -> Result<String, ClientError> {
        let bytes = self.read(self.send_get(&format!("/v1/contracts/{id}"), CALL)?, limits::CONTRACT_TEXT_BYTES)?;
        String::from_utf8(bytes).map_err(|_| self.answer("the contract is not UTF-8"))
    }

    /// All studies, latest first.
    pub fn studies(&self) -> Result<StudyList, ClientError> {
        self.get("/v1/studies", CALL)
    }

    /// Hands a signed study in. The same study twice is one study.
    pub fn submit(&self, study: &SignedStudy) -> Result<StudyStatus, ClientError> {
        self.post("/v1/studies", &serde_json::to_vec(study).unwrap_or_default())
    }

    /// The newest lists of revoked permits.
    pub fn revocations(&self) -> Result<RevocationsList, ClientError> {
        self.get("/v1/revocations", CALL)
    }

    /// Publishes a list of revoked permits. The same list twice is one list.
    pub fn publish(&self, list: &SignedRevocations) -> Result<RevocationsInfo, ClientError> {
        let path = "/v1/revocations";
        self.send(self.agent.put(format!("{}{path}", self.base)), list.to_text().as_bytes())
    }

    /// Invites a site. The answer holds the invitation's token, which the coordinator does not keep.
    pub fn invite(&self, wanted: &InvitationWanted) -> Result<Invitation, ClientError> {
        self.post("/v1/invitations", &serde_json::to_vec(wanted).unwrap_or_default())
    }

    /// What became of the invitations.
    pub fn invitations(&self) -> Result<InvitationList, ClientError> {
        self.get("/v1/invitations", CALL)
    }

    /// Takes the open invitation of a site back.
    pub fn uninvite(&self, site: &SiteId) -> Result<Withdrawn, ClientError> {
        let request = self.agent.delete(format!("{}/v1/invitations/{site}", self.base));
        let request = request.header("authorization", &self.authorization);
        let call = request.config().timeout_global(Some(CALL)).build().call();
        self.json(call.map_err(|e| self.unreachable(&e))?)
    }

    /// Takes a site's certificates back, or one.
    pub fn revoke(&self, site: &SiteId, wanted: &Revocation) -> Result<RevokedInfo, ClientError> {
        self.post(&format!("/v1/sites/{site}/revocation"), &serde_json::to_vec(wanted).unwrap_or_default())
    }

    /// Gives a site leave again.
    pub fn lift_revocation(&self, site: &SiteId, wanted: &Revocation) -> Result<Revocation, ClientError> {
        let body = serde_json::to_vec(wanted).unwrap_or_default();
        self.post(&format!("/v1/sites/{site}/revocation/lift"), &body)
    }

    /// What is revoked.
    pub fn revoked(&self) -> Result<RevokedList, ClientError> {
        self.get("/v1/revoked", CALL)
    }

    /// Where a study stands; waits up to `wait` until its version is no longer `seen`.
    pub fn status(&self, id: &StudyId, seen: Option<u64>, wait: Duration) -> Result<StudyStatus, ClientError> {
        let query = seen.map_or_else(String::new, |seen| format!("?seen={seen}&wait_secs={}", wait.as_secs()));
        self.get(&format!("/v1/studies/{id}{query}"), CALL + wait)
    }

    /// What a study published.
    pub fn result(&self, id: &StudyId) -> Result<StudyResult, ClientError> {
        self.get(&format!("/v1/studies/{id}/result"), CALL)
    }

    /// What a study published, byte for byte.
    pub fn result_text(&self, id: &StudyId) -> Result<String, ClientError> {
        let bytes =
            self.read(self.send_get(&format!("/v1/studies/{id}/result"), CALL)?, limits::HTTP_RESPONSE_BYTES)?;
        String::from_utf8(bytes).map_err(|_| self.answer("the result is not UTF-8"))
    }

    /// The coordinator's signature over what a study published. None of an older one, which does not sign.
    pub fn publication(&self, id: &StudyId) -> Result<Option<SignedPublication>, ClientError> {
        match self.get(&format!("/v1/studies/{id}/publication"), CALL) {
            Err(ClientError::Refused(error)) if error.code == ErrorCode::NotFound => Ok(None),
            said => said.map(Some),
        }
    }

    /// A study as its researcher signed it.
    pub fn signed_study(&self, id: &StudyId) -> Result<SignedStudy, ClientError> {
        self.get(&format!("/v1/studies/{id}/signed"), CALL)
    }

    /// Ends an open study without a result.
    pub fn cancel(&self, id: &StudyId) -> Result<StudyStatus, ClientError> {
        self.post(&format!("/v1/studies/{id}/cancel"), b"")
    }

    fn get<T: DeserializeOwned>(&self, path: &str, within: Duration) -> Result<T, ClientError> {
        self.json(self.send_get(path, within)?)
    }

    fn send_get(&self, path: &str, within: Duration) -> Result<Response<Body>, ClientError> {
        let request = self.agent.get(format!("{}{path}", self.base)).header("authorization", &self.authorization);
        request.config().timeout_global(Some(within)).build().call().map_err(|e| self.unreachable(&e))
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        self.send(self.agent.post(format!("{}{path}", self.base)), body)
    }

    fn send<T: DeserializeOwned>(&self, request: RequestBuilder<WithBody>, body: &[u8]) -> Result<T, ClientError> {
        let request = request.header("authorization", &self.authorization).header("content-type", "application/json");
        let response =
            request.config().timeout_global(Some(CALL)).build().send(body).map_err(|e| self.unreachable(&e))?;
        self.json(response)
    }

    fn json<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T, ClientError> {
        let bytes = self.read(response, limits::HTTP_RESPONSE_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|e| self.answer(&format!("unexpected JSON at column {}", e.column())))
    }

    /// The body of a good answer, or the problem that the coordinator reports.
    fn read(&self, mut response: Response<Body>, limit_bytes: usize) -> Result<Vec<u8>, ClientError> {
        let status = response.status();
        let bytes = response.body_mut().with_config().limit(limit_bytes as u64).read_to_vec();
        let bytes = bytes.map_err(|e| self.unreachable(&e))?;
        if status.is_success() {
            return Ok(bytes);
        }
        let problem: ProblemJson =
            serde_json::from_slice(&bytes).map_err(|_| self.answer(&format!("HTTP status {status}")))?;
        let hint = problem.hint.map(|hint| plain(&hint));
        Err(PublicError { code: problem.code, message: plain(&problem.detail), hint }.into())
    }

    fn unreachable(&self, error: &ureq::Error) -> ClientError {
        ClientError::Unreachable { url: self.base.clone(), reason: reason(error) }
    }

    fn answer(&self, reason: &str) -> ClientError {
        ClientError::Answer { url: self.base.clone(), reason: reason.to_owned() }
    }
}

/// Who may vouch for a coordinator.
fn roots(profile: &Profile) -> Result<RootCerts, ClientError> {
    let Some(path) = &profile.ca_file else {
        // Of an address without TLS nobody is asked.
        if !profile.coordinator.starts_with("https://") {
            return Ok(RootCerts::new_with_certs(&[]));
        }
        let known = rustls_native_certs::load_native_certs().certs;
        return Ok(RootCerts::from(known.iter().map(|der| Certificate::from_der(der).to_owned())));
    };
    let text = super::read_file(path, limits::SECRET_FILE_BYTES)?;
    let certificates: Vec<_> = parse_pem(text.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let problem = Problem::new(&path.display().to_string(), "", "not a certificate in PEM form");
        return Err(Problems::from(problem.hint("`ca_file` in the profile names the authority's certificate")).into());
    }
    Ok(RootCerts::from(certificates))
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(why)) => untrusted(why),
            Some(error) => format!("TLS: {error}"),
            None => e.kind().to_string(),
        },
        ureq::Error::Rustls(rustls::Error::InvalidCertificate(why)) => untrusted(why),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        other => other.to_string(),
    }
}

fn untrusted(why: &rustls::CertificateError) -> String {
    match why {
        rustls::CertificateError::UnknownIssuer => {
            "its certificate is of an authority that `ca_file` in the profile does not name".to_owned()
        }
        why => format!("its certificate is not one for this address: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::answering;
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_hint_and_the_token_is_shown_to_the_coordinator() {
        let body = r#"{"type":"urn:bocage:problem:conflict","title":"Conflict","status":409,"detail":"it has\u001b ended","code":"conflict","hint":"list"}"#;
        let (api, heard) = answering(vec![(409, body.to_owned())]);
        let Err(ClientError::Refused(error)) = api.studies() else { panic!("expected a refusal") };
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::Conflict, "it has  ended"));
        assert_eq!(error.hint.as_deref(), Some("list"));
        let head = heard.recv().unwrap();
        assert!(head.contains("GET /v1/studies HTTP/1.1"), "{head}");
        assert!(head.contains("Bearer 0123456789abcdef\r\n"), "{head}");
    }

    #[test]
    fn a_token_that_is_not_the_coordinators_is_a_matter_of_the_profile() {
        let body = r#"{"type":"urn:bocage:problem:unauthorised","title":"Unauthorised","status":401,"detail":"no token","code":"unauthorised","hint":"send a header"}"#;
        let (api, _heard) = answering(vec![(401, body.to_owned())]);
        let hint = api.studies().unwrap_err().hint().unwrap();
        assert!(hint.contains("`token_file` in the profile") && !hint.contains("header"), "{hint}");
    }

    #[test]
    fn an_answer_that_is_not_ours_is_told_from_silence_and_no_redirect_is_followed() {
        let (api, _heard) = answering(vec![(200, "<html>".into()), (302, String::new()), (500, "oops".into())]);
        for _ in 0..3 {
            assert!(matches!(api.sites(), Err(ClientError::Answer { .. })));
        }
        assert!(matches!(api.sites(), Err(ClientError::Unreachable { .. })));
    }
}

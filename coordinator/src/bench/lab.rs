//! A whole coordinator in this process: HTTP on loopback, nodes in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bocage_net::Listener as _;
use bocage_net::https::WebIdentity;
use bocage_net::memory::MemoryListener;
use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::SignedStudy;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::{Manner, SITES, TOKEN, TestClock, config, contracts};
use crate::api::types::{SiteReport, StudyState, StudyStatus};
use crate::config::{ApiTls, Config};
use crate::dispatch::Context;
use crate::server::{AtMoment, Patience, ServeError, Server, Switches};

/// A running coordinator with its nodes.
pub struct Lab {
    pub listener: Arc<MemoryListener>,
    pub context: Arc<Context>,
    base: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ServeError>>,
    nodes: JoinSet<()>,
}

impl Lab {
    /// Starts a coordinator on the state in `dir`.
    pub async fn start(dir: &Path, clock: Arc<TestClock>) -> Self {
        Self::start_with(dir, clock, Patience::default()).await
    }

    /// [`Lab::start`] with little patience for HTTP clients.
    pub async fn start_with(dir: &Path, clock: Arc<TestClock>, patience: Patience) -> Self {
        Self::start_of(&config(dir), clock, patience).await
    }

    /// Starts a coordinator of this configuration.
    pub async fn start_of(config: &Config, clock: Arc<TestClock>, patience: Patience) -> Self {
        Self::start_as(config, clock, patience, None).await
    }

    /// [`Lab::start_of`] and a certificate for HTTP clients.
    pub async fn start_as(
        config: &Config,
        clock: Arc<TestClock>,
        patience: Patience,
        tls: Option<(WebIdentity, ApiTls)>,
    ) -> Self {
        Self::begin(config, Switches { clock, patience, ..Switches::default() }, tls).await
    }

    /// [`Lab::start`], with what is done at each moment.
    pub async fn start_at(dir: &Path, clock: Arc<TestClock>, at: AtMoment) -> Self {
        Self::begin(&config(dir), Switches { clock, at: Some(at), ..Switches::default() }, None).await
    }

    /// [`Lab::start`], where nobody waits for sites to come back.
    pub async fn start_at_once(dir: &Path, clock: Arc<TestClock>) -> Self {
        Self::begin(&config(dir), Switches { clock, grace: Duration::ZERO, ..Switches::default() }, None).await
    }

    async fn begin(config: &Config, switches: Switches, tls: Option<(WebIdentity, ApiTls)>) -> Self {
        let listener = Arc::new(MemoryListener::new());
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", http.local_addr().unwrap());
        let server = Server::with(config, contracts(), switches).unwrap().with_api_tls(tls);
        let context = server.context();
        let (stop, stopped) = oneshot::channel();
        let nodes_door = Arc::clone(&listener);
        let server = tokio::spawn(async move { server.run(&*nodes_door, http, async { drop(stopped.await) }).await });
        Self { listener, context, base, stop, server, nodes: JoinSet::new() }
    }

    /// Where HTTP is served.
    pub fn http(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// Connects a node.
    pub fn node(&mut self, name: &'static str, manner: Manner) -> AbortHandle {
        self.nodes.spawn(super::node::node(Arc::clone(&self.listener), name, manner))
    }

    /// Connects every site's node.
    pub fn all_honest(&mut self) {
        for name in SITES {
            self.node(name, Manner::Honest);
        }
    }

    /// Stops the coordinator as SIGTERM would, and waits for its end.
    pub async fn stop(mut self) {
        let _ = self.stop.send(());
        self.server.await.unwrap().unwrap();
        self.listener.close();
        self.nodes.shutdown().await;
    }

    /// Status, content type and text of a request's answer.
    pub async fn request(
        &self,
        method: &'static str,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, String, String) {
        let url = format!("{}{path}", self.base);
        let authorization = token.map(|token| format!("Bearer {token}"));
        let call = move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(Duration::from_secs(30)))
                .proxy(None)
                .build()
                .into();
            let mut request = ureq::http::Request::builder().method(method).uri(url);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let mut response = agent.run(request.body(body).unwrap()).unwrap();
            let kind = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
            (response.status().as_u16(), kind, response.body_mut().read_to_string().unwrap())
        };
        tokio::task::spawn_blocking(call).await.unwrap()
    }

    /// The JSON at a path.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, text) = self.request("GET", path, Some(TOKEN), vec![]).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    /// The JSON that a post gives.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> (u16, Value) {
        let (status, _, text) = self.request("POST", path, Some(TOKEN), body).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Hands a study in.
    pub async fn submit(&self, study: &SignedStudy) -> (u16, Value) {
        self.post("/v1/studies", serde_json::to_vec(study).unwrap()).await
    }

    /// Waits, by long polls, until a study's status satisfies `wanted`.
    pub async fn until(&self, id: StudyId, wanted: impl Fn(&StudyStatus) -> bool) -> StudyStatus {
        let mut path = format!("/v1/studies/{id}");
        loop {
            let (code, value) = self.get(&path).await;
            assert_eq!(code, 200, "{value}");
            let status: StudyStatus = serde_json::from_value(value).unwrap();
            if wanted(&status) {
                return status;
            }
            path = format!("/v1/studies/{id}?wait_secs=20&seen={}", status.version);
        }
    }

    /// Waits until a study is published.
    pub async fn until_published(&self, id: StudyId) -> StudyStatus {
        self.until(id, |status| status.state == StudyState::Published).await
    }
}

/// How one site stands.
pub fn report<'a>(reports: &'a [SiteReport], name: &str) -> &'a SiteReport {
    reports.iter().find(|report| report.id.as_str() == name).unwrap()
}

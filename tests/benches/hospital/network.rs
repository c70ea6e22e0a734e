//! A network of hospitals in one process, whose way of a study is the real one: dispatch, QUIC on loopback, agents, custodians' sockets, ledgers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bocage_coordinator::api::types::StudyResult;
use bocage_coordinator::config::{Config, KnownContract};
use bocage_coordinator::dispatch::Context;
use bocage_coordinator::server::Server;
use bocage_coordinator::store::StudyRecord;
use bocage_net::Listener as _;
use bocage_net::certificates::{Authority, COORDINATOR_NAME};
use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_net::identity::Identity;
use bocage_net::quic::{QuicClient, QuicServer};
use bocage_node::agent::Agent;
use bocage_node::custodian::server::Server as CustodianServer;
use bocage_protocol::contract::parse;
use bocage_protocol::env::Clock as _;
use bocage_protocol::ids::SiteId;
use bocage_protocol::session::SessionConfig;
use bocage_protocol::trust::SecretKey;
use tokio::task::JoinSet;

use super::{Hospital, published, signed};

/// Its tasks end with it.
pub struct Network {
    /// The coordinator's parts.
    pub context: Arc<Context>,
    /// The sites.
    pub hospitals: Vec<Hospital>,
    _server: Server,
    researcher: SecretKey,
    _tasks: JoinSet<()>,
}

impl Network {
    /// Connects the hospitals' custodians, whose snapshots are taken first. `contracts`: name and text.
    pub async fn of(
        folder: &Path,
        hospitals: Vec<Hospital>,
        contracts: &[(&str, &str)],
        researcher: SecretKey,
    ) -> Self {
        let (now, entropy) = (SystemClock.now(), &mut SystemEntropy);
        let network = "bench".parse().expect("a network");
        let root = Authority::new_root(&network, now, entropy).expect("a root");
        let issuing = root.issue_intermediate(&network, now, entropy).expect("an intermediate");
        let identity = |issued: bocage_net::certificates::Issued| {
            Identity::from_pem(&issued.chain_pem, &issued.key_pem, root.certificate_pem()).expect("an identity")
        };
        let own = identity(issuing.issue_coordinator(&[], now, 30, entropy).expect("a certificate"));
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listener = QuicServer::bind(any, &own, Arc::new(SystemClock)).expect("a socket");
        let address = listener.local_address().expect("an address").to_string();
        let server = coordinator(folder, &hospitals, contracts, &researcher);
        let context = server.context();
        let mut tasks = JoinSet::new();
        let members = Arc::clone(&context);
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Some(link) = listener.accept().await {
                let context = Arc::clone(&members);
                sessions.spawn(async move { context.members.serve(link).await });
            }
        });
        for hospital in &hospitals {
            let custodian = Arc::new(hospital.custodian());
            let state = hospital.config().state;
            let served = CustodianServer::bind(&state, &hospital.config().steward).expect("a socket");
            tasks.spawn(async move {
                let (_nobody, stop) = tokio::sync::mpsc::channel(1);
                drop(served.run(custodian, stop).await);
            });
            let site = identity(issuing.issue_site(&hospital.site, now, 30, entropy).expect("a certificate"));
            let client = QuicClient::new(address.clone(), COORDINATOR_NAME, &site, Arc::new(SystemClock));
            let config = SessionConfig::new(hospital.site.clone(), network.clone(), "bench 1");
            let entropy = Box::new(SystemEntropy);
            let agent = Agent::new(config, client.expect("a client"), state.socket(), Arc::new(SystemClock), entropy);
            tasks.spawn(async move { drop(agent.run(std::future::pending()).await) });
            context.members.session(&hospital.site).await.expect("in the roster");
        }
        Self { context, hospitals, _server: server, researcher, _tasks: tasks }
    }

    /// A study under one contract that is computed, not remembered: the time from dispatch to publication, its record and its result.
    pub async fn ask(&self, text: &str, contract: &str) -> (Duration, StudyRecord, StudyResult) {
        self.hospitals.iter().for_each(Hospital::forget_answers);
        let sites: Vec<SiteId> = self.hospitals.iter().map(|hospital| hospital.site.clone()).collect();
        let contract = parse(contract, "contract.toml").expect("a contract");
        let (time, record) = published(&self.context, signed(text, &sites, &contract, &self.researcher)).await;
        let id = record.id;
        let result = self.context.store.with(move |store| store.result(id)).await.expect("read").expect("published");
        (time, record, serde_json::from_str(&result).expect("a result"))
    }
}

fn coordinator(folder: &Path, hospitals: &[Hospital], contracts: &[(&str, &str)], researcher: &SecretKey) -> Server {
    let site = |hospital: &Hospital| serde_json::json!({ "id": hospital.site, "release_key": hospital.release_key.to_string() });
    let value = serde_json::json!({
        "network": "bench",
        "quic": { "listen": "127.0.0.1:0" },
        "tls": { "ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem" },
        "api": { "listen": "127.0.0.1:0" },
        "site": hospitals.iter().map(site).collect::<Vec<_>>(),
        "researcher": [{ "name": "Bench", "key": researcher.public().to_string() }],
    });
    let config = Config::from_value(&value, "coordinator.toml", folder).expect("a configuration");
    let known = |(name, text): &(&str, &str)| {
        let contract = parse(text, &format!("{name}.toml")).expect("a contract");
        let id = contract.id().clone();
        (id, KnownContract { hash: contract.hash(), contract: Arc::new(contract), text: (*text).to_owned() })
    };
    let contracts: BTreeMap<_, _> = contracts.iter().map(known).collect();
    Server::new(&config, contracts, Arc::new(SystemClock)).expect("a server")
}

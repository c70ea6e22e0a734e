//! A network of real processes on loopback, laid out by `bocage network init` and filled with the UCI heart-disease data.

mod running;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use bocage_net::env::{SystemClock, SystemEntropy};
use bocage_node::sandbox::Support;
use bocage_protocol::contract;
use bocage_protocol::env::{Clock as _, Entropy as _, Timestamp};
use bocage_protocol::error::ErrorCode;
use bocage_protocol::front::{BindContext, StudyText};
use bocage_protocol::ids::SiteId;
use bocage_protocol::limits;
use bocage_protocol::trust::{SecretKey, SignedPermit, SignedStudy, Study};
use bocage_protocol::wire::codec;
use bocage_protocol::wire::message::{Reply, Request};
use serde_json::Value;
use tempfile::TempDir;

use crate::hedge::Hedge;
use crate::process::{PATIENCE, Process};

pub use self::running::Running;

/// The four hospitals of the heart-disease data.
pub const HOSPITALS: [&str; 4] = ["cleveland", "hungary", "long-beach", "switzerland"];

/// A laid-out network. Processes are started one by one.
pub struct Lab {
    folder: TempDir,
    exe: PathBuf,
    api: String,
    quic: u16,
    tcp: Option<u16>,
}

impl Lab {
    /// Lays a network of all four hospitals out. `exe` is the lab binary.
    pub fn new(exe: &str) -> Self {
        Self::laid_out(exe, None, "allow_without_permit = true\n")
    }

    /// The same, with a coordinator that listens for TCP too.
    pub fn with_tcp(exe: &str) -> Self {
        Self::laid_out(exe, Some(free_tcp_port()), "allow_without_permit = true\n")
    }

    /// The same, where nobody is answered without a permit.
    pub fn under_permits(exe: &str) -> Self {
        Self::laid_out(exe, None, "")
    }

    /// A network in which one site has yet to enrol, over TCP: nothing is made for it.
    pub fn where_one_enrols(exe: &str, site: &str) -> Self {
        Self::changed(exe, Some(free_tcp_port()), "", |text| {
            let block = format!("[[site]]\nid = \"{site}\"\n");
            text.replacen(&format!("{block}{DATASET}"), &format!("{block}enrol = true\n"), 1)
        })
    }

    fn laid_out(exe: &str, tcp: Option<u16>, researcher: &str) -> Self {
        Self::changed(exe, tcp, researcher, |text| text)
    }

    fn changed(exe: &str, tcp: Option<u16>, researcher: &str, change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (quic, api) = (free_udp_port(), free_tcp_port());
        std::fs::copy(repository("deploy/templates/heart.toml"), folder.path().join("heart.toml"))
            .expect("the contract");
        let mut text = network(quic, api, researcher);
        if let Some(tcp) = tcp {
            text = text.replacen("api = ", &format!("tcp = \"127.0.0.1:{tcp}\"\napi = "), 1);
        }
        std::fs::write(folder.path().join("network.toml"), change(text)).expect("network.toml");
        let lab = Self { tcp, ..Self::made(folder, exe, quic, api) };
        for site in HOSPITALS.into_iter().filter(|site| lab.site(site).is_dir()) {
            lab.fill(site);
        }
        lab
    }

    /// Puts a hospital's data into its folder.
    pub fn fill(&self, site: &str) {
        let data = repository(&format!("tests/data/heart/{site}.csv"));
        std::fs::copy(data, self.site(site).join("data/heart.csv")).expect("the hospital's data");
        self.confine_if_possible(site);
    }

    /// Lays the network of one of the examples out, without its data.
    pub(crate) fn of_example(exe: &str, name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (quic, api) = (free_udp_port(), free_tcp_port());
        for file in std::fs::read_dir(repository("deploy/examples").join(name)).expect("an example") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("a copy");
        }
        let file = folder.path().join("network.toml");
        let text = std::fs::read_to_string(&file).expect("network.toml");
        let ours = |port: u16| format!("127.0.0.1:{port}");
        std::fs::write(&file, text.replace(&ours(4433), &ours(quic)).replace(&ours(8443), &ours(api)))
            .expect("network.toml");
        Self::made(folder, exe, quic, api)
    }

    /// Lays another network out, without its data: its contract, and what stands in `network.toml` behind the coordinator's addresses.
    pub fn of(exe: &str, contract: (&str, &str), network: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (quic, api) = (free_udp_port(), free_tcp_port());
        std::fs::write(folder.path().join(contract.0), contract.1).expect("the contract");
        let text = format!(
            "network = \"heart-lab\"\ncontracts = [{:?}]\n[coordinator]\nquic = \"127.0.0.1:{quic}\"\napi = \"127.0.0.1:{api}\"\n{network}",
            contract.0
        );
        std::fs::write(folder.path().join("network.toml"), text).expect("network.toml");
        Self::made(folder, exe, quic, api)
    }

    fn made(folder: TempDir, exe: &str, quic: u16, api: u16) -> Self {
        let lab = Self { folder, exe: exe.into(), api: format!("http://127.0.0.1:{api}"), quic, tcp: None };
        let out = lab.path("net");
        let made = lab.run(&[
            "network",
            "init",
            lab.path("network.toml").to_str().expect("UTF-8"),
            "--out",
            out.to_str().expect("UTF-8"),
        ]);
        assert!(made.status.success(), "network init: {}", String::from_utf8_lossy(&made.stderr));
        lab
    }

    /// Where the kernel cannot confine a node, what the sandbox is not about is tested nevertheless.
    pub fn confine_if_possible(&self, site: &str) {
        if !Support::ask().complete() {
            self.edit_node(site, "site = ", "require_sandbox = false\nsite = ");
        }
    }

    /// A path below the lab's folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The folder of a site.
    pub fn site(&self, site: &str) -> PathBuf {
        self.path("net/sites").join(site)
    }

    /// The coordinator, listening.
    pub fn coordinator(&self) -> Process {
        self.coordinator_with(&[])
    }

    /// The coordinator with this environment, listening.
    pub fn coordinator_with(&self, env: &[(String, String)]) -> Process {
        let config = self.path("net/coordinator/coordinator.toml");
        let args = [OsStr::new("coordinator"), OsStr::new("serve"), OsStr::new("--config"), config.as_os_str()];
        let process = Process::start("coordinator", &self.exe, &args, env);
        process.wait_for_line(&["ready"]);
        process
    }

    /// A site's node, started but not necessarily connected.
    pub fn node(&self, site: &str, env: &[(String, String)]) -> Process {
        let config = self.site(site).join("node.toml");
        let args = [OsStr::new("node"), OsStr::new("run"), OsStr::new("--config"), config.as_os_str()];
        Process::start(site, &self.exe, &args, env)
    }

    /// A site's node in a network of its own.
    pub fn node_behind(&self, hedge: &Hedge, site: &str, env: &[(String, String)]) -> Process {
        let config = self.site(site).join("node.toml");
        let mut words = hedge.prefix();
        words.extend([self.exe.clone().into(), "node".into(), "run".into(), "--config".into(), config.into()]);
        let args: Vec<&OsStr> = words[1..].iter().map(OsString::as_os_str).collect();
        Process::start(site, Path::new(&words[0]), &args, env)
    }

    /// A site's node for which a file that may not grow is an error and not the end.
    pub fn node_ignoring_file_size(&self, site: &str) -> Process {
        let config = self.site(site).join("node.toml");
        let script = OsStr::new("trap '' XFSZ; exec \"$0\" node run --config \"$1\"");
        let args = [OsStr::new("-c"), script, self.exe.as_os_str(), config.as_os_str()];
        Process::start(site, Path::new("/bin/sh"), &args, &[])
    }

    /// A site's node that is started with a file open that is none of its own.
    pub fn node_with_open_file(&self, site: &str, file: &Path, env: &[(String, String)]) -> Process {
        let config = self.site(site).join("node.toml");
        let script = OsStr::new("exec 7<\"$2\"; exec \"$0\" node run --config \"$1\"");
        let args = [OsStr::new("-c"), script, self.exe.as_os_str(), config.as_os_str(), file.as_os_str()];
        Process::start(site, Path::new("/bin/sh"), &args, env)
    }

    /// Replaces text in a site's `node.toml`.
    pub fn edit_node(&self, site: &str, from: &str, to: &str) {
        let file = self.site(site).join("node.toml");
        let text = std::fs::read_to_string(&file).expect("node.toml");
        assert!(text.contains(from), "{from} is not in\n{text}");
        std::fs::write(file, text.replacen(from, to, 1)).expect("node.toml");
    }

    /// Replaces text in `coordinator.toml`.
    pub fn edit_coordinator(&self, from: &str, to: &str) {
        let file = self.path("net/coordinator/coordinator.toml");
        let text = std::fs::read_to_string(&file).expect("coordinator.toml");
        assert!(text.contains(from), "{from} is not in\n{text}");
        std::fs::write(file, text.replacen(from, to, 1)).expect("coordinator.toml");
    }

    /// Lets the coordinator show how it is on a Unix socket; answers where. Before it is started.
    pub fn watch_coordinator(&self) -> PathBuf {
        let socket = self.path("coordinator-status.sock");
        let file = self.path("net/coordinator/coordinator.toml");
        let text = std::fs::read_to_string(&file).expect("coordinator.toml");
        std::fs::write(file, format!("{text}\n[status]\nlisten = \"unix:{}\"\n", socket.display()))
            .expect("coordinator.toml");
        socket
    }

    /// Runs a node's command beside its node; answers the exit code, standard output and standard error.
    pub fn at_node(&self, site: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let config = self.site(site).join("node.toml");
        let output = self.run(&[&["node"], args, &["--config", config.to_str().expect("UTF-8")]].concat());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The address of the coordinator's HTTP interface.
    pub fn api_address(&self) -> &str {
        self.api.trim_start_matches("http://")
    }

    /// The address that nodes dial.
    pub fn quic_address(&self) -> String {
        format!("127.0.0.1:{}", self.quic)
    }

    /// The address that nodes dial over TCP.
    pub fn tcp_address(&self) -> String {
        format!("127.0.0.1:{}", self.tcp.expect("a lab with TCP"))
    }

    /// Whether a site's chain of records is whole; with what `ledger verify` said.
    pub fn verify_ledger(&self, site: &str) -> (Option<i32>, String) {
        let config = self.site(site).join("node.toml");
        let output = self.run(&["node", "ledger", "verify", "--config", config.to_str().expect("UTF-8")]);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command")
    }

    /// Starts `bocage study run` on this text.
    pub fn study(&self, name: &str, text: &str) -> Running {
        let file = self.path(&format!("{name}.toml"));
        std::fs::write(&file, text).expect("a study");
        let args = ["study", "run", file.to_str().expect("UTF-8"), "--format", "json"];
        let mut command = self.command(&args);
        Running::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command"))
    }

    /// The researcher's key.
    pub fn researcher(&self) -> SecretKey {
        let text = std::fs::read_to_string(self.path("net/researcher/researcher.key")).expect("the key");
        SecretKey::from_text(&text).expect("a key")
    }

    /// The access body's key.
    pub fn access_body(&self) -> SecretKey {
        let text = std::fs::read_to_string(self.path("net/access-body/access-body.key")).expect("the key");
        SecretKey::from_text(&text).expect("a key")
    }

    /// The researcher's permit.
    pub fn permit(&self) -> SignedPermit {
        let text = std::fs::read_to_string(self.path("net/researcher/researcher.permit")).expect("the permit");
        SignedPermit::from_text(&text).expect("a permit")
    }

    /// A study's text, bound as the researcher's command line binds it, for all four hospitals.
    pub fn bound_study(&self, text: &str) -> Study {
        self.study_under(&repository("deploy/templates/heart.toml"), text)
    }

    /// The same at another time than the machine's.
    pub fn bound_study_at(&self, text: &str, now: Timestamp) -> Study {
        self.study_of_contract(&repository("deploy/templates/heart.toml"), text, now)
    }

    /// The same about data under the contract in this file.
    pub fn study_under(&self, contract: &Path, text: &str) -> Study {
        self.study_of_contract(contract, text, SystemClock.now())
    }

    fn study_of_contract(&self, contract: &Path, text: &str, now: Timestamp) -> Study {
        let contract = std::fs::read_to_string(contract).expect("the contract");
        let contract = contract::parse(&contract, "heart.toml").expect("a contract");
        let sites: Vec<SiteId> = HOSPITALS.iter().map(|site| site.parse().expect("a site")).collect();
        let mut nonce = [0; 16];
        SystemEntropy.fill(&mut nonce);
        let context = BindContext {
            network: "heart-lab".parse().expect("a network"),
            researcher: self.researcher().public(),
            offering: &sites,
            roster: &sites,
            min_sites_floor: 2,
            now,
            nonce,
            permit: None,
        };
        StudyText::parse(text, "study.toml").and_then(|study| study.bind(&contract, &context)).expect("a study")
    }

    /// A resource of the HTTP API.
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).expect("an answer")
    }

    /// A resource of the HTTP API, if the coordinator answers.
    pub fn try_get(&self, path: &str) -> Option<Value> {
        let ask = || ureq::get(format!("{}{path}", self.api)).header("authorization", &self.bearer()).call();
        let until = Instant::now() + PATIENCE;
        let mut answer = ask();
        // Tests ask without a pause, and are told to come back later.
        while matches!(answer, Err(ureq::Error::StatusCode(429))) && Instant::now() < until {
            answer = ask();
        }
        serde_json::from_str(&answer.ok()?.body_mut().read_to_string().ok()?).ok()
    }

    /// Waits until the coordinator has heard all that these sites say of their data: a site is connected before it says anything.
    pub fn wait_for_offers(&self, sites: &[&str]) {
        let until = Instant::now() + PATIENCE;
        loop {
            // Who asks all the time is told to come back later.
            let known = self.try_get("/v1/sites").unwrap_or_default();
            let known = known["sites"].as_array().map(Vec::as_slice).unwrap_or_default();
            let told = |site: &Value| {
                site["datasets"].as_array().is_some_and(|d| !d.is_empty() && d.iter().all(|d| d["absent"].is_array()))
            };
            if sites.iter().all(|site| known.iter().any(|known| known["id"] == **site && told(known))) {
                return;
            }
            assert!(Instant::now() < until, "{known:#?}");
            // There is no event to wait for, and who asks without a pause uses up what the researcher's token may ask.
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    /// Posts a signed study as it is; answers the status and the body.
    pub fn post(&self, study: &SignedStudy) -> (u16, Value) {
        self.try_post(study).expect("an answer")
    }

    /// The same to a coordinator that may die over it.
    pub fn try_post(&self, study: &SignedStudy) -> Option<(u16, Value)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let body = serde_json::to_string(study).expect("JSON");
        let mut answer = agent
            .post(format!("{}/v1/studies", self.api))
            .header("authorization", &self.bearer())
            .header("content-type", "application/json")
            .send(body)
            .ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).expect("JSON")))
    }

    /// Asks a site's custodian directly, as only its own user can. One that is being started is waited for.
    pub fn ask_custodian(&self, site: &str, request: &Request) -> Reply {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.try_ask_custodian(site, request) {
                // Its first snapshot is on its way.
                Some(Reply::Refused(error)) if error.code == ErrorCode::Busy && Instant::now() < until => {}
                Some(reply) => return reply,
                None => assert!(Instant::now() < until, "{site}'s custodian does not answer"),
            }
        }
    }

    /// The same of a custodian that may be between two lives.
    pub fn try_ask_custodian(&self, site: &str, request: &Request) -> Option<Reply> {
        let mut stream = UnixStream::connect(self.custodian_socket(site)).ok()?;
        let frame = codec::encode(request).expect("bytes");
        stream.write_all(&(frame.len() as u32).to_be_bytes()).ok()?;
        stream.write_all(&frame).ok()?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut reply).ok()?;
        Some(codec::decode(&reply, limits::FRAME_BYTES).expect("a reply"))
    }

    /// Where a site's custodian listens.
    pub fn custodian_socket(&self, site: &str) -> PathBuf {
        self.site(site).join("state/run/custodian.sock")
    }

    /// What a request must show.
    pub fn bearer(&self) -> String {
        let token = std::fs::read_to_string(self.path("net/researcher/api.token")).expect("a token");
        format!("Bearer {}", token.trim())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command.args(args).env("BOCAGE_PROFILE", self.path("net/researcher/profile.toml")).stdin(Stdio::null());
        command
    }
}

/// The status of a site in a result.
pub fn status<'a>(result: &'a Value, site: &str) -> &'a Value {
    let sites = result["sites"].as_array().expect("sites");
    sites.iter().find(|s| s["id"] == site).expect("the site is in the result")
}

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(path)
}

fn free_udp_port() -> u16 {
    free_port(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

fn free_tcp_port() -> u16 {
    free_port(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

/// Below those that the system gives to whoever dials: one of them could take the port while its process is being started again. Nor does another
/// test take it, which looks just then: whoever has a port holds its file until all its tests have ended.
fn free_port(is_free: impl Fn(u16) -> bool) -> u16 {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join(format!("bocage-test-ports-{}", rustix::process::getuid().as_raw()));
    std::fs::create_dir_all(&folder).expect("a folder for held ports");
    loop {
        let mut random = [0; 2];
        SystemEntropy.fill(&mut random);
        let port = 10_000 + u16::from_be_bytes(random) % 20_000;
        let file = File::create(folder.join(port.to_string())).expect("a file for a held port");
        if file.try_lock().is_ok() && is_free(port) {
            HELD.lock().expect("no panic holds it").push(file);
            return port;
        }
    }
}

/// What each hospital offers, below its `[[site]]` in `network.toml`.
const DATASET: &str = "[site.dataset.heart]\ncontract = \"heart@1\"\n[site.dataset.heart.source]\nkind = \"csv\"\n\
     path = \"data/heart.csv\"\nheader = false\nmissing = [\"NaN\"]\ncolumns = [\"age\", \"sex\", \"cp\", \"trestbps\", \"chol\", \
     \"fbs\", \"restecg\", \"thalach\", \"exang\", \"oldpeak\", \"slope\", \"ca\", \"thal\", \"num\"]\n\
     [site.dataset.heart.map]\ndisease = \"num > 0\"\nchol = \"nullif(chol, 0)\"\ntrestbps = \"nullif(trestbps, 0)\"\n";

/// The same as it stands in a hospital's own `node.toml`.
pub fn dataset() -> String {
    DATASET.replace("[site.", "[")
}

fn network(quic: u16, api: u16, researcher: &str) -> String {
    let mut text = format!(
        "network = \"heart-lab\"\ncontracts = [\"heart.toml\"]\n\
         [coordinator]\nquic = \"127.0.0.1:{quic}\"\napi = \"127.0.0.1:{api}\"\n\
         [publication]\nmin_sites = 2\n[researcher]\nname = \"Lab\"\nmode = \"exact\"\n{researcher}"
    );
    for site in HOSPITALS {
        let _ = write!(text, "[[site]]\nid = \"{site}\"\n{DATASET}");
    }
    text
}

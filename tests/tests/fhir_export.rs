//! `bocage-node fhir-export` as a person runs it: a whole export, one that is interrupted and goes on, one that is cancelled.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use bocage_tests::lab::{HOSPITALS, Lab};
use rustix::process::{Pid, Signal, kill_process};

const SITE: &str = HOSPITALS[0];
const RECORDS: &str =
    "{\"resourceType\":\"Patient\",\"id\":\"MUSTERMANN\"}\n{\"resourceType\":\"Patient\",\"id\":\"b\"}\n";

/// A FHIR server that tells what it was asked, and is ready once it is told so.
struct Fhir {
    address: String,
    asked: Receiver<String>,
    ready: Sender<()>,
}

impl Fhir {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (tell, asked) = channel();
        let (ready, is_ready) = channel();
        let own = address.clone();
        std::thread::spawn(move || {
            let mut done = false;
            for stream in listener.incoming().map_while(Result::ok) {
                let line = request(&stream);
                done = done || is_ready.try_recv().is_ok();
                answer(stream, &own, &line, done);
                let _ = tell.send(line);
            }
        });
        Self { address, asked, ready }
    }

    /// Waits until this is asked.
    fn hears(&self, line: &str) {
        while self.asked.recv().expect("the server runs") != line {}
    }
}

fn request(stream: &TcpStream) -> String {
    let lines: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let line = lines.first().map(String::as_str).unwrap_or_default();
    line.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ")
}

fn answer(mut stream: TcpStream, address: &str, line: &str, ready: bool) {
    let manifest = format!(
        "{{\"transactionTime\":\"2026-01-31T00:00:00Z\",\"requiresAccessToken\":false,\
         \"output\":[{{\"type\":\"Patient\",\"url\":\"{address}/file\",\"count\":2}}]}}"
    );
    let (head, body) = match line {
        "GET /fhir/Patient/$export" => (format!("202 Accepted\r\nContent-Location: {address}/job"), String::new()),
        "GET /job" if ready => ("200 OK".to_owned(), manifest),
        "GET /job" => ("202 Accepted\r\nRetry-After: 3600".to_owned(), String::new()),
        "GET /file" => ("200 OK".to_owned(), RECORDS.to_owned()),
        "DELETE /job" => ("202 Accepted".to_owned(), String::new()),
        _ => ("404 Not Found".to_owned(), String::new()),
    };
    let length = body.len();
    let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
}

struct Clinic {
    lab: Lab,
    fhir: Fhir,
}

impl Clinic {
    fn new() -> Self {
        let clinic = Self { lab: Lab::new(env!("CARGO_BIN_EXE_bocage-lab")), fhir: Fhir::start() };
        let config = clinic.lab.site(SITE).join("node.toml");
        let text = fs::read_to_string(&config).expect("node.toml");
        let server = format!("\n[fhir_server.main]\nurl = \"{}/fhir\"\nfolder = \"records\"\n", clinic.fhir.address);
        fs::write(config, text + &server).expect("node.toml");
        clinic
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bocage-lab"));
        command.args(["node", "fhir-export"]).args(args).arg("--config").arg(self.lab.site(SITE).join("node.toml"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command")
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        told(self.start(args).wait_with_output().expect("the command"))
    }

    fn interrupt(&self, signal: Signal) -> (Option<i32>, String) {
        let child = self.start(&["main"]);
        self.fhir.hears("GET /job");
        kill_process(Pid::from_child(&child), signal).expect("a signal");
        told(child.wait_with_output().expect("the command"))
    }

    fn records(&self) -> Option<String> {
        fs::read_to_string(self.lab.site(SITE).join("records/Patient.00001.ndjson")).ok()
    }
}

fn told(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    assert!(!text.contains("MUSTERMANN"), "{text}");
    (output.status.code(), text)
}

#[test]
fn an_export_that_is_interrupted_goes_on_with_the_next_command() {
    let clinic = Clinic::new();
    for signal in [Signal::INT, Signal::TERM] {
        let (code, text) = clinic.interrupt(signal);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("was interrupted") && text.contains("hint: run the command again: it goes on"), "{text}");
    }
    assert!(text_of_kill(&clinic).contains("going on with the export that was begun"));
    assert_eq!(clinic.records(), None);
    clinic.fhir.ready.send(()).expect("the server runs");
    let (code, text) = clinic.run(&["main"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("records: 1 files of 2026-01-31T00:00:00Z") && text.contains("Patient  2"), "{text}");
    assert_eq!(clinic.records().as_deref(), Some(RECORDS));
    let again: Vec<String> = clinic.fhir.asked.try_iter().collect();
    assert_eq!(again, ["GET /job", "GET /file", "DELETE /job"], "nothing was asked for twice");
}

/// What an export says that is killed without a word of warning.
fn text_of_kill(clinic: &Clinic) -> String {
    let (code, text) = clinic.interrupt(Signal::KILL);
    assert_eq!(code, None);
    text
}

#[test]
fn an_export_is_cancelled_here_and_at_the_server() {
    let clinic = Clinic::new();
    clinic.interrupt(Signal::INT);
    let (code, text) = clinic.run(&["main", "--cancel"]);
    assert!(code == Some(0) && text.contains("was ended, here and at the server"), "{text}");
    clinic.fhir.hears("DELETE /job");
    let (code, text) = clinic.run(&["main", "--cancel"]);
    assert!(code == Some(0) && text.contains("no export of main to end"), "{text}");
}

#[test]
fn a_server_that_node_toml_does_not_describe_and_a_key_that_is_none_are_named() {
    let clinic = Clinic::new();
    let (code, text) = clinic.run(&["mian"]);
    assert!(
        code == Some(1) && text.contains("describes no FHIR server mian") && text.contains("did you mean main?"),
        "{text}"
    );
    let (code, text) = clinic.run(&["main", "--public-key"]);
    assert!(code == Some(1) && text.contains("fhir_server.main has no key"), "{text}");
}

#[test]
fn the_public_key_is_printed_as_servers_take_it() {
    let clinic = Clinic::new();
    let site = clinic.lab.site(SITE);
    let config = site.join("node.toml");
    let made = make_key(&site.join("fhir.key"));
    let text = fs::read_to_string(&config).expect("node.toml");
    fs::write(&config, text + "client_id = \"bocage\"\nkey_file = \"fhir.key\"\nkey_id = \"2026\"\n")
        .expect("node.toml");
    let (code, text) = clinic.run(&["main", "--public-key"]);
    if !made {
        assert!(code == Some(1) && text.contains("openssl genpkey"), "{text}");
        return;
    }
    let keys: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&keys["keys"][0]["kid"], &keys["keys"][0]["alg"]), (&"2026".into(), &"ES384".into()));
    assert!(keys["keys"][0].get("d").is_none() && code == Some(0));
}

/// By the command that the hint names; without openssl on this machine an empty file.
fn make_key(file: &Path) -> bool {
    let args = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out"];
    let made = Command::new("openssl").args(args).arg(file).output().is_ok_and(|output| output.status.success());
    if !made {
        bocage_net::secret::write_secret(file, b"none").expect("written");
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(file, mode).expect("its mode");
    made
}

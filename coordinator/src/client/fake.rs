//! A coordinator for the client's tests: answers given requests with given texts, in order, on a port of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use bocage_net::secret::write_secret;

use super::{Api, Profile};
use crate::api::types::{StudyHead, StudyState, StudyStatus};

/// A client of a coordinator that gives `answers` (status and body), one a request, and the heads of the requests that it got.
pub(super) fn answering(answers: Vec<(u16, String)>) -> (Api, Receiver<String>) {
    answering_from(mpsc::channel().1, answers)
}

/// The same, which answers nothing before `from` has something, or its other end is gone.
pub(super) fn answering_from(from: Receiver<()>, answers: Vec<(u16, String)>) -> (Api, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = from.recv();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let lower = line.to_lowercase();
                length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let _ = heads.send(head);
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                .unwrap();
        }
    });
    let dir = tempfile::tempdir().unwrap();
    write_secret(&dir.path().join("api.token"), b"0123456789abcdef\n").unwrap();
    let text =
        format!("coordinator = \"{url}\"\nnetwork = \"north\"\ntoken_file = \"api.token\"\nkey_file = \"key\"\n");
    let profile = Profile::parse(&text, &dir.path().join("profile.toml")).unwrap();
    assert_eq!(profile.token_file.parent(), Some(Path::new(dir.path())));
    (Api::new(&profile).unwrap(), heard)
}

/// A study with an id that begins with `first`, in `state`.
pub(crate) fn study(first: &str, state: StudyState, version: u64) -> StudyStatus {
    StudyStatus {
        id: format!("{first:0<64}").parse().unwrap(),
        title: "a study".into(),
        purpose: bocage_protocol::trust::Purpose::ScientificResearch,
        dataset: "heart@1".parse().unwrap(),
        permit: None,
        researcher: "Ada".into(),
        state,
        version,
        accepted_at: bocage_protocol::env::Timestamp(0),
        answer_by: bocage_protocol::env::Timestamp(1000),
        open_until: None,
        sites: vec![],
    }
}

/// Any value as a good answer.
pub(super) fn ok(value: &impl serde::Serialize) -> (u16, String) {
    (200, serde_json::to_string(value).unwrap())
}

/// What a result says of a study that needs so many sites.
pub(crate) fn head(min_sites: u32) -> StudyHead {
    let key = bocage_protocol::trust::SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
    let head = serde_json::json!({
        "id": "ab".repeat(32), "title": "a study", "purpose": "scientific_research", "dataset": "heart@1", "contract": "cd".repeat(32),
        "network": "north", "researcher": key, "min_sites": min_sites, "issued_at": 0, "accepted_at": 0, "published_at": 0,
    });
    serde_json::from_value(head).unwrap()
}

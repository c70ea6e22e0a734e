//! A FHIR server with three small files that does what it should, except where a test says otherwise: [`Hospital::with`] is asked first about every
//! request.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// How often this was asked before: method and path.
    pub before: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn is(&self, line: &str) -> bool {
        format!("{} {}", self.method, self.path).starts_with(line)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, further headers, body.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The same without its last bytes: so many are sent, then the connection is cut.
    Cut(Box<Reply>, usize),
    /// A head whose body never comes.
    Silent,
    /// A body without end, one byte after another.
    Drip,
    /// A body without end, as fast as it goes.
    Endless,
}

pub fn status(status: u16) -> Reply {
    Reply::Whole(status, Vec::new(), Vec::new())
}

impl Reply {
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Reply::Whole(status, mut headers, body) => {
                headers.push((name, value.into()));
                Reply::Whole(status, headers, body)
            }
            other => other,
        }
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        match self {
            Reply::Whole(status, headers, _) => Reply::Whole(status, headers, body.into()),
            other => other,
        }
    }

    pub fn cut_after(self, bytes: usize) -> Self {
        Reply::Cut(Box::new(self), bytes)
    }
}

type Instead = dyn Fn(&Seen, &Hospital) -> Option<Reply> + Send + Sync;

/// The files: two of patients, one of devices. Each line has a name that must be in no error.
pub fn file(number: usize) -> String {
    let (kind, lines) = [("Patient", 400), ("Patient", 300), ("Device", 20)][number];
    (0..lines)
        .map(|n| format!("{{\"resourceType\":\"{kind}\",\"id\":\"{number}-{n}\",\"name\":\"MUSTERMANN\"}}\n"))
        .collect()
}

pub struct Hospital {
    pub address: String,
    pub wants_token: bool,
    seen: Mutex<Vec<Seen>>,
    tokens: Mutex<usize>,
    instead: Box<Instead>,
    tls: Option<Arc<ServerConfig>>,
}

impl Hospital {
    pub fn sound() -> Arc<Self> {
        Self::with(|_, _| None)
    }

    /// One that answers by `instead` where that has an answer.
    pub fn with(instead: impl Fn(&Seen, &Hospital) -> Option<Reply> + Send + Sync + 'static) -> Arc<Self> {
        Self::start(Box::new(instead), false, None)
    }

    pub fn with_tokens(instead: impl Fn(&Seen, &Hospital) -> Option<Reply> + Send + Sync + 'static) -> Arc<Self> {
        Self::start(Box::new(instead), true, None)
    }

    pub fn with_tls(config: ServerConfig) -> Arc<Self> {
        Self::start(Box::new(|_, _| None), false, Some(Arc::new(config)))
    }

    fn start(instead: Box<Instead>, wants_token: bool, tls: Option<Arc<ServerConfig>>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address =
            if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let (seen, tokens) = (Mutex::default(), Mutex::default());
        let hospital = Arc::new(Self { address, wants_token, seen, tokens, instead, tls });
        let serving = hospital.clone();
        // Both end with the test's process.
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let hospital = serving.clone();
                std::thread::spawn(move || hospital.connection(tcp));
            }
        });
        hospital
    }

    fn connection(&self, tcp: TcpStream) {
        let closed = tcp.try_clone().unwrap();
        let _ = match &self.tls {
            None => self.serve(tcp, closed),
            Some(tls) => self.serve(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), tcp), closed),
        };
    }

    fn serve(&self, mut stream: impl Read + Write, closed: TcpStream) -> io::Result<()> {
        let Some(seen) = self.request(&mut stream)? else { return Ok(()) };
        self.seen.lock().unwrap().push(seen.clone());
        let reply = (self.instead)(&seen, self).unwrap_or_else(|| self.reply(&seen));
        match reply {
            Reply::Whole(..) => write(&mut stream, &reply, usize::MAX),
            Reply::Cut(reply, bytes) => write(&mut stream, &reply, bytes),
            Reply::Silent => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")?;
                stream.flush()?;
                // Until the client goes.
                (&closed).read(&mut [0]).map(|_| ())
            }
            Reply::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
                closed.set_read_timeout(Some(Duration::from_millis(5)))?;
                loop {
                    stream.write_all(b"{")?;
                    stream.flush()?;
                    if let Ok(0) = (&closed).read(&mut [0]) {
                        return Ok(());
                    }
                }
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    stream.write_all(&[b' '; 65536])?;
                }
            }
        }
    }

    fn request(&self, stream: &mut impl Read) -> io::Result<Option<Seen>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
        let (method, path) = (first.next().unwrap(), first.next().unwrap());
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let same = |seen: &&Seen| seen.method == method && seen.path == path;
        let before = self.seen.lock().unwrap().iter().filter(same).count();
        Ok(Some(Seen { method, path, headers, body: String::from_utf8(body).unwrap(), before }))
    }

    /// What a sound server answers.
    pub fn reply(&self, seen: &Seen) -> Reply {
        let path = seen.path.split('?').next().unwrap();
        match (seen.method.as_str(), path) {
            ("GET", "/fhir/.well-known/smart-configuration") => {
                let text =
                    format!("{{\"token_endpoint\":\"{}/token\",\"capabilities\":[\"permission-v2\"]}}", self.address);
                return status(200).body(text);
            }
            ("POST", "/token") => {
                let mut tokens = self.tokens.lock().unwrap();
                *tokens += 1;
                let text =
                    format!("{{\"access_token\":\"token-{tokens}\",\"token_type\":\"bearer\",\"expires_in\":300}}");
                return status(200).body(text);
            }
            _ => {}
        }
        if self.wants_token && seen.header("authorization") != format!("Bearer token-{}", self.tokens.lock().unwrap()) {
            return status(401);
        }
        match (seen.method.as_str(), path) {
            ("GET", "/fhir/$export" | "/fhir/Patient/$export" | "/fhir/Group/g.1/$export") => {
                status(202).header("Content-Location", format!("{}/jobs/link-secret", self.address))
            }
            ("GET", "/jobs/link-secret") => status(200).body(self.manifest()),
            ("DELETE", "/jobs/link-secret") => status(202),
            ("GET", path) if path.starts_with("/files/") => {
                part_of(seen, file(path.trim_start_matches("/files/").parse().unwrap()).as_bytes())
            }
            _ => status(404),
        }
    }

    pub fn manifest(&self) -> String {
        let file = |kind: &str, number: usize, count: usize| {
            format!("{{\"type\":\"{kind}\",\"url\":\"{}/files/{number}?link-secret\",\"count\":{count}}}", self.address)
        };
        format!(
            "{{\"transactionTime\":\"2026-01-31T00:00:00Z\",\"request\":\"\",\"requiresAccessToken\":{},\"output\":[{},{},{}],\"error\":[]}}",
            self.wants_token,
            file("Patient", 0, 400),
            file("Patient", 1, 300),
            file("Device", 2, 20),
        )
    }

    /// What was asked, `METHOD PATH` each, without the queries.
    pub fn asked(&self) -> Vec<String> {
        let line = |seen: &Seen| format!("{} {}", seen.method, seen.path.split('?').next().unwrap());
        self.seen.lock().unwrap().iter().map(line).collect()
    }

    pub fn times(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.as_str() == line).count()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// `bytes`, or the part of them that is asked for.
pub fn part_of(seen: &Seen, bytes: &[u8]) -> Reply {
    let tag = "\"v1\"";
    let from =
        seen.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let (reply, bytes) = match from {
        Some(from) if seen.header("if-range") == tag && from < bytes.len() => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            (status(206).header("Content-Range", range), &bytes[from..])
        }
        _ => (status(200), bytes),
    };
    reply.header("ETag", tag).body(bytes)
}

fn write(stream: &mut impl Write, reply: &Reply, bytes: usize) -> io::Result<()> {
    let Reply::Whole(status, headers, body) = reply else { return Ok(()) };
    let mut head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    // In one piece, so that no time passes between them.
    stream.write_all(&[format!("{head}\r\n").as_bytes(), &body[..bytes.min(body.len())]].concat())?;
    stream.flush()
}

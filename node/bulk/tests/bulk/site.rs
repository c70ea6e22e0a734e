//! The other side: a site with a folder, a clock that jumps instead of waiting, and bounds that a test may set. Whatever error an export ends with, it
//! has a hint and none of the values that must not be in it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bocage_bulk::{Base, Bounds, BulkError, Client, Event, Export, Level, Server, Timer, World};
use bocage_net::secret::write_secret;
use bocage_protocol::env::{Clock, Entropy, Timestamp};

use crate::hospital::{Hospital, file};

/// Sun, 06 Nov 1994 08:49:37 GMT
pub const START: Timestamp = Timestamp(784_111_777_000);

/// What must be in no error: a patient's name, a token, a link.
const SECRETS: &[&str] = &["MUSTERMANN", "token-", "link-secret", "/files/"];

pub struct Simulated {
    now: AtomicI64,
    pub waits: Mutex<Vec<u64>>,
}

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }
}

impl Simulated {
    pub fn jump(&self, secs: i64) {
        self.now.fetch_add(secs * 1000, Ordering::SeqCst);
    }
}

impl Timer for Simulated {
    fn wait(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.now.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
        self.waits.lock().unwrap().push(span.as_secs());
        Box::pin(std::future::ready(()))
    }
}

/// Never the same twice, always the same run.
struct Counting(u64);

impl Entropy for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

pub struct Site {
    dir: tempfile::TempDir,
    pub server: Server,
    pub bounds: Bounds,
    pub timer: Simulated,
    runs: AtomicU64,
}

impl Site {
    pub fn new(hospital: &Hospital) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server {
            base: Base::parse(&format!("{}/fhir", hospital.address), false).unwrap(),
            level: Level::System,
            types: Vec::new(),
            since: None,
            folder: dir.path().join("records"),
            client: None,
            ca_file: None,
        };
        let bounds = Bounds { patience: Duration::from_secs(30), free_bytes: 0, tries: 4, ..Bounds::default() };
        let timer = Simulated { now: AtomicI64::new(START.0), waits: Mutex::default() };
        Self { dir, server, bounds, timer, runs: AtomicU64::new(1) }
    }

    /// One that is registered at the server.
    pub fn registered(hospital: &Hospital, pem: &str) -> Self {
        let mut site = Self::new(hospital);
        let key_file = site.path("fhir.key");
        write_secret(&key_file, pem.as_bytes()).unwrap();
        site.server.client = Some(Client { id: "bocage".to_owned(), key_file, key_id: None, scope: None });
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn export(&self) -> Result<Export, BulkError> {
        self.watched(&mut |_| {}).await
    }

    pub async fn watched(&self, told: &mut dyn FnMut(Event<'_>)) -> Result<Export, BulkError> {
        let mut entropy = Counting(self.runs.fetch_add(1, Ordering::SeqCst));
        let world = World { timer: &self.timer, entropy: &mut entropy, bounds: self.bounds, told };
        let done = bocage_bulk::export(&self.server, world).await;
        if let Err(error) = &done {
            let text = format!("{error} {error:?} {}", error.hint());
            assert!(!error.hint().is_empty());
            SECRETS.iter().for_each(|secret| assert!(!text.contains(secret), "{secret} is in {text}"));
        }
        done
    }

    /// Runs until the event of this number, and is killed there; whether it came so far.
    pub async fn killed_at(&self, wanted: usize) -> bool {
        let (reached, end) = (std::sync::Arc::new(tokio::sync::Notify::new()), Mutex::new(0));
        let tell = reached.clone();
        let mut told = |_: Event<'_>| {
            let mut count = end.lock().unwrap();
            *count += 1;
            if *count == wanted {
                tell.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = reached.notified() => true,
            done = self.watched(&mut told) => { done.unwrap(); false }
        }
    }

    pub async fn cancel(&self) -> Result<bool, BulkError> {
        let mut entropy = Counting(7);
        let told = &mut |_: Event<'_>| {};
        bocage_bulk::cancel(
            &self.server,
            World { timer: &self.timer, entropy: &mut entropy, bounds: self.bounds, told },
        )
        .await
    }

    /// The error of an export that must fail, as people read it. The folder is as it was.
    pub async fn fails(&self) -> String {
        let before = self.listing();
        let error = self.export().await.expect_err("it must fail");
        assert_eq!(self.listing(), before, "the folder is as it was");
        format!("{error}\nhint: {}", error.hint())
    }

    /// What is in the folder, sorted.
    pub fn listing(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.server.folder) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What lies beside the folder but the lock and the key.
    pub fn leftovers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ours = ["records", ".records.lock", "fhir.key", "ca.pem"];
        names.filter(|name| !ours.contains(&name.as_str())).collect()
    }

    /// The folder holds exactly what the hospital has.
    pub fn is_whole(&self) {
        assert_eq!(self.listing(), ["Device.00001.ndjson", "Patient.00001.ndjson", "Patient.00002.ndjson", "about"]);
        for (name, number) in [("Patient.00001", 0), ("Patient.00002", 1), ("Device.00001", 2)] {
            let text = std::fs::read_to_string(self.server.folder.join(format!("{name}.ndjson"))).unwrap();
            assert_eq!(text, file(number), "{name}");
        }
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

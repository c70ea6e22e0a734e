//! A status socket as its clients find it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;

#[derive(Default)]
struct Daemon {
    ready: AtomicBool,
}

impl Watched for Daemon {
    fn alive(&self) -> Verdict {
        Ok(())
    }

    fn ready(&self) -> Look<Verdict> {
        let ready = self.ready.load(Ordering::Relaxed);
        Box::pin(async move { if ready { Ok(()) } else { Err("heart has no snapshot".to_owned()) } })
    }

    fn metrics(&self) -> Look<String> {
        Box::pin(async { "bocage_test_total 1\n".to_owned() })
    }
}

async fn served() -> (tempfile::TempDir, PathBuf, Arc<Daemon>) {
    served_within(Duration::from_secs(limits::STATUS_SECS)).await
}

async fn served_within(patience: Duration) -> (tempfile::TempDir, PathBuf, Arc<Daemon>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let daemon = Arc::new(Daemon::default());
    let door = Place::Unix(path.clone()).open().await.unwrap();
    tokio::spawn(serve_within(door, Arc::clone(&daemon) as Arc<dyn Watched>, patience));
    (dir, path, daemon)
}

async fn asked(path: &std::path::Path, page: Page) -> (bool, String) {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || ask(&path, page)).await.unwrap().unwrap()
}

async fn raw(path: &std::path::Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn health_readiness_and_metrics_are_three_pages() {
    let (_dir, path, daemon) = served().await;
    assert_eq!(asked(&path, Page::Health).await, (true, "ok\n".to_owned()));
    assert_eq!(asked(&path, Page::Ready).await, (false, "heart has no snapshot\n".to_owned()));
    daemon.ready.store(true, Ordering::Relaxed);
    assert_eq!(asked(&path, Page::Ready).await, (true, "ok\n".to_owned()));
    assert_eq!(asked(&path, Page::Metrics).await, (true, "bocage_test_total 1\n".to_owned()));
    let metrics = raw(&path, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
}

#[tokio::test]
async fn another_path_another_method_and_a_huge_head_get_nothing() {
    let (_dir, path, _daemon) = served().await;
    assert!(raw(&path, "GET /v1/sites HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
    assert!(
        raw(&path, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.starts_with("HTTP/1.1 405")
    );
    let head = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(limits::STATUS_HEAD_BYTES));
    assert!(!raw(&path, &head).await.starts_with("HTTP/1.1 200"));
    assert_eq!(asked(&path, Page::Health).await, (true, "ok\n".to_owned()));
}

#[tokio::test]
async fn who_holds_all_seats_is_no_reason_to_hold_more() {
    let (_dir, path, _daemon) = served().await;
    let mut held = Vec::new();
    for _ in 0..2 * limits::STATUS_CONNECTIONS {
        held.push(UnixStream::connect(&path).await.unwrap());
    }
    // Those without a seat are dropped at once.
    let mut last = held.pop().unwrap();
    assert_eq!(last.read(&mut [0; 1]).await.unwrap(), 0);
    drop(held);
    while !raw(&path, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_says_nothing_loses_the_connection() {
    let (_dir, path, _daemon) = served_within(Duration::from_millis(100)).await;
    let mut silent = UnixStream::connect(&path).await.unwrap();
    let mut said = Vec::new();
    let _ = silent.read_to_end(&mut said).await;
    assert!(said.is_empty(), "{said:?}");
}

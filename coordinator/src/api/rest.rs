//! What is left of a request's body when it was answered without being read: a refusal that is sent while the client still writes is lost with the
//! connection, which the kernel resets over unread bytes. So some of it is read, and thrown away.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use hyper::body::{Frame, SizeHint};

/// As much is read of it, and no longer than this.
const MOST_BYTES: usize = 256 << 10;
const MOST_TIME: Duration = Duration::from_secs(1);

/// A body that its handler and this share.
#[derive(Clone)]
struct Rest(Arc<Mutex<Body>>);

impl Rest {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn thrown_away(mut self) {
        let mut bytes = 0;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > MOST_BYTES {
                return;
            }
        }
    }
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// Answers, and reads what the answer did not want.
pub(super) async fn read(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let rest = Rest(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(rest.clone()))).await;
    if !rest.is_end_stream() {
        let _ = tokio::time::timeout(MOST_TIME, rest.thrown_away()).await;
    }
    response
}

//! A body as it comes, piece by piece, from a server that may be slow but not endless: every 64 KiB have a time to arrive in, so that one byte a
//! minute keeps nobody busy for ever.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

/// What must arrive within the patience.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// Why a body ended before it was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection.
    Cut,
    /// The time.
    Slow,
}

/// A body.
pub(crate) struct Body {
    answer: Response,
    patience: Duration,
    until: Instant,
    /// Bytes since `until` was set.
    since: usize,
}

impl Body {
    pub(crate) fn new(answer: Response, patience: Duration) -> Self {
        Self { answer, patience, until: Instant::now() + patience, since: 0 }
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let piece = timeout_at(self.until, self.answer.chunk()).await.map_err(|_| Broken::Slow)?;
        let piece = piece.map_err(|_| Broken::Cut)?;
        self.since += piece.as_ref().map_or(0, Bytes::len);
        if self.since >= BLOCK_BYTES {
            (self.since, self.until) = (0, Instant::now() + self.patience);
        }
        Ok(piece)
    }
}

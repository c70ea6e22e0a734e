//! What tests may exchange in a coordinator. Only code can set it: no flag, variable or feature of the product reaches it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bocage_net::env::SystemClock;
use bocage_net::places::Manners;
use bocage_protocol::env::Clock;
use bocage_protocol::limits;

/// A moment at which a sudden end of the process is most interesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A study was accepted and recorded; its researcher does not know yet.
    Accepted,
    /// A site's release was recorded.
    ReleaseStored,
    /// Every site has answered; the result is not recorded.
    BeforePublish,
    /// The result was recorded; nobody was told.
    Published,
    /// A change over HTTP was announced to the audit; nothing is changed.
    Intended,
    /// It was made; the audit has no entry yet.
    Changed,
}

impl Moment {
    /// Those of a study.
    pub const OF_A_STUDY: [Self; 4] = [Self::Accepted, Self::ReleaseStored, Self::BeforePublish, Self::Published];
    /// Those of a change over HTTP.
    pub const OF_A_CHANGE: [Self; 2] = [Self::Intended, Self::Changed];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::ReleaseStored => "release_stored",
            Self::BeforePublish => "before_publish",
            Self::Published => "published",
            Self::Intended => "intended",
            Self::Changed => "changed",
        }
    }
}

/// Called at each moment: it may end the process.
pub type AtMoment = Arc<dyn Fn(Moment) + Send + Sync>;

/// How long and how many HTTP clients are borne with.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the whole head of a request, from when the connection could carry one: an idle connection ends after it too.
    pub head: Duration,
    /// For the whole body of a request.
    pub body: Duration,
    /// Connections served at a time. Who comes beyond takes the place of a stranger, or waits for one to end.
    pub connections: usize,
    /// Who gives way to them.
    pub manners: Manners,
}

impl Default for Patience {
    /// 15 s for a head, 30 s for a body. A stranger gives way at once: who means to ask something does so with the first bytes.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
            connections: limits::HTTP_CONNECTIONS,
            manners: Manners::Yield(Duration::ZERO),
        }
    }
}

/// What a coordinator is made with.
#[derive(Clone)]
pub struct Switches {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// With HTTP clients.
    pub patience: Patience,
    /// What an open study's sites have at least when it is taken up anew.
    pub grace: Duration,
    /// Who wants to know of moments.
    pub at: Option<AtMoment>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            patience: Patience::default(),
            grace: Duration::from_secs(limits::GRACE_SECS),
            at: None,
        }
    }
}

impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switches").field("patience", &self.patience).finish_non_exhaustive()
    }
}

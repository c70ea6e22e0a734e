//! What the coordinator says of itself on its status socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bocage_daemon::figures::{Gauges, page};
use bocage_daemon::process::Process;
use bocage_daemon::pulse::Pulse;
use bocage_daemon::status::{Look, Verdict, Watched};
use bocage_net::Identities;
use bocage_net::transport::Refusals;

use crate::dispatch::Context;
use crate::store::StudyCounts;

const DAY_SECS: f64 = 86_400.0;

/// The coordinator, looked at.
pub struct Status {
    pub(super) context: Arc<Context>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) process: Process,
    /// Whether the listeners are bound and served.
    pub(super) serving: AtomicBool,
    /// Handshakes that came to nothing, by transport.
    pub(super) refused: Vec<(&'static str, Arc<Refusals>)>,
    /// As whom it is known, where its listener has certificates.
    pub(super) identities: Option<Identities>,
}

impl Status {
    async fn readiness(context: Arc<Context>, serving: bool) -> Verdict {
        if context.drain.is_draining() {
            return Err("it is stopping".to_owned());
        }
        if !serving {
            return Err("it is starting".to_owned());
        }
        // What the store's error says of files and records is for the log.
        context.store.with(|store| store.counts()).await.map(drop).map_err(|_| "the store cannot be read".to_owned())
    }

    fn gauges(&self) -> Gauges {
        let context = &self.context;
        let mut gauges = Gauges::of_process(env!("CARGO_PKG_VERSION"), &self.pulse, &self.process);
        let sites = context.members.presence();
        let connected = sites.iter().filter(|(_, connected)| *connected).count();
        let state = |state: &str, number: usize| (vec![("state", state.to_owned())], number as f64);
        let by_state = [state("connected", connected), state("disconnected", sites.len() - connected)];
        gauges.by("sites", "Sites of the roster, by whether they have a session.", by_state);
        let site = |(site, connected): &(String, bool)| (vec![("site", site.clone())], f64::from(u8::from(*connected)));
        gauges.by("site_connected", "Whether a site has a session.", sites.iter().map(site));
        gauges.one("rounds_under_way", "Rounds that a site works on.", Some(context.drain.under_way() as f64));
        let end = self.identities.as_ref().map(|identities| identities.current().valid_until());
        let days = end.map(|end| end.since_ms(context.clock.now()) as f64 / 1000.0 / DAY_SECS);
        gauges.one("certificate_days_left", "Days until the coordinator's certificate ends.", days);
        let refused = self.refused.iter().flat_map(|(transport, refused)| {
            let labels = |reason: &str| vec![("transport", (*transport).to_owned()), ("reason", reason.to_owned())];
            refused.all().into_iter().map(move |(reason, number)| (labels(reason), number as f64))
        });
        gauges.by("handshakes_refused", "Handshakes of nodes that came to nothing, since the start.", refused);
        gauges
    }
}

fn studies(gauges: &mut Gauges, counts: &StudyCounts) {
    let state = |state: &str, number: u64| (vec![("state", state.to_owned())], number as f64);
    let StudyCounts { open, published, cancelled } = *counts;
    let all = [state("open", open), state("published", published), state("cancelled", cancelled)];
    gauges.by("studies", "Studies in the store, by state.", all);
}

impl Watched for Status {
    fn alive(&self) -> Verdict {
        self.pulse.alive()
    }

    fn ready(&self) -> Look<Verdict> {
        Box::pin(Self::readiness(Arc::clone(&self.context), self.serving.load(Ordering::Acquire)))
    }

    fn metrics(&self) -> Look<String> {
        let (context, mut gauges) = (Arc::clone(&self.context), self.gauges());
        Box::pin(async move {
            if let Ok(counts) = context.store.with(|store| store.counts()).await {
                studies(&mut gauges, &counts);
            }
            page("coordinator", gauges, |registry| context.counts.register(registry))
        })
    }
}

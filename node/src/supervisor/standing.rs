//! How the node stands, as systemd is told: up, reading its configuration, stopping, alive. It is told of a child that hangs by no sign of life from the node.

use std::time::Duration;

use bocage_daemon::notify::Notify;
use bocage_daemon::pulse::BEAT;

use super::Role;
use super::beats::Beats;

/// See the module.
pub(super) struct Standing {
    pub(super) beats: Beats,
    notify: Notify,
    /// Whether systemd has heard that the node is ready, and not since that it reads its configuration again.
    told: bool,
    session: bool,
    hung: bool,
}

impl Standing {
    pub(super) fn new(notify: Notify) -> Self {
        Self { beats: Beats::default(), notify, told: false, session: false, hung: false }
    }

    /// How often to [`Standing::look`].
    pub(super) fn look_every(&self) -> Duration {
        self.notify.watchdog().map_or(BEAT, |every| BEAT.min(every / 3))
    }

    /// A child's loop turned.
    pub(super) fn beat(&mut self, now: Duration, role: Role, session: bool) {
        let was_up = self.beats.are_up();
        self.beats.beat(now, role);
        if role == Role::Agent {
            self.session = session;
        }
        if self.beats.are_up() && !self.told {
            self.told = true;
            self.notify.ready();
        }
        if self.beats.are_up() && !was_up {
            tracing::info!("custodian and agent are up");
        }
    }

    /// The supervisor's loop turned.
    pub(super) fn look(&mut self, now: Duration) {
        match self.beats.hung(now) {
            None => {
                self.hung = false;
                self.notify.alive();
            }
            Some(role) if !self.hung => {
                self.hung = true;
                tracing::error!(child = role.command(), "it gives no sign of life any more");
            }
            Some(_) => {}
        }
        let up = if self.beats.are_up() { "custodian and agent are up" } else { "a part is being started" };
        let session = if self.session { "with a session" } else { "without a session" };
        self.notify.status(&format!("{up}, {session}"));
    }

    /// The configuration is read again.
    pub(super) fn reloads(&mut self) {
        self.told = false;
        self.notify.reloading();
    }

    /// It was read. Where a custodian begins anew with it, the node is ready when that is up.
    pub(super) fn reloaded(&mut self, anew: bool) {
        if anew {
            // Not before it has begun anew: its last beats are of the one that ends.
            self.beats.ended(Role::Custodian);
        } else if self.beats.are_up() {
            self.told = true;
            self.notify.ready();
        }
    }

    pub(super) fn stops(&self) {
        self.notify.stopping();
    }
}

//! Keeps the agent and the custodian running, each for itself, stops a custodian whose query overruns, and starts an ingest for each dataset whose
//! snapshot is due ([`ingests`]).
//!
//! [`Supervisor`] decides and never acts: time is an argument, what must be done comes out as [`Action`]s, and [`process`] carries them
//! out. Neither ever opens a socket, the site's data or a key.
//!
//! ```text
//!            Start                 Exited                    wait (250 ms … 10 s; 1 min where a person must mend something)
//! waiting ───────────▶ running ─────────────▶ waiting  ...   doubled at every early death
//!                         │  time limit passed, or stopping for too long
//!                         └────────── Kill ─▶ running until Exited
//! ```

pub mod beats;
pub mod herald;
pub mod ingests;
pub mod process;
pub mod report;
mod sayings;
mod standing;

use std::collections::VecDeque;
use std::time::Duration;

/// The first wait before a child that died is started again.
pub const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait of a child that has said what is wrong: only a person mends that, and each attempt reads the disk.
pub const LONGEST_WAIT_FOR_PEOPLE: Duration = Duration::from_secs(60);
/// A child that ran for so long is healthy: its next death begins with the first wait again. Such deaths are no more frequent than those of a
/// child that is started after the longest wait each time.
pub const HEALTHY_AFTER: Duration = LONGEST_WAIT;
/// How long a child may take to stop by itself, beyond what a round under way is given.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// The two children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Talks to the coordinator.
    Agent,
    /// Reads the data.
    Custodian,
}

impl Role {
    /// The hidden subcommand that starts it.
    pub fn command(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Custodian => "custodian",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A child ended, or could not be started.
    Exited {
        /// Which.
        role: Role,
        /// Whether it said what a person must mend.
        told: bool,
    },
    /// The custodian began a query.
    Working {
        /// The ledger's number of this attempt.
        attempt: u64,
        /// How long it may take.
        limit: Duration,
    },
    /// The custodian's query ended.
    Idle,
    /// Somebody wants the node to stop when the round under way has ended.
    Drain,
    /// Somebody wants the node to stop now.
    Stop,
    /// The configuration was changed: the custodian is to begin anew with it, between two rounds.
    Reload,
}

/// What must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a child.
    Start {
        /// Which.
        role: Role,
        /// The attempt for which the custodian was ended, because it took too long.
        overran: Option<u64>,
    },
    /// Ask a child to stop when the round under way has ended.
    Terminate(Role),
    /// Ask a child to stop within a few seconds.
    Hurry(Role),
    /// End a child now.
    Kill {
        /// Which.
        role: Role,
        /// For a query that takes too long, and not because it does not stop.
        overran: bool,
    },
    /// Both children have ended after a stop: leave.
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { until: Duration },
    Running { since: Duration },
}

#[derive(Debug)]
struct Child {
    role: Role,
    state: State,
    wait: Duration,
    /// The running query, and when its time is over.
    query: Option<(u64, Duration)>,
    /// The query that took too long, for which it is being ended.
    overran: Option<u64>,
    /// Asked to begin anew: until when it may take.
    anew_by: Option<Duration>,
}

/// The life of two children. All times are since the supervisor began.
#[derive(Debug)]
pub struct Supervisor {
    children: [Child; 2],
    /// What a round under way is given.
    stop_within: Duration,
    stop_by: Option<Duration>,
    draining: bool,
    killed_at_stop: bool,
    left: bool,
    actions: VecDeque<Action>,
}

impl Supervisor {
    /// A supervisor that starts both children at `now`: the custodian first, so that the agent finds its socket soon.
    /// `stop_within` is what a round under way is given when it stops.
    pub fn new(now: Duration, stop_within: Duration) -> Self {
        let child = |role| Child {
            role,
            state: State::Waiting { until: now },
            wait: FIRST_WAIT,
            query: None,
            overran: None,
            anew_by: None,
        };
        let mut supervisor = Self {
            children: [child(Role::Custodian), child(Role::Agent)],
            stop_within,
            stop_by: None,
            draining: false,
            killed_at_stop: false,
            left: false,
            actions: VecDeque::new(),
        };
        supervisor.handle_timeout(now);
        supervisor
    }

    /// Takes note of an event.
    pub fn handle(&mut self, now: Duration, event: Event) {
        match event {
            Event::Exited { role, told } => self.exited(now, role, told),
            Event::Working { attempt, limit } => {
                self.child(Role::Custodian).query = Some((attempt, now.saturating_add(limit)));
            }
            Event::Idle => self.child(Role::Custodian).query = None,
            Event::Drain => self.drain(now),
            Event::Stop => self.stop(now),
            Event::Reload => self.reload(now),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some(by) = self.stop_by {
            if now >= by && !self.killed_at_stop {
                self.killed_at_stop = true;
                self.for_each_running(|role| Action::Kill { role, overran: false });
            }
            return;
        }
        for child in &mut self.children {
            match child.state {
                State::Waiting { until } if now >= until => {
                    child.state = State::Running { since: now };
                    self.actions.push_back(Action::Start { role: child.role, overran: child.overran.take() });
                }
                State::Running { .. } if child.query.is_some_and(|(_, until)| now >= until) => {
                    child.overran = child.query.take().map(|(attempt, _)| attempt);
                    self.actions.push_back(Action::Kill { role: child.role, overran: true });
                }
                State::Running { .. } if child.anew_by.is_some_and(|by| now >= by) => {
                    // It stays one that was asked to begin anew, until it has ended.
                    child.anew_by = Some(Duration::MAX);
                    self.actions.push_back(Action::Kill { role: child.role, overran: false });
                }
                _ => {}
            }
        }
    }

    /// When [`Supervisor::handle_timeout`] must be called next.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.stop_by {
            Some(by) => (!self.killed_at_stop).then_some(by),
            None => self
                .children
                .iter()
                .filter_map(|child| match child.state {
                    State::Waiting { until } => Some(until),
                    State::Running { .. } => {
                        let anew = child.anew_by.filter(|by| *by < Duration::MAX);
                        child.query.map(|(_, until)| until).into_iter().chain(anew).min()
                    }
                })
                .min(),
        }
    }

    /// What must be done next, if anything.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn child(&mut self, role: Role) -> &mut Child {
        let [custodian, agent] = &mut self.children;
        if role == Role::Custodian { custodian } else { agent }
    }

    fn exited(&mut self, now: Duration, role: Role, told: bool) {
        let child = self.child(role);
        child.query = None;
        if let State::Running { since } = child.state {
            // A child that was ended for one heavy query, or was asked to, is not to blame: it comes back at once.
            let at_once = child.anew_by.take().is_some() || child.overran.is_some();
            if at_once || now.saturating_sub(since) >= HEALTHY_AFTER {
                child.wait = FIRST_WAIT;
            }
            let mut wait = Duration::ZERO;
            if !at_once {
                let longest = if told { LONGEST_WAIT_FOR_PEOPLE } else { LONGEST_WAIT };
                wait = child.wait.min(longest);
                child.wait = (child.wait * 2).min(longest);
            }
            child.state = State::Waiting { until: now.saturating_add(wait) };
        }
        if self.stop_by.is_some() {
            if role == Role::Custodian && self.draining {
                self.terminate(Role::Agent);
            }
            self.leave_if_done();
        } else {
            self.handle_timeout(now);
        }
    }

    /// The custodian first: what it answers last leaves through the agent.
    fn drain(&mut self, now: Duration) {
        if self.stop_by.is_none() {
            self.draining = true;
            self.stop_by = Some(now.saturating_add(self.stop_within).saturating_add(STOP_GRACE));
            let custodian = self.terminate(Role::Custodian);
            if !custodian {
                self.terminate(Role::Agent);
            }
            self.leave_if_done();
        }
    }

    /// Also of a node that drains: somebody has no time.
    fn stop(&mut self, now: Duration) {
        if self.stop_by.is_none() || self.draining {
            self.draining = false;
            let by = now.saturating_add(STOP_GRACE);
            self.stop_by = Some(self.stop_by.map_or(by, |before| before.min(by)));
            self.for_each_running(Action::Hurry);
            self.leave_if_done();
        }
    }

    /// One that waits reads the configuration when it is started.
    fn reload(&mut self, now: Duration) {
        if self.stop_by.is_none() && self.terminate(Role::Custodian) {
            let by = now.saturating_add(self.stop_within).saturating_add(STOP_GRACE);
            self.child(Role::Custodian).anew_by = Some(by);
        }
    }

    /// Whether there was one to be asked.
    fn terminate(&mut self, role: Role) -> bool {
        let runs = matches!(self.child(role).state, State::Running { .. });
        if runs {
            self.actions.push_back(Action::Terminate(role));
        }
        runs
    }

    fn for_each_running(&mut self, action: fn(Role) -> Action) {
        for child in &self.children {
            if matches!(child.state, State::Running { .. }) {
                self.actions.push_back(action(child.role));
            }
        }
    }

    fn leave_if_done(&mut self) {
        if !self.left && self.children.iter().all(|c| matches!(c.state, State::Waiting { .. })) {
            self.left = true;
            self.actions.push_back(Action::Leave);
        }
    }
}

#[cfg(test)]
mod tests;

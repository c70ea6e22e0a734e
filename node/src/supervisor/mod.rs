//! Keeps the agent and the custodian running, each for itself, stops a custodian whose query overruns, and starts an ingest for each dataset whose
//! snapshot is due ([`ingests`]).
//!
//! [`Supervisor`] decides and never acts: time is an argument, what must be done comes out as [`Action`]s, and [`process`] carries them
//! out. Neither ever opens a socket, the site's data or a key.
//!
//! ```text
//!            Start                 Exited                    wait (250 ms … 10 s)
//! waiting ───────────▶ running ─────────────▶ waiting  ...   doubled at every early death
//!                         │  time limit passed, or stopping for too long
//!                         └────────── Kill ─▶ running until Exited
//! ```

pub mod beats;
pub mod herald;
pub mod ingests;
pub mod process;
pub mod report;
mod standing;

use std::collections::VecDeque;
use std::time::Duration;

/// The first wait before a child that died is started again.
pub const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
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
    Exited(Role),
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
            Event::Exited(role) => self.exited(now, role),
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

    fn exited(&mut self, now: Duration, role: Role) {
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
                wait = child.wait;
                child.wait = (child.wait * 2).min(LONGEST_WAIT);
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
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn actions(supervisor: &mut Supervisor) -> Vec<Action> {
        std::iter::from_fn(|| supervisor.poll_action()).collect()
    }

    fn started() -> Supervisor {
        let mut supervisor = Supervisor::new(Duration::ZERO, secs(30));
        let expected = [Role::Custodian, Role::Agent].map(|role| Action::Start { role, overran: None });
        assert_eq!(actions(&mut supervisor), expected);
        supervisor
    }

    #[test]
    fn a_child_that_dies_again_and_again_is_started_after_growing_waits_and_the_other_is_left_alone() {
        let mut supervisor = started();
        let mut now = secs(1);
        let mut waits = Vec::new();
        for _ in 0..8 {
            supervisor.handle(now, Event::Exited(Role::Agent));
            assert_eq!(actions(&mut supervisor), []);
            let next = supervisor.poll_timeout().unwrap();
            waits.push((next - now).as_millis());
            now = next;
            supervisor.handle_timeout(now);
            assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Agent, overran: None }]);
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn a_child_that_ran_for_long_is_started_after_the_first_wait() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Exited(Role::Agent));
        supervisor.handle_timeout(secs(2));
        supervisor.handle(secs(100), Event::Exited(Role::Agent));
        assert_eq!(supervisor.poll_timeout(), Some(secs(100) + FIRST_WAIT));
    }

    #[test]
    fn a_query_beyond_its_limit_ends_the_custodian_which_is_told_so_when_it_starts_again() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Working { attempt: 7, limit: secs(60) });
        assert_eq!(supervisor.poll_timeout(), Some(secs(61)));
        supervisor.handle_timeout(secs(61));
        assert_eq!(actions(&mut supervisor), [Action::Kill { role: Role::Custodian, overran: true }]);
        supervisor.handle_timeout(secs(62));
        assert_eq!(actions(&mut supervisor), [], "it is killed once");
        supervisor.handle(secs(62), Event::Exited(Role::Custodian));
        assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: Some(7) }]);
        supervisor.handle(secs(63), Event::Exited(Role::Custodian));
        supervisor.handle_timeout(secs(64));
        assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
    }

    #[test]
    fn a_query_within_its_limit_and_a_custodian_that_died_in_a_query_have_no_limit_left() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Working { attempt: 7, limit: secs(60) });
        supervisor.handle(secs(2), Event::Idle);
        assert_eq!(supervisor.poll_timeout(), None);
        supervisor.handle(secs(3), Event::Working { attempt: 7, limit: secs(60) });
        supervisor.handle(secs(4), Event::Exited(Role::Custodian));
        supervisor.handle_timeout(secs(5));
        assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
        assert_eq!(supervisor.poll_timeout(), None);
    }

    #[test]
    fn a_stop_asks_first_then_kills_what_is_left_and_starts_nothing() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Stop);
        assert_eq!(actions(&mut supervisor), [Action::Hurry(Role::Custodian), Action::Hurry(Role::Agent)]);
        supervisor.handle(secs(2), Event::Exited(Role::Agent));
        supervisor.handle(secs(2), Event::Stop);
        assert_eq!(actions(&mut supervisor), []);
        assert_eq!(supervisor.poll_timeout(), Some(secs(1) + STOP_GRACE));
        supervisor.handle_timeout(secs(6));
        assert_eq!(actions(&mut supervisor), [Action::Kill { role: Role::Custodian, overran: false }]);
        supervisor.handle(secs(6), Event::Exited(Role::Custodian));
        assert_eq!(actions(&mut supervisor), [Action::Leave]);
    }

    #[test]
    fn a_stop_while_both_children_wait_leaves_at_once() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Exited(Role::Agent));
        supervisor.handle(secs(1), Event::Exited(Role::Custodian));
        supervisor.handle(secs(1), Event::Stop);
        assert_eq!(actions(&mut supervisor), [Action::Leave]);
    }

    #[test]
    fn a_drain_asks_the_custodian_first_and_the_agent_when_its_last_answer_is_out() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Drain);
        assert_eq!(actions(&mut supervisor), [Action::Terminate(Role::Custodian)]);
        assert_eq!(supervisor.poll_timeout(), Some(secs(31) + STOP_GRACE));
        supervisor.handle(secs(20), Event::Exited(Role::Custodian));
        assert_eq!(actions(&mut supervisor), [Action::Terminate(Role::Agent)]);
        supervisor.handle(secs(21), Event::Exited(Role::Agent));
        assert_eq!(actions(&mut supervisor), [Action::Leave]);
    }

    #[test]
    fn a_drain_ends_by_force_when_its_time_is_over_and_sooner_where_somebody_has_none() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Drain);
        actions(&mut supervisor);
        supervisor.handle(secs(2), Event::Drain);
        assert_eq!(actions(&mut supervisor), [], "it drains already");
        supervisor.handle(secs(3), Event::Stop);
        assert_eq!(actions(&mut supervisor), [Action::Hurry(Role::Custodian), Action::Hurry(Role::Agent)]);
        supervisor.handle_timeout(secs(3) + STOP_GRACE);
        let kill = |role| Action::Kill { role, overran: false };
        assert_eq!(actions(&mut supervisor), [kill(Role::Custodian), kill(Role::Agent)]);
    }

    #[test]
    fn a_changed_configuration_lets_the_custodian_alone_begin_anew_without_a_wait() {
        let mut supervisor = started();
        supervisor.handle(secs(1), Event::Reload);
        assert_eq!(actions(&mut supervisor), [Action::Terminate(Role::Custodian)]);
        supervisor.handle(secs(2), Event::Exited(Role::Custodian));
        assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
        supervisor.handle(secs(3), Event::Reload);
        actions(&mut supervisor);
        supervisor.handle_timeout(secs(33) + STOP_GRACE);
        assert_eq!(actions(&mut supervisor), [Action::Kill { role: Role::Custodian, overran: false }]);
        assert_eq!(supervisor.poll_timeout(), None, "it is killed once");
        supervisor.handle(secs(39), Event::Exited(Role::Custodian));
        assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
    }
}

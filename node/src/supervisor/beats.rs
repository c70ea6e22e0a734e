//! The children's heartbeats: whether both are up, and whether one hangs. It decides and never acts; all times are since the supervisor began.

use std::time::Duration;

use bocage_daemon::pulse::HUNG_AFTER;

use super::Role;

/// How long a child may take to come up: a large ledger is read first.
pub const COMING_UP: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy)]
struct Child {
    /// When it was heard last, or started.
    last: Duration,
    up: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Beats {
    custodian: Option<Child>,
    agent: Option<Child>,
}

impl Beats {
    fn slot(&mut self, role: Role) -> &mut Option<Child> {
        match role {
            Role::Custodian => &mut self.custodian,
            Role::Agent => &mut self.agent,
        }
    }

    /// A child was started.
    pub fn started(&mut self, now: Duration, role: Role) {
        *self.slot(role) = Some(Child { last: now, up: false });
    }

    /// A child said that its loop turns. One that is about to end says nothing of the next.
    pub fn beat(&mut self, now: Duration, role: Role) {
        if let Some(child) = self.slot(role) {
            *child = Child { last: now, up: true };
        }
    }

    /// A child has ended. It is started again, so that it hangs not.
    pub fn ended(&mut self, role: Role) {
        *self.slot(role) = None;
    }

    /// Whether both children are up.
    pub fn are_up(&self) -> bool {
        [self.custodian, self.agent].iter().all(|child| child.is_some_and(|child| child.up))
    }

    /// The child that hangs, if one does.
    pub fn hung(&self, now: Duration) -> Option<Role> {
        let hangs = |child: Option<Child>| {
            child.is_some_and(|Child { last, up }| now.saturating_sub(last) >= if up { HUNG_AFTER } else { COMING_UP })
        };
        [(Role::Custodian, self.custodian), (Role::Agent, self.agent)]
            .into_iter()
            .find_map(|(role, child)| hangs(child).then_some(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_node_is_up_when_both_children_have_been_heard_since_they_were_started() {
        let mut beats = Beats::default();
        for role in [Role::Custodian, Role::Agent] {
            beats.started(secs(0), role);
        }
        beats.beat(secs(1), Role::Custodian);
        assert!(!beats.are_up());
        beats.beat(secs(2), Role::Agent);
        assert!(beats.are_up());
        beats.ended(Role::Custodian);
        beats.started(secs(3), Role::Custodian);
        assert!(!beats.are_up());
    }

    #[test]
    fn a_child_that_falls_silent_hangs_and_one_that_comes_up_has_longer() {
        let mut beats = Beats::default();
        beats.started(secs(0), Role::Custodian);
        assert_eq!(beats.hung(secs(299)), None);
        assert_eq!(beats.hung(secs(300)), Some(Role::Custodian));
        beats.beat(secs(301), Role::Custodian);
        assert_eq!(beats.hung(secs(330)), None);
        assert_eq!(beats.hung(secs(331)), Some(Role::Custodian));
        beats.ended(Role::Custodian);
        assert_eq!(beats.hung(secs(900)), None, "one that is started again hangs not");
    }
}

//! What the log says of a child that cannot go on: the cause once, and once that it is tried again; not at each attempt, or nothing else could be found there.

use super::Role;
use super::report::Cause;

/// How an end is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loudness {
    /// As it is.
    Said,
    /// With the word that the next ones are not said.
    LastTime,
    /// To whoever looks for it.
    Quiet,
}

#[derive(Debug, Default)]
struct Of {
    cause: Option<Cause>,
    ends: u32,
}

/// What was said of both children since each was up last.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    custodian: Of,
    agent: Of,
}

impl Sayings {
    fn of(&mut self, role: Role) -> &mut Of {
        match role {
            Role::Custodian => &mut self.custodian,
            Role::Agent => &mut self.agent,
        }
    }

    /// A child says why it cannot go on; whether that is news.
    pub(super) fn is_new(&mut self, role: Role, cause: &Cause) -> bool {
        let of = self.of(role);
        let new = of.cause.as_ref() != Some(cause);
        if new {
            // It may come before or after the end that it is the cause of.
            *of = Of { cause: Some(cause.clone()), ends: of.ends.min(1) };
        }
        new
    }

    /// A child has ended, and has said why or not.
    pub(super) fn ended(&mut self, role: Role, told: bool) -> Loudness {
        let of = self.of(role);
        of.ends = if told { of.ends.saturating_add(1) } else { 0 };
        match of.ends {
            0 | 1 => Loudness::Said,
            2 => Loudness::LastTime,
            _ => Loudness::Quiet,
        }
    }

    /// Whether a start of this child is one of many.
    pub(super) fn starts_quietly(&mut self, role: Role) -> bool {
        self.of(role).ends > 1
    }

    /// A child is up.
    pub(super) fn up(&mut self, role: Role) {
        *self.of(role) = Of::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(message: &str) -> Cause {
        Cause { message: message.to_owned(), hint: None }
    }

    #[test]
    fn a_cause_is_said_once_and_its_repetitions_are_not_until_the_child_was_up_or_another_cause_comes() {
        let (mut sayings, custodian) = (Sayings::default(), Role::Custodian);
        let mut dies = |cause: &Cause| (sayings.is_new(custodian, cause), sayings.ended(custodian, true));
        let (one, other) = (cause("the ledger is damaged"), cause("the disk is full"));
        assert_eq!(dies(&one), (true, Loudness::Said));
        assert_eq!(dies(&one), (false, Loudness::LastTime));
        assert_eq!(dies(&one), (false, Loudness::Quiet));
        assert_eq!(dies(&other), (true, Loudness::LastTime));
        assert_eq!(dies(&other), (false, Loudness::Quiet));
        assert!(sayings.starts_quietly(custodian) && !sayings.starts_quietly(Role::Agent));
        sayings.up(custodian);
        assert!(!sayings.starts_quietly(custodian));
        assert!(sayings.is_new(custodian, &one), "after it was up everything is news");
    }

    #[test]
    fn a_child_that_is_killed_is_always_said() {
        let mut sayings = Sayings::default();
        for _ in 0..5 {
            assert_eq!(sayings.ended(Role::Agent, false), Loudness::Said);
        }
        assert!(!sayings.starts_quietly(Role::Agent));
    }
}

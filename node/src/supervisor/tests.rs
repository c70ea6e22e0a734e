//! Two children in simulated time.

use super::*;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn actions(supervisor: &mut Supervisor) -> Vec<Action> {
    std::iter::from_fn(|| supervisor.poll_action()).collect()
}

/// Killed, or crashed.
fn exited(role: Role) -> Event {
    Event::Exited { role, told: false }
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
        supervisor.handle(now, exited(Role::Agent));
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
fn a_child_that_says_what_a_person_must_mend_is_tried_again_less_and_less_often() {
    let mut supervisor = started();
    let mut now = secs(1);
    let mut waits = Vec::new();
    for told in [true, true, true, true, true, true, true, true, true, true, false] {
        supervisor.handle(now, Event::Exited { role: Role::Custodian, told });
        let next = supervisor.poll_timeout().unwrap();
        waits.push((next - now).as_millis());
        now = next;
        supervisor.handle_timeout(now);
        actions(&mut supervisor);
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 10_000]);
}

#[test]
fn a_child_that_ran_for_long_is_started_after_the_first_wait() {
    let mut supervisor = started();
    supervisor.handle(secs(1), exited(Role::Agent));
    supervisor.handle_timeout(secs(2));
    supervisor.handle(secs(100), exited(Role::Agent));
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
    supervisor.handle(secs(62), exited(Role::Custodian));
    assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: Some(7) }]);
    supervisor.handle(secs(63), exited(Role::Custodian));
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
    supervisor.handle(secs(4), exited(Role::Custodian));
    supervisor.handle_timeout(secs(5));
    assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
    assert_eq!(supervisor.poll_timeout(), None);
}

#[test]
fn a_stop_asks_first_then_kills_what_is_left_and_starts_nothing() {
    let mut supervisor = started();
    supervisor.handle(secs(1), Event::Stop);
    assert_eq!(actions(&mut supervisor), [Action::Hurry(Role::Custodian), Action::Hurry(Role::Agent)]);
    supervisor.handle(secs(2), exited(Role::Agent));
    supervisor.handle(secs(2), Event::Stop);
    assert_eq!(actions(&mut supervisor), []);
    assert_eq!(supervisor.poll_timeout(), Some(secs(1) + STOP_GRACE));
    supervisor.handle_timeout(secs(6));
    assert_eq!(actions(&mut supervisor), [Action::Kill { role: Role::Custodian, overran: false }]);
    supervisor.handle(secs(6), exited(Role::Custodian));
    assert_eq!(actions(&mut supervisor), [Action::Leave]);
}

#[test]
fn a_stop_while_both_children_wait_leaves_at_once() {
    let mut supervisor = started();
    supervisor.handle(secs(1), exited(Role::Agent));
    supervisor.handle(secs(1), exited(Role::Custodian));
    supervisor.handle(secs(1), Event::Stop);
    assert_eq!(actions(&mut supervisor), [Action::Leave]);
}

#[test]
fn a_drain_asks_the_custodian_first_and_the_agent_when_its_last_answer_is_out() {
    let mut supervisor = started();
    supervisor.handle(secs(1), Event::Drain);
    assert_eq!(actions(&mut supervisor), [Action::Terminate(Role::Custodian)]);
    assert_eq!(supervisor.poll_timeout(), Some(secs(31) + STOP_GRACE));
    supervisor.handle(secs(20), exited(Role::Custodian));
    assert_eq!(actions(&mut supervisor), [Action::Terminate(Role::Agent)]);
    supervisor.handle(secs(21), exited(Role::Agent));
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
    supervisor.handle(secs(2), exited(Role::Custodian));
    assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
    supervisor.handle(secs(3), Event::Reload);
    actions(&mut supervisor);
    supervisor.handle_timeout(secs(33) + STOP_GRACE);
    assert_eq!(actions(&mut supervisor), [Action::Kill { role: Role::Custodian, overran: false }]);
    assert_eq!(supervisor.poll_timeout(), None, "it is killed once");
    supervisor.handle(secs(39), exited(Role::Custodian));
    assert_eq!(actions(&mut supervisor), [Action::Start { role: Role::Custodian, overran: None }]);
}

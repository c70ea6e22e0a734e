//! Waits for a study to end: one thread polls, one listens for Ctrl-C, the caller hears of every change. Leaving never cancels the study.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use bocage_protocol::ids::StudyId;

use super::{Api, ClientError};
use crate::api::types::{StudyState, StudyStatus};

/// How long one long poll waits at the coordinator.
const POLL: Duration = Duration::from_secs(20);
/// How often a follower hears of a study that does not change.
pub(super) const TICK: Duration = Duration::from_secs(5);
/// The pause before an unreachable coordinator is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How the waiting ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// The study is published or cancelled.
    Ended(StudyStatus),
    /// The time to wait is over.
    TimeOver(StudyStatus),
    /// Ctrl-C.
    Interrupted(StudyStatus),
}

/// What a follower hears of.
#[derive(Debug)]
pub enum News<'a> {
    /// The study changed.
    Status(&'a StudyStatus),
    /// Nothing was heard for a while: so it stood last.
    Still(&'a StudyStatus),
    /// The coordinator does not answer; it is tried again.
    Unreachable(&'a ClientError),
}

enum Event {
    Status(Box<StudyStatus>),
    Unreachable(ClientError),
    Failed(ClientError),
    Interrupted,
}

/// Follows a study from `status` on until it ends, for at most `wait`.
///
/// With `detach`, Ctrl-C ends the waiting instead of the process.
///
/// # Errors
/// What the coordinator answers, unless it merely cannot be reached: it may be starting again, and the study survives that.
pub fn follow(
    api: &Api,
    status: StudyStatus,
    wait: Option<Duration>,
    detach: bool,
    news: &mut dyn FnMut(News<'_>),
) -> Result<Followed, ClientError> {
    follow_by(TICK, api, status, wait, detach, news)
}

fn follow_by(
    tick: Duration,
    api: &Api,
    status: StudyStatus,
    wait: Option<Duration>,
    detach: bool,
    news: &mut dyn FnMut(News<'_>),
) -> Result<Followed, ClientError> {
    let (sender, events) = mpsc::channel();
    // Dropped with this call, which ends the polling thread's pauses.
    let (_following, left) = mpsc::channel::<()>();
    let deadline = wait.map(|wait| Instant::now() + wait);
    if detach {
        listen(sender.clone());
    }
    if status.state == StudyState::Open {
        let (api, id, seen) = (api.clone(), status.id, status.version);
        std::thread::spawn(move || poll(&api, &id, seen, &sender, &left));
    }
    let mut last = status;
    loop {
        news(News::Status(&last));
        if last.state != StudyState::Open {
            return Ok(Followed::Ended(last));
        }
        loop {
            match next(&events, deadline, tick) {
                Ok(Event::Status(status)) => {
                    last = *status;
                    break;
                }
                Ok(Event::Unreachable(error)) => news(News::Unreachable(&error)),
                Ok(Event::Failed(error)) => return Err(error),
                Ok(Event::Interrupted) => return Ok(Followed::Interrupted(last)),
                Err(RecvTimeoutError::Timeout) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                    news(News::Still(&last));
                }
                Err(_) => return Ok(Followed::TimeOver(last)),
            }
        }
    }
}

fn next(events: &Receiver<Event>, deadline: Option<Instant>, tick: Duration) -> Result<Event, RecvTimeoutError> {
    let left = deadline.map_or(tick, |deadline| deadline.saturating_duration_since(Instant::now()).min(tick));
    events.recv_timeout(left)
}

/// Ends with the study, or when nobody listens any more.
fn poll(api: &Api, id: &StudyId, mut seen: u64, events: &Sender<Event>, left: &Receiver<()>) {
    let pause = |pause: Duration| left.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
    loop {
        let asked = Instant::now();
        let event = match api.status(id, Some(seen), POLL) {
            Ok(status) if status.version == seen && status.state == StudyState::Open => {
                // A coordinator that answers without waiting must not be asked without pause.
                if pause(RETRY.saturating_sub(asked.elapsed())) {
                    continue;
                }
                return;
            }
            Ok(status) => {
                seen = status.version;
                Event::Status(Box::new(status))
            }
            Err(error @ ClientError::Unreachable { .. }) => Event::Unreachable(error),
            Err(error) => Event::Failed(error),
        };
        let unreachable = matches!(event, Event::Unreachable(_));
        let last = match &event {
            Event::Status(status) => status.state != StudyState::Open,
            Event::Failed(_) => true,
            Event::Unreachable(_) | Event::Interrupted => false,
        };
        if events.send(event).is_err() || last || (unreachable && !pause(RETRY)) {
            return;
        }
    }
}

/// The thread lives until the process ends: a runtime's signal handler cannot be taken back.
fn listen(events: Sender<Event>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            let _ = events.send(Event::Interrupted);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::fake::{answering, answering_from, ok, study};
    use super::*;

    #[test]
    fn every_change_is_told_until_the_study_ends() {
        let answers = vec![ok(&study("a", StudyState::Open, 2)), ok(&study("a", StudyState::Published, 3))];
        let (api, heard) = answering(answers);
        let mut versions = Vec::new();
        let mut news = |news: News<'_>| {
            if let News::Status(status) = news {
                versions.push(status.version);
            }
        };
        let followed = follow(&api, study("a", StudyState::Open, 1), None, false, &mut news).unwrap();
        assert_eq!(followed, Followed::Ended(study("a", StudyState::Published, 3)));
        assert_eq!(versions, [1, 2, 3]);
        assert!(heard.recv().unwrap().contains("?seen=1&wait_secs=20"));
        assert!(heard.recv().unwrap().contains("?seen=2&wait_secs=20"));
    }

    #[test]
    fn a_study_that_does_not_change_is_told_of_again_and_again() {
        let (answer, answers_from) = mpsc::channel();
        let (api, _heard) = answering_from(answers_from, vec![ok(&study("a", StudyState::Published, 2))]);
        let mut told = 0;
        let mut news = |news: News<'_>| {
            told += usize::from(matches!(news, News::Still(_)));
            if told == 2 {
                let _ = answer.send(());
            }
        };
        let open = study("a", StudyState::Open, 1);
        let followed = follow_by(Duration::from_millis(1), &api, open, None, false, &mut news);
        assert!(matches!(followed.unwrap(), Followed::Ended(_)));
    }

    #[test]
    fn without_time_to_wait_the_study_is_left_open_at_once() {
        let (api, _heard) = answering(vec![]);
        let followed = follow(&api, study("a", StudyState::Open, 1), Some(Duration::ZERO), false, &mut |_| {});
        assert!(matches!(followed.unwrap(), Followed::TimeOver(_)));
    }

    #[test]
    fn a_refusal_ends_the_waiting_with_an_error() {
        let body = r#"{"type":"t","title":"t","status":404,"detail":"no such study","code":"not_found","hint":null}"#;
        let (api, _heard) = answering(vec![(404, body.to_owned())]);
        let followed = follow(&api, study("a", StudyState::Open, 1), None, false, &mut |_| {});
        assert!(matches!(followed, Err(ClientError::Refused(_))));
    }
}

//! The ledger as an account of studies: one for each study, with who asked, what was decided, how much left and what was refused, folded from its
//! records. The cells that left are not in it: [`super::show`] reads them, study by study.
//!
//! A kind of record that this version does not know is kept as it stands, and never an error: ledgers outlive versions.

use std::collections::{BTreeMap, BTreeSet};

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use bocage_protocol::trust::{SignedStudy, Study};
use serde::Serialize;

use super::bodies::{self, AttemptState, Decision, Refusal, Released, Verdict};
use super::record::{Kind, Record};
use super::{Ledger, LedgerError};

/// A span of time; an open end is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this one.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether it holds a moment.
    pub fn has(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// One study at this site.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// Its id.
    pub study: String,
    /// When it first asked.
    pub first: Timestamp,
    /// The last record about it.
    pub last: Timestamp,
    /// Who asks, for what; absent where signature or signer could not be trusted.
    pub about: Option<bodies::About>,
    /// The permit that it relies on.
    pub permit: Option<String>,
    /// When it ends, where its text is still in the ledger.
    pub expires_at: Option<Timestamp>,
    /// How often it asked.
    pub requests: u32,
    /// What was decided.
    pub decisions: Vec<On<Decision>>,
    /// The content of the data that it was computed on.
    pub snapshots: BTreeSet<Digest>,
    /// What left.
    pub releases: Vec<On<Released>>,
    /// What was refused.
    pub refusals: Vec<On<Refusal>>,
    /// Whether it was put before the site's steward.
    pub put_to_steward: bool,
    /// Whether a computation has begun that has no end yet.
    pub running: bool,
    /// Whatever else was recorded about it, e.g. a steward's word.
    pub others: Vec<Other>,
}

/// What a record says, and where it stands.
#[derive(Debug, Clone, Serialize)]
pub struct On<T> {
    /// The record's number.
    pub record: i64,
    /// When it was written.
    pub at: Timestamp,
    /// The study's round.
    pub round: i64,
    /// What it says.
    #[serde(flatten)]
    pub says: T,
}

/// A record of another kind, as it stands.
#[derive(Debug, Clone, Serialize)]
pub struct Other {
    /// The record's number.
    pub record: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it is about.
    pub kind: String,
    /// What it says.
    pub body: serde_json::Value,
}

/// How a study stands at this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Something left.
    Released,
    /// A computation runs, or was interrupted.
    Computing,
    /// Nothing left.
    Refused,
    /// It waits, or waited until its end, for the site's steward.
    Waiting,
    /// It asked; nothing was decided yet.
    Asked,
}

impl State {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Released => "released",
            State::Computing => "computing",
            State::Refused => "refused",
            State::Waiting => "waiting",
            State::Asked => "asked",
        }
    }
}

impl Account {
    fn new(study: String, at: Timestamp) -> Self {
        Self {
            study,
            first: at,
            last: at,
            about: None,
            permit: None,
            expires_at: None,
            requests: 0,
            decisions: Vec::new(),
            snapshots: BTreeSet::new(),
            releases: Vec::new(),
            refusals: Vec::new(),
            put_to_steward: false,
            running: false,
            others: Vec::new(),
        }
    }

    /// The beginning of the id, for people.
    pub fn short(&self) -> &str {
        self.study.get(..12).unwrap_or(&self.study)
    }

    /// How it stands.
    pub fn state(&self) -> State {
        match self {
            _ if !self.releases.is_empty() => State::Released,
            _ if self.running => State::Computing,
            _ if !self.refusals.is_empty() => State::Refused,
            _ if self.put_to_steward => State::Waiting,
            _ => State::Asked,
        }
    }

    /// Cells that left with a value, and those that left hidden.
    pub fn cells(&self) -> (u64, u64) {
        let parts = self.releases.iter().flat_map(|release| &release.says.parts);
        parts.fold((0, 0), |(shown, hidden), part| (shown + part.shown, hidden + part.hidden))
    }

    /// How often what had left before left again.
    pub fn repeats(&self) -> usize {
        self.decisions.iter().filter(|d| d.says.decision == Verdict::Repeat).count()
    }

    /// What was decided last, in a line.
    pub fn decision(&self) -> String {
        let decided = self.decisions.iter().rfind(|d| d.says.decision == Verdict::Allow);
        match (decided, self.refusals.last()) {
            (_, Some(refused)) if self.state() == State::Refused => format!("refused: {}", refused.says.error.code),
            (Some(decided), _) => format!("allowed by {}", decided.says.by),
            _ => "none".to_owned(),
        }
    }

    fn add(&mut self, record: &Record) {
        fn on<T: serde::de::DeserializeOwned>(record: &Record) -> Option<On<T>> {
            let (at, round) = (record.at, record.round.unwrap_or_default());
            Some(On { record: record.seq, at, round, says: record.body()? })
        }
        self.last = record.at;
        let known = match record.kind() {
            Some(Kind::Request) => {
                self.requests += 1;
                self.ask(record);
                true
            }
            Some(Kind::Pending) => record.body::<bodies::desk::Pending>().map(|pending| self.wait(pending)).is_some(),
            Some(Kind::Decision) => on(record).map(|d| self.decisions.push(d)).is_some(),
            Some(Kind::Reservation) => record
                .body::<bodies::Reservation>()
                .map(|reservation| self.snapshots.insert(reservation.snapshot))
                .is_some(),
            Some(Kind::Attempt) => record
                .body::<bodies::Attempt>()
                .map(|attempt| self.running = attempt.state == AttemptState::Started)
                .is_some(),
            Some(Kind::Release) => {
                self.running = false;
                on(record).map(|r| self.releases.push(r)).is_some()
            }
            Some(Kind::Refusal) => {
                self.running = false;
                on(record).map(|r| self.refusals.push(r)).is_some()
            }
            _ => false,
        };
        if !known {
            self.others.push(other(record));
        }
    }

    /// Learns who asks for what: from the record's body, and the study's own text where that is still kept.
    fn ask(&mut self, record: &Record) {
        let about = record.body::<bodies::Request>().and_then(|request| request.study);
        self.about = self.about.take().or(about);
        let envelope = record.payload.as_deref().and_then(|bytes| serde_json::from_slice::<SignedStudy>(bytes).ok());
        let study = envelope.and_then(|envelope| serde_json::from_str::<Study>(&envelope.study).ok());
        let believed = self.about.as_ref().and_then(|about| about.permit.as_ref()).map(|permit| permit.id.to_string());
        self.permit = self.permit.take().or(believed);
        self.expires_at = self.expires_at.or(study.map(|study| study.expires_at));
    }

    fn wait(&mut self, pending: bodies::desk::Pending) {
        let permit = pending.study.permit.as_ref().map(|permit| permit.id.to_string());
        self.put_to_steward = true;
        self.permit = self.permit.take().or(permit);
        self.about = self.about.take().or(Some(pending.study));
        self.expires_at = self.expires_at.or(Some(pending.until));
    }

    /// Forgets what lies outside the window. None where nothing is left.
    fn within(mut self, window: &Window) -> Option<Self> {
        self.decisions.retain(|on| window.has(on.at));
        self.releases.retain(|on| window.has(on.at));
        self.refusals.retain(|on| window.has(on.at));
        self.others.retain(|other| window.has(other.at));
        let lines = self.decisions.len() + self.releases.len() + self.refusals.len() + self.others.len();
        (lines > 0 || window.has(self.first) || window.has(self.last)).then_some(self)
    }
}

fn other(record: &Record) -> Other {
    let body = serde_json::from_str(&record.body).unwrap_or(serde_json::Value::String(record.body.clone()));
    Other { record: record.seq, at: record.at, kind: record.kind.clone(), body }
}

/// A snapshot that was taken.
#[derive(Debug, Clone, Serialize)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// Of what.
    #[serde(flatten)]
    pub says: bodies::SnapshotTaken,
}

/// All that the ledger says, without the cells.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The studies, in the order in which they first asked.
    pub studies: Vec<Account>,
    /// The snapshots, in the order in which they were taken.
    pub snapshots: Vec<Taken>,
    /// What else was recorded of the site itself.
    pub others: Vec<Other>,
}

impl Ledger {
    /// The account of a span of time.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn accounts(&self, window: &Window) -> Result<Accounts, LedgerError> {
        let mut found = Accounts::default();
        let mut place: BTreeMap<String, usize> = BTreeMap::new();
        self.outlines(|record| match &record.study {
            Some(study) => {
                let at = *place.entry(study.clone()).or_insert_with(|| {
                    found.studies.push(Account::new(study.clone(), record.at));
                    found.studies.len() - 1
                });
                if let Some(account) = found.studies.get_mut(at) {
                    account.add(&record);
                }
            }
            None => match record.kind().filter(|kind| *kind == Kind::Snapshot).and_then(|_| record.body()) {
                Some(says) => found.snapshots.push(Taken { at: record.at, says }),
                None => found.others.push(other(&record)),
            },
        })?;
        found.studies = found.studies.into_iter().filter_map(|account| account.within(window)).collect();
        let used: BTreeSet<Digest> = found.studies.iter().flat_map(|account| account.snapshots.clone()).collect();
        found.snapshots.retain(|taken| window.has(taken.at) || used.contains(&taken.says.content));
        found.others.retain(|other| window.has(other.at));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attempt, study};
    use super::super::{Entry, bodies::StepAsked};
    use super::*;
    use bocage_protocol::error::{ErrorCode, PublicError};

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        (dir, ledger)
    }

    fn asked(n: u8) -> Entry {
        Entry::new(Kind::Request, study(n), 0, &bodies::Request { study: None, steps: StepAsked::all(&[]) })
    }

    fn refused(n: u8) -> Entry {
        let error = PublicError::new(ErrorCode::SignerUnknown, "who is that");
        Entry::new(Kind::Refusal, study(n), 0, &Refusal { error, r#final: false })
    }

    fn released(n: u8) -> Entry {
        let part =
            bodies::ReleasedPart { analysis: "a".parse().unwrap(), shown: 4, hidden: 2, refused: None, question: None };
        Entry::new(Kind::Release, study(n), 0, &Released { bytes: 9, parts: vec![part] })
    }

    fn pending(n: u8) -> Entry {
        let key = bocage_protocol::trust::SecretKey::generate(&mut bocage_net::env::SystemEntropy).public();
        let study_of = bodies::About {
            title: "Waits".to_owned(),
            purpose: bocage_protocol::trust::Purpose::Education,
            researcher: "Ada".to_owned(),
            organisation: None,
            permit: None,
            access_body: None,
            key,
            dataset: "heart@1".parse().unwrap(),
            analyses: vec![],
        };
        let body = bodies::desk::Pending {
            study: study_of,
            why: "rule 1".to_owned(),
            policy: Digest::of("policy", &[]),
            persons: 1,
            until: Timestamp(99),
            asks: vec![],
            terms: None,
        };
        Entry::new(Kind::Pending, study(n), 0, &body)
    }

    #[test]
    fn a_study_that_waits_for_the_steward_is_told_with_who_asks_and_until_when() {
        let (_dir, ledger) = ledger();
        ledger.append(Timestamp(5), &[pending(1), pending(2), released(2)]).unwrap();
        let found = ledger.accounts(&Window::default()).unwrap().studies;
        assert_eq!(found.iter().map(Account::state).collect::<Vec<_>>(), [State::Waiting, State::Released]);
        let about = found[0].about.as_ref().map(|about| about.researcher.as_str());
        assert_eq!((about, found[0].expires_at), (Some("Ada"), Some(Timestamp(99))));
        assert!(found[0].others.is_empty());
    }

    #[test]
    fn a_study_stands_as_its_last_records_say() {
        let (_dir, ledger) = ledger();
        let entries = [
            asked(1),
            attempt(1, AttemptState::Started),
            released(1),
            asked(2),
            refused(2),
            asked(3),
            attempt(3, AttemptState::Started),
            asked(4),
        ];
        ledger.append(Timestamp(5), &entries).unwrap();
        let found = ledger.accounts(&Window::default()).unwrap().studies;
        let states: Vec<_> = found.iter().map(Account::state).collect();
        assert_eq!(states, [State::Released, State::Refused, State::Computing, State::Asked]);
        assert_eq!(found[0].cells(), (4, 2));
        assert_eq!(found[1].decision(), "refused: signer_unknown");
    }

    #[test]
    fn a_record_of_a_kind_or_form_that_is_not_known_is_kept_as_it_stands() {
        let (dir, ledger) = ledger();
        ledger.append(Timestamp(5), &[asked(1), attempt(1, AttemptState::Started)]).unwrap();
        drop(ledger);
        let path = dir.path().join("ledger.sqlite");
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute_batch(
            "DROP TRIGGER record_no_update; UPDATE record SET kind = 'oracle', body = '{\"said\":\"yes\"}' WHERE seq = 2",
        )
        .unwrap();
        file.execute("UPDATE record SET kind = 'decision', body = '[1]' WHERE seq = 1", []).unwrap();
        drop(file);
        let found = Ledger::open_read_only(&path).unwrap().accounts(&Window::default()).unwrap().studies;
        let kinds: Vec<_> = found[0].others.iter().map(|other| (other.kind.as_str(), other.body.to_string())).collect();
        assert_eq!(kinds, [("decision", "[1]".to_owned()), ("oracle", "{\"said\":\"yes\"}".to_owned())]);
    }

    #[test]
    fn a_window_leaves_out_what_happened_before_and_after_it() {
        let (_dir, ledger) = ledger();
        for (at, entry) in [(10, asked(1)), (20, refused(1)), (30, asked(2)), (40, refused(2)), (50, refused(1))] {
            ledger.append(Timestamp(at), &[entry]).unwrap();
        }
        let window = |from, until| Window { from: Some(Timestamp(from)), until: Some(Timestamp(until)) };
        let found = ledger.accounts(&window(15, 30)).unwrap().studies;
        assert_eq!((found.len(), found[0].refusals.len()), (1, 1));
        assert_eq!(ledger.accounts(&window(30, 31)).unwrap().studies.len(), 1);
        assert_eq!(ledger.accounts(&window(60, 70)).unwrap().studies.len(), 0);
    }
}

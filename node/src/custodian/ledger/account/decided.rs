//! How a study stands, and who decided that, in sentences.

use bocage_protocol::error::ErrorCode;
use bocage_protocol::ids::Digest;

use super::{Account, On, Said, State, day_and_minute};
use crate::custodian::ledger::bodies::desk::Pending;
use crate::custodian::ledger::bodies::{Decision, Refusal, Verdict};

impl Account {
    /// How it stands.
    pub fn state(&self) -> State {
        match self {
            _ if !self.releases.is_empty() => State::Released,
            _ if self.running => State::Computing,
            _ if self.denial().is_some() || self.refused().next().is_some() => State::Refused,
            _ if self.approved() => State::Approved,
            _ if self.put_to_steward || !self.refusals.is_empty() => State::Waiting,
            _ => State::Asked,
        }
    }

    /// The refusals that ended something.
    pub fn refused(&self) -> impl Iterator<Item = &On<Refusal>> {
        self.refusals.iter().filter(|on| !self.came_again(on))
    }

    /// The refusals that only meant: later.
    pub fn waited(&self) -> impl Iterator<Item = &On<Refusal>> {
        self.refusals.iter().filter(|on| self.came_again(on))
    }

    fn came_again(&self, on: &On<Refusal>) -> bool {
        let later = [ErrorCode::PolicyLater, ErrorCode::Paused, ErrorCode::ApprovalPending, ErrorCode::Busy];
        later.contains(&on.says.error.code)
            || self.releases.iter().any(|release| release.round == on.round && release.record > on.record)
    }

    fn denial(&self) -> Option<&On<Said>> {
        self.said.iter().find(|on| matches!(on.says, Said::Refused(_)))
    }

    fn pending(&self) -> Option<&Pending> {
        let pending = |on: &On<Said>| matches!(on.says, Said::Waits(_));
        match self.said.iter().rfind(|on| pending(on)).map(|on| &on.says) {
            Some(Said::Waits(pending)) => Some(pending.as_ref()),
            _ => None,
        }
    }

    /// Whether as many people said yes as must, under the policy that it last waited under.
    fn approved(&self) -> bool {
        let Some(pending) = self.pending() else { return false };
        let mut people: Vec<u32> = self.said.iter().filter_map(|on| yes(&on.says, &pending.policy)).collect();
        people.sort_unstable();
        people.dedup();
        people.len() >= pending.persons.max(1) as usize
    }

    /// The decision by which it is answered.
    pub fn allowed(&self) -> Option<&On<Decision>> {
        self.decisions.iter().rfind(|on| on.says.decision == Verdict::Allow)
    }

    /// What it asks, analysis by analysis, as far as the ledger says: sentences, or the name alone.
    pub fn asks(&self) -> Vec<(String, String)> {
        if let Some(on) = self.decisions.iter().find(|on| !on.says.explained.is_empty()) {
            return on.says.explained.iter().map(|(name, text)| (name.to_string(), text.clone())).collect();
        }
        if let Some(pending) = self.pending() {
            return pending.asks.iter().map(|asks| (asks.analysis.to_string(), asks.explained.clone())).collect();
        }
        let about = self.about.iter().flat_map(|about| &about.analyses);
        about.map(|name| (name.to_string(), String::new())).collect()
    }

    /// What was decided last, in a line.
    pub fn decision(&self) -> String {
        let (people, allowed) = (self.people(), self.allowed());
        let rule = allowed.map(|on| format!("allowed by {}", on.says.by));
        let refused = self.refused().last().map(|on| format!("refused: {}", on.says.error.code));
        match self.state() {
            State::Refused => match self.denial() {
                Some(no) => sentence(no),
                None => refused.unwrap_or_default(),
            },
            _ if rule.is_some() || !people.is_empty() => rule.into_iter().chain(people).collect::<Vec<_>>().join("; "),
            State::Waiting => match (self.pending(), self.refusals.last()) {
                (Some(pending), _) => format!("waits for the steward: {}", pending.why),
                (None, Some(later)) => format!("told to come later: {}", later.says.error.code),
                (None, None) => "waits".to_owned(),
            },
            _ => "none".to_owned(),
        }
    }

    /// The yes and no of people, in sentences.
    pub fn people(&self) -> Vec<String> {
        let person = |on: &&On<Said>| matches!(on.says, Said::Approved(_) | Said::Refused(_));
        self.said.iter().filter(person).map(sentence).collect()
    }

    /// Who decided, in sentences with dates, in their order: rules, people, and what was refused.
    pub fn decided_by(&self) -> Vec<String> {
        let mut lines: Vec<(i64, String)> = Vec::new();
        let allowed: Vec<_> = self.decisions.iter().filter(|on| on.says.decision == Verdict::Allow).collect();
        // A study of many rounds is allowed in each, by the same rule as a rule.
        for same in allowed.chunk_by(|a, b| (&a.says.by, a.says.policy) == (&b.says.by, b.says.policy)) {
            let on = same[0];
            let policy = on.says.policy.map(|policy| format!(", under policy {}", policy.short())).unwrap_or_default();
            let times = if same.len() == 1 { String::new() } else { format!(", {} times", same.len()) };
            lines.push((on.record, format!("on {} allowed by {}{policy}{times}", day_and_minute(on.at), on.says.by)));
        }
        lines.extend(self.said.iter().map(|on| (on.record, sentence(on))));
        for on in self.refused() {
            lines.push((on.record, format!("on {} refused: {}", day_and_minute(on.at), on.says.error)));
        }
        lines.sort_by_key(|(record, _)| *record);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// What was said, with its date.
pub fn sentence(on: &On<Said>) -> String {
    format!("on {} {}", day_and_minute(on.at), on.says)
}

fn yes(said: &Said, policy: &Digest) -> Option<u32> {
    match said {
        Said::Approved(approval) if approval.policy == *policy => Some(approval.by.uid),
        _ => None,
    }
}

//! Reads `[policy]`, its rules, and what a dataset never offers.

use bocage_protocol::contract::{Contract, Subject};
use bocage_protocol::front::dates::parse_duration_secs;
use bocage_protocol::ids::ColumnName;
use bocage_protocol::limits;
use bocage_protocol::settings::nearest;
use bocage_protocol::trust::Purpose;
use serde_json::Value;

use super::policy::{Decide, Matches, Models, Named, Never, Policy, Rule, Settings};
use super::quiet::Quiet;
use super::raw::{RawNever, RawOptOutScope, RawPolicy, RawRefresh, RawRule, RawSettings};
use super::sections::Reader;
use super::{
    Mode, QUERY_SECS_DEFAULT, QUERY_SECS_MAX, SnapshotRules, THRESHOLD_DEFAULT, THRESHOLD_MAX, THRESHOLD_MIN, Trust,
};
use crate::custodian::optout::OptOutScope;

/// Rules that a policy may have: more than a person can keep in mind.
const RULES_MAX: usize = 1000;

impl Reader<'_> {
    pub(super) fn policy(&mut self, value: &Value, trust: &Trust) -> Option<Policy> {
        let mut value = value.clone();
        let settings = taken(&mut value, RawSettings::KEYS);
        let raw: Option<RawPolicy> = self.section(&value, "policy");
        let settings: Option<RawSettings> = self.section(&settings, "policy");
        let (raw, settings) = raw.zip(settings)?;
        let (threshold, settings) = (settings.threshold, RawSettings { threshold: None, ..settings });
        let decide = self.decide(raw.decide.as_deref(), "policy.decide").unwrap_or(Decide::Auto);
        let policy = Policy {
            threshold: threshold.unwrap_or(THRESHOLD_DEFAULT),
            query_secs: raw.query_secs.unwrap_or(QUERY_SECS_DEFAULT),
            decide,
            general: self.settings(settings, "policy", THRESHOLD_MIN),
            rules: Vec::new(),
        };
        if !(THRESHOLD_MIN..=THRESHOLD_MAX).contains(&policy.threshold) {
            let message = format!("must be from {THRESHOLD_MIN} to {THRESHOLD_MAX}");
            self.problem(
                "policy.threshold",
                message,
                "it is the smallest number of patients that a cell may show; 11 is usual",
            );
        }
        if !(1..=QUERY_SECS_MAX).contains(&policy.query_secs) {
            let message = format!("must be from 1 to {QUERY_SECS_MAX}");
            self.problem(
                "policy.query_secs",
                message,
                "it is how long one query may take before it is ended; 60 is usual",
            );
        }
        if raw.rule.len() > RULES_MAX {
            self.problem(
                "policy.rule",
                format!("more than {RULES_MAX} rules"),
                "let one rule speak about more studies",
            );
            return None;
        }
        // Counted as the policy's verdicts do.
        let read = |(i, value)| self.rule(value, &format!("policy.rule {}", i + 1), &policy, trust);
        let rules = raw.rule.iter().enumerate().filter_map(read).collect();
        Some(Policy { rules, ..policy })
    }

    fn rule(&mut self, value: &Value, key: &str, policy: &Policy, trust: &Trust) -> Option<Rule> {
        let mut value = value.clone();
        let settings = taken(&mut value, RawSettings::KEYS);
        let raw: Option<RawRule> = self.section(&value, key);
        let settings: Option<RawSettings> = self.section(&settings, key);
        let (raw, settings) = raw.zip(settings)?;
        let researchers = trust.researchers.iter().map(|r| Named { name: r.name.clone(), key: r.key }).collect();
        let bodies = trust.access_bodies.iter().map(|b| Named { name: b.name.clone(), key: b.key }).collect();
        let matches = Matches {
            access_body: raw.access_body.and_then(|name| self.known(&name, bodies, &format!("{key}.access_body"))),
            researcher: raw.researcher.and_then(|name| match name.parse() {
                // A permit's holder is not in [[trust]]: their key names them.
                Ok(public) => Some(Named { name, key: public }),
                Err(_) => self.known(&name, researchers, &format!("{key}.researcher")),
            }),
            purpose: raw.purpose.and_then(|text| self.purpose(&text, &format!("{key}.purpose"))),
            dataset: raw.dataset.and_then(|text| self.contract_id(&text, &format!("{key}.dataset"))),
        };
        let decide = self.decide(raw.decide.as_deref(), &format!("{key}.decide"));
        let settings = self.settings(settings, key, policy.threshold);
        let base = policy.general.model_threshold;
        if settings.model_threshold.is_some_and(|pairs| base.is_none_or(|base| pairs < base)) {
            let message = match base {
                Some(base) => format!("must be {base} or more"),
                None => "there is none in [policy] that it could raise".to_owned(),
            };
            self.problem(format!("{key}.model_threshold"), message, "a rule can only raise policy.model_threshold");
        }
        if decide.is_none() && settings == Settings::default() {
            self.problem(
                key,
                "the rule settles nothing",
                "add decide = \"ask\", threshold = …, max_cells = … or another",
            );
        }
        Some(Rule { matches, decide, settings })
    }

    fn known(&mut self, name: &str, known: Vec<Named>, key: &str) -> Option<Named> {
        let names: Vec<String> = known.iter().map(|k| k.name.clone()).collect();
        let found = known.into_iter().find(|k| k.name == name);
        if found.is_none() {
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => "write the name as it stands in [[trust]], or a researcher's key".to_owned(),
            };
            self.problem(key, format!("nobody in [[trust]] is called {name}"), hint);
        }
        found
    }

    fn purpose(&mut self, text: &str, key: &str) -> Option<Purpose> {
        let found = Purpose::ALL.iter().find(|(name, _)| *name == text).map(|(_, purpose)| *purpose);
        if found.is_none() {
            let all: Vec<&str> = Purpose::ALL.iter().map(|(name, _)| *name).collect();
            self.problem(key, format!("unknown purpose `{text}`"), format!("one of {}", all.join(", ")));
        }
        found
    }

    fn decide(&mut self, text: Option<&str>, key: &str) -> Option<Decide> {
        let text = text?;
        let found = Decide::ALL.iter().find(|(name, _)| *name == text).map(|(_, decide)| *decide);
        if found.is_none() {
            self.problem(key, format!("unknown decision `{text}`"), "decide = \"auto\", \"ask\" or \"refuse\"");
        }
        found
    }

    /// Settings that tighten: `threshold` is what they start from.
    fn settings(&mut self, raw: RawSettings, key: &str, threshold: u32) -> Settings {
        if raw.threshold.is_some_and(|k| !(threshold..=THRESHOLD_MAX).contains(&k)) {
            let message = format!("must be from {threshold} to {THRESHOLD_MAX}");
            self.problem(format!("{key}.threshold"), message, "a rule can only raise policy.threshold");
        }
        if raw.model_threshold.is_some_and(|m| !(THRESHOLD_MIN..=THRESHOLD_MAX).contains(&m)) {
            let message = format!("must be from {THRESHOLD_MIN} to {THRESHOLD_MAX}");
            let hint = "so many patients are in each cell of two columns of a model; it may be less than policy.threshold: DataSHIELD's is 3";
            self.problem(format!("{key}.model_threshold"), message, hint);
        }
        if raw.max_cells.is_some_and(|n| !(1..=limits::EXACT_INT as u64).contains(&n)) {
            let hint = "so many cells of a dataset may leave under one permit; decide = \"refuse\" lets none out";
            self.problem(format!("{key}.max_cells"), "must be 1 or more", hint);
        }
        for (name, value) in [("concurrent", raw.concurrent), ("per_day", raw.per_day)] {
            if value == Some(0) {
                let hint = "so many studies may begin; decide = \"refuse\" lets none in";
                self.problem(format!("{key}.{name}"), "must be 1 or more", hint);
            }
        }
        let mut quiet = Vec::new();
        for (i, text) in raw.quiet.iter().flatten().enumerate() {
            match text.parse::<Quiet>() {
                Ok(hours) => quiet.push(hours),
                Err(error) => self.problem(format!("{key}.quiet[{i}]"), error.to_string(), error.hint()),
            }
        }
        Settings {
            threshold: raw.threshold,
            model_threshold: raw.model_threshold,
            max_cells: raw.max_cells,
            quiet,
            concurrent: raw.concurrent,
            per_day: raw.per_day,
            two_persons: raw.two_persons.unwrap_or(false),
            mode: raw.mode.and_then(|text| self.mode(&text, &format!("{key}.mode"))),
            models: raw.models.and_then(|text| self.models(&text, &format!("{key}.models"))),
            per_site_results: raw.per_site_results,
        }
    }

    /// How exact the values are that leave.
    pub(super) fn mode(&mut self, text: &str, key: &str) -> Option<Mode> {
        let found = Mode::parse(text);
        if found.is_none() {
            self.problem(key, format!("unknown mode `{text}`"), "mode = \"exact\" or mode = \"round\"");
        }
        found
    }

    fn models(&mut self, text: &str, key: &str) -> Option<Models> {
        let found = Models::ALL.iter().find(|(name, _)| *name == text).map(|(_, models)| *models);
        if found.is_none() {
            let hint = "models = \"exact\" answers models exactly, models = \"refuse\" not at all";
            self.problem(key, format!("unknown choice `{text}`"), hint);
        }
        found
    }

    /// When a dataset's snapshot is taken. Takes its key out of the section: another schedule makes no other snapshot.
    pub(super) fn refresh(&mut self, value: &mut Value, key: &str) -> Option<i64> {
        let text = self.section::<RawRefresh>(&taken(value, &["refresh"]), key)?.refresh?;
        let bounds = SnapshotRules::REFRESH_SECS_MIN..=i64::from(SnapshotRules::EPOCH_DAYS_MAX) * 86_400;
        let secs = parse_duration_secs(&text).filter(|secs| bounds.contains(secs));
        if secs.is_none() {
            let message = format!("must be from 1m to {}d", SnapshotRules::EPOCH_DAYS_MAX);
            self.problem(format!("{key}.refresh"), message, "e.g. refresh = \"1d\", \"12h\" or \"30m\"");
        }
        secs
    }

    /// Where it counts who opted out by the dataset's source. Takes its key out of the section.
    pub(super) fn optout_scope(&mut self, value: &mut Value, key: &str, contract: Option<&Contract>) -> OptOutScope {
        let raw = self.section::<RawOptOutScope>(&taken(value, &["optout_scope"]), key);
        let Some(text) = raw.and_then(|raw| raw.optout_scope) else { return OptOutScope::default() };
        let at = format!("{key}.optout_scope");
        if value.get("optout").is_none() {
            self.problem(at.clone(), "without an `optout` there is nothing that could count", "leave it out");
        }
        match text.as_str() {
            "node" => {
                if contract.is_some_and(|contract| matches!(contract.subject(), Subject::Row)) {
                    let message = "the contract names no patient, so nobody is known again in another dataset";
                    self.problem(at, message, "leave it out: a no counts in this dataset alone");
                }
                OptOutScope::Node
            }
            "dataset" => OptOutScope::Dataset,
            _ => {
                let hint = "\"node\": in all datasets whose contracts name patients; or \"dataset\": in this one alone";
                self.problem(at, "unknown scope of opt-outs", hint);
                OptOutScope::default()
            }
        }
    }

    /// What a dataset never offers. Takes its keys out of the section, which is then the source's alone.
    pub(super) fn never(&mut self, value: &mut Value, key: &str, contract: Option<&Contract>) -> Never {
        let taken = taken(value, &["never", "never_discovered"]);
        let Some(raw) = self.section::<RawNever>(&taken, key) else { return Never::default() };
        let mut columns = |texts: Vec<String>, name: &str| -> Vec<ColumnName> {
            let mut columns = Vec::new();
            for (i, text) in texts.iter().enumerate() {
                let at = format!("{key}.{name}[{i}]");
                let Some(column) = self.parsed::<ColumnName>(text, &at) else { continue };
                if contract.is_some_and(|c| c.column(column.as_str()).is_none()) {
                    let known = contract.into_iter().flat_map(|c| c.columns()).map(|c| c.name.as_str());
                    let hint = match nearest(text, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "write the name as it stands in the contract".to_owned(),
                    };
                    self.problem(at, format!("the contract has no column `{column}`"), hint);
                }
                columns.push(column);
            }
            columns
        };
        Never { read: columns(raw.never, "never"), discover: columns(raw.never_discovered, "never_discovered") }
    }
}

/// Takes some keys out of a section, so that they can be read as another one.
fn taken(section: &mut Value, keys: &[&str]) -> Value {
    let taken = section.as_object_mut().map(|section| keys.iter().filter_map(|k| section.remove_entry(*k)).collect());
    Value::Object(taken.unwrap_or_default())
}

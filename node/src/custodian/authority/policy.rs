//! What the site's policy says about one study. Of several rules that are about it, the strictest of each setting holds.

use crate::config::Mode;
use crate::config::policy::{Decide, Matches, Models, Policy, Rule, Settings};
use crate::config::quiet::Quiet;
use crate::custodian::ledger::bodies::Account;
use bocage_protocol::ids::ContractId;

/// What holds for one study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// What is decided.
    pub decide: Decide,
    /// By which rule, in words.
    pub by: String,
    /// k.
    pub threshold: u32,
    /// By which rule, in words.
    pub threshold_by: String,
    /// How many patients are in each cell of two columns of a model, where that is said: it may be less than k.
    pub model_threshold: Option<u32>,
    /// How many cells may leave.
    pub cap: Option<Cap>,
    /// Whether two stewards must approve what the steward decides.
    pub two_persons: bool,
    /// Hours in which it does not begin.
    pub quiet: Vec<Quiet>,
    /// How many such studies may begin.
    pub limits: Vec<Limit>,
    /// How exact the values may be at most, and by which rule, in words.
    pub mode: Option<(Mode, String)>,
    /// What is said of models; of several datasets, what is said of each of them.
    pub models: Option<Models>,
    /// Whether results of the site alone may be published: where something says so, and nothing says no.
    pub per_site_results: bool,
}

/// How many cells may leave of one dataset under one permit, or to one researcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// So many.
    pub most: u64,
    /// Who says so.
    pub by: String,
}

/// How many of the studies that a rule is about may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The rule, in words.
    pub by: String,
    /// Which studies count.
    pub of: Matches,
    /// Begun and not answered.
    pub concurrent: Option<u32>,
    /// Within 24 hours.
    pub per_day: Option<u32>,
}

/// The policy's own settings, in words.
const DEFAULT: &str = "the policy's default";

impl Effective {
    /// What holds for a study on this account: of each dataset that it asks about the strictest.
    pub fn of(policy: &Policy, account: &Account) -> Self {
        let of = |dataset: &ContractId| {
            Self::of_one(policy, &Account { dataset: dataset.clone(), related: Vec::new(), ..account.clone() })
        };
        account.related.iter().map(of).fold(of(&account.dataset), Self::stricter)
    }

    /// The stricter of each setting of two; the first's where they are equal.
    fn stricter(self, other: Self) -> Self {
        let (decide, by) = if other.decide > self.decide { (other.decide, other.by) } else { (self.decide, self.by) };
        let (threshold, threshold_by) = match other.threshold > self.threshold {
            true => (other.threshold, other.threshold_by),
            false => (self.threshold, self.threshold_by),
        };
        let (quiet, limits) = (each_once(self.quiet, other.quiet), each_once(self.limits, other.limits));
        let models = match (self.models, other.models) {
            (Some(Models::Refuse), _) | (_, Some(Models::Refuse)) => Some(Models::Refuse),
            (Some(Models::Exact), Some(Models::Exact)) => Some(Models::Exact),
            _ => None,
        };
        Self {
            decide,
            by,
            threshold,
            threshold_by,
            model_threshold: self.model_threshold.zip(other.model_threshold).map(|(one, other)| one.max(other)),
            cap: [self.cap, other.cap].into_iter().flatten().reduce(Cap::stricter),
            two_persons: self.two_persons || other.two_persons,
            quiet,
            limits,
            mode: [self.mode, other.mode].into_iter().flatten().reduce(coarser),
            models,
            per_site_results: self.per_site_results && other.per_site_results,
        }
    }

    /// How many patients are in each cell of two columns of a model.
    pub fn joint(&self) -> u32 {
        self.model_threshold.unwrap_or(self.threshold)
    }

    /// Whether models are answered in this mode. Where sites round nothing is said of a model's sums, so they leave only where the policy says so.
    pub fn answers_models(&self, mode: Mode) -> bool {
        self.models.map_or(mode == Mode::Exact, |models| models == Models::Exact)
    }

    fn of_one(policy: &Policy, account: &Account) -> Self {
        let rules = || matching(policy, account);
        let (decide, by) = rules()
            .filter_map(|(rule, by)| Some((rule.decide?, by)))
            // The first of equally strict ones is named.
            .reduce(|a, b| if b.0 > a.0 { b } else { a })
            .unwrap_or((policy.decide, DEFAULT.to_owned()));
        let settings =
            || std::iter::once((&policy.general, DEFAULT.to_owned(), Matches::default())).chain(rules().map(split));
        let (threshold, threshold_by) = settings()
            .filter_map(|(s, by, _)| Some((s.threshold?, by)))
            .fold((policy.threshold, DEFAULT.to_owned()), |a, b| if b.0 > a.0 { b } else { a });
        let cap = settings().filter_map(|(s, by, _)| Some(Cap { most: s.max_cells?, by })).reduce(Cap::stricter);
        let limit = |(s, by, of): (&Settings, String, Matches)| {
            let Settings { concurrent, per_day, .. } = *s;
            (concurrent.is_some() || per_day.is_some()).then_some(Limit { by, of, concurrent, per_day })
        };
        Self {
            decide,
            by,
            threshold,
            threshold_by,
            // A rule that raises k and says nothing of pairs means them as well.
            model_threshold: policy
                .general
                .model_threshold
                .and_then(|_| settings().filter_map(|(s, ..)| s.model_threshold.or(s.threshold)).max()),
            cap,
            two_persons: settings().any(|(s, ..)| s.two_persons),
            quiet: settings().fold(Vec::new(), |all, (s, ..)| each_once(all, s.quiet.clone())),
            limits: settings().filter_map(limit).collect(),
            mode: settings().filter_map(|(s, by, _)| Some((s.mode?, by))).reduce(coarser),
            models: settings().filter_map(|(s, ..)| s.models).max(),
            per_site_results: settings().filter_map(|(s, ..)| s.per_site_results).min() == Some(true),
        }
    }
}

/// All of one, and what only the other has.
fn each_once<T: PartialEq>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    for item in other {
        if !one.contains(&item) {
            one.push(item);
        }
    }
    one
}

/// The less exact of two modes; the first where they are equal.
pub fn coarser(one: (Mode, String), other: (Mode, String)) -> (Mode, String) {
    if other.0 > one.0 { other } else { one }
}

impl Cap {
    /// The stricter of two; the first where they are equal.
    pub fn stricter(self, other: Self) -> Self {
        if other.most < self.most { other } else { self }
    }
}

fn matching<'a>(policy: &'a Policy, account: &Account) -> impl Iterator<Item = (&'a Rule, String)> {
    let numbered = policy.rules.iter().enumerate();
    numbered.filter(|(_, rule)| fits(&rule.matches, account)).map(|(i, rule)| {
        // As a person counts the sections of node.toml.
        (rule, format!("rule {}: {}", i + 1, rule.matches.words()))
    })
}

fn split((rule, by): (&Rule, String)) -> (&Settings, String, Matches) {
    (&rule.settings, by, rule.matches.clone())
}

/// Whether a rule is about studies on this account.
pub fn fits(matches: &Matches, account: &Account) -> bool {
    let Matches { access_body, researcher, purpose, dataset } = matches;
    access_body.as_ref().is_none_or(|body| account.access_body == Some(body.key))
        && researcher.as_ref().is_none_or(|researcher| account.researcher == researcher.key)
        && purpose.is_none_or(|purpose| account.purpose == purpose)
        && dataset.as_ref().is_none_or(|dataset| account.datasets().any(|asked| asked == dataset))
}

//! What the site allows, whatever the network asks. Its settings can only tighten: where several rules speak about one study, the strictest
//! of each setting holds, so their order means nothing.

use std::path::Path;

use bocage_protocol::ids::{ColumnName, ContractId, Digest};
use bocage_protocol::trust::{PublicKey, Purpose, canonical};
use serde::Serialize;

use super::quiet::Quiet;
use super::{CustodianConfig, Mode};
use crate::custodian::optout::OptOutScope;

/// What the site allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// k: no count below it leaves.
    pub threshold: u32,
    /// Seconds that a query may take.
    pub query_secs: u32,
    /// What is decided about a study of which no rule decides.
    pub decide: Decide,
    /// What holds for every study. (Its threshold is the policy's own.)
    pub general: Settings,
    /// What holds for some.
    pub rules: Vec<Rule>,
}

/// What is decided about a sound study, from the least strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decide {
    /// It is answered.
    Auto,
    /// The steward decides.
    Ask,
    /// It is refused.
    Refuse,
}

impl Decide {
    /// Every decision, as it stands in `node.toml`.
    pub const ALL: [(&str, Decide); 3] = [("auto", Decide::Auto), ("ask", Decide::Ask), ("refuse", Decide::Refuse)];
}

/// What tightens the answers to some studies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// k, where it is larger than the policy's.
    pub threshold: Option<u32>,
    /// How many patients are in each cell of two columns of a model, where it is less than k.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_threshold: Option<u32>,
    /// How many cells may leave of one dataset under one permit, or to one researcher without one.
    pub max_cells: Option<u64>,
    /// Hours in which no study begins.
    pub quiet: Vec<Quiet>,
    /// How many studies may be begun and not answered.
    pub concurrent: Option<u32>,
    /// How many studies may begin within 24 hours.
    pub per_day: Option<u32>,
    /// Whether two stewards must approve what the steward decides.
    pub two_persons: bool,
    /// How exact the values are that leave, where it is stricter than what trust and permit say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether models are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// Whether results of the site alone may be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_site_results: Option<bool>,
}

/// Whether models are answered, from the least strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Models {
    /// They are, and their sums are as they are, whatever the mode.
    Exact,
    /// They are not.
    Refuse,
}

impl Models {
    /// Every choice, as it stands in `node.toml`.
    pub const ALL: [(&str, Models); 2] = [("exact", Models::Exact), ("refuse", Models::Refuse)];
}

/// A rule: which studies, and what holds for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Which studies.
    pub matches: Matches,
    /// What is decided about them.
    pub decide: Option<Decide>,
    /// What else holds.
    pub settings: Settings,
}

/// Which studies a rule is about: those that fit all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Matches {
    /// Whose permit the study relies on.
    pub access_body: Option<Named>,
    /// Who signed it.
    pub researcher: Option<Named>,
    /// Why.
    pub purpose: Option<Purpose>,
    /// About what.
    pub dataset: Option<ContractId>,
}

impl Matches {
    /// The conditions in words, `every study` if there is none.
    pub fn words(&self) -> String {
        let body = self.access_body.as_ref().map(|b| format!("access body {}", b.name));
        let researcher = self.researcher.as_ref().map(|r| format!("researcher {}", r.name));
        let purpose = self.purpose.map(|p| format!("purpose {}", p.as_str()));
        let dataset = self.dataset.as_ref().map(|d| format!("dataset {d}"));
        let words: Vec<String> = [body, researcher, purpose, dataset].into_iter().flatten().collect();
        if words.is_empty() { "every study".to_owned() } else { words.join(", ") }
    }
}

/// A key as the site's people call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The name in `node.toml`.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// What of a dataset is never offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Never {
    /// Columns that no study may read, in filters neither.
    pub read: Vec<ColumnName>,
    /// Columns whose values may not be discovered, though they may be read.
    pub discover: Vec<ColumnName>,
}

impl CustodianConfig {
    /// Tells this policy from every other one: trust, rules, what is never offered, where each dataset comes from and who opted out of it. An
    /// approval that was given under one holds under no other.
    pub fn policy_version(&self) -> Digest {
        #[derive(Serialize)]
        struct View<'a> {
            trust: &'a super::Trust,
            policy: &'a Policy,
            never: Vec<(&'a str, &'a Never)>,
            datasets: Vec<(&'a str, Digest)>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            own_optouts: Vec<&'a str>,
            optouts: Option<(&'a Path, Option<&'a Path>)>,
        }
        let never = self.datasets.iter().map(|(name, dataset)| (name.as_str(), &dataset.never)).collect();
        let datasets = self.datasets.iter().map(|(name, dataset)| (name.as_str(), dataset.spec.digest())).collect();
        let own = self.datasets.values().filter(|dataset| dataset.optout_scope == OptOutScope::Dataset);
        let own_optouts = own.map(|dataset| dataset.name.as_str()).collect();
        let optouts = self.optouts.as_ref().map(|list| (list.path.as_path(), list.salt_file.as_deref()));
        let view = View { trust: &self.trust, policy: &self.policy, never, datasets, own_optouts, optouts };
        // Names, keys and numbers: nothing in it can fail to become JSON.
        Digest::of("bocage/policy/1", &[&canonical(&view).unwrap_or_default()])
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Site;

    #[test]
    fn every_change_of_trust_rules_data_or_opt_outs_makes_another_policy_version() {
        let site = Site::new();
        let mut seen = vec![site.config().policy_version()];
        assert_eq!(seen[0], site.config().policy_version());
        for (from, to) in [
            ("threshold = 11", "threshold = 12"),
            ("threshold = 12", "threshold = 12\nmode = \"round\""),
            ("mode = \"round\"\n", "mode = \"round\"\nmodels = \"exact\"\n"),
            ("name = \"Ada\"", "name = \"Ada L.\""),
            ("[policy]", "[policy]\ndecide = \"ask\""),
            ("[policy]", "[policy]\nper_site_results = true"),
            ("[policy]", "[policy]\nquiet = [\"22:00-06:00\"]"),
            ("22:00-06:00", "22:00-06:00 Europe/Berlin"),
            ("Europe/Berlin", "Europe/Vienna"),
            ("[[trust]]", "[[policy.rule]]\npurpose = \"education\"\ndecide = \"refuse\"\n[[trust]]"),
            ("contract = \"heart@1\"", "contract = \"heart@1\"\nnever = [\"chol\"]"),
            ("never = [\"chol\"]", "never_discovered = [\"age\"]"),
            ("never_discovered = [\"age\"]", "map = { chol = \"chol + 1\" }"),
            ("map = { chol = \"chol + 1\" }", "optout = \"sex = '1'\""),
            ("optout = \"sex = '1'\"", "optout = \"sex = '1'\"\noptout_scope = \"dataset\""),
        ] {
            site.edit_config(from, to);
            let version = site.config().policy_version();
            assert!(!seen.contains(&version), "{to}");
            seen.push(version);
        }
    }
}

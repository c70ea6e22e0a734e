//! Which of our files a text is: whoever gives one to a command that reads another is told that, and not that its keys are unknown.

use serde_json::Value;

use crate::settings::Problem;

/// A sort of file that people write, in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Sort {
    Study,
    Contract,
    Network,
    Coordinator,
    Node,
    Profile,
    Permit,
}

impl Sort {
    const ALL: [Sort; 7] =
        [Sort::Study, Sort::Contract, Sort::Coordinator, Sort::Node, Sort::Network, Sort::Profile, Sort::Permit];

    /// What is wrong with a text that is to be of this sort and has what another one has instead.
    pub fn taken_for(self, value: &Value, file: &str) -> Option<Problem> {
        let other = Self::ALL.into_iter().find(|sort| sort.fits(value))?;
        if self.fits(value) {
            return None;
        }
        let problem = Problem::new(file, "", format!("this is {}, and {} is wanted here", other.name(), self.name()));
        Some(problem.hint(other.reader(file)))
    }

    /// Whether a text has what only this sort has.
    fn fits(self, value: &Value) -> bool {
        let has = |key: &str| value.get(key).is_some();
        let table = |key: &str| value.get(key).is_some_and(Value::is_object);
        let list = |key: &str| value.get(key).is_some_and(Value::is_array);
        match self {
            Sort::Study => has("analysis") || has("cohort") || has("purpose"),
            Sort::Contract => list("column"),
            Sort::Coordinator => table("quic") || (table("contracts") && !table("coordinator")),
            Sort::Node => table("dataset") || (!list("site") && (list("trust") || table("policy"))),
            Sort::Network => {
                has("network") && !table("quic") && (list("site") || list("contracts") || table("researcher"))
            }
            Sort::Profile => has("token_file"),
            Sort::Permit => table("holder") || (has("purposes") && has("max_cells")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Sort::Study => "a study",
            Sort::Contract => "a contract",
            Sort::Network => "the text of a network",
            Sort::Coordinator => "a coordinator's configuration",
            Sort::Node => "a node's configuration",
            Sort::Profile => "a profile",
            Sort::Permit => "a permit's text",
        }
    }

    /// What reads it.
    fn reader(self, file: &str) -> String {
        match self {
            Sort::Study => format!("`bocage study check {file}` looks at it"),
            Sort::Contract => format!("`bocage network contract check {file}` looks at it"),
            Sort::Network => format!("`bocage network check {file}` looks at it"),
            Sort::Coordinator => format!("`bocage coordinator check --config {file}` looks at it"),
            Sort::Node => format!("`bocage node check --config {file}` looks at it"),
            Sort::Profile => format!("it is given beside a command: --profile {file}"),
            Sort::Permit => format!("`bocage permit sign {file}` makes a permit of it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_sort_is_named_with_what_reads_it_and_one_of_the_right_sort_is_not() {
        let files = [
            (Sort::Study, "title = 't'\ndataset = 'a@1'\n[[analysis]]\nname = 'a'", "bocage study check"),
            (Sort::Contract, "id = 'a@1'\nsubject = 'row'\n[[column]]\nname = 'a'", "network contract check"),
            (
                Sort::Network,
                "network = 'n'\ncontracts = ['a.toml']\n[researcher]\nname = 'a'\n[[site]]\nid = 'aa'\n[site.dataset.b]\nx = 1",
                "bocage network check",
            ),
            (Sort::Coordinator, "network = 'n'\n[quic]\nlisten = 'x'\n[[site]]\nid = 'aa'", "bocage coordinator check"),
            (Sort::Node, "network = 'n'\n[site]\nid = 'aa'\n[policy]\nk = 1\n[dataset.a]\nx = 1", "bocage node check"),
            (Sort::Profile, "network = 'n'\ncoordinator = 'http://x'\ntoken_file = 't'", "--profile f.toml"),
            (Sort::Permit, "id = 'n/1'\npurposes = []\nmax_cells = 1\n[holder]\nname = 'a'", "bocage permit sign"),
        ];
        for (is, text, reader) in &files {
            let value: Value = toml::from_str(text).unwrap();
            for (wanted, ..) in &files {
                let said = wanted.taken_for(&value, "f.toml").map(|problem| problem.to_string());
                match said {
                    None => assert_eq!(is, wanted, "{text}"),
                    Some(said) => {
                        let whole =
                            format!("f.toml: this is {}, and {} is wanted here\n  hint: ", is.name(), wanted.name());
                        assert!(is != wanted && said.starts_with(&whole) && said.contains(reader), "{said}");
                    }
                }
            }
        }
        let node = "state_dir = 'state'\n[coordinator]\naddress = 'c:4433'\n[contracts]\ndir = 'contracts'\n[policy]\nthreshold = 11\n";
        let node: Value = toml::from_str(node).unwrap();
        let said = Sort::Study.taken_for(&node, "f.toml").unwrap().to_string();
        assert!(said.contains("this is a node's configuration"), "contracts are a coordinator's too: {said}");
        let nothing: Value = toml::from_str("colour = 'green'").unwrap();
        assert_eq!(Sort::Study.taken_for(&nothing, "f.toml"), None, "nobody knows what it is");
    }
}

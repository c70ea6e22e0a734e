//! Rules that look into other datasets of the node: whether these are there, and in what order all can be taken.

use std::collections::BTreeMap;

use bocage_protocol::contract::OnFail;
use bocage_protocol::settings::{Problem, Problems};

use super::Dataset;
use crate::custodian::others::{looked_into, never};

/// What is wrong with them: a rule that takes something away can never be looked at, or datasets look into each other.
pub(super) fn problems(datasets: &BTreeMap<String, Dataset>, file: &str) -> Problems {
    let mut problems = Problems::default();
    for Dataset { name, contract, spec, .. } in datasets.values() {
        for rule in contract.rules().iter().filter(|rule| spec.on_fail(rule) != OnFail::Keep) {
            let Some(why) = never(&rule.check, contract, datasets) else { continue };
            let place = format!("dataset.{name}.rules.{}", rule.name);
            let what =
                format!("rows or values are to be taken away by another dataset ({}): {why}", spec.on_fail(rule));
            let hint = match spec.rules.contains_key(&rule.name) && rule.on_fail == OnFail::Keep {
                true => "offer that dataset too, or leave the line out: then it is not looked at",
                false => "offer that dataset too, or none under this contract: a site can only be stricter",
            };
            problems.push(Problem::new(file, place, what).hint(hint));
        }
    }
    for name in datasets.keys() {
        let Some(path) = way_back(datasets, name) else { continue };
        // Of those of one circle the first by name says it.
        if path.iter().any(|other| *other < name.as_str()) {
            continue;
        }
        let what = format!("rules look into each other's datasets in a circle: {}, {name}", path.join(", "));
        let hint = "no snapshot could be the first; use a contract without one of these rules";
        problems.push(Problem::new(file, format!("dataset.{name}.contract"), what).hint(hint));
    }
    problems
}

/// The shortest way from a dataset to itself, by what rules look into.
fn way_back<'a>(datasets: &'a BTreeMap<String, Dataset>, name: &'a str) -> Option<Vec<&'a str>> {
    let mut ways: Vec<Vec<&str>> = vec![vec![name]];
    let mut seen: Vec<&str> = Vec::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in &ways {
            let last = datasets.get(*way.last()?)?;
            for other in looked_into(datasets, last) {
                if other.name == name {
                    return Some(way.clone());
                }
                if !seen.contains(&other.name.as_str()) {
                    seen.push(&other.name);
                    longer.push(way.iter().copied().chain([other.name.as_str()]).collect());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::fixture::Site;

    /// Contracts with a dataset each: `aa` looks into `bb` and `cc`, and these into whatever is given.
    fn site(b: &str, c: &str, more: &str) -> Site {
        let site = Site::new();
        let mut datasets = String::new();
        for (name, into) in [("aa", "bb cc"), ("bb", b), ("cc", c)] {
            let mut text = format!(
                "id = \"{name}@1\"\nsubject = \"patient\"\nbirth = \"day\"\n[[column]]\nname = \"patient\"\ntype = \"text\"\n\
                 [[column]]\nname = \"day\"\ntype = \"date\"\nrange = [\"1900-01-01\", \"2100-12-31\"]\n"
            );
            for other in into.split_whitespace() {
                text += &format!(
                    "[[rule]]\nname = \"not_before_{other}\"\nkind = \"before_birth\"\ncolumn = \"day\"\nborn = \"{other}\"\n"
                );
            }
            std::fs::write(site.path(&format!("contracts/{name}.toml")), text).unwrap();
            std::fs::write(site.path(&format!("{name}.csv")), "patient,day\n1,2000-01-01\n").unwrap();
            datasets += &format!(
                "[dataset.{name}]\ncontract = \"{name}@1\"\nsource = {{ kind = \"csv\", path = \"{name}.csv\" }}\n"
            );
        }
        site.write_config(&format!("{datasets}{more}"));
        site
    }

    #[test]
    fn a_rule_that_takes_something_away_needs_what_it_looks_into_and_one_that_counts_does_not() {
        assert!(Config::load(&site("", "", "").origin()).is_ok());
        assert!(Config::load(&site("dd", "", "").origin()).is_ok(), "there is no dd, and the rule counts");
        let strict = site("dd", "", "[dataset.bb.rules]\nnot_before_dd = \"reject\"\n");
        let text = Config::load(&strict.origin()).unwrap_err().to_string();
        let wanted = "dataset.bb.rules.not_before_dd: rows or values are to be taken away by another dataset (reject): this node has no dataset under a contract `dd`\n  hint: offer that dataset too, or leave the line out";
        assert!(text.contains(wanted), "{text}");
        let heart = site("heart", "", "[dataset.bb.rules]\nnot_before_heart = \"null\"\n");
        let text = Config::load(&heart.origin()).unwrap_err().to_string();
        assert!(text.contains("(null): `heart@1` has no `birth`"), "{text}");
    }

    #[test]
    fn of_several_versions_a_rule_looks_into_that_of_its_own_contract_and_else_into_the_last() {
        let looks = |aa: u32, bb: &[u32]| {
            let site = site("", "", "");
            let text = std::fs::read_to_string(site.path("contracts/bb.toml")).unwrap();
            for version in [2, 3] {
                let other = text.replace("bb@1", &format!("bb@{version}"));
                std::fs::write(site.path(&format!("contracts/bb{version}.toml")), other).unwrap();
            }
            let text = std::fs::read_to_string(site.path("contracts/aa.toml")).unwrap();
            std::fs::write(site.path("contracts/aa.toml"), text.replace("aa@1", &format!("aa@{aa}"))).unwrap();
            site.edit_config("aa@1", &format!("aa@{aa}"));
            site.edit_config(
                "[dataset.bb]\ncontract = \"bb@1\"",
                &format!("[dataset.bb]\ncontract = \"bb@{}\"", bb[0]),
            );
            let file = std::fs::read_to_string(site.path("node.toml")).unwrap();
            let more: String = bb[1..]
                .iter()
                .map(|version| {
                    let source = "source = { kind = \"csv\", path = \"bb.csv\" }";
                    format!("[dataset.bb_{version}]\ncontract = \"bb@{version}\"\n{source}\n")
                })
                .collect();
            std::fs::write(site.path("node.toml"), file + &more).unwrap();
            let config = Config::load(&site.origin()).unwrap();
            let into = looked_into(&config.datasets, &config.datasets["aa"]).next().unwrap();
            into.contract.id().to_string()
        };
        assert_eq!(looks(1, &[1, 2]), "bb@1");
        assert_eq!(looks(2, &[1, 2, 3]), "bb@2");
        assert_eq!(looks(1, &[2, 3]), "bb@3");
    }

    #[test]
    fn datasets_whose_rules_look_into_each_other_are_refused_once() {
        let text = Config::load(&site("cc", "bb", "").origin()).unwrap_err().to_string();
        assert!(text.contains("dataset.bb.contract: rules look into each other's datasets in a circle: bb, cc, bb\n  hint: no snapshot could be the first"), "{text}");
        assert_eq!(text.matches("in a circle").count(), 1, "{text}");
        let text = Config::load(&site("", "aa", "").origin()).unwrap_err().to_string();
        assert!(
            text.contains("dataset.aa.contract: rules look into each other's datasets in a circle: aa, cc, aa"),
            "{text}"
        );
    }
}

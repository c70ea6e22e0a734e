//! Whether the nodes would understand what they are given: each site's `node.toml` is read as its node reads it, before anything is made, and the
//! expressions of its mappings are held against the contracts. Whether a source has the columns that they name, only the site can tell, unless the file says it.

use std::path::Path;

use bocage_node::config::{Config, Origin};
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::PublicKey;

use super::render::{Trusted, node};
use super::spec::{Network, Site};
use super::views::{Brought, Views};

/// Any key: nobody signs anything here.
const SOME_KEY: &str = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// What a mapping is to be.
const EXPRESSION: &str =
    "an expression over the source's columns, with texts in single quotes: docs/STUDIES.md says what it may be";

/// Where a node's problem comes from.
enum Origins<'a> {
    Site(usize, &'a Site),
    Defaults,
}

/// All that the nodes of `network` would refuse, at its place in `file`.
///
/// # Errors
/// All problems at once. Of what only a site can know (its files, its users) nothing is said; of a view of its own where `views` knows it.
pub fn rehearse(network: &Network, views: &Views<'_>) -> Result<(), Problems> {
    let file = &views.file.display().to_string();
    let folder =
        tempfile::tempdir().map_err(|e| Problem::new(file, "", format!("cannot be rehearsed: {}", e.kind())))?;
    let Ok(key) = SOME_KEY.parse::<PublicKey>() else { return Ok(()) };
    let names = network.access_bodies.iter().map(|body| (body.name.as_str(), body.key.unwrap_or(key)));
    let trusted = Trusted { researcher: key, access_bodies: names.collect() };
    let wrong = |e: std::io::Error| Problem::new(file, "", format!("cannot be rehearsed: {}", e.kind()));
    std::fs::create_dir(folder.path().join("contracts")).map_err(wrong)?;
    for contract in &network.contracts {
        std::fs::write(folder.path().join("contracts").join(&contract.name), &contract.text).map_err(wrong)?;
    }
    let mut problems = Problems::default();
    let with_data = network.sites.iter().enumerate().filter(|(_, site)| !site.datasets.is_empty());
    let first = network.sites.iter().take(1).map(|site| (Origins::Defaults, site));
    for (origins, site) in first.chain(with_data.map(|(at, site)| (Origins::Site(at, site), site))) {
        let path = folder.path().join("node.toml");
        // The agent's user is one of another machine.
        let text = node(network, site, &trusted).text().replace("\nagent_user =", "\n# agent_user =");
        std::fs::write(&path, text).map_err(wrong)?;
        let brought = views.bring(site, folder.path()).map_err(wrong)?;
        if let Err(found) = Config::rehearse(&Origin { file: path, overrides: Vec::new() }) {
            found
                .0
                .into_iter()
                .filter_map(|problem| placed(problem, &origins, file, (folder.path(), &brought)))
                .for_each(|problem| {
                    // Of a view that several sites have once.
                    if !problems.0.contains(&problem) {
                        problems.push(problem);
                    }
                });
        }
    }
    problems.into_result(())
}

/// The problem at its place in the network's file; none where another round of the rehearsal says it, or only the site can know.
fn placed(
    problem: Problem,
    origins: &Origins<'_>,
    file: &str,
    (folder, brought): (&Path, &[Brought]),
) -> Option<Problem> {
    let view = brought.iter().find(|of| Path::new(&problem.file) == of.seen);
    if let (Some(Brought { found, .. }), Origins::Site(..)) = (view, origins) {
        return Some(Problem { file: found.display().to_string(), ..problem });
    }
    let of_policy = problem.key == "policy" || problem.key.starts_with("policy.");
    let of_dataset = problem.key.starts_with("dataset.");
    let key = match origins {
        Origins::Defaults if of_policy => format!("defaults.{}", problem.key),
        Origins::Site(at, site) if of_dataset => {
            let of_site = |name: &String| problem.key.starts_with(&format!("dataset.{name}"));
            site.datasets.keys().find(|name| of_site(name))?;
            format!("site[{at}].{}", problem.key)
        }
        _ => return None,
    };
    // A view of the site's own lies at the site.
    let unseen = problem.message.contains(&folder.display().to_string()) || problem.message.starts_with("cannot read");
    let expression = problem.message.starts_with("cannot be read as an expression").then(|| EXPRESSION.to_owned());
    let hint = problem.hint.clone().or(expression);
    // Its line is one of the node's file.
    (!(of_dataset && unseen)).then(|| Problem { file: file.to_owned(), line: None, key, hint, ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rehearsed(edit: impl FnOnce(String) -> String) -> String {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let text = edit(include_str!("../../templates/network.toml").to_owned());
        let network = Network::parse(&text, "network.toml", &templates).unwrap();
        let views = Views { file: Path::new("network.toml"), out: None };
        rehearse(&network, &views).map_or_else(|problems| problems.to_string(), |()| String::new())
    }

    #[test]
    fn what_a_node_would_refuse_is_said_at_its_place_in_the_network_s_file_and_once() {
        assert_eq!(rehearsed(|text| text), "");
        let said = rehearsed(|text| {
            let text = text.replacen("\"heart@1\"", "\"hart@1\"", 1).replacen("header  =", "heder  =", 1);
            format!("{text}\n[defaults.policy]\nthreshold = 1\nquery_sec = 5\n")
        });
        for wanted in [
            "network.toml: site[0].dataset.heart.contract: no contract hart@1 is known",
            "network.toml: site[0].dataset.heart.source.heder: unknown key",
            "network.toml: defaults.policy.threshold: must be from 3",
            "network.toml: defaults.policy.query_sec: unknown key\n  hint: did you mean `query_secs`?",
        ] {
            assert_eq!(said.matches(wanted).count(), 1, "{wanted}\nin\n{said}");
        }
    }

    /// What is said of two sites that see a FHIR export by a view of their own, which lies there.
    fn by_view(at: &Path, out: Option<&Path>, map: &str, view: Option<(&Path, &str)>) -> String {
        let file = at.join("network.toml");
        let site = |id: &str| {
            format!(
                "[[site]]\nid = \"{id}\"\n[site.dataset.heart]\ncontract = \"heart@1\"\n\
                 source = {{ kind = \"fhir\", path = \"records\", view = \"views/own.json\" }}\nmap = {{ {map} }}\n"
            )
        };
        let text = format!("{}\n{}{}", include_str!("../../templates/network.toml"), site("zurich"), site("basel"));
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let network = Network::parse(&text, "network.toml", &templates).unwrap();
        if let Some((path, view)) = view {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, view).unwrap();
        }
        let said = rehearse(&network, &Views { file: &file, out });
        said.map_or_else(|problems| problems.to_string(), |()| String::new())
    }

    #[test]
    fn a_mapping_over_a_view_of_the_site_s_own_is_checked_where_the_view_is_known() {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (map, dir, out) = ("disease = \"sic > 0\"", dir.path(), out.path());
        let unknown_column = "site[4].dataset.heart.map.disease: unknown column `sic`\n  hint: did you mean `sick`?";
        let view = |column: &str| {
            format!(
                r#"{{ "resourceType": "ViewDefinition", "resource": "Observation", "status": "active",
                    "select": [{{ "column": [{{ "name": "{column}", "path": "id" }}] }}] }}"#
            )
        };
        assert_eq!(by_view(dir, None, map, None), "", "a view at the hospital is the hospital's");
        let said = by_view(dir, None, map, Some((&dir.join("views/own.json"), &view("sick"))));
        assert!(said.contains(unknown_column) && said.contains("site[5].dataset.heart.map.disease"), "{said}");
        let own = out.join("sites/zurich/views/own.json");
        let said = by_view(dir, Some(out), map, Some((&own, &view("sic"))));
        assert!(!said.contains("site[4].dataset.heart.map.disease"), "its own counts first: {said}");
        assert!(said.contains("site[5].dataset.heart.map.disease: unknown column"), "{said}");
        let said = by_view(dir, None, map, Some((&dir.join("views/own.json"), "{ \"resourceType\": \"Patient\" }")));
        assert!(said.contains(&format!("{}: ", dir.join("views/own.json").display())), "the view is named: {said}");
        assert_eq!(said.matches("own.json: resourceType").count(), 1, "and once: {said}");
    }

    #[test]
    fn every_expression_that_is_none_or_gives_something_else_is_said_at_once_whether_the_source_s_columns_are_known_or_not()
     {
        let said = rehearsed(|text| {
            let text = text.replacen("chol     = \"nullif(chol, 0)\"", "chol     = \"nullif(chol, 0\"", 1);
            let text = text.replacen("disease  = \"num > 0\"", "disease  = \"nun > 0\"", 1);
            let away = "[[site]]\nid = \"zurich\"\n[site.dataset.heart]\ncontract = \"heart@1\"\noptout = \"consent\"\n\
                        source = { kind = \"csv\", path = \"x.csv\" }\n\
                        map = { age = \"2026 - born\", chol = \"sqrt(\", disease = \"anything + 1\", sexx = \"s\" }\n";
            format!("{text}\n{away}")
        });
        for wanted in [
            "site[0].dataset.heart.map.chol: cannot be read as an expression: the `(` at character 7 is not closed: a `)` is missing\n  hint: an expression over",
            "site[0].dataset.heart.map.disease: unknown column `nun`\n  hint: did you mean `num`?",
            "site[4].dataset.heart.map.chol: cannot be read as an expression",
            "site[4].dataset.heart.map.disease: `disease` is of type bool, the expression is a number\n  hint: write a comparison",
            "site[4].dataset.heart.map.sexx: `heart@1` has no column `sexx`\n  hint: did you mean `sex`?",
            "site[4].dataset.heart.optout: a condition is wanted",
        ] {
            assert_eq!(said.matches(wanted).count(), 1, "{wanted}\nin\n{said}");
        }
        assert_eq!(said.matches("network.toml: ").count(), 6, "{said}");
    }
}

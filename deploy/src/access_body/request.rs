//! A permit's text with a comment at each key: what `bocage permit new` prints, and what `network init` fills in.

use bocage_protocol::contract::Contract;
use bocage_protocol::env::Timestamp;
use bocage_protocol::front::dates::date_text;
use bocage_protocol::ids::ContractId;
use bocage_protocol::trust::Purpose;
use toml::Value;

use crate::network::Document;

/// So many cells may leave each site unless somebody decides otherwise.
const MAX_CELLS: i64 = 1_000_000;
const DAY_MS: i64 = 86_400_000;
/// A permit's life unless somebody decides otherwise.
const LIFE_DAYS: i32 = 365;

/// What stands in the text. Empty texts are for people to fill in; `permit sign` names each that they left.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// As the access body names the permit.
    pub id: String,
    /// A line for people.
    pub title: String,
    /// The network that it is for.
    pub network: String,
    /// How many sites stand behind a published cell.
    pub min_sites: u32,
    /// No count below it leaves.
    pub threshold: u32,
    /// The holder's name.
    pub holder: String,
    /// Where they work.
    pub organisation: String,
    /// Their public key.
    pub key: String,
    /// The datasets with all their columns.
    pub datasets: Vec<(ContractId, Vec<String>)>,
}

impl Request {
    /// The datasets of these contracts, with every column that can be read.
    pub fn datasets_of<'a>(contracts: impl IntoIterator<Item = &'a Contract>) -> Vec<(ContractId, Vec<String>)> {
        let columns = |contract: &Contract| {
            let names = contract.columns().iter().map(|column| column.name.as_str());
            names.filter(|name| contract.can_be_read(name)).map(str::to_owned).collect()
        };
        contracts.into_iter().map(|contract| (contract.id().clone(), columns(contract))).collect()
    }

    /// The text, valid from this day on.
    pub fn text(&self, now: Timestamp) -> String {
        let today = i32::try_from(now.0.div_euclid(DAY_MS)).unwrap_or_default();
        let mut doc = Document::new();
        doc.comment(
            "What an access body allows. Sign it with: bocage permit sign permit.toml --key access-body.key > X.permit",
        )
        .gap()
        .noted("id", self.id.as_str(), "as you name it, e.g. DK-2026/17")
        .noted("title", self.title.as_str(), "a line for the people who decide")
        .noted("network", self.network.as_str(), "as `network` in a researcher's profile.toml says it")
        .gap()
        .comment(&format!(
            "Any of {} (Regulation (EU) 2025/327, article 53).",
            Purpose::ALL.map(|(name, _)| name).join(", ")
        ))
        .set("purposes", vec![Purpose::ScientificResearch.as_str()])
        .gap()
        .comment("Where. Without it: every site of the network.")
        .comment("sites = [\"cleveland\", \"hungary\", \"zurich\"]")
        .noted("min_sites", i64::from(self.min_sites), "so many sites at least stand behind a published cell")
        .gap()
        .comment("How strict. A site's own policy can be stricter, never laxer.")
        .noted("threshold", i64::from(self.threshold), "no count below it leaves a site")
        .noted("mode", "exact", "or \"round\": counts in multiples of 5; both behind the threshold")
        .noted("max_cells", MAX_CELLS, "so many cells may leave each site of each dataset, in all")
        .gap()
        .noted("valid_from", date_text(today), "from 00:00 UTC")
        .noted("valid_to", date_text(today + LIFE_DAYS), "until the end of that day, UTC")
        .gap()
        .comment("Who may use it. Their own key, of which they keep the secret half: bocage keys new researcher.key")
        .table(&["holder"])
        .set("name", self.holder.as_str())
        .set("organisation", self.organisation.as_str())
        .noted("key", self.key.as_str(), "as `bocage keys show` prints it: ed25519:…");
        doc.gap().comment("About what. Filters read columns too. Without `columns`: every column of the contract.");
        for (dataset, columns) in &self.datasets {
            let columns: Vec<Value> = columns.iter().map(|name| Value::from(name.as_str())).collect();
            doc.element(&["dataset"]).set("id", dataset.to_string()).set("columns", columns).gap();
        }
        if self.datasets.is_empty() {
            doc.element(&["dataset"])
                .noted("id", "", "the contract, NAME@VERSION")
                .comment("columns = [\"age\", \"sex\"]");
        }
        doc.text().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_net::env::SystemEntropy;
    use bocage_protocol::trust::SecretKey;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    #[test]
    fn what_people_have_not_filled_in_is_named_and_nothing_else() {
        let text = Request { min_sites: 3, threshold: 11, ..Request::default() }.text(NOW);
        let key = SecretKey::generate(&mut SystemEntropy);
        let problems = super::super::sign(&text, "permit.toml", &key, None, &mut SystemEntropy).unwrap_err();
        let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        let wanted = ["id", "network", "title", "holder.name", "holder.organisation", "holder.key", "dataset[0].id"];
        assert_eq!(keys, wanted, "{problems}");
    }

    #[test]
    fn a_request_that_is_filled_in_can_be_signed() {
        let key = SecretKey::generate(&mut SystemEntropy);
        let request = Request {
            id: "DK-1".into(),
            title: "A \"title\"\n".trim().into(),
            network: "heart-lab".into(),
            min_sites: 2,
            threshold: 11,
            holder: "Ada".into(),
            organisation: "University".into(),
            key: key.public().to_string(),
            datasets: vec![("heart@1".parse().unwrap(), vec!["sex".into(), "age".into()])],
        };
        let signed = super::super::sign(&request.text(NOW), "permit.toml", &key, None, &mut SystemEntropy).unwrap();
        let permit = signed.verify().unwrap();
        assert_eq!(permit.title, "A \"title\"");
        assert!(permit.check_time(NOW).is_ok());
        assert!(permit.check_time(NOW.plus_secs(364 * 86_400)).is_ok());
    }
}

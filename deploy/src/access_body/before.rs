//! What to look at before a permit is signed: whether any site could ever answer under it.

use bocage_node::config::THRESHOLD_MIN;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::SiteId;
use bocage_protocol::settings::{Problem, Problems, nearest};
use bocage_protocol::trust::{Permit, Revocations};

use crate::network::Network;

/// What the permit is held against besides its contracts.
pub(super) struct Beside<'a> {
    /// The time now.
    pub now: Timestamp,
    /// The network, where its text was named.
    pub network: Option<&'a Network>,
    /// The access body's list of revoked permits, where it was named.
    pub list: Option<&'a Revocations>,
}

/// Everything for which nothing could be answered, or people could take the permit for another. `file` is its text's.
pub(super) fn problems(permit: &Permit, file: &str, beside: &Beside<'_>) -> Problems {
    let mut problems = Problems::default();
    let mut wrong = |key: &str, message: String, hint: &str| problems.push(Problem::new(file, key, message).hint(hint));
    if permit.valid_to <= beside.now {
        wrong(
            "valid_to",
            format!("the permit has ended already, at {}", permit.valid_to),
            "write the day on which it is to end",
        );
    }
    if permit.threshold < THRESHOLD_MIN {
        let hint = "no count below it leaves a site; 11 is usual";
        wrong("threshold", format!("must be at least {THRESHOLD_MIN}, as every site's is"), hint);
    }
    if let Some(network) = beside.network {
        if permit.network != network.id {
            let message = format!("the permit is for `{}`, and that network is `{}`", permit.network, network.id);
            wrong("network", message, "write the network's name, or name its own file with --network");
        }
        let known: Vec<&SiteId> = network.sites.iter().map(|site| &site.id).collect();
        for site in permit.sites.iter().flatten().filter(|site| !known.contains(site)) {
            let near = nearest(site.as_str(), known.iter().map(|known| known.as_str()));
            let hint = near.map_or_else(|| "leave it out".to_owned(), |near| format!("did you mean `{near}`?"));
            wrong("sites", format!("the network has no site `{site}`"), &hint);
        }
    }
    if let Some(revoked) = beside.list.and_then(|list| list.revoked.iter().find(|revoked| revoked.id == permit.id)) {
        let message = format!("a permit {} was taken back at {}", revoked.id, revoked.at);
        wrong("id", message, "give the new permit an id of its own, so that people can tell the two apart");
    }
    problems
}

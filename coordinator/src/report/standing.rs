//! How a network stands, for its operator: each site, whether it has a session, what runs there, and how old its data is.

use bocage_protocol::env::Timestamp;

use super::grid::Grid;
use super::{Format, json};
use crate::api::types::{SiteInfo, SiteList};

/// The sites of a network at `now`, those that are away first.
pub fn standing(list: &SiteList, now: Timestamp, format: Format) -> String {
    let mut sites: Vec<&SiteInfo> = list.sites.iter().collect();
    sites.sort_by_key(|site| site.online);
    let mut grid = Grid::new(["site", "session", "last heard", "software", "clock", "datasets", "oldest snapshot"]);
    for site in &sites {
        let without = site.datasets.iter().filter(|offer| offer.snapshot_at.is_none()).count();
        let oldest = site.datasets.iter().filter_map(|offer| offer.snapshot_at).min();
        grid.row([
            site.id.to_string(),
            session(site).to_owned(),
            site.last_seen.map_or_else(|| "not since the coordinator started".to_owned(), |at| ago(at, now)),
            site.software.clone().unwrap_or_else(|| "-".to_owned()),
            site.skew_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:+} ms")),
            match without {
                0 => site.datasets.len().to_string(),
                some => format!("{}, {some} without a snapshot", site.datasets.len()),
            },
            oldest.map_or_else(|| "-".to_owned(), |at| ago(at, now)),
        ]);
    }
    match format {
        Format::Csv => grid.csv(),
        Format::Json => json(list),
        Format::Text => {
            let connected = sites.iter().filter(|site| site.online).count();
            format!("{}\n{connected} of {} sites connected\n", grid.text(1), sites.len())
        }
    }
}

fn session(site: &SiteInfo) -> &'static str {
    match (site.online, site.enrolled) {
        (true, _) => "connected",
        (false, true) => "away",
        (false, false) => "not enrolled",
    }
}

/// How long ago that was, in the largest unit that fits.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let secs = now.0.saturating_sub(then.0).max(0) / 1000;
    match secs {
        0..120 => format!("{secs} s ago"),
        120..7_200 => format!("{} min ago", secs / 60),
        7_200..172_800 => format!("{} h ago", secs / 3600),
        _ => format!("{} d ago", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(id: &str, online: bool, last_seen: Option<i64>) -> SiteInfo {
        let (skew_ms, software) = (online.then_some(-3), online.then_some("0.1.0"));
        let site = serde_json::json!({
            "id": id, "name": id, "online": online, "last_seen": last_seen.map(Timestamp), "skew_ms": skew_ms,
            "software": software, "datasets": [], "enrolled": id != "cc",
        });
        serde_json::from_value(site).unwrap()
    }

    #[test]
    fn sites_that_are_away_stand_first_with_the_time_since_they_were_heard_of() {
        let list = SiteList {
            sites: vec![site("aa", true, Some(9_000)), site("bb", false, Some(0)), site("cc", false, None)],
        };
        let text = standing(&list, Timestamp(10_000_000), Format::Text);
        let lines: Vec<&str> =
            text.lines().filter(|line| ["aa", "bb", "cc"].iter().any(|id| line.starts_with(id))).collect();
        assert!(lines[0].contains("away") && lines[0].contains("2 h ago"), "{text}");
        assert!(lines[1].contains("not enrolled") && lines[1].contains("not since"), "{text}");
        assert!(lines[2].contains("connected") && lines[2].contains("-3 ms"), "{text}");
        assert_eq!(text.lines().last(), Some("1 of 3 sites connected"));
    }
}

//! How a network stands, for its operator: each site, whether it has a session and since when, how long its certificate holds, what runs there, and how old
//! its data is; and what of the coordinator itself has an end.

use bocage_protocol::counted::counted;
use bocage_protocol::env::Timestamp;
use bocage_protocol::renewal::WARN_DAYS;
use serde::Serialize;

use super::grid::Grid;
use super::listing::clock;
use super::{Format, json};
use crate::api::types::{InvitationInfo, NetworkInfo, SiteInfo};

/// What the coordinator says of its network.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Itself.
    pub network: NetworkInfo,
    /// The roster.
    pub sites: Vec<SiteInfo>,
    /// The invitations that are open; none where the asker may not know of them.
    pub invitations: Option<Vec<InvitationInfo>>,
}

impl Standing {
    /// The network at `now`, sites that are not connected first.
    pub fn show(&self, now: Timestamp, format: Format) -> String {
        let mut sites: Vec<&SiteInfo> = self.sites.iter().collect();
        sites.sort_by_key(|site| site.online);
        match format {
            Format::Json => json(self),
            Format::Csv => self.table(&sites).csv(),
            Format::Text => {
                let connected = sites.iter().filter(|site| site.online).count();
                let many = counted(sites.len(), "site");
                self.coordinator(now)
                    + &self.grid(&sites, now).text(1)
                    + &self.invited()
                    + &format!("\n{connected} of {many} connected\n")
            }
        }
    }

    fn coordinator(&self, now: Timestamp) -> String {
        let NetworkInfo { network, version, certificate_until, authority_until, publisher, .. } = &self.network;
        let mut text = format!("network {network}, coordinator {version}\n");
        if let Some(until) = certificate_until {
            text += &format!("its certificate: {}\n", left(*until, now));
        }
        if let Some(until) = authority_until {
            text += &format!("what certifies sites: {}\n", days(*until, now));
        }
        if let Some(key) = publisher {
            text += &format!("it publishes as {key}\n");
        }
        text + "\n"
    }

    fn invited(&self) -> String {
        let open = self.invitations.iter().flatten();
        let lines: String = open.map(|of| format!("{} is invited, until {}\n", of.site, of.expires_at)).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }

    fn grid(&self, sites: &[&SiteInfo], now: Timestamp) -> Grid {
        let mut grid =
            Grid::new(["site", "session", "since", "certificate", "software", "clock", "datasets", "oldest snapshot"]);
        for site in sites {
            let without = site.datasets.iter().filter(|offer| offer.snapshot_at.is_none()).count();
            let since = site.connected_since.filter(|_| site.online).or(site.last_seen);
            let never = if site.enrolled { "not since the coordinator's start" } else { "-" };
            grid.row([
                site.id.to_string(),
                self.session(site).to_owned(),
                since.map_or_else(|| never.to_owned(), |at| ago(at, now)),
                site.certificate.as_ref().map_or_else(|| "-".to_owned(), |of| left(of.until, now)),
                site.software.clone().unwrap_or_else(|| "-".to_owned()),
                clock(site),
                match without {
                    0 => site.datasets.len().to_string(),
                    some => format!("{}, {some} without a snapshot", site.datasets.len()),
                },
                oldest(site).map_or_else(|| "-".to_owned(), |at| ago(at, now)),
            ]);
        }
        grid
    }

    /// The same for programs: times as they are.
    fn table(&self, sites: &[&SiteInfo]) -> Grid {
        let mut grid = Grid::new([
            "site",
            "session",
            "connected_since",
            "last_seen",
            "certificate_until",
            "software",
            "skew_ms",
            "skew_within_ms",
            "datasets",
            "without_snapshot",
            "oldest_snapshot",
        ]);
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        for site in sites {
            grid.row([
                site.id.to_string(),
                self.session(site).to_owned(),
                time(site.connected_since),
                time(site.last_seen),
                time(site.certificate.as_ref().map(|of| of.until)),
                site.software.clone().unwrap_or_default(),
                site.skew_ms.map(|ms| ms.to_string()).unwrap_or_default(),
                site.skew_within_ms.map(|ms| ms.to_string()).unwrap_or_default(),
                site.datasets.len().to_string(),
                site.datasets.iter().filter(|offer| offer.snapshot_at.is_none()).count().to_string(),
                time(oldest(site)),
            ]);
        }
        grid
    }

    fn session(&self, site: &SiteInfo) -> &'static str {
        let invited = || self.invitations.iter().flatten().any(|of| of.site == site.id);
        match (site.online, site.enrolled) {
            (true, _) => "connected",
            _ if site.revoked => "revoked",
            (false, true) => "away",
            (false, false) if invited() => "invited",
            (false, false) => "not enrolled",
        }
    }
}

fn oldest(site: &SiteInfo) -> Option<Timestamp> {
    site.datasets.iter().filter_map(|offer| offer.snapshot_at).min()
}

/// How long a certificate holds that renews itself, and whether it should have by now.
fn left(until: Timestamp, now: Timestamp) -> String {
    let late = until.since_ms(now) < WARN_DAYS * 86_400_000;
    days(until, now) + if late { ", not renewed" } else { "" }
}

/// How many whole days are left until then.
fn days(until: Timestamp, now: Timestamp) -> String {
    match until.since_ms(now) {
        over if over < 0 => format!("ended {}", ago(until, now)),
        left => format!("{} left", counted(left.unsigned_abs() / 86_400_000, "day")),
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
    use serde_json::{Value, json};

    const DAY: i64 = 86_400_000;
    const PUBLISHER: &str = "ed25519:GX9rI+FshTLGq8g4+s1ep4m+DHaykgM0A5v6iz02jWE=";

    fn site(id: &str, more: Value) -> SiteInfo {
        let mut site = json!({ "id": id, "name": id, "online": false, "last_seen": null, "skew_ms": null, "software": null, "datasets": [] });
        site.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(site).unwrap()
    }

    fn certificate(days: i64) -> Value {
        json!({ "serial": "1", "until": 100 * DAY + days * DAY, "current": true, "roots": true })
    }

    /// On the hundredth day.
    fn shown(format: Format) -> String {
        let heard = |ms: i64| 100 * DAY - ms;
        let sites = vec![
            site(
                "aa",
                json!({ "online": true, "last_seen": 100 * DAY, "connected_since": heard(3 * 3_600_000), "skew_ms": -3, "skew_within_ms": 12, "certificate": certificate(29) }),
            ),
            site("bb", json!({ "last_seen": heard(600_000), "certificate": certificate(1) })),
            site("cc", json!({ "enrolled": false })),
            site("dd", json!({ "enrolled": false })),
            site("ee", json!({ "revoked": true, "last_seen": heard(1000), "certificate": certificate(-3) })),
        ];
        let open = json!({ "id": "1", "site": "dd", "made_at": 0, "expires_at": 101 * DAY, "replace": false, "state": "open", "ended_at": null, "release_key": null });
        let network = json!({ "network": "nn", "min_sites": 1, "version": "9", "certificate_until": 120 * DAY, "authority_until": 101 * DAY, "publisher": PUBLISHER });
        let standing = Standing {
            network: serde_json::from_value(network).unwrap(),
            sites,
            invitations: Some(vec![serde_json::from_value(open).unwrap()]),
        };
        standing.show(Timestamp(100 * DAY), format)
    }

    #[test]
    fn each_site_stands_with_its_session_and_since_when_and_how_long_its_certificate_holds() {
        let text = shown(Format::Text);
        assert!(
            text.starts_with(&format!(
                "network nn, coordinator 9\nits certificate: 20 days left\nwhat certifies sites: 1 day left\nit publishes as {PUBLISHER}\n\n"
            )),
            "{text}"
        );
        let line = |site: &str| text.lines().find(|line| line.starts_with(&format!("{site} "))).unwrap();
        for (site, wanted) in [
            ("aa", ["connected", "3 h ago", "29 days left"]),
            ("bb", ["away", "10 min ago", "1 day left, not renewed"]),
            ("cc", ["not enrolled", "-", "-"]),
            ("dd", ["invited", "-", "-"]),
            ("ee", ["revoked", "1 s ago", "ended 3 d ago"]),
        ] {
            assert!(wanted.iter().all(|word| line(site).contains(word)), "{wanted:?} in\n{text}");
        }
        assert!(line("aa").contains("-3 ms ± 12"), "{text}");
        assert!(!line("aa").contains("not renewed") && text.contains("\ndd is invited, until 1970-04-12"), "{text}");
        assert_eq!(text.lines().last(), Some("1 of 5 sites connected"));
        assert!(
            line("bb") < line("ee") && text.find("\nee ") < text.find("\naa "),
            "who is connected comes last: {text}"
        );
    }

    #[test]
    fn programs_get_times_as_they_are_and_everything_that_was_said() {
        let csv = shown(Format::Csv);
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(rows[1], "bb,away,,1970-04-10T23:50:00Z,1970-04-12T00:00:00Z,,,,0,0,");
        assert_eq!(rows[5], "aa,connected,1970-04-10T21:00:00Z,1970-04-11T00:00:00Z,1970-05-10T00:00:00Z,,-3,12,0,0,");
        let json: Value = serde_json::from_str(&shown(Format::Json)).unwrap();
        assert_eq!(
            (json["sites"][4]["revoked"].as_bool(), json["invitations"][0]["site"].as_str()),
            (Some(true), Some("dd"))
        );
        assert_eq!(json["network"]["authority_until"].as_i64(), Some(101 * DAY));
    }
}

//! Sites, datasets, contracts and studies as tables.

use bocage_protocol::contract::{Code, Column, Contract, Groups, Kind, Subject};
use bocage_protocol::env::Timestamp;
use bocage_protocol::error::ErrorCode;
use bocage_protocol::trust::Purpose;

use super::grid::Grid;
use super::offers::without;
use super::{Format, json, plain, short_number, wrap};
use crate::api::types::{
    AnalysisResult, DatasetList, PermitInfo, SiteInfo, SiteList, SiteReport, SiteStatus, StudyList, StudyState,
    StudyStatus,
};

/// Codes of a column that a text shows.
const CODES_SHOWN: usize = 20;

fn write(grid: &Grid, format: Format, value: &impl serde::Serialize) -> String {
    match format {
        Format::Text => grid.text(1),
        Format::Csv => grid.csv(),
        Format::Json => json(value),
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

/// A site's clock against the coordinator's, with how far that may be off.
pub(super) fn clock(site: &SiteInfo) -> String {
    match (site.skew_ms, site.skew_within_ms) {
        (None, _) => "-".to_owned(),
        (Some(ms), None) => format!("{ms:+} ms"),
        (Some(ms), Some(within_ms)) => format!("{ms:+} ms ± {within_ms}"),
    }
}

/// The purpose as a study spells it.
pub(super) fn purpose(purpose: Purpose) -> &'static str {
    Purpose::ALL.iter().find(|(_, p)| *p == purpose).map_or("?", |(text, _)| text)
}

/// The sites of the network.
pub fn sites(list: &SiteList, format: Format) -> String {
    let mut grid = Grid::new(["site", "name", "online", "last seen", "clock", "software", "datasets"]);
    for site in &list.sites {
        let datasets: Vec<String> = site
            .datasets
            .iter()
            .map(|d| format!("{}{}", d.contract, without(d).replacen(", without", " without", 1)))
            .collect();
        grid.row([
            site.id.to_string(),
            site.name.clone(),
            match (site.enrolled, site.online) {
                _ if site.revoked => "revoked",
                (false, _) => "not enrolled",
                (true, true) => "yes",
                (true, false) => "no",
            }
            .to_owned(),
            time(site.last_seen),
            clock(site),
            site.software.clone().unwrap_or_else(|| "-".to_owned()),
            datasets.join("; "),
        ]);
    }
    let mut text = write(&grid, format, list);
    if format == Format::Text {
        for (site, warning) in list.sites.iter().filter_map(|s| Some((&s.id, s.ledger_warning.as_ref()?))) {
            text.push('\n');
            text.push_str(&wrap(&format!("warning: the ledger of {site} contradicts itself: {}", plain(warning))));
            text.push_str(&wrap(&format!(
                "  hint: `bocage checkpoint {site} > FILE` and, at the hospital, `bocage node ledger verify --checkpoint FILE`"
            )));
        }
    }
    text
}

/// The contracts that the coordinator knows, and who offers data under them.
pub fn datasets(list: &DatasetList, format: Format) -> String {
    let mut grid = Grid::new(["dataset", "title", "hash", "sites"]);
    for dataset in &list.datasets {
        let sites: Vec<&str> = dataset.sites.iter().map(|s| s.as_str()).collect();
        grid.row([dataset.contract.to_string(), dataset.title.clone(), dataset.hash.short(), sites.join(" ")]);
    }
    write(&grid, format, list)
}

/// The columns of a contract.
pub fn contract(contract: &Contract, format: Format) -> String {
    let mut grid = Grid::new(["column", "type", "unit", "values", "required", "label"]);
    for column in contract.columns() {
        grid.row([
            column.name.to_string(),
            column.kind.name().to_owned(),
            column.unit.clone().unwrap_or_default(),
            domain(column, format),
            if column.required { "yes" } else { "" }.to_owned(),
            column.label.clone(),
        ]);
    }
    match format {
        Format::Text => {
            let subject = match contract.subject() {
                Subject::Row => "one row is one patient".to_owned(),
                Subject::Column(column) => format!("`{column}` is the patient and cannot be read"),
            };
            let head = format!("{}: {} ({subject})\n\n", contract.id(), plain(contract.title()));
            head + &grid.text(1) + &details(contract)
        }
        _ => write(&grid, format, contract),
    }
}

fn domain(column: &Column, format: Format) -> String {
    match &column.kind {
        Kind::Int { lo, hi } => format!("{lo} to {hi}"),
        Kind::Float { lo, hi } => format!("{} to {}", short_number(*lo), short_number(*hi)),
        Kind::Date { lo, hi } => format!("{} to {}", day(i64::from(*lo)), day(i64::from(*hi))),
        Kind::Datetime { lo, hi } => format!("{} to {}", Timestamp(*lo), Timestamp(*hi)),
        Kind::Code { codes, .. } if format == Format::Csv => {
            codes.iter().map(|c| format!("{} {}", c.code, c.label)).collect::<Vec<_>>().join("; ")
        }
        Kind::Code { codes, .. } => format!("{} codes", codes.len()),
        Kind::Bool => "true, false".to_owned(),
        Kind::Text => String::new(),
    }
}

fn day(days: i64) -> String {
    Timestamp(days.saturating_mul(86_400_000)).to_string().split('T').next().unwrap_or_default().to_owned()
}

/// Codes and groupings, which do not fit into a table.
fn details(contract: &Contract) -> String {
    let mut out = String::new();
    for column in contract.columns() {
        let mut lines = Vec::new();
        if let Kind::Code { codes, system } = &column.kind {
            lines.extend(system.iter().map(|s| format!("code system {s}")));
            lines.extend(codes.iter().take(CODES_SHOWN).map(code));
            if codes.len() > CODES_SHOWN {
                lines.push(format!("... and {} more (--format json has all)", codes.len() - CODES_SHOWN));
            }
        }
        lines.extend(column.groupings.iter().map(|g| format!("grouping {}: {}", g.name, groups(&g.groups))));
        if !lines.is_empty() {
            out.push_str(&format!("\n{}\n", column.name));
            lines.iter().for_each(|line| out.push_str(&format!("  {}\n", plain(line))));
        }
    }
    out
}

fn code(code: &Code) -> String {
    if code.label == code.code { code.code.clone() } else { format!("{:<8} {}", code.code, code.label) }
}

fn groups(groups: &Groups) -> String {
    match groups {
        Groups::Breaks(breaks) => {
            format!("broken at {}", breaks.iter().map(|b| short_number(*b)).collect::<Vec<_>>().join(", "))
        }
        Groups::Codes { labels, .. } => labels.join(", "),
    }
}

/// All studies, latest first.
pub fn studies(list: &StudyList, format: Format) -> String {
    let mut grid = Grid::new(["study", "state", "sites", "accepted", "dataset", "title"]);
    for study in &list.studies {
        grid.row([
            if format == Format::Text { study.id.short() } else { study.id.to_string() },
            state(study.state).to_owned(),
            counts(&study.sites),
            study.accepted_at.to_string(),
            study.dataset.to_string(),
            study.title.clone(),
        ]);
    }
    write(&grid, format, list)
}

/// Where one study stands.
pub fn status(study: &StudyStatus, format: Format) -> String {
    match format {
        Format::Json => json(study),
        Format::Csv => site_grid(&study.sites).csv(),
        Format::Text => format!(
            "{}\nstudy {}  dataset {}  {}\naccepted {}  answers by {}\n{}\n{}",
            plain(&study.title),
            study.id.short(),
            study.dataset,
            state(study.state),
            study.accepted_at,
            study.answer_by,
            study.permit.as_ref().map_or_else(String::new, |p| permit(p) + "\n") + &stewards(study),
            site_reports(&study.sites)
        ),
    }
}

/// The permit that a study relies on, in a line.
pub(super) fn permit(permit: &PermitInfo) -> String {
    let PermitInfo { id, holder, organisation, access_body, .. } = permit;
    plain(&format!("permit {id} of {holder} ({organisation}), issued by {access_body}"))
}

/// Until when sites are waited for that have not decided or begin later; empty where there is none.
fn stewards(study: &StudyStatus) -> String {
    let waiting = || study.sites.iter().filter(|site| site.pending_since.is_some());
    let later = |site: &&SiteReport| site.reason.as_ref().is_some_and(|r| r.code == ErrorCode::PolicyLater);
    let (all, later) = (waiting().count(), waiting().filter(later).count());
    let who = match (all - later, later) {
        (0, later) => format!("{later} of its sites will be asked again later"),
        (people, 0) => format!("{people} of its sites wait for a person there"),
        (people, later) => format!("{people} of its sites wait for a person there, {later} will be asked again later"),
    };
    match study.open_until {
        Some(until) if all > 0 => format!("open until {until} at the longest: {who}\n"),
        _ => String::new(),
    }
}

fn state(state: StudyState) -> &'static str {
    match state {
        StudyState::Open => "open",
        StudyState::Published => "published",
        StudyState::Cancelled => "cancelled",
    }
}

fn counts(sites: &[SiteReport]) -> String {
    let heard = sites.iter().filter(|site| site.was_heard()).count();
    format!("{heard}/{}", sites.len())
}

/// Who stands behind an answer, where that is not every site to the end: `3 of 4 sites stand behind this: all but long-beach`.
pub(super) fn behind(analysis: &AnalysisResult, sites: &[SiteReport]) -> Option<String> {
    if analysis.absent.is_empty() && sites.iter().all(|site| site.status == SiteStatus::Answered) {
        return None;
    }
    let out = |site: &&SiteReport| !site.was_heard() || analysis.absent.contains(&site.id);
    let absent: Vec<&str> = sites.iter().filter(out).map(|site| site.id.as_str()).collect();
    let (all, behind) = (sites.len(), sites.len() - absent.len());
    Some(match (behind, absent.len()) {
        (_, 0) => format!("all {all} sites stand behind this"),
        (0, _) => format!("none of {all} sites stands behind this"),
        (1, _) => format!("1 of {all} sites stands behind this: all but {}", absent.join(", ")),
        _ => format!("{behind} of {all} sites stand behind this: all but {}", absent.join(", ")),
    })
}

/// How each site stands to a study, with the reasons below.
pub(super) fn site_reports(sites: &[SiteReport]) -> String {
    let mut out = site_grid(sites).text(1);
    let reasons = sites.iter().filter_map(|site| Some((&site.id, site.left_in, site.reason.as_ref()?)));
    for (i, (site, left_in, reason)) in reasons.enumerate() {
        out.push_str(if i == 0 { "\n" } else { "" });
        let left = left_in.map_or_else(String::new, |round| format!(" left in round {round}"));
        out.push_str(&wrap(&format!("{site}{left}: {}", plain(&reason.to_string()))));
        if let Some(hint) = &reason.hint {
            out.push_str(&wrap(&format!("  hint: {}", plain(hint))));
        }
    }
    for site in sites.iter().filter(|site| !site.moved_in.is_empty()) {
        out.push_str(&wrap(&format!("{}: {}", site.id, moved(&site.moved_in))));
    }
    out
}

/// That rounds of one study were not computed over the same patients.
pub(super) fn moved(rounds: &[u16]) -> String {
    let rounds: Vec<String> = rounds.iter().map(u16::to_string).collect();
    format!(
        "opt-outs changed before round {}; what had been answered before was computed over other patients",
        rounds.join(" and before round ")
    )
}

fn site_grid(sites: &[SiteReport]) -> Grid {
    let left = sites.iter().any(|site| site.left_in.is_some()).then_some("left in round");
    let headings = ["site", "status", "snapshot", "taken", "bytes", "round trip ms"].into_iter().chain(left);
    let mut grid = Grid::new(headings).numbers_from(4);
    for site in sites {
        let of = |round: u16| round.to_string();
        let row = [
            site.id.to_string(),
            site.status.to_string(),
            site.snapshot.map_or_else(|| "-".to_owned(), |s| s.short()),
            time(site.snapshot_at),
            site.bytes.map_or_else(|| "-".to_owned(), |b| b.to_string()),
            site.round_trip_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}")),
        ];
        grid.row(row.into_iter().chain(left.map(|_| site.left_in.map_or_else(|| "-".to_owned(), of))));
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = r#"
        id = "heart@1"
        title = "Heart"
        subject = "row"
        [[column]]
        name = "age"
        type = "int"
        unit = "a"
        range = [0, 120]
        required = true
        groupings = [{ name = "halves", breaks = [60] }]
        [[column]]
        name = "sex"
        type = "code"
        codes = [{ code = "0", label = "female" }, { code = "1", label = "male" }]
        [[column]]
        name = "seen"
        type = "date"
        range = ["2000-01-01", "2030-12-31"]
    "#;

    #[test]
    fn a_contract_shows_types_ranges_codes_and_groupings() {
        let contract = bocage_protocol::contract::parse(CONTRACT, "heart.toml").unwrap();
        let text = super::contract(&contract, Format::Text);
        for wanted in ["0 to 120", "2000-01-01 to 2030-12-31", "1        male", "grouping halves: broken at 60"] {
            assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
        }
        assert!(super::contract(&contract, Format::Csv).contains("0 female; 1 male"));
    }

    #[test]
    fn a_site_that_begins_later_waits_for_no_person() {
        use bocage_protocol::error::PublicError;
        let mut study = crate::client::fake::study("ab", StudyState::Open, 1);
        study.open_until = Some(Timestamp(0));
        let site = |id: &str, code| SiteReport {
            id: id.parse().unwrap(),
            status: SiteStatus::Pending,
            reason: Some(PublicError::new(code, "wait")),
            bytes: None,
            round_trip_ms: None,
            snapshot: None,
            snapshot_at: None,
            receipts: vec![],
            pending_since: Some(Timestamp(0)),
            left_in: None,
            moved_in: vec![],
        };
        study.sites = vec![site("aa", ErrorCode::PolicyLater)];
        assert!(stewards(&study).ends_with("longest: 1 of its sites will be asked again later\n"));
        study.sites.push(site("bb", ErrorCode::ApprovalPending));
        let said = stewards(&study);
        assert!(said.ends_with("1 of its sites wait for a person there, 1 will be asked again later\n"), "{said}");
    }

    #[test]
    fn a_refusal_is_listed_with_its_code_and_hint() {
        use bocage_protocol::error::{ErrorCode, PublicError};
        let site = SiteReport {
            id: "hungary".parse().unwrap(),
            status: SiteStatus::Refused,
            reason: Some(PublicError::new(ErrorCode::SignerUnknown, "the key is not trusted").hint("ask the steward")),
            bytes: None,
            round_trip_ms: None,
            snapshot: None,
            snapshot_at: None,
            receipts: vec![],
            pending_since: None,
            left_in: None,
            moved_in: vec![],
        };
        let text = site_reports(&[site]);
        assert!(text.contains("refused"), "{text}");
        assert!(
            text.ends_with("hungary: the key is not trusted (signer_unknown)\n  hint: ask the steward\n"),
            "{text}"
        );
    }
}

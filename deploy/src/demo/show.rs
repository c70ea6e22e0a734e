//! What the demo prints, for people and for programs.

use std::fmt::Write as _;

use bocage_coordinator::api::types::{SiteReport, StudyResult};
use bocage_coordinator::report::{self, Grid, short_number};
use serde::Serialize;

use super::Shown;
use super::compare::Check;
use super::pooled::PooledRow;
use super::setting::HOSPITALS;
use crate::cli::{program, shell};

#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    result: &'a StudyResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    pooled: Option<&'a [PooledRow]>,
    checks: &'a [Check],
    holds: bool,
    hospitals: Vec<Traffic>,
    processes: usize,
    times_ms: TimesMs,
    kept: Option<String>,
}

#[derive(Serialize)]
struct TimesMs {
    network_made: u64,
    hospitals_online: u64,
    study_answered: u64,
    all: u64,
}

/// What left a hospital beside what stayed.
#[derive(Serialize)]
struct Traffic {
    id: &'static str,
    bytes_left: Option<u64>,
    bytes_of_rows_stayed: u64,
    round_trip_ms: Option<f64>,
}

fn traffic(sites: &[SiteReport]) -> Vec<Traffic> {
    let of = |hospital: &'static super::setting::Hospital| {
        let site = sites.iter().find(|s| s.id.as_str() == hospital.id);
        Traffic {
            id: hospital.id,
            bytes_left: site.and_then(|s| s.bytes),
            bytes_of_rows_stayed: hospital.csv.len() as u64,
            round_trip_ms: site.and_then(|s| s.round_trip_ms),
        }
    };
    HOSPITALS.iter().map(of).collect()
}

/// For programs: the study's result, the pooled answer, every check.
pub(super) fn json(shown: &Shown, kept: bool) -> String {
    let times = &shown.times;
    let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    report::json(&Json {
        result: &shown.result,
        pooled: shown.pooled.as_deref(),
        checks: &shown.checks,
        holds: shown.checks.iter().all(|c| c.holds),
        hospitals: traffic(&shown.result.sites),
        processes: shown.processes,
        times_ms: TimesMs {
            network_made: ms(times.made),
            hospitals_online: ms(times.started),
            study_answered: ms(times.answered),
            all: ms(times.all),
        },
        kept: kept.then(|| shown.setting.dir.display().to_string()),
    })
}

/// For people, readable at 100 columns without colour.
pub(super) fn text(shown: &Shown, kept: bool) -> String {
    let mut out = format!(
        "One coordinator and four hospital nodes ran here as {} processes, joined over QUIC with mutual TLS\n\
         under a certificate authority made a moment ago. No row left its hospital.\n\n",
        shown.processes
    );
    if shown.pooled.is_none() {
        out.push_str("The study was signed, but relies on no permit; the hospitals answer under the access body's permits only.\n\n");
    }
    out.push_str(&report::text(&shown.result));
    out.push_str(&pooled_text(shown));
    out.push_str(&checks_text(shown));
    out.push_str(&traffic_text(shown));
    out.push_str(&next_text(shown, kept));
    out
}

fn pooled_text(shown: &Shown) -> String {
    let Some(pooled) = &shown.pooled else { return String::new() };
    let mut out = String::from(
        "\nThe same in the clear, from all rows pooled in one place (a demo can, a network never does)\n\n",
    );
    let mut grid =
        Grid::new(["sex", "age", "count", "with chol", "mean(chol)", "sd(chol)", "share(disease)"]).numbers_from(2);
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), short_number);
    for row in pooled {
        grid.row([
            row.sex.to_owned(),
            row.age.to_owned(),
            row.count.to_string(),
            row.chol_n.to_string(),
            number(row.chol_mean),
            number(row.chol_sd),
            number(row.disease_share),
        ]);
    }
    out.push_str(&grid.text(2));
    out
}

fn checks_text(shown: &Shown) -> String {
    let mut out = String::from("\n");
    for check in &shown.checks {
        let mark = if check.holds { "ok  " } else { "FAIL" };
        let _ = writeln!(out, "{mark}  {}: {}", check.what, check.how);
    }
    let failed = shown.checks.iter().filter(|c| !c.holds).count();
    let _ = match failed {
        0 => writeln!(out, "\nall {} checks hold", shown.checks.len()),
        n => writeln!(out, "\n{n} of {} checks FAIL", shown.checks.len()),
    };
    out
}

fn traffic_text(shown: &Shown) -> String {
    let mut grid =
        Grid::new(["hospital", "bytes that left", "bytes of rows that stayed", "round trip ms"]).numbers_from(1);
    for hospital in traffic(&shown.result.sites) {
        grid.row([
            hospital.id.to_owned(),
            hospital.bytes_left.map_or_else(|| "-".to_owned(), |b| b.to_string()),
            hospital.bytes_of_rows_stayed.to_string(),
            hospital.round_trip_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}")),
        ]);
    }
    let times = &shown.times;
    format!(
        "\n{}\n{:.1} s in all: network and keys {:.1} s, hospitals online {:.1} s, study answered {:.2} s\n",
        grid.text(1),
        times.all.as_secs_f64(),
        times.made.as_secs_f64(),
        times.started.as_secs_f64(),
        times.answered.as_secs_f64()
    )
}

fn next_text(shown: &Shown, kept: bool) -> String {
    let program = program();
    if !kept {
        let other = match shown.pooled {
            Some(_) => format!("{program} demo --no-permit            # the same question without a permit"),
            None => format!("{program} demo                        # the same question under a permit"),
        };
        return format!(
            "\ntry next:\n  {other}\n  {program} demo --keep heart-demo      # leave the network there and query it by hand\n  \
             {program} demo --format json          # the same for programs\n  {program} study --help\n"
        );
    }
    let at = |path: &std::path::Path| shell(path);
    let setting = &shown.setting;
    let sites: Vec<&str> = HOSPITALS.iter().map(|h| h.id).collect();
    let profile = at(&setting.profile());
    format!(
        "\nthe network is in {dir}; start it and ask by hand:\n  \
         {program} coordinator serve --config {coordinator} &\n  \
         for site in {sites}; do {program} node run --config {folder}/$site/node.toml & done\n  \
         {program} study run {study} --profile {profile}\n\
         what may be asked:\n  {program} datasets heart@1 --profile {profile}\n\
         the permit that they rely on:\n  {program} permit show {permit}\n\
         what left a hospital:\n  {program} node ledger show --config {node}\n",
        dir = setting.dir.display(),
        coordinator = at(&setting.coordinator()),
        sites = sites.join(" "),
        folder = at(&setting.dir.join("sites")),
        study = at(&setting.study()),
        permit = at(&setting.permit()),
        node = at(&setting.node(HOSPITALS[0].id)),
    )
}

//! Permits and lists of revoked ones, as people read them and as programs do.

use std::fmt::{self, Write as _};

use bocage_coordinator::report::{json, plain};
use bocage_protocol::env::Timestamp;
use bocage_protocol::trust::{Permit, PermitMode, Revocations, SignedPermit};
use serde_json::json;

/// How a permit stands today.
pub(super) enum Standing {
    /// It begins later.
    NotYetValid,
    /// It has ended.
    Expired,
    /// Its access body took it back, at this time.
    TakenBack(Timestamp),
    /// None of these, as far as was looked: a list was, of this number, or none.
    InForce(Option<u64>),
}

impl Standing {
    /// By the permit's own time and its access body's list.
    pub(super) fn of(permit: &Permit, signed: &SignedPermit, list: Option<&Revocations>, now: Timestamp) -> Self {
        match list.and_then(|list| list.revokes(&signed.digest())) {
            Some(revoked) => Standing::TakenBack(revoked.at),
            None if now < permit.valid_from => Standing::NotYetValid,
            None if now > permit.valid_to => Standing::Expired,
            None => Standing::InForce(list.map(|list| list.number)),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Standing::NotYetValid => "not_yet_valid",
            Standing::Expired => "expired",
            Standing::TakenBack(_) => "taken_back",
            Standing::InForce(_) => "in_force",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::NotYetValid => f.write_str("not yet valid"),
            Standing::Expired => f.write_str("expired"),
            Standing::TakenBack(at) => write!(f, "taken back at {at}"),
            Standing::InForce(Some(number)) => write!(f, "in force; list {number} does not take it back"),
            Standing::InForce(None) => {
                f.write_str("in force, unless it was taken back: name the list with --revocations")
            }
        }
    }
}

/// A permit for people.
pub(super) fn permit(permit: &Permit, signed: &SignedPermit, standing: &Standing) -> String {
    let mut out = format!("permit {}: {}\n", permit.id, plain(&permit.title));
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12}{}", plain(&text));
    };
    line("network", permit.network.to_string());
    line("issued by", permit.issuer.to_string());
    line("held by", format!("{}, {}", permit.holder.name, permit.holder.organisation));
    line("", permit.holder.key.to_string());
    line("purposes", permit.purposes.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", "));
    for (i, scope) in permit.datasets.iter().enumerate() {
        let columns = match &scope.columns {
            Some(columns) => columns.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(", "),
            None => "every column".to_owned(),
        };
        line(if i == 0 { "datasets" } else { "" }, format!("{}: {columns}", scope.dataset));
    }
    line(
        "sites",
        match &permit.sites {
            Some(sites) => sites.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", "),
            None => "every site of the network".to_owned(),
        },
    );
    line(
        "strictness",
        format!(
            "cells need {} sites; no count below {} leaves; {}at most {} cells leave each site of each dataset",
            permit.min_sites,
            permit.threshold,
            match permit.mode {
                PermitMode::Exact => "",
                PermitMode::Round => "counts are rounded to multiples of 5; ",
            },
            permit.max_cells
        ),
    );
    line("valid", format!("{} to {}", permit.valid_from, permit.valid_to));
    line("digest", signed.digest().to_string());
    line("now", standing.to_string());
    out
}

/// A permit for programs.
pub(super) fn permit_json(permit: &Permit, signed: &SignedPermit, standing: &Standing) -> String {
    json(&json!({ "permit": permit, "digest": signed.digest(), "now": standing.word() }))
}

/// A list for people.
pub(super) fn list(list: &Revocations) -> String {
    let mut out = format!("list {} of {}, signed at {}\n", list.number, list.issuer, list.issued_at);
    for revoked in &list.revoked {
        let _ = writeln!(out, "{} was taken back at {} (digest {})", revoked.id, revoked.at, revoked.digest.short());
    }
    if list.revoked.is_empty() {
        out.push_str("no permit is taken back\n");
    }
    out
}

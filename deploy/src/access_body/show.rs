//! Permits and lists of revoked ones, as people read them and as programs do.

use std::fmt::Write as _;

use bocage_coordinator::report::{json, plain};
use bocage_protocol::trust::{Permit, Revocations, SignedPermit};
use serde_json::json;

/// A permit for people.
pub(super) fn permit(permit: &Permit, signed: &SignedPermit) -> String {
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
            "cells need {} sites; no count below {} leaves; at most {} cells leave each site of each dataset",
            permit.min_sites, permit.threshold, permit.max_cells
        ),
    );
    line("valid", format!("{} to {}", permit.valid_from, permit.valid_to));
    line("digest", signed.digest().to_string());
    out
}

/// A permit for programs.
pub(super) fn permit_json(permit: &Permit, signed: &SignedPermit) -> String {
    json(&json!({ "permit": permit, "digest": signed.digest() }))
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

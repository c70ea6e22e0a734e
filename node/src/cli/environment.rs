//! What the supervisor's children see of its environment: what they read, and nothing else. An environment often carries what was meant
//! for another program.

use std::ffi::{OsStr, OsString};

use crate::config::ENV_PREFIX;
use crate::custodian::engine;

/// How many threads Polars starts. A child cannot ask for a quota once it is confined, so it is told.
const POLARS_THREADS: &str = "POLARS_MAX_THREADS";
/// How a panic and how the log look.
const KEPT: &[&str] = &["RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "NO_COLOR", POLARS_THREADS];

/// The children's environment: the node's settings, a few names, and names that begin as one of `also`.
pub(super) fn of_children(also: &[String]) -> Vec<(OsString, OsString)> {
    kept(std::env::vars_os(), also, engine::cores())
}

fn kept(all: impl Iterator<Item = (OsString, OsString)>, also: &[String], cores: usize) -> Vec<(OsString, OsString)> {
    let settings = format!("{ENV_PREFIX}__");
    // Settings are read whatever case they are written in.
    let begins = |name: &OsStr, prefix: &str| {
        let name = name.as_encoded_bytes().get(..prefix.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let mut kept: Vec<_> = all
        .filter(|(name, _)| {
            KEPT.iter().any(|kept| name == kept)
                || begins(name, &settings)
                || also.iter().any(|prefix| begins(name, prefix))
        })
        .collect();
    if !kept.iter().any(|(name, _)| name == POLARS_THREADS) {
        kept.push((POLARS_THREADS.into(), cores.to_string().into()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str], also: &[&str]) -> Vec<String> {
        let all = all.iter().map(|name| (OsString::from(name), OsString::from("1")));
        let also: Vec<String> = also.iter().map(|&prefix| prefix.to_owned()).collect();
        kept(all, &also, 4).into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
    }

    #[test]
    fn children_get_settings_and_the_short_list_and_nothing_that_was_meant_for_others() {
        let all =
            ["PATH", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "BOCAGE_NODE__SITE", "BOCAGE_PROFILE", "RUST_BACKTRACE"];
        assert_eq!(names(&all, &[]), ["BOCAGE_NODE__SITE", "RUST_BACKTRACE", "POLARS_MAX_THREADS"]);
        assert_eq!(names(&["LAB_CLOCK", "LA", "POLARS_MAX_THREADS"], &["LAB_"]), ["LAB_CLOCK", "POLARS_MAX_THREADS"]);
    }
}

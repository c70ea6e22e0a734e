//! A kernel without landlock, as far as a process of the lab binary can tell.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// The environment variable of the lab binary (not of the product) that asks for one.
pub const VARIABLE: &str = "BOCAGE_LAB_OLD_KERNEL";

/// From now on this process, and whatever it starts, finds no landlock.
pub fn pretend() {
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let rules = BTreeMap::from([(libc::SYS_landlock_create_ruleset, Vec::new())]);
    let machine = std::env::consts::ARCH.try_into().expect("a machine that seccompiler knows");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, unknown, machine).expect("a filter");
    apply_filter(&BpfProgram::try_from(filter).expect("a program")).expect("the filter is in place");
}

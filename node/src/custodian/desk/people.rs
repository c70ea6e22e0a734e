//! Who is who on this machine, as far as its files of users and groups say. A directory service is not asked: its users have a number and no name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

static NAMES: LazyLock<BTreeMap<u32, String>> =
    LazyLock::new(|| entries(Path::new(USERS)).into_iter().map(|(name, number)| (number, name)).rev().collect());

/// Reads who is a user of this machine. In its sandbox a custodian cannot any more; who becomes a user later has no name until it starts again.
pub fn learn_users() {
    LazyLock::force(&NAMES);
}

/// The name of a user; empty where it is not known or the file cannot be read.
pub fn user_name(uid: u32) -> String {
    NAMES.get(&uid).cloned().unwrap_or_default()
}

/// The number of a user, by its name or as it is.
pub fn user_id(user: &str) -> Option<u32> {
    user.parse().ok().or_else(|| users().into_iter().find(|(name, _)| name == user).map(|(_, number)| number))
}

/// The users of this machine.
pub fn users() -> Vec<(String, u32)> {
    entries(Path::new(USERS))
}

/// The number of a group, by its name or as it is.
pub fn group_id(group: &str) -> Option<u32> {
    group.parse().ok().or_else(|| groups().into_iter().find(|(name, _)| name == group).map(|(_, number)| number))
}

/// The groups of this machine.
pub fn groups() -> Vec<(String, u32)> {
    entries(Path::new(GROUPS))
}

/// Names and numbers, which stand first and third in a line.
fn entries(file: &Path) -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_have_the_names_of_the_machine_and_unknown_ones_have_none() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_000), "");
        assert_eq!((user_id("root"), user_id("1005"), user_id("no-such-user")), (Some(0), Some(1005), None));
        assert_eq!((group_id("root"), group_id("1005"), group_id("no-such-group")), (Some(0), Some(1005), None));
    }
}

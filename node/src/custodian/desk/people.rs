//! Who is who on this machine, as far as its files of users and groups say. A directory service is not asked: its users have a number and no name.

use std::path::Path;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The name of a user; empty where it is not known or the file cannot be read.
pub fn user_name(uid: u32) -> String {
    let name = |line: Vec<&str>| (line.get(2)?.parse() == Ok(uid)).then(|| line[0].to_owned());
    find(Path::new(USERS), name).unwrap_or_default()
}

/// The number of a group, by its name or as it is.
pub fn group_id(group: &str) -> Option<u32> {
    let number = |line: Vec<&str>| (line.first() == Some(&group)).then(|| line.get(2)?.parse().ok())?;
    group.parse().ok().or_else(|| find(Path::new(GROUPS), number))
}

fn find<T>(file: &Path, each: impl Fn(Vec<&str>) -> Option<T>) -> Option<T> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| each(line.split(':').collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_have_the_names_of_the_machine_and_unknown_ones_have_none() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_000_000_000), "");
        assert_eq!((group_id("root"), group_id("1005"), group_id("no-such-group")), (Some(0), Some(1005), None));
    }
}

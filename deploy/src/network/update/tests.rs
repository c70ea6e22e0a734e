//! Folders that are made again, and what a person has changed in them.

use super::*;
use zeroize::Zeroizing;

fn tree(port: u16) -> Tree {
    let mut tree = Tree::default();
    tree.file("coordinator/coordinator.toml", format!("a = 1\nport = {port}\n"));
    tree.file("README.txt", "read me\n");
    tree.secret("coordinator/api.token", Zeroizing::new(format!("token-{port}\n")));
    tree
}

fn made() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("net");
    tree(1).write(&out).unwrap();
    (dir, out)
}

#[test]
fn the_same_again_changes_nothing_and_writes_the_same_bytes() {
    let (_dir, out) = made();
    let list = std::fs::read(out.join(MADE)).unwrap();
    let changes = tree(1).changes(&out).unwrap();
    assert!(changes.0.is_empty());
    tree(1).update(&out, &changes, Edited::Keep).unwrap();
    assert_eq!(std::fs::read(out.join(MADE)).unwrap(), list);
}

#[test]
fn a_difference_shows_texts_line_by_line_and_names_secrets_only() {
    let (_dir, out) = made();
    std::fs::remove_file(out.join("coordinator/api.token")).unwrap();
    let text = tree(2).changes(&out).unwrap().unified();
    assert!(text.contains("--- a/coordinator/coordinator.toml\n+++ b/coordinator/coordinator.toml\n"), "{text}");
    assert!(text.contains("-port = 1\n+port = 2\n") && !text.contains("read me"), "{text}");
    assert!(text.contains("new secret: coordinator/api.token") && !text.contains("token-2"), "{text}");
}

#[test]
fn a_secret_that_is_there_stays_and_what_was_not_touched_is_brought_up_to_date() {
    let (_dir, out) = made();
    let changes = tree(2).changes(&out).unwrap();
    tree(2).update(&out, &changes, Edited::Keep).unwrap();
    let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
    assert_eq!(read("coordinator/coordinator.toml"), "a = 1\nport = 2\n");
    assert_eq!(read("coordinator/api.token"), "token-1\n");
    assert!(tree(2).changes(&out).unwrap().0.is_empty());
}

#[test]
fn what_a_person_changed_stays_with_what_it_would_be_beside_it_and_the_rest_is_brought_up_to_date() {
    let (_dir, out) = made();
    let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
    std::fs::write(out.join("coordinator/coordinator.toml"), "a = 1\nport = 1\n# mine\n").unwrap();

    // Nothing but the person has changed it.
    let changes = tree(1).changes(&out).unwrap();
    assert!(changes.is_empty(), "{changes:?}");
    tree(1).update(&out, &changes, Edited::Keep).unwrap();
    assert!(!out.join("coordinator/coordinator.toml.new").exists());
    assert!(changes.summary(Edited::Keep).contains("coordinator.toml: kept as it was changed by hand\n"));

    let mut next = tree(2);
    next.file("new.txt", "new\n");
    let changes = next.changes(&out).unwrap();
    next.update(&out, &changes, Edited::Keep).unwrap();
    assert_eq!(read("coordinator/coordinator.toml"), "a = 1\nport = 1\n# mine\n");
    assert_eq!(
        (read("coordinator/coordinator.toml.new").as_str(), read("new.txt").as_str()),
        ("a = 1\nport = 2\n", "new\n")
    );
    assert!(changes.summary(Edited::Keep).contains("what it would be is in coordinator/coordinator.toml.new\n"));

    // It was said, and stays until the person has taken it over.
    let changes = next.changes(&out).unwrap();
    assert!(changes.is_empty(), "{changes:?}");
    next.update(&out, &changes, Edited::Keep).unwrap();
    assert!(out.join("coordinator/coordinator.toml.new").exists());
    std::fs::rename(out.join("coordinator/coordinator.toml.new"), out.join("coordinator/coordinator.toml")).unwrap();
    assert!(next.changes(&out).unwrap().0.is_empty());
}

#[test]
fn no_byte_and_no_mode_of_what_a_person_changed_is_lost_however_often_it_is_overwritten() {
    let (_dir, out) = made();
    let (file, text) = (out.join("README.txt"), b"mine \xff\n");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(out.join("README.txt.new"), "a draft of my own\n").unwrap();
    let again = |text: &str, edited| {
        let mut next = Tree::default();
        next.file("README.txt", text);
        next.update(&out, &next.changes(&out).unwrap(), edited).unwrap();
    };
    let read = |path: &str| std::fs::read(out.join(path)).unwrap();
    let mode = |path: &str| out.join(path).metadata().unwrap().permissions().mode() & 0o777;
    again("one\n", Edited::Keep);
    assert_eq!((read("README.txt.new"), read("README.txt.new.old")), (b"one\n".into(), b"a draft of my own\n".into()));
    std::fs::write(out.join("README.txt.new"), "one, with a remark\n").unwrap();
    again("two\n", Edited::Overwrite);
    assert_eq!((read("README.txt"), read("README.txt.old")), (b"two\n".into(), text.into()));
    assert_eq!(read("README.txt.new"), b"one, with a remark\n");
    std::fs::write(&file, "mine again\n").unwrap();
    again("three\n", Edited::Overwrite);
    assert_eq!((read("README.txt.old"), read("README.txt.old.2")), (text.into(), b"mine again\n".into()));
    assert_eq!(["README.txt", "README.txt.old", "README.txt.old.2"].map(mode), [0o600; 3]);
}

#[test]
fn overwriting_what_a_person_changed_loses_nothing_and_takes_the_proposal_away() {
    let (_dir, out) = made();
    std::fs::write(out.join("README.txt"), "mine\n").unwrap();
    let mut next = Tree::default();
    next.file("README.txt", "read me again\n");
    let changes = next.changes(&out).unwrap();
    next.update(&out, &changes, Edited::Keep).unwrap();
    assert!(out.join("README.txt.new").exists());
    let changes = next.changes(&out).unwrap();
    next.update(&out, &changes, Edited::Overwrite).unwrap();
    let read = |path: &str| std::fs::read_to_string(out.join(path)).unwrap();
    assert_eq!((read("README.txt").as_str(), read("README.txt.old").as_str()), ("read me again\n", "mine\n"));
    assert!(!out.join("README.txt.new").exists());
    let changes = next.changes(&out).unwrap();
    assert!(
        changes.is_empty() && out.join("coordinator/coordinator.toml").exists(),
        "what is no longer part of it stays"
    );
    assert_eq!(changes.0[Path::new("coordinator/coordinator.toml")], Change::NoLongerPart);
}

#[test]
fn a_tree_that_takes_away_removes_what_it_wrote_itself_and_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("machines");
    let part = |folder: &'static [&'static str], files: &[&str]| {
        let mut tree = Tree::below(folder).taking_away();
        files.iter().for_each(|file| tree.file(*file, "text\n"));
        tree
    };
    part(&["units", "rules"], &["units/north/a", "units/south/a", "units/south/b", "rules/a"]).write(&out).unwrap();
    std::fs::write(out.join("units/south/b"), "mine\n").unwrap();
    let next = part(&["units"], &["units/north/a"]);
    let changes = next.changes(&out).unwrap();
    assert_eq!(changes.0.len(), 2, "{changes:?}");
    next.update(&out, &changes, Edited::Keep).unwrap();
    assert!(!out.join("units/south/a").exists() && out.join("units/south/b").exists() && out.join("rules/a").exists());
    // Of the others' files it is still known that they were written.
    assert!(part(&["rules"], &["rules/a"]).changes(&out).unwrap().0.is_empty());
    let gone = part(&["rules"], &[]).changes(&out).unwrap();
    assert_eq!(gone.0[Path::new("rules/a")], Change::Removed);
}

#[test]
fn a_list_that_points_out_of_the_folder_is_not_followed() {
    let (_dir, out) = made();
    std::fs::write(out.join(MADE), format!("{}  ../other\n{}  /etc/passwd\n", "0".repeat(64), "0".repeat(64))).unwrap();
    assert!(tree(1).changes(&out).unwrap().0.is_empty());
}

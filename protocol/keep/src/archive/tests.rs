//! Backups that come back, and those that must not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::seal::{Identities, Recipient, generate};

struct Lab {
    dir: tempfile::TempDir,
    to: Recipient,
    with: Identities,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let to = generate(&key).unwrap();
        let lab = Self { to, with: Identities::read(&key).unwrap(), dir };
        lab.write("site/node.toml", "site");
        lab.write("site/state/ledger.sqlite", "records");
        lab.write("site/state/optouts/heart.json", "groups");
        lab.write("elsewhere/tls.key", "secret");
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn about(&self) -> About {
        About {
            daemon: "node".into(),
            network: "net".into(),
            site: Some("north".into()),
            software: "0.1.0".into(),
            made_at: "2026-01-01".into(),
            config: "here/node.toml".into(),
            state: "here/state".into(),
        }
    }

    fn pack(&self, to: &str, files: &[&str]) -> Result<Packed, PackError> {
        let mut packing = Packing::begin(&self.path(to), std::slice::from_ref(&self.to), self.about())?;
        for name in files {
            let file = self.path(name);
            packing.add(&member(&self.path("site"), &file).unwrap(), &file)?;
        }
        packing.finish()
    }

    fn site(&self, to: &str) -> Packed {
        self.pack(to, &["site/node.toml", "site/state/ledger.sqlite", "site/state/optouts/heart.json"]).unwrap()
    }
}

/// Every file below a folder, with its content.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_is_packed_comes_back_into_an_empty_folder_for_its_owner_alone() {
    let lab = Lab::new();
    let packed = lab.site("backup");
    assert_eq!((packed.files, fs::metadata(lab.path("backup")).unwrap().len()), (3, packed.bytes));
    assert_eq!(fs::metadata(lab.path("backup")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(look(&lab.path("backup"), &lab.with).unwrap().files.len(), 3);
    let staged = unpack(&lab.path("backup"), &lab.with, &lab.path("new")).unwrap();
    let placed = staged.place(None, false).unwrap();
    drop(staged);
    assert_eq!(tree(&lab.path("new")), tree(&lab.path("site")));
    assert_eq!(placed.placed.last(), Some(&lab.path("new/node.toml")), "the configuration comes last");
    for name in ["node.toml", "state/ledger.sqlite"] {
        let mode = fs::metadata(lab.path("new").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn nothing_is_overwritten_and_what_is_replaced_is_moved_aside_as_a_whole() {
    let lab = Lab::new();
    lab.site("backup");
    lab.write("site/state/ledger.sqlite", "later records");
    lab.write("site/state/new", "later");
    lab.write("site/data.csv", "the hospital's own");
    let before = tree(&lab.path("site"));
    let staged = unpack(&lab.path("backup"), &lab.with, &lab.path("site")).unwrap();
    let said = staged.place(None, false).unwrap_err();
    assert!(matches!(said, PlaceError::Occupied(_)) && said.to_string().contains("--replace"), "{said}");
    let placed = staged.place(Some("before-1"), false).unwrap();
    drop(staged);
    let after = tree(&lab.path("site"));
    assert_eq!((after["state/ledger.sqlite"].as_str(), after["state.before-1/new"].as_str()), ("records", "later"));
    assert_eq!(after["state.before-1/ledger.sqlite"], before["state/ledger.sqlite"]);
    assert!(!after.contains_key("state/new"), "an old state is never mixed with a new one");
    assert_eq!(after["data.csv"], before["data.csv"], "what is not in the backup stays");
    assert_eq!(placed.aside.len(), 2);
}

#[test]
fn a_file_outside_of_the_folder_is_restored_by_an_explicit_word_only() {
    let lab = Lab::new();
    lab.pack("backup", &["site/node.toml", "elsewhere/tls.key"]).unwrap();
    fs::remove_file(lab.path("elsewhere/tls.key")).unwrap();
    let staged = unpack(&lab.path("backup"), &lab.with, &lab.path("new")).unwrap();
    let said = staged.place(None, false).unwrap_err().to_string();
    assert!(said.contains("tls.key") && said.contains("--elsewhere"), "{said}");
    assert!(!lab.path("new/node.toml").exists() && !lab.path("elsewhere/tls.key").exists());
    staged.place(None, true).unwrap();
    assert_eq!(fs::read_to_string(lab.path("elsewhere/tls.key")).unwrap(), "secret");
}

#[test]
fn a_backup_that_fails_leaves_nothing_under_its_name_and_takes_the_remains_of_a_killed_one_away() {
    let lab = Lab::new();
    lab.write(".backup.abc.partial", "half");
    assert!(matches!(lab.pack("backup", &["site/none"]), Err(PackError::Read { .. })));
    let left = || -> Vec<_> {
        let names = fs::read_dir(lab.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("backup")).collect()
    };
    assert_eq!(left(), Vec::<String>::new());
    lab.site("backup");
    assert_eq!(left(), ["backup"]);
    assert!(matches!(lab.pack("backup", &["site/node.toml"]), Err(PackError::Exists { .. })));
}

#[test]
fn a_backup_that_was_cut_changed_or_is_not_ours_is_refused_before_anything_is_placed() {
    let lab = Lab::new();
    lab.site("backup");
    let bytes = fs::read(lab.path("backup")).unwrap();
    let mut changed = bytes.clone();
    changed[bytes.len() - 40] ^= 1;
    for (what, bytes) in [("cut", &bytes[..bytes.len() - 1]), ("changed", &changed[..]), ("short", &bytes[..20])] {
        fs::write(lab.path(what), bytes).unwrap();
        assert!(look(&lab.path(what), &lab.with).is_err(), "{what}");
        assert!(unpack(&lab.path(what), &lab.with, &lab.path("new")).is_err(), "{what}");
    }
    assert_eq!(tree(&lab.path("new")).len(), 0, "nothing is left");
    let mut sealed = crate::seal::Sealed::begin(Vec::new(), std::slice::from_ref(&lab.to)).unwrap();
    let mut tar = tar::Builder::new(&mut sealed);
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    tar.append_data(&mut header, "here/node.toml", &b"evil"[..]).unwrap();
    tar.into_inner().unwrap();
    fs::write(lab.path("foreign"), sealed.finish().unwrap()).unwrap();
    let said = look(&lab.path("foreign"), &lab.with).unwrap_err().to_string();
    assert!(said.contains("no manifest"), "{said}");
}

#[test]
fn a_path_that_leads_out_has_no_place() {
    let into = Path::new("/into");
    for path in ["here/../x", "here//etc/passwd/..", "elsewhere/../../x", "other/x", "here/", "x", "/here/x"] {
        assert_eq!(target(path, into), None, "{path}");
    }
    assert_eq!(target("here/a/b", into), Some("/into/a/b".into()));
    assert_eq!(target("elsewhere/etc/x", into), Some("/etc/x".into()));
    assert_eq!(member(Path::new("/n/."), Path::new("/n/a/../b")), Some("here/b".into()));
    assert_eq!(member(Path::new("/n"), Path::new("/other/b")), Some("elsewhere/other/b".into()));
}

#[test]
fn a_backup_of_a_later_form_is_refused_naming_both_forms() {
    let lab = Lab::new();
    let mut sealed = crate::seal::Sealed::begin(Vec::new(), std::slice::from_ref(&lab.to)).unwrap();
    let mut tar = tar::Builder::new(&mut sealed);
    let text = br#"{"format":7,"about":{"software":"0.9.0"},"more":1}"#;
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "manifest.json", &text[..]).unwrap();
    tar.into_inner().unwrap();
    fs::write(lab.path("later"), sealed.finish().unwrap()).unwrap();
    let said = look(&lab.path("later"), &lab.with).unwrap_err().to_string();
    assert!(said.contains("format 7") && said.contains("reads 1") && said.contains("0.9.0"), "{said}");
}

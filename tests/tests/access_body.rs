//! What an access body's commands print, and what they refuse.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The command in a folder; answers exit code, stdout and stderr.
fn bocage(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output: Output =
        Command::new(env!("CARGO_BIN_EXE_bocage-lab")).args(args).current_dir(dir).output().expect("the command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same to a good end; answers stdout.
fn fine(dir: &Path, args: &[&str]) -> String {
    let (code, out, err) = bocage(dir, args);
    assert_eq!(code, Some(0), "{args:?}: {err}");
    out
}

/// The same to a bad end; answers stderr.
fn refused(dir: &Path, args: &[&str]) -> String {
    let (code, out, err) = bocage(dir, args);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
    err
}

/// A folder with a key and a permit that it signed.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/config");
    fine(dir.path(), &["keys", "new", "body.key"]);
    std::fs::create_dir(dir.path().join("contracts")).expect("a folder");
    std::fs::copy(golden.join("contract.toml"), dir.path().join("contracts/visits.toml")).expect("copied");
    let text = std::fs::read_to_string(golden.join("permit.toml")).expect("a text");
    let text = text.replace("2026-01-01", "2020-01-01").replace("2026-12-31", "2999-12-31");
    std::fs::write(dir.path().join("permit.toml"), text).expect("written");
    let signed = fine(dir.path(), &["permit", "sign", "permit.toml", "--key", "body.key", "--contracts", "contracts"]);
    std::fs::write(dir.path().join("a.permit"), signed).expect("written");
    dir
}

#[test]
fn a_key_is_made_once_for_its_owner_alone_and_only_its_public_half_is_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let public = fine(dir.path(), &["keys", "new", "my.key"]);
    assert!(public.starts_with("ed25519:") && public.trim_end().len() == 52, "{public}");
    assert_eq!(fine(dir.path(), &["keys", "show", "my.key"]), public);
    let file = dir.path().join("my.key");
    assert_eq!(std::fs::metadata(&file).expect("the key").permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&file).expect("the key");
    let said = refused(dir.path(), &["keys", "new", "my.key"]);
    assert_eq!(said, "error: my.key: exists already and is not overwritten\n");
    assert_eq!(std::fs::read(&file).expect("the key"), before);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    let said = refused(dir.path(), &["keys", "show", "my.key"]);
    assert!(said.contains("others may read this secret (mode 0644)\n  hint: chmod 600 my.key"), "{said}");
}

#[test]
fn a_permit_is_shown_as_people_read_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = include_str!("../golden/permit-v1.json");
    let golden: Value = serde_json::from_str(golden).expect("JSON");
    std::fs::write(dir.path().join("a.permit"), golden["permit"].to_string()).expect("written");
    std::fs::write(dir.path().join("a.list"), golden["revocations"].to_string()).expect("written");
    let shown = fine(dir.path(), &["permit", "show", "a.permit"]);
    // The last line depends on the day: this permit ended in September 2026.
    assert_eq!(shown, format!("{}now         expired\n", include_str!("../golden/permit-shown.txt")));
    let json: Value =
        serde_json::from_str(&fine(dir.path(), &["permit", "show", "a.permit", "--format", "json"])).expect("JSON");
    assert_eq!((&json["digest"], &json["permit"]["id"]), (&golden["permit_digest"], &Value::from("DK-2026/17")));
    let list = fine(dir.path(), &["permit", "show", "a.list"]);
    assert!(list.starts_with("list 2 of ed25519:") && list.contains("DK-2026/17 was taken back at 2025-"), "{list}");
}

#[test]
fn a_key_is_not_made_in_a_folder_that_is_not_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let said = refused(dir.path(), &["keys", "new", "nowhere/my.key"]);
    assert!(said.contains("nowhere/my.key: there is no folder nowhere"), "{said}");
    assert!(!dir.path().join("nowhere").exists());
}

#[test]
fn a_permit_under_which_no_site_could_answer_is_not_signed() {
    let dir = folder();
    let text = std::fs::read_to_string(dir.path().join("permit.toml")).expect("a text");
    let changed = text.replace("2999-12-31", "2020-12-31").replace("threshold = 11", "threshold = 2");
    assert_ne!(changed, text);
    std::fs::write(dir.path().join("late.toml"), changed).expect("written");
    let said = refused(dir.path(), &["permit", "sign", "late.toml", "--key", "body.key"]);
    assert!(said.contains("late.toml: valid_to: the permit has ended already, at 2020-12-31T23:59:59Z"), "{said}");
    assert!(said.contains("late.toml: threshold: must be at least 3"), "{said}");
}

#[test]
fn a_permit_is_held_against_the_text_of_its_network() {
    let dir = folder();
    let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/config/network.toml");
    let network = network.to_str().expect("UTF-8");
    let text = std::fs::read_to_string(dir.path().join("permit.toml")).expect("a text");
    let unsited: String =
        text.lines().filter(|line| !line.starts_with("sites")).map(|line| format!("{line}\n")).collect();
    let text = unsited.replacen("min_sites", "sites = [\"nowhere-1\", \"nowhere-2\", \"nowhere-3\"]\nmin_sites", 1);
    std::fs::write(dir.path().join("away.toml"), text.replace("network = \"", "network = \"x")).expect("written");
    let said = refused(dir.path(), &["permit", "sign", "away.toml", "--key", "body.key", "--network", network]);
    assert!(said.contains("away.toml: network: the permit is for `x"), "{said}");
    assert!(said.contains("away.toml: sites: the network has no site `nowhere-1`"), "{said}");
}

#[test]
fn an_id_that_was_taken_back_is_noticed_wherever_it_comes_up_again() {
    let dir = folder();
    let sign = ["permit", "sign", "permit.toml", "--key", "body.key"];
    std::fs::write(dir.path().join("b.permit"), fine(dir.path(), &sign)).expect("written");
    let (code, _, said) =
        bocage(dir.path(), &["permit", "revoke", "a.permit", "--key", "body.key", "--list", "r.list"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("any other that was signed as DK-2026/17 stays in force"), "{said}");
    let said = refused(dir.path(), &[&sign[..], &["--revocations", "r.list"]].concat());
    assert!(said.contains("permit.toml: id: a permit DK-2026/17 was taken back at "), "{said}");
    let verify = ["permit", "verify", "b.permit", "--key-file", "body.key", "--revocations", "r.list"];
    let (code, _, said) = bocage(dir.path(), &verify);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note: another permit DK-2026/17 was taken back at "), "{said}");
    let show = |file| fine(dir.path(), &["permit", "show", file, "--revocations", "r.list"]);
    assert!(show("a.permit").contains("now         taken back at "));
    assert!(show("b.permit").contains("now         in force; list 1 does not take it back"));
    let shown = fine(dir.path(), &["permit", "show", "b.permit"]);
    assert!(shown.contains("now         in force, unless it was taken back"), "{shown}");

    let list = std::fs::read_to_string(dir.path().join("r.list")).expect("the list");
    std::fs::write(dir.path().join("r.list"), list.replace("DK-2026/17", "DK-2026/18")).expect("written");
    let altered = "r.list: the signature does not fit the list of revoked permits: it was altered";
    for args in [&["permit", "show", "r.list"][..], &verify] {
        let said = refused(dir.path(), args);
        assert!(said.contains(altered), "{said}");
    }
}

#[test]
fn a_text_to_fill_in_names_the_contracts_columns_but_not_the_patients() {
    let dir = folder();
    let text = fine(dir.path(), &["permit", "new", "--contracts", "contracts"]);
    assert!(text.contains("id = \"visits@1\"\ncolumns = [\"age\", "), "{text}");
    assert!(!text.contains("\"patient\""), "{text}");
    std::fs::write(dir.path().join("new.toml"), text).expect("written");
    let said = refused(dir.path(), &["permit", "sign", "new.toml", "--key", "body.key"]);
    for key in ["id", "title", "network", "holder.name", "holder.organisation", "holder.key"] {
        assert!(said.contains("new.toml: line ") && said.contains(&format!(", {key}: ")), "{key} in {said}");
    }
}

#[test]
fn a_permit_holds_until_it_is_altered_held_against_another_key_or_taken_back() {
    let dir = folder();
    let public = fine(dir.path(), &["keys", "show", "body.key"]);
    let verify = ["permit", "verify", "a.permit"];
    let told = fine(dir.path(), &[&verify[..], &["--issuer", public.trim()]].concat());
    assert_eq!(told, "permit DK-2026/17 holds until 2999-12-31T23:59:59Z\n");
    assert_eq!(fine(dir.path(), &[&verify[..], &["--key-file", "body.key"]].concat()), told);
    let unheld = fine(dir.path(), &verify);
    let signer = format!("was signed by {} and not altered", public.trim());
    assert!(unheld.contains(&signer) && unheld.contains("nobody said whether to trust that key"), "{unheld}");
    assert!(!unheld.contains("holds"), "{unheld}");
    let other = fine(dir.path(), &["keys", "new", "other.key"]);
    let said = refused(dir.path(), &[&verify[..], &["--key-file", "other.key"]].concat());
    assert!(
        said.contains(&format!("a.permit: issuer: it was signed by {}, not by {}", public.trim(), other.trim())),
        "{said}"
    );

    let next = ["--key", "body.key", "--list", "revoked.list"];
    assert_eq!(
        fine(dir.path(), &[&["permit", "list"], &next[..]].concat()),
        "revoked.list: list 1, permits taken back: 0\n"
    );
    let against = [&verify[..], &["--key-file", "body.key", "--revocations", "revoked.list"]].concat();
    assert_eq!(fine(dir.path(), &against), told);
    let said = refused(dir.path(), &["permit", "revoke", "a.permit", "--key", "other.key", "--list", "their.list"]);
    assert!(said.contains("a.permit: issuer: it was signed by"), "{said}");
    assert!(!dir.path().join("their.list").exists());
    let said = refused(dir.path(), &["permit", "list", "--key", "other.key", "--list", "revoked.list"]);
    assert!(said.contains("revoked.list: this list is another access body's"), "{said}");
    let told = fine(dir.path(), &[&["permit", "revoke", "a.permit"], &next[..]].concat());
    assert_eq!(told, "revoked.list: list 2, permits taken back: 1\n");
    let said = refused(dir.path(), &against);
    assert!(said.contains("revoked.list: revoked: permit DK-2026/17 was taken back at "), "{said}");
    let again = fine(dir.path(), &[&["permit", "list"], &next[..]].concat());
    assert_eq!(again, "revoked.list: list 3, permits taken back: 1\n", "it stays in later lists");

    let text = std::fs::read_to_string(dir.path().join("a.permit")).expect("the permit");
    std::fs::write(dir.path().join("a.permit"), text.replace("Ada", "Eve")).expect("written");
    let said = refused(dir.path(), &verify);
    assert!(said.contains("a.permit: the signature does not fit the permit: it was altered"), "{said}");
}

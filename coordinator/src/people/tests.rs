//! Users, tokens and the audit, as two processes have them.

use std::collections::BTreeSet;

use bocage_net::env::SystemEntropy;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::UserName;

use super::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const DAY: i64 = 86_400;

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn act(subject: &str) -> Act {
    Act {
        who: "uid 0".into(),
        token: None,
        roles: BTreeSet::new(),
        action: "users add".into(),
        subject: subject.into(),
        status: None,
        address: None,
    }
}

fn file() -> (tempfile::TempDir, PeopleFile) {
    let dir = tempfile::tempdir().unwrap();
    let mut file = PeopleFile::open(dir.path()).unwrap();
    file.add_user(&name("ada"), &[Role::Researcher].into(), NOW, None).unwrap();
    (dir, file)
}

fn token(file: &mut PeopleFile, days: u32) -> (Token, TokenInfo) {
    let new = NewToken { user: name("ada"), scope: Scope::All, days };
    file.make_token(&new, NOW, &mut SystemEntropy, None).unwrap()
}

#[test]
fn a_token_is_recognised_until_it_expires_is_revoked_or_its_user_is_disabled() {
    let (dir, mut file) = file();
    let (good, info) = token(&mut file, 2);
    let caller = file.recognise(&good, NOW).unwrap().unwrap();
    assert_eq!((caller.user.as_str(), &caller.token, caller.scope), ("ada", &info.id, Scope::All));
    let late = NOW.plus_secs(2 * DAY);
    assert_eq!(file.recognise(&good, late).unwrap(), Err(Unknown::Expired(late)));
    let stranger = Token::generate(&mut SystemEntropy);
    assert_eq!(file.recognise(&stranger, NOW).unwrap(), Err(Unknown::Token));
    // Another process, as the operator's command is one.
    let mut other = PeopleFile::open(dir.path()).unwrap();
    other.set_disabled(&name("ada"), true, NOW, None).unwrap();
    assert_eq!(file.recognise(&good, NOW).unwrap(), Err(Unknown::Disabled(NOW)));
    other.set_disabled(&name("ada"), false, NOW, None).unwrap();
    assert!(file.recognise(&good, NOW).unwrap().is_ok());
    other.revoke_token(&info.id, NOW, None).unwrap();
    assert_eq!(file.recognise(&good, NOW).unwrap(), Err(Unknown::Revoked(NOW)));
}

#[test]
fn the_file_never_holds_a_token_and_knows_the_day_of_its_last_use_only() {
    let (dir, mut file) = file();
    let (good, _) = token(&mut file, 90);
    file.recognise(&good, NOW).unwrap().unwrap();
    let used = file.tokens().unwrap()[0].used_on.unwrap();
    assert_eq!((used.0 % (DAY * 1000), NOW.since_ms(used) < DAY * 1000), (0, true));
    let secret = &good.reveal().as_bytes()[7..39];
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn bounds_hold_and_names_are_taken_once() {
    let (_dir, mut file) = file();
    let again = file.add_user(&name("ada"), &[Role::Operator].into(), NOW, None);
    assert!(matches!(again, Err(PeopleError::Exists("user"))));
    assert!(matches!(file.add_user(&name("bob"), &BTreeSet::new(), NOW, None), Err(PeopleError::Rule(_))));
    for days in [0, 367] {
        let new = NewToken { user: name("ada"), scope: Scope::All, days };
        assert!(matches!(file.make_token(&new, NOW, &mut SystemEntropy, None), Err(PeopleError::Rule(_))));
    }
    let made: Vec<_> = (0..bocage_protocol::limits::API_TOKENS_OF_ONE).map(|_| token(&mut file, 1).1.id).collect();
    let new = NewToken { user: name("ada"), scope: Scope::All, days: 1 };
    assert!(matches!(file.make_token(&new, NOW, &mut SystemEntropy, None), Err(PeopleError::Full { .. })));
    file.revoke_token(&made[0], NOW, None).unwrap();
    token(&mut file, 1);
}

#[test]
fn what_the_configuration_names_is_taken_up_once_and_stays_revoked() {
    let (_dir, mut file) = file();
    let token = Token::generate(&mut SystemEntropy);
    let seed = Seed { name: name("ops"), roles: [Role::Operator].into(), token: Some(token.hash()), days: 10 };
    file.take_up(std::slice::from_ref(&seed), NOW).unwrap();
    let caller = file.recognise(&token, NOW).unwrap().unwrap();
    assert!(caller.may(Right::ManagePeople, true) && !caller.may(Right::HandIn, true));
    file.revoke_token(&caller.token, NOW, None).unwrap();
    file.take_up(&[seed], NOW.plus_secs(DAY)).unwrap();
    assert!(matches!(file.recognise(&token, NOW).unwrap(), Err(Unknown::Revoked(_))));
    assert_eq!(file.tokens().unwrap().len(), 1);
}

#[test]
fn a_scope_takes_rights_away_and_never_gives_any() {
    let caller = |scope: &str| Caller {
        user: name("ada"),
        token: "0123456789ab".parse().unwrap(),
        roles: [Role::Researcher, Role::AccessBody].into(),
        scope: scope.parse().unwrap(),
    };
    assert!(caller("all").may(Right::HandIn, true) && caller("all").may(Right::PublishLists, true));
    assert!(caller("read").may(Right::SeeStudies, false) && !caller("read").may(Right::HandIn, true));
    assert!(caller("look,hand_in").may(Right::HandIn, true) && !caller("look,hand_in").may(Right::SeeStudies, false));
    assert!(!caller("manage_people").may(Right::ManagePeople, true), "no role of hers has it");
    for text in ["all", "read", "look,hand_in"] {
        assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
    }
    for bad in ["", "ALL", "look,", "king"] {
        assert!(bad.parse::<Scope>().is_err(), "{bad}");
    }
}

#[test]
fn roles_and_rights_are_spelt_as_they_are_written_in_json() {
    for role in Role::ALL {
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
    }
    for right in Right::ALL {
        assert_eq!(serde_json::to_string(&right).unwrap(), format!("\"{right}\""));
        assert!(right.roles().next().is_some(), "nobody has {right}");
    }
}

#[test]
fn the_audit_shows_every_kind_of_tampering() {
    let (_dir, mut file) = file();
    for subject in ["one", "two", "three"] {
        file.audit(&act(subject), NOW).unwrap();
    }
    let (count, last) = file.verify_audit(None).unwrap().unwrap();
    let noted = file.audited(1, 10).unwrap()[0].hash;
    assert_eq!((count, file.audited(2, 10).unwrap()[0].hash), (3, last.unwrap()));
    assert!(file.verify_audit(Some(noted)).unwrap().is_ok());
    let broken = |file: &mut PeopleFile, sql: &str, noted: Option<_>| {
        file.db.execute_batch("begin").unwrap();
        file.db.execute_batch(sql).unwrap();
        let verified = file.verify_audit(noted).unwrap();
        file.db.execute_batch("rollback").unwrap();
        verified.unwrap_err().number
    };
    let changed = "update audit set entry = replace(entry, 'two', 'owt') where number = 2";
    assert_eq!(broken(&mut file, changed, None), 2);
    assert_eq!(broken(&mut file, "delete from audit where number = 2", None), 2);
    assert_eq!(broken(&mut file, "update audit set number = 9 where number = 3", None), 3);
    assert_eq!(broken(&mut file, "delete from audit where number = 3", last), 3, "cut at the end");
    assert_eq!(broken(&mut file, "delete from audit", Some(noted)), 1, "made anew");
}

#[test]
fn a_change_and_its_entry_are_one() {
    let (_dir, mut file) = file();
    file.add_user(&name("bob"), &[Role::Steward].into(), NOW, Some(&act("bob"))).unwrap();
    assert!(file.add_user(&name("bob"), &[Role::Steward].into(), NOW, Some(&act("bob"))).is_err());
    file.set_disabled(&name("bob"), true, NOW, Some(&act("bob"))).unwrap();
    let subjects: Vec<_> = file.audited(0, 10).unwrap().into_iter().map(|entry| entry.entry.act.subject).collect();
    assert_eq!(subjects, ["bob", "bob"]);
}

#[test]
fn refusals_without_end_fill_one_row_a_day_and_are_written_every_ten_seconds() {
    let (_dir, mut file) = file();
    let mut tally = Tally::default();
    let mut writes = 0;
    for ms in 0..30_000 {
        let now = Timestamp(NOW.0 + ms);
        if let Some(counts) = tally.count(RefusedReason::UnknownToken, now) {
            file.add_refused(&counts, now).unwrap();
            writes += 1;
        }
    }
    file.add_refused(&tally.take(), NOW).unwrap();
    let refused = file.refused().unwrap();
    assert_eq!((writes, refused.len(), refused[0].count), (3, 1, 30_000));
    let later = NOW.plus_secs(400 * DAY);
    file.add_refused(&Tally::default().count(RefusedReason::Expired, later).unwrap(), later).unwrap();
    assert_eq!(file.refused().unwrap().len(), 1, "what is long past is forgotten");
}

#[test]
fn a_study_is_of_all_who_handed_it_in_the_latest_first() {
    let (_dir, mut file) = file();
    file.add_user(&name("bob"), &[Role::Researcher].into(), NOW, None).unwrap();
    let study = |n: u8| bocage_protocol::ids::Digest::of("study", &[&[n]]);
    for (user, n) in [("ada", 1), ("ada", 2), ("bob", 2), ("ada", 1)] {
        file.own(&name(user), study(n)).unwrap();
    }
    assert_eq!(file.owned(&name("ada"), 10).unwrap(), [study(2), study(1)]);
    assert_eq!(file.owned(&name("ada"), 1).unwrap(), [study(2)]);
    assert!(file.owns(&name("bob"), study(2)).unwrap() && !file.owns(&name("bob"), study(1)).unwrap());
}

//! What is sealed, who opens it, and what is noticed; age itself is the reference.

use std::path::Path;

use super::*;

fn pair(dir: &Path, name: &str) -> (Recipient, Identities) {
    let file = dir.join(name);
    let recipient = generate(&file).unwrap();
    (recipient.to_string().parse().unwrap(), Identities::read(&file).unwrap())
}

fn sealed(text: &[u8], to: &[Recipient]) -> Vec<u8> {
    let mut sealed = Sealed::begin(Vec::new(), to).unwrap();
    sealed.write_all(text).unwrap();
    sealed.finish().unwrap()
}

fn opened(bytes: &[u8], with: &Identities) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    open(bytes, with).ok()?.read_to_end(&mut text).ok()?;
    Some(text)
}

#[test]
fn what_is_sealed_to_several_keys_is_opened_by_each_and_by_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let [(a, with_a), (b, with_b), (_, with_c)] = ["a", "b", "c"].map(|name| pair(dir.path(), name));
    let bytes = sealed(b"the ledger", &[a, b]);
    assert!(is_sealed(&bytes[..]).is_ok() && !bytes.windows(10).any(|w| w == b"the ledger"));
    for with in [with_a, with_b] {
        assert_eq!(opened(&bytes, &with).unwrap(), b"the ledger");
    }
    assert!(matches!(open(&bytes[..], &with_c).err(), Some(SealError::OtherKey)));
}

#[test]
fn texts_of_every_length_around_a_piece_come_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (to, with) = pair(dir.path(), "a");
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let bytes = sealed(&text, std::slice::from_ref(&to));
        assert_eq!(opened(&bytes, &with).unwrap(), text, "{length}");
        // At an end of a piece, too.
        for cut in [1, 16, 17, 65_552] {
            if cut < bytes.len() {
                assert_eq!(opened(&bytes[..bytes.len() - cut], &with), None, "{length} without {cut}");
            }
        }
        assert_eq!(opened(&[&bytes[..], b"x"].concat(), &with), None, "{length} and more");
    }
}

#[test]
fn a_byte_that_was_changed_is_noticed_wherever_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (to, with) = pair(dir.path(), "a");
    let bytes = sealed(b"some text", &[to]);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert_eq!(opened(&changed, &with), None, "byte {place}");
    }
    assert!(is_sealed(&b"no backup"[..]).is_err() && is_sealed(&b""[..]).is_err());
    let endless = std::io::BufReader::new(std::io::repeat(b'a'));
    assert!(matches!(is_sealed(endless).err(), Some(SealError::Damaged(_))));
}

/// Made by age itself (the Rust implementation, 0.11.5): the key pair, and a text of 70,000 bytes sealed to it and to another key.
#[test]
fn what_age_itself_made_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("identity");
    bocage_net::secret::write_secret(&file, include_bytes!("vectors/identity.txt")).unwrap();
    let with = Identities::read(&file).unwrap();
    let public = include_str!("vectors/recipient.txt").trim();
    assert_eq!(with.0[0].recipient().to_string(), public);
    let text: Vec<u8> = (0..70_000_u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(opened(include_bytes!("vectors/sealed.age"), &with).unwrap(), text);
}

#[test]
fn an_identity_that_others_may_read_or_that_is_none_is_refused_with_its_place() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    generate(&file).unwrap();
    assert!(generate(&file).is_err(), "it is not overwritten");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Identities::read(&file).err(), Some(SealError::Secret(_))));
    let other = dir.path().join("b");
    bocage_net::secret::write_secret(&other, b"# nothing\n\nAGE-SECRET-KEY-1NONE\n").unwrap();
    let said = Identities::read(&other).err().unwrap().to_string();
    assert!(said.contains("line 3") && !said.contains("NONE"), "{said}");
    assert!("age1nonsense".parse::<Recipient>().is_err());
    // A secret half is no public key.
    let secret = include_str!("vectors/identity.txt").lines().last().unwrap();
    assert!(secret.parse::<Recipient>().is_err());
}

#[test]
fn a_point_that_would_let_anybody_open_it_is_not_sealed_to() {
    assert!(Sealed::begin(Vec::new(), &[Recipient([0; 32])]).is_err());
}

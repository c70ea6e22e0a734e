//! The frozen bytes of first frames, and who is answered what.

use proptest::prelude::*;

use super::*;

fn hello() -> Hello {
    Hello {
        versions: range(1, 1),
        site: "long-beach".parse().unwrap(),
        software: "bocage-node 0.1.0".into(),
        now: Timestamp(1_790_000_000_123),
    }
}

fn welcome() -> Answer {
    Answer::Welcome(Welcome { version: 1, network: "north".parse().unwrap(), now: Timestamp(1_790_000_000_456) })
}

fn reject() -> Answer {
    Answer::Reject(PublicError::new(ErrorCode::SiteUnknown, "site x is unknown").hint("ask"))
}

fn range(min: u16, max: u16) -> VersionRange {
    VersionRange::new(min, max).unwrap()
}

/// These bytes never change. When this fails, the change that made it fail is wrong.
#[test]
fn the_hello_bytes_are_frozen() {
    let golden = include_str!("../../../../tests/golden/hello-v1.hex");
    let frames = [("hello", hello().encode()), ("welcome", welcome().encode()), ("reject", reject().encode())];
    let text: String = frames.iter().map(|(name, bytes)| format!("{name} {}\n", hex::encode(bytes))).collect();
    assert_eq!(text, golden);
    assert_eq!(Hello::decode(&frames[0].1), Ok(hello()));
    assert_eq!(Answer::decode(&frames[1].1), Ok(welcome()));
    assert_eq!(Answer::decode(&frames[2].1), Ok(reject()));
}

#[test]
fn the_highest_common_version_is_chosen() {
    assert_eq!(negotiate(range(1, 3), range(2, 5)), Ok(3));
    assert_eq!(negotiate(range(2, 5), range(1, 3)), Ok(3));
    assert_eq!(negotiate(range(1, 1), range(1, 1)), Ok(1));
    let old_node = negotiate(range(3, 4), range(1, 2)).unwrap_err();
    assert_eq!(old_node.code, ErrorCode::VersionUnsupported);
    assert!(old_node.message.contains("3 to 4") && old_node.message.contains("1 to 2"));
    assert_eq!(old_node.hint.unwrap(), "upgrade the node");
    assert_eq!(negotiate(range(1, 2), range(3, 3)).unwrap_err().hint.unwrap(), "upgrade the coordinator");
    assert_eq!((VersionRange::new(0, 1), VersionRange::new(2, 1)), (None, None));
}

#[test]
fn the_certificate_decides_who_the_node_is() {
    let (site, network) = ("long-beach".parse().unwrap(), "north".parse().unwrap());
    let code = |certified: &SiteId, enrolled| match answer(&hello(), certified, enrolled, &network, Timestamp(5)) {
        Answer::Welcome(welcome) => Err(welcome.version),
        Answer::Reject(error) => Ok(error.code),
    };
    assert_eq!(code(&site, true), Err(1));
    // Who speaks more is answered with the most that both speak.
    let newer = Hello { versions: range(1, 9), ..hello() };
    let answered = answer(&newer, &site, true, &network, Timestamp(5));
    assert!(matches!(answered, Answer::Welcome(welcome) if welcome.version == VERSIONS.max()));
    assert_eq!(code(&site, false), Ok(ErrorCode::SiteUnknown));
    assert_eq!(code(&"other".parse().unwrap(), true), Ok(ErrorCode::SiteMismatch));
}

#[test]
fn an_inquiry_has_these_bytes_and_is_no_hello() {
    let bytes = hello().encode_inquiry();
    let golden = include_str!("../../../../tests/golden/hello-v3.hex");
    assert_eq!(format!("inquiry {}\n", hex::encode(&bytes)), golden);
    assert_eq!(First::decode(&bytes), Ok(First::Inquiry(hello())));
    assert_eq!(First::decode(&hello().encode()), Ok(First::Session(hello())));
    assert_eq!(Hello::decode(&bytes), Err(HelloError::WrongKind), "whoever does not know it takes it for no hello");
    assert_eq!(First::decode(&welcome().encode()), Err(HelloError::WrongKind));
}

#[test]
fn a_node_of_a_version_too_far_off_is_refused_naming_both_versions() {
    let ours = Release::of_node("bocage-node 1.4.0").unwrap();
    for works in ["bocage-node 1.3.9", "bocage-node 1.4.1", "bocage-node 1.5.0", "another 7"] {
        assert_eq!(together(ours, works), Ok(()), "{works}");
    }
    for (other, older) in [("1.2.0", "node"), ("1.6.0", "coordinator"), ("0.4.0", "node"), ("2.4.0", "coordinator")] {
        let error = together(ours, &format!("bocage-node {other}")).unwrap_err();
        assert_eq!(error.code, ErrorCode::VersionUnsupported);
        assert!(error.message.contains("1.4") && error.message.contains(&other[..3]), "{error}");
        assert_eq!(error.hint.unwrap(), format!("upgrade the {older}"));
    }
    let far = Hello { software: "bocage-node 99.0.0".into(), ..hello() };
    let answered = answer(&far, &hello().site, true, &"north".parse().unwrap(), Timestamp(5));
    assert!(matches!(answered, Answer::Reject(error) if error.code == ErrorCode::VersionUnsupported));
}

#[test]
fn what_a_later_version_appends_is_ignored() {
    let mut bytes = hello().encode();
    bytes.extend(b"more");
    assert_eq!(Hello::decode(&bytes), Ok(hello()));
    let mut later = reject().encode();
    let at = later.windows(4).position(|w| w == b"site").unwrap();
    later[at..at + 4].copy_from_slice(b"orbi");
    assert!(matches!(Answer::decode(&later), Ok(Answer::Reject(e)) if e.code == ErrorCode::Internal));
}

#[test]
fn a_frame_of_another_kind_or_protocol_is_named() {
    assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n"), Err(HelloError::NotBocage));
    assert_eq!(Hello::decode(&welcome().encode()), Err(HelloError::WrongKind));
    assert_eq!(Answer::decode(&hello().encode()), Err(HelloError::WrongKind));
    let mut shown = hello();
    shown.software = format!("a\nb{}", "c".repeat(100));
    assert_eq!(Hello::decode(&shown.encode()).unwrap().software, format!("ab{}", "c".repeat(62)));
}

#[test]
fn a_cut_frame_is_refused_at_every_length() {
    let bytes = hello().encode();
    for end in 0..bytes.len() {
        assert!(Hello::decode(&bytes[..end]).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in 0_u8..5, rest in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut bytes = begin(kind);
        bytes.extend(&rest);
        let _ = Hello::decode(&bytes);
        let _ = Answer::decode(&bytes);
        let _ = Hello::decode(&rest);
    }
}

//! The first frame of a session in either direction. Its layout is frozen: versions are negotiated in it, so it must be
//! readable by every version that ever was. It does not use the codec.
//!
//! All numbers are big-endian. `text` is a length, then that many bytes of UTF-8. What follows the last field is
//! ignored, so that a later version may append.
//!
//! ```text
//! offset  bytes  every frame
//!      0      8  magic: "bocage", 0x00, 0x01
//!      8      1  kind: 1 hello, 2 welcome, 3 reject
//!
//!                hello, from the node                       welcome, from the coordinator
//!      9      2  lowest version it speaks                   the version of this session
//!     11      2  highest version it speaks                  clock (8 bytes, as in the hello)
//!     13      8  its clock, ms since 1970-01-01 UTC, i64
//!     21   1+n   site id (text, 1-byte length)              at 19: network id (text, 1-byte length)
//!          1+n   software (text, 1-byte length, ≤ 64 bytes of printable ASCII)
//!
//!                reject, from the coordinator
//!      9   1+n   error code (text, 1-byte length)
//!          2+n   message (text, 2-byte length)
//!          2+n   hint (text, 2-byte length, empty for none)
//! ```
//! `tests/golden/hello-v1.hex` pins the bytes.

use std::fmt;

use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{NetworkId, SiteId};
use crate::limits::{ERROR_TEXT_BYTES, HELLO_BYTES, SOFTWARE_BYTES};
use crate::marks::one_line;

/// The versions that this software speaks.
pub const VERSIONS: VersionRange = VersionRange { min: 1, max: 3 };

/// The version from which on a coordinator may ask for [`super::message::Particulars`].
pub const PARTICULARS: u16 = 2;

/// The version from which on a node may ask for itself: [`super::renewal`].
pub const RENEWAL: u16 = 3;

const MAGIC: [u8; 8] = *b"bocage\0\x01";
const KIND_HELLO: u8 = 1;
const KIND_WELCOME: u8 = 2;
const KIND_REJECT: u8 = 3;

/// Protocol versions from `min` to `max`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    min: u16,
    max: u16,
}

impl VersionRange {
    /// A range; `None` when it is empty or begins at 0.
    pub fn new(min: u16, max: u16) -> Option<Self> {
        (1 <= min && min <= max).then_some(Self { min, max })
    }

    /// The lowest version.
    pub fn min(self) -> u16 {
        self.min
    }

    /// The highest version.
    pub fn max(self) -> u16 {
        self.max
    }

    /// Whether `version` is in the range.
    pub fn contains(self, version: u16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{} to {}", self.min, self.max) }
    }
}

/// The highest version that both sides speak.
///
/// # Errors
/// [`ErrorCode::VersionUnsupported`], naming both ranges and the side to upgrade.
pub fn negotiate(ours: VersionRange, theirs: VersionRange) -> Result<u16, PublicError> {
    let version = ours.max.min(theirs.max);
    if version >= ours.min.max(theirs.min) {
        return Ok(version);
    }
    let older = if ours.max < theirs.min { "coordinator" } else { "node" };
    let message = format!("the coordinator speaks protocol versions {ours}, the node {theirs}");
    Err(PublicError::new(ErrorCode::VersionUnsupported, message).hint(format!("upgrade the {older}")))
}

/// What a node says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The versions that it speaks.
    pub versions: VersionRange,
    /// The site that it believes to be; its certificate decides.
    pub site: SiteId,
    /// The software and its version, for people: printable ASCII.
    pub software: String,
    /// Its clock.
    pub now: Timestamp,
}

/// What the coordinator answers when it takes the node in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version of this session.
    pub version: u16,
    /// The network.
    pub network: NetworkId,
    /// The coordinator's clock.
    pub now: Timestamp,
}

/// The coordinator's answer to a [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The session is on.
    Welcome(Welcome),
    /// There will be no session.
    Reject(PublicError),
}

/// Why a frame is not a hello or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The peer speaks something else altogether.
    #[error("the first frame is not Bocage's")]
    NotBocage,
    /// A hello where an answer should be, or the other way round.
    #[error("the first frame is of the wrong kind")]
    WrongKind,
    /// A field is missing, cut or out of its range.
    #[error("the first frame's {field} is invalid")]
    Field {
        /// Which.
        field: &'static str,
    },
}

impl From<HelloError> for PublicError {
    fn from(error: HelloError) -> Self {
        Self::new(ErrorCode::Malformed, error.to_string())
    }
}

/// The coordinator's decision on a hello. `certified` is the site in the peer's certificate, `enrolled` whether the
/// roster holds that site.
pub fn answer(hello: &Hello, certified: &SiteId, enrolled: bool, network: &NetworkId, now: Timestamp) -> Answer {
    if hello.site != *certified {
        let message = format!("the hello is from site {}, the certificate is site {certified}'s", hello.site);
        let hint = "the node's configuration and its certificate name different sites";
        return Answer::Reject(PublicError::new(ErrorCode::SiteMismatch, message).hint(hint));
    }
    if !enrolled {
        let message = format!("site {certified} is not a member of network {network}");
        return Answer::Reject(PublicError::new(ErrorCode::SiteUnknown, message).hint("ask the coordinator to add it"));
    }
    match negotiate(VERSIONS, hello.versions) {
        Ok(version) => Answer::Welcome(Welcome { version, network: network.clone(), now }),
        Err(error) => Answer::Reject(error),
    }
}

impl Hello {
    /// The frame's payload. A `software` beyond its rules is cut to them.
    pub fn encode(&self) -> Vec<u8> {
        let software: String = self.software.chars().filter(|&c| printable(c)).take(SOFTWARE_BYTES).collect();
        let mut bytes = begin(KIND_HELLO);
        bytes.extend(self.versions.min.to_be_bytes());
        bytes.extend(self.versions.max.to_be_bytes());
        bytes.extend(self.now.0.to_be_bytes());
        put_short(&mut bytes, self.site.as_str());
        put_short(&mut bytes, &software);
        bytes
    }

    /// Reads a frame's payload.
    ///
    /// # Errors
    /// When it is none of ours or breaks the layout.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let mut reader = Reader::begin(bytes, &[KIND_HELLO])?.1;
        let (min, max) = (reader.u16("version range")?, reader.u16("version range")?);
        let versions = VersionRange::new(min, max).ok_or(HelloError::Field { field: "version range" })?;
        let now = Timestamp(reader.i64("clock")?);
        let site = reader.short("site id")?.parse().map_err(|_| HelloError::Field { field: "site id" })?;
        let software = reader.short("software")?;
        if software.len() > SOFTWARE_BYTES || !software.chars().all(printable) {
            return Err(HelloError::Field { field: "software" });
        }
        Ok(Self { versions, site, software: software.to_owned(), now })
    }
}

impl Answer {
    /// The frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome(welcome) => {
                let mut bytes = begin(KIND_WELCOME);
                bytes.extend(welcome.version.to_be_bytes());
                bytes.extend(welcome.now.0.to_be_bytes());
                put_short(&mut bytes, welcome.network.as_str());
                bytes
            }
            Self::Reject(error) => {
                let mut bytes = begin(KIND_REJECT);
                put_short(&mut bytes, error.code.as_str());
                put_long(&mut bytes, &error.message);
                put_long(&mut bytes, error.hint.as_deref().unwrap_or_default());
                bytes
            }
        }
    }

    /// Reads a frame's payload. An error code of a later version becomes [`ErrorCode::Internal`], its message kept.
    ///
    /// # Errors
    /// When it is none of ours or breaks the layout.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let (kind, mut reader) = Reader::begin(bytes, &[KIND_WELCOME, KIND_REJECT])?;
        if kind == KIND_WELCOME {
            let version = reader.u16("version")?;
            let now = Timestamp(reader.i64("clock")?);
            let network = reader.short("network id")?.parse().map_err(|_| HelloError::Field { field: "network id" })?;
            return Ok(Self::Welcome(Welcome { version, network, now }));
        }
        let code = reader.short("error code")?;
        let code = ErrorCode::ALL.iter().find(|known| known.as_str() == code).copied().unwrap_or(ErrorCode::Internal);
        // These are shown to people at the node: one line, however the peer wrote it.
        let mut error = PublicError::new(code, one_line(reader.long("message")?));
        let hint = reader.long("hint")?;
        if !hint.is_empty() {
            error = error.hint(one_line(hint));
        }
        Ok(Self::Reject(error))
    }
}

fn printable(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic()
}

fn begin(kind: u8) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(kind);
    bytes
}

/// Names, codes and versions: all far shorter than 255 bytes by their types.
fn put_short(bytes: &mut Vec<u8>, text: &str) {
    let text = cut(text, usize::from(u8::MAX));
    bytes.push(text.len() as u8);
    bytes.extend(text.as_bytes());
}

fn put_long(bytes: &mut Vec<u8>, text: &str) {
    let text = cut(text, ERROR_TEXT_BYTES);
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
}

fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Reads fields off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn begin(bytes: &'a [u8], kinds: &[u8]) -> Result<(u8, Self), HelloError> {
        if bytes.len() > HELLO_BYTES {
            return Err(HelloError::Field { field: "length" });
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(HelloError::NotBocage)?;
        match rest.split_first() {
            Some((kind, rest)) if kinds.contains(kind) => Ok((*kind, Self(rest))),
            _ => Err(HelloError::WrongKind),
        }
    }

    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], HelloError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(HelloError::Field { field })?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], HelloError> {
        self.take(N, field)?.try_into().map_err(|_| HelloError::Field { field })
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, HelloError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    fn i64(&mut self, field: &'static str) -> Result<i64, HelloError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    fn text(&mut self, count: usize, field: &'static str) -> Result<&'a str, HelloError> {
        std::str::from_utf8(self.take(count, field)?).map_err(|_| HelloError::Field { field })
    }

    fn short(&mut self, field: &'static str) -> Result<&'a str, HelloError> {
        let [count] = self.array(field)?;
        self.text(usize::from(count), field)
    }

    fn long(&mut self, field: &'static str) -> Result<&'a str, HelloError> {
        let count = self.u16(field)?;
        self.text(usize::from(count), field)
    }
}

#[cfg(test)]
mod tests {
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
        let golden = include_str!("../../../tests/golden/hello-v1.hex");
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
}

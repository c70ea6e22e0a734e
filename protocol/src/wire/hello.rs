//! The first frame of a session in either direction. Its layout is frozen: versions are negotiated in it, so it must be
//! readable by every version that ever was. It does not use the codec.
//!
//! All numbers are big-endian. `text` is a length, then that many bytes of UTF-8. What follows the last field is
//! ignored, so that a later version may append.
//!
//! ```text
//! offset  bytes  every frame
//!      0      8  magic: "bocage", 0x00, 0x01
//!      8      1  kind: 1 hello, 2 welcome, 3 reject, 4 inquiry
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
//! An inquiry has a hello's fields. It is answered as the hello would be, with [`super::inquiry`] behind a welcome, and then the link ends: no session begins, and none is replaced. A coordinator
//! that does not know it closes the link as over any frame of the wrong kind.
//!
//! `tests/golden/hello-v1.hex` pins the bytes, `tests/golden/hello-v3.hex` those of an inquiry.

use std::fmt;

use crate::env::Timestamp;
use crate::error::{ErrorCode, PublicError};
use crate::ids::{NetworkId, SiteId};
use crate::limits::{ERROR_TEXT_BYTES, HELLO_BYTES, SOFTWARE_BYTES};
use crate::marks::one_line;
use crate::wire::release::{OURS, Release};

/// The versions that this software speaks.
pub const VERSIONS: VersionRange = VersionRange { min: 1, max: 4 };

/// The version from which on a coordinator may ask for [`super::message::Particulars`].
pub const PARTICULARS: u16 = 2;

/// The version from which on a node may ask for itself: [`super::renewal`].
pub const RENEWAL: u16 = 3;

/// The version from which on a coordinator tells a node what it remembers of the node's ledger ([`super::message::Request::Witness`]), and a node may
/// answer [`ErrorCode::LedgerRestored`].
pub const WITNESS: u16 = 3;

/// The version from which on a coordinator may ask for a release that is filled up ([`super::message::Request::Filled`]).
pub const FILLED: u16 = 4;

const MAGIC: [u8; 8] = *b"bocage\0\x01";
const KIND_HELLO: u8 = 1;
const KIND_WELCOME: u8 = 2;
const KIND_REJECT: u8 = 3;
const KIND_INQUIRY: u8 = 4;

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

/// What a node's first frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// It wants a session.
    Session(Hello),
    /// It only asks whether it would get one.
    Inquiry(Hello),
}

impl First {
    /// Reads a frame's payload.
    ///
    /// # Errors
    /// When it is none of ours or breaks the layout.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let (kind, reader) = Reader::begin(bytes, &[KIND_HELLO, KIND_INQUIRY])?;
        let hello = Hello::read(reader)?;
        Ok(if kind == KIND_HELLO { Self::Session(hello) } else { Self::Inquiry(hello) })
    }

    /// What it says.
    pub fn hello(&self) -> &Hello {
        match self {
            Self::Session(hello) | Self::Inquiry(hello) => hello,
        }
    }
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
    match negotiate(VERSIONS, hello.versions).and_then(|version| together(OURS, &hello.software).map(|()| version)) {
        Ok(version) => Answer::Welcome(Welcome { version, network: network.clone(), now }),
        Err(error) => Answer::Reject(error),
    }
}

/// Whether a node that names itself so and a coordinator of this release work together.
fn together(ours: Release, software: &str) -> Result<(), PublicError> {
    let Some(theirs) = Release::of_node(software).filter(|theirs| !ours.works_with(*theirs)) else { return Ok(()) };
    let older = if ours.is_before(theirs) { "coordinator" } else { "node" };
    let message =
        format!("the coordinator is of version {ours}, the node of {theirs}: they may differ by one minor version");
    Err(PublicError::new(ErrorCode::VersionUnsupported, message).hint(format!("upgrade the {older}")))
}

impl Hello {
    /// The frame's payload. A `software` beyond its rules is cut to them.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(KIND_HELLO)
    }

    /// The payload of an inquiry that says the same.
    pub fn encode_inquiry(&self) -> Vec<u8> {
        self.encode_as(KIND_INQUIRY)
    }

    fn encode_as(&self, kind: u8) -> Vec<u8> {
        let software: String = self.software.chars().filter(|&c| printable(c)).take(SOFTWARE_BYTES).collect();
        let mut bytes = begin(kind);
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
        Self::read(Reader::begin(bytes, &[KIND_HELLO])?.1)
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, HelloError> {
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
pub(super) fn put_short(bytes: &mut Vec<u8>, text: &str) {
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
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

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

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], HelloError> {
        self.take(N, field)?.try_into().map_err(|_| HelloError::Field { field })
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, HelloError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, HelloError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    fn text(&mut self, count: usize, field: &'static str) -> Result<&'a str, HelloError> {
        std::str::from_utf8(self.take(count, field)?).map_err(|_| HelloError::Field { field })
    }

    pub(super) fn short(&mut self, field: &'static str) -> Result<&'a str, HelloError> {
        let [count] = self.array(field)?;
        self.text(usize::from(count), field)
    }

    fn long(&mut self, field: &'static str) -> Result<&'a str, HelloError> {
        let count = self.u16(field)?;
        self.text(usize::from(count), field)
    }
}

#[cfg(test)]
mod tests;

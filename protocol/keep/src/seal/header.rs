//! The header: the file key, wrapped for each public key, under an HMAC of its own.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 SHARE                 once for each public key; stanzas of other kinds are passed over
//! WRAPPED
//! --- MAC
//! ```

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bocage_protocol::env::Entropy;
use curve25519_dalek::MontgomeryPoint;
use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use super::keys::{Identities, Identity, Recipient};
use super::{FileKey, SealError};

const INTRO: &str = "age-encryption.org/v1";
const STANZA: &str = "-> ";
const KIND: &str = "X25519";
const END: &str = "---";
const WRAP_INFO: &[u8] = b"age-encryption.org/v1/X25519";
/// The longest header that is read: 32 public keys take 4 KiB.
const HEADER_BYTES: u64 = 64 << 10;
/// A line of a stanza's body that is shorter is its last.
const BODY_COLUMNS: usize = 64;
/// The file key and its tag.
const WRAPPED_BYTES: usize = 32;

/// A header that was read. Its MAC is checked when it is opened.
pub(super) struct Header {
    /// Everything that the MAC covers.
    text: String,
    mac: Vec<u8>,
    /// Share and wrapped key of each stanza of our kind.
    stanzas: Vec<([u8; 32], [u8; WRAPPED_BYTES])>,
}

/// The header that gives `key` to these; none where one of them is no point that can be sealed to.
pub(super) fn write(key: &FileKey, recipients: &[Recipient], entropy: &mut impl Entropy) -> Option<String> {
    let mut text = format!("{INTRO}\n");
    for recipient in recipients {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice());
        let share = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
        let shared = agreed(&secret, &recipient.0)?;
        let mut wrapped = key.to_vec();
        let sealing = wrap_key(&shared, &share, recipient)?;
        sealing.seal_in_place_append_tag(zero_nonce(), aead::Aad::empty(), &mut wrapped).ok()?;
        text += &format!("{STANZA}{KIND} {}\n{}\n", BASE64.encode(share), BASE64.encode(&wrapped));
    }
    text += END;
    let mac = hmac::sign(&mac_key(key)?, text.as_bytes());
    Some(format!("{text} {}\n", BASE64.encode(mac)))
}

/// Reads a header, and nothing behind it.
pub(super) fn read(file: &mut impl BufRead) -> Result<Header, SealError> {
    let mut lines = Lines { file: file.take(HEADER_BYTES), text: String::new() };
    if lines.next()? != INTRO {
        return Err(SealError::Damaged("it does not begin as an age file"));
    }
    let mut stanzas = Vec::new();
    let mut line = lines.next()?;
    loop {
        if let Some(mac) = line.strip_prefix(END).and_then(|rest| rest.strip_prefix(' ')) {
            let mac = BASE64.decode(mac).map_err(|_| SealError::Damaged("its header has no MAC"))?;
            // The MAC covers all of the last line but what stands behind the dashes.
            let covered = lines.text.len() - line.len() - 1 + END.len();
            return Ok(Header { text: lines.text[..covered].to_owned(), mac, stanzas });
        }
        let Some(arguments) = line.strip_prefix(STANZA).map(str::to_owned) else {
            return Err(SealError::Damaged("its header has a line that is none"));
        };
        let mut body = String::new();
        loop {
            let more = lines.next()?;
            body += &more;
            match more.len() {
                BODY_COLUMNS => {}
                ..BODY_COLUMNS => break,
                _ => return Err(SealError::Damaged("its header has a line that is too long")),
            }
        }
        if let Some(share) = arguments.strip_prefix(KIND).and_then(|rest| rest.strip_prefix(' ')) {
            let pair = bytes(share).zip(bytes(&body)).ok_or(SealError::Damaged("its header has a broken stanza"))?;
            stanzas.push(pair);
        }
        line = lines.next()?;
    }
}

impl Header {
    /// The file key, if it was given to one of these.
    pub(super) fn open(&self, identities: &Identities) -> Result<FileKey, SealError> {
        let each = identities.0.iter().flat_map(|identity| self.stanzas.iter().map(move |stanza| (identity, stanza)));
        let key =
            each.into_iter().find_map(|(identity, stanza)| unwrap(identity, stanza)).ok_or(SealError::OtherKey)?;
        let altered = SealError::Damaged("its header was altered");
        let mac = mac_key(&key).and_then(|mac| hmac::verify(&mac, self.text.as_bytes(), &self.mac).ok());
        mac.map(|()| key).ok_or(altered)
    }
}

fn unwrap(identity: &Identity, (share, wrapped): &([u8; 32], [u8; WRAPPED_BYTES])) -> Option<FileKey> {
    let shared = agreed(&identity.0, share)?;
    let mut bytes = Zeroizing::new(*wrapped);
    let opening = wrap_key(&shared, share, &identity.recipient())?;
    let opened = opening.open_in_place(zero_nonce(), aead::Aad::empty(), bytes.as_mut_slice()).ok()?;
    FileKey::new(<[u8; 16]>::try_from(&*opened).ok()?).into()
}

/// The secret that two halves agree on; none where the other one is no honest point: then it is zero (RFC 7748, 6.1).
fn agreed(secret: &[u8; 32], point: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(MontgomeryPoint(*point).mul_clamped(*secret).to_bytes());
    shared.iter().any(|byte| *byte != 0).then_some(shared)
}

fn wrap_key(shared: &[u8; 32], share: &[u8; 32], recipient: &Recipient) -> Option<aead::LessSafeKey> {
    let salt = [share.as_slice(), &recipient.0].concat();
    cipher(&*derive(&salt, shared, WRAP_INFO)?)
}

/// A key for ChaCha20-Poly1305.
pub(super) fn cipher(key: &[u8; 32]) -> Option<aead::LessSafeKey> {
    aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key).ok().map(aead::LessSafeKey::new)
}

/// HKDF with SHA-256, 32 bytes.
pub(super) fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let info = [info];
    let expanded = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    expanded.expand(&info, hkdf::HKDF_SHA256).ok()?.fill(key.as_mut_slice()).ok()?;
    Some(key)
}

fn mac_key(key: &FileKey) -> Option<hmac::Key> {
    Some(hmac::Key::new(hmac::HMAC_SHA256, derive(&[], key.as_slice(), b"header")?.as_slice()))
}

/// Each wrapping key seals one thing.
fn zero_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// Lines of a header, and all of them so far.
struct Lines<R> {
    file: R,
    text: String,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<String, SealError> {
        let mut line = Vec::new();
        self.file.read_until(b'\n', &mut line)?;
        let line = String::from_utf8(line).map_err(|_| SealError::Damaged("its header is no text"))?;
        self.text += &line;
        let whole = line.strip_suffix('\n').ok_or(SealError::Damaged("its header has no end"))?;
        Ok(whole.to_owned())
    }
}

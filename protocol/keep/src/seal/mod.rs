//! Sealing: a backup can be made by whoever has the public key, and opened by who has the other half alone. The format is age's
//! (age-encryption.org/v1, X25519 recipients, <https://c2sp.org/age>), so that a backup can be opened without Bocage, too.
//!
//! ```text
//! header:  a random file key, wrapped once for each public key, and an HMAC over all of it      [header]
//! payload: pieces of 64 KiB, each under ChaCha20-Poly1305, the last one marked as the last      [stream]
//! ```
//! Every primitive is ring's or curve25519-dalek's; here stands the format alone. A seal says nothing of who made it: whoever knows the public key can
//! make a backup that opens.

mod header;
mod keys;
mod stream;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Read, Write};

use bocage_net::env::SystemEntropy;
use bocage_net::secret::SecretError;
use bocage_protocol::env::Entropy as _;
use zeroize::Zeroizing;

pub use keys::{Identities, RECIPIENTS, Recipient, generate};

/// The key of one file.
type FileKey = Zeroizing<[u8; 16]>;

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A public key that is none.
    #[error("not a public key of age\n  hint: it begins with `age1`; `backup keygen` or `age-keygen` makes one")]
    Recipient,
    /// The file with the secret half cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file holds something else.
    #[error(
        "{file}: line {line} is no identity of age\n  hint: it begins with `AGE-SECRET-KEY-1`; lines that begin with # are passed over"
    )]
    Identity {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// The file holds no secret half at all.
    #[error("{file}: no identity of age in it\n  hint: it is the file that `backup keygen` or `age-keygen` wrote")]
    NoIdentity {
        /// The file.
        file: String,
    },
    /// It was sealed to other keys.
    #[error(
        "sealed to another key\n  hint: the identity must be that of the public key that `backup --recipient` was given"
    )]
    OtherKey,
    /// It is no such file, or it was changed or cut.
    #[error(
        "cannot be opened: {0}\n  hint: it is no backup, or it was damaged: compare its SHA-256 with the one that `backup` printed"
    )]
    Damaged(&'static str),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Everything that is written into it reaches the sink sealed. [`Sealed::finish`] must be called: without it the file cannot be opened.
pub struct Sealed<W: Write>(stream::Writer<W>);

impl<W: Write> Sealed<W> {
    /// Begins, for these keys; there is at least one.
    ///
    /// # Errors
    /// A key is no point that can be sealed to, or the sink fails.
    pub fn begin(mut sink: W, recipients: &[Recipient]) -> io::Result<Self> {
        let mut entropy = SystemEntropy;
        let mut key = FileKey::default();
        entropy.fill(key.as_mut_slice());
        let header = header::write(&key, recipients, &mut entropy)
            .ok_or_else(|| io::Error::other("a key that nothing can be sealed to"))?;
        let mut nonce = [0; stream::NONCE_BYTES];
        entropy.fill(&mut nonce);
        sink.write_all(header.as_bytes())?;
        sink.write_all(&nonce)?;
        Ok(Self(stream::Writer::new(sink, &key, &nonce)))
    }

    /// Ends, and returns the sink.
    ///
    /// # Errors
    /// The sink fails.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// What fills no piece yet stays.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file begins as one that was sealed. Whether the rest is whole, only who can open it sees.
///
/// # Errors
/// It does not.
pub fn is_sealed(mut file: impl BufRead) -> Result<(), SealError> {
    header::read(&mut file).map(drop)
}

/// What was sealed. A reading that ends without an error had every byte as it was written.
///
/// # Errors
/// It was sealed to other keys, or it is no such file.
pub fn open<R: BufRead>(mut file: R, identities: &Identities) -> Result<impl Read + use<R>, SealError> {
    let header = header::read(&mut file)?;
    let key = header.open(identities)?;
    let mut nonce = [0; stream::NONCE_BYTES];
    file.read_exact(&mut nonce)?;
    Ok(stream::Reader::new(file, &key, &nonce))
}

//! How a site knows a patient again without keeping the patient's id: a keyed token, the same in every snapshot. Beside a snapshot
//! stand the tokens of its subjects in the order of their numbers, so that a list that is written later can be matched to them, and so that
//! a patient is found in the site's other datasets.
//!
//! Without the site's key a token says nothing of an id, nor whether two sites have the same patient.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use bocage_net::secret::{SecretError, read_secret_text, write_atomically};
use bocage_protocol::contract::{Contract, Kind, Subject};
use bocage_protocol::ids::Digest;
use bocage_protocol::limits::SECRET_FILE_BYTES;
use bocage_protocol::trust::SecretKey;
use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::spec::OptOutSpec;
use crate::custodian::source::whole_number;

/// What the key is for.
const PURPOSE: &str = "subject tokens";
/// How a file of tokens begins.
const MAGIC: &[u8; 16] = b"bocage subject 2";
/// How it began before it had those who have no row in the snapshot.
const MAGIC_1: &[u8; 16] = b"bocage subjects\n";
const TOKEN_BYTES: usize = 16;

/// A patient, for this site alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token(u128);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Token {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "not a token";
        let token = u128::from_str_radix(text, 16).map(Self).map_err(|_| wrong)?;
        // One spelling only.
        if token.to_string() == text { Ok(token) } else { Err(wrong) }
    }
}

impl TryFrom<String> for Token {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Token> for String {
    fn from(token: Token) -> String {
        token.to_string()
    }
}

impl Token {
    /// From [`Token::to_bytes`].
    pub fn from_bytes(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; TOKEN_BYTES] {
        self.0.to_be_bytes()
    }
}

/// The key of tokens. It comes from the release key and does not lead back to it, so that who reads sources need not have that.
pub struct IdKey(Zeroizing<[u8; 32]>);

impl IdKey {
    /// The key of a site.
    pub fn of(release_key: &SecretKey) -> Self {
        Self(release_key.derive(PURPOSE))
    }

    /// Reads it from its file.
    ///
    /// # Errors
    /// It is not there, others may read it, or it is none.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = read_secret_text(path, SECRET_FILE_BYTES)?;
        let mut key = Zeroizing::new([0; 32]);
        match hex::decode_to_slice(text.trim_end(), key.as_mut_slice()) {
            Ok(()) => Ok(Self(key)),
            Err(_) => {
                let source = io::Error::new(io::ErrorKind::InvalidData, "not a key of 32 bytes in hexadecimal");
                Err(SecretError::Io { file: path.to_owned(), source })
            }
        }
    }

    /// Writes the file, unless it is as it should be.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn provide(&self, path: &Path) -> Result<(), SecretError> {
        if Self::read(path).is_ok_and(|there| there.0 == self.0) {
            return Ok(());
        }
        let text = Zeroizing::new(hex::encode(self.0.as_slice()) + "\n");
        write_atomically(path, text.as_bytes(), 0o600)
    }
}

/// How ids become tokens: the site's key, and the salt of the list where it holds hashed ids.
pub struct IdForm {
    key: Zeroizing<[u8; 32]>,
    salt: Option<Zeroizing<String>>,
}

impl IdForm {
    /// The form that a configuration asks for.
    ///
    /// # Errors
    /// The salt cannot be read.
    pub fn of(spec: Option<&OptOutSpec>, release_key: &SecretKey) -> Result<Self, SecretError> {
        Self::with(spec, IdKey::of(release_key))
    }

    /// The form that a configuration asks for, with the key of tokens itself.
    ///
    /// # Errors
    /// The salt cannot be read.
    pub fn with(spec: Option<&OptOutSpec>, key: IdKey) -> Result<Self, SecretError> {
        let salt = match spec.and_then(|spec| spec.salt_file.as_ref()) {
            None => None,
            Some(path) => {
                let text = read_secret_text(path, SECRET_FILE_BYTES)?;
                Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        };
        Ok(Self { key: key.0, salt })
    }

    /// The digest that tells this form from another; it says nothing of key or salt.
    pub fn digest(&self) -> Digest {
        let salt = self.salt.as_ref().map(|salt| [b"+", salt.as_bytes()].concat()).map(Zeroizing::new);
        let salt = salt.as_ref().map_or(&[][..], |salt| salt.as_slice());
        Digest::of("bocage/subject-form/2", &[self.key.as_slice(), salt])
    }

    /// The token of a patient of the data.
    pub fn of_subject(&self, id: &str) -> Token {
        match &self.salt {
            None => self.token(id),
            Some(salt) => {
                let hash = Sha256::new().chain_update(salt.as_bytes()).chain_update(composed(id).as_bytes()).finalize();
                self.token(&Digest::from_bytes(hash.into()).to_string())
            }
        }
    }

    /// The token of a patient of the list, for a contract; none if no patient of the contract can have such an id.
    pub fn of_listed(&self, listed: &str, contract: &Contract) -> Option<Token> {
        let Subject::Column(column) = contract.subject() else { return None };
        let number = contract.column(column.as_str()).is_some_and(|c| matches!(c.kind, Kind::Int { .. }));
        if self.salt.is_some() || !number {
            return Some(self.token(listed));
        }
        whole_number(listed).map(|id| self.token(&id.to_string()))
    }

    /// The token of a row of a dataset, by its key: the same in the snapshot that has the row and in those that refer to it.
    pub fn of_row(&self, dataset: &str, key: &str) -> i64 {
        let key = composed(key);
        let digest = Digest::of("bocage/row/1", &[self.key.as_slice(), dataset.as_bytes(), key.as_bytes()]);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_bytes()[..8]);
        // A snapshot has no use for the smallest: it stands for none while rows are looked at.
        i64::from_be_bytes(bytes).max(i64::MIN + 1)
    }

    /// A secret number below `below`, the same whenever the same is asked.
    pub fn draw(&self, of: &Digest, turn: u64, below: u32) -> u32 {
        let drawn = Digest::of("bocage/optout-draw/1", &[self.key.as_slice(), of.as_bytes(), &turn.to_be_bytes()]);
        let mut wide = [0; 16];
        wide.copy_from_slice(&drawn.as_bytes()[..16]);
        // Below 2^32 of 2^128: no number is noticeably more likely.
        (u128::from_be_bytes(wide) % u128::from(below.max(1))) as u32
    }

    fn token(&self, text: &str) -> Token {
        let text = composed(text);
        let digest = Digest::of("bocage/subject/2", &[self.key.as_slice(), text.as_bytes()]);
        let mut bytes = [0; TOKEN_BYTES];
        bytes.copy_from_slice(&digest.as_bytes()[..TOKEN_BYTES]);
        Token(u128::from_be_bytes(bytes))
    }
}

/// One spelling of letters with marks (NFC): two sources, or a source and a list, may come from systems that write them otherwise.
pub fn composed(text: &str) -> Cow<'_, str> {
    // It has no marks, and most ids are.
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// The subjects of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectIds {
    /// By subject number.
    pub tokens: Vec<Token>,
    /// Those who opted out by the dataset's own `optout`.
    pub flagged: BTreeSet<u32>,
    /// Who opted out by it and has no row that fits: they may have some in other datasets.
    pub strangers: Vec<Token>,
}

impl SubjectIds {
    /// What a file begins with.
    pub const MAGIC: [u8; MAGIC.len()] = *MAGIC;

    /// How many counts stand behind what a file begins with; none if it is something else.
    pub fn counts(magic: &[u8]) -> Option<usize> {
        match magic {
            _ if magic == MAGIC.as_slice() => Some(3),
            _ if magic == MAGIC_1.as_slice() => Some(2),
            _ => None,
        }
    }

    /// How a file of so many begins. Behind it stand the tokens, then the numbers of those who opted out, then the strangers, big end first.
    pub fn header(tokens: u32, flagged: u32, strangers: u32) -> Vec<u8> {
        [MAGIC.as_slice(), &tokens.to_be_bytes(), &flagged.to_be_bytes(), &strangers.to_be_bytes()].concat()
    }

    /// What stands in a file; none if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let count = |rest: &mut &[u8]| {
            let (count, more) = rest.split_first_chunk::<4>()?;
            *rest = more;
            Some(u32::from_be_bytes(*count) as usize)
        };
        let (mut rest, counted) = match bytes.strip_prefix(MAGIC.as_slice()) {
            Some(rest) => (rest, true),
            None => (bytes.strip_prefix(MAGIC_1.as_slice())?, false),
        };
        let (tokens, flagged) = (count(&mut rest)?, count(&mut rest)?);
        let strangers = if counted { count(&mut rest)? } else { 0 };
        if rest.len() != (tokens + strangers) * TOKEN_BYTES + flagged * 4 {
            return None;
        }
        let (of_tokens, rest) = rest.split_at(tokens * TOKEN_BYTES);
        let (of_flagged, of_strangers) = rest.split_at(flagged * 4);
        let all = |bytes: &[u8]| -> Vec<Token> {
            bytes.as_chunks::<TOKEN_BYTES>().0.iter().map(|bytes| Token(u128::from_be_bytes(*bytes))).collect()
        };
        let (of_flagged, _) = of_flagged.as_chunks::<4>();
        Some(Self {
            tokens: all(of_tokens),
            flagged: of_flagged.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect(),
            strangers: all(of_strangers),
        })
    }

    /// The tokens of all who opted out by the dataset's own `optout`.
    pub fn opted_out(&self) -> impl Iterator<Item = Token> {
        let flagged = self.flagged.iter().filter_map(|number| self.tokens.get(*number as usize));
        flagged.chain(&self.strangers).copied()
    }

    /// The numbers of those of `wanted` who are subjects here.
    pub fn numbers(&self, wanted: &HashSet<Token>) -> HashMap<Token, u32> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        (0..)
            .zip(&self.tokens)
            .filter(|(_, token)| wanted.contains(token))
            .map(|(number, token)| (*token, number))
            .collect()
    }
}

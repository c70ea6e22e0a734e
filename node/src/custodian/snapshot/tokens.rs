//! The tokens of a snapshot's patients, read one after another: all of them need not fit into memory.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use bocage_protocol::ids::Digest;
use sha2::{Digest as _, Sha256};

use super::open::{absent, folder, ids_path};
use super::{Manifest, SnapshotError};
use crate::custodian::optout::{SubjectIds, Token};

/// A file of tokens, open.
pub(super) struct Tokens {
    path: PathBuf,
    file: BufReader<File>,
    hasher: Sha256,
    expected: Digest,
    /// The last one, and how many were read.
    last: Option<Token>,
    read: u32,
}

impl Tokens {
    /// Those of a snapshot.
    pub(super) fn open(dir: &Path, manifest: &Manifest) -> Result<Self, SnapshotError> {
        let path = ids_path(&folder(dir, &manifest.dataset)?, &manifest.content);
        let none =
            || SnapshotError::Damaged { path: path.clone(), reason: "it was taken without the patients' tokens" };
        let expected = manifest.ids.ok_or_else(none)?.content;
        let file = File::open(&path).map_err(|e| absent(&path, &e, "the patients' tokens are missing"))?;
        let file = BufReader::with_capacity(1 << 20, file);
        let mut tokens = Self { path, file, hasher: Sha256::new(), expected, last: None, read: 0 };
        let mut magic = SubjectIds::MAGIC;
        tokens.fill(&mut magic)?;
        // How many patients there are comes first; how many opted out says nothing here.
        let mut counts = vec![[0; 4]; SubjectIds::counts(&magic).ok_or_else(|| tokens.other())?];
        counts.iter_mut().try_for_each(|count| tokens.fill(count))?;
        if counts.first() == Some(&manifest.subjects.to_be_bytes()) { Ok(tokens) } else { Err(tokens.other()) }
    }

    /// That of a patient, by number: none may be asked for after a later one.
    pub(super) fn of(&mut self, subject: u32) -> Result<Token, SnapshotError> {
        while self.read <= subject {
            let mut bytes = [0; 16];
            self.fill(&mut bytes)?;
            self.last = Some(Token::from_bytes(bytes));
            self.read += 1;
        }
        self.last.filter(|_| self.read == subject + 1).ok_or_else(|| self.other())
    }

    /// Reads what is left: only now it is known that all of it was as it was written.
    pub(super) fn end(mut self) -> Result<(), SnapshotError> {
        loop {
            let bytes = self.file.fill_buf().map_err(|e| SnapshotError::io(&self.path, &e))?;
            self.hasher.update(bytes);
            match bytes.len() {
                0 => break,
                read => self.file.consume(read),
            }
        }
        let found = Digest::from_bytes(self.hasher.finalize().into());
        if found == self.expected {
            return Ok(());
        }
        Err(SnapshotError::Altered { path: self.path, expected: self.expected })
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.file.read_exact(bytes).map_err(|_| self.other())?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn other(&self) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.clone(), reason: "not the tokens of its patients" }
    }
}

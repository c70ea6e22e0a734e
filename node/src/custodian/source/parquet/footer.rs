//! The bytes of a footer, for the decoder; pages are read in [`pages`](super::pages).

use std::io::{self, Read as _};

use ::parquet::errors::Result;
use ::parquet::file::reader::{ChunkReader, Length};
use bocage_protocol::limits::PARQUET_FOOTER_BYTES;

use super::super::intake::{Intake, Place};
use super::DAMAGED;
use super::pages::refuse;

/// The bytes of a file.
pub(super) struct Footer(pub(super) Intake);

impl Length for Footer {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for Footer {
    type T = Place;

    fn get_read(&self, start: u64) -> Result<Place> {
        Ok(self.0.from(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        if length > PARQUET_FOOTER_BYTES {
            return Err(refuse(DAMAGED));
        }
        let mut found = Vec::with_capacity(length);
        self.0.from(start).take(length as u64).read_to_end(&mut found)?;
        if found.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(found.into())
    }
}

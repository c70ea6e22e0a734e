//! Mapping a snapshot into memory. One of the two places that may use `unsafe`.

use std::fs::File;
use std::path::Path;

use bocage_protocol::ids::Digest;
use polars::prelude::DataFrame;
use polars_io::SerReader;
use polars_io::ipc::IpcReader;

use super::sound;
use crate::custodian::source::SUBJECT;

/// Under this key a file names the contract that its codes are positions of.
pub(super) const CONTRACT_KEY: &str = "bocage.contract";

/// Maps a file whose bytes were verified against their hash. `file` is the handle that was verified, so that a rename in
/// between changes nothing.
///
/// # Errors
/// What is wrong with it; no value of it.
#[allow(unsafe_code)]
pub(super) fn map(file: File, path: &Path, contract: &Digest) -> Result<DataFrame, &'static str> {
    sound::laid_out(&file)?;
    let mut reader = IpcReader::new(file);
    let named = reader.custom_metadata().map_err(|_| "not an Arrow file")?;
    let named = named.as_ref().and_then(|m| m.get(CONTRACT_KEY)).map(ToString::to_string);
    if named != Some(contract.to_string()) {
        return Err("the rows stand under another contract than the manifest says");
    }
    // SAFETY: `memory_mapped` asks that the Arrow data is valid and stays so while it is mapped.
    // Valid: an ingest wrote it, so nothing is believed: `laid_out` has held every buffer to the file, and `whole` holds to each other what the buffers say, before
    // anybody else sees the frame. Stays so: this trusts whoever may write to the folder, which has mode 0700: this node, which never rewrites a snapshot in
    // place, only creates it under a temporary name and renames it, or unlinks it, which leaves a mapped file as it is; an ingest that its source has taken over
    // could rewrite one of its own dataset, and so could the hospital's administrator. Against these no mapping is safe.
    let reader = unsafe { reader.memory_mapped(Some(path.to_owned())) };
    let frame = reader.finish().map_err(|_| "not a readable Arrow file")?;
    if frame.first_col_n_chunks() > 1 || frame.column(SUBJECT).is_err() {
        return Err("not one batch of rows with subject numbers");
    }
    sound::whole(&frame)?;
    Ok(frame)
}

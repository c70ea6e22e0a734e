//! Taking a snapshot: source, mapping, contract's rules, one file. Whatever fails, the snapshot before it stays in use.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use bocage_protocol::contract::Contract;
use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::Digest;
use polars::prelude::DataFrame;
use polars_io::SerWriter;
use polars_io::ipc::IpcWriter;
use sha2::{Digest as _, Sha256};

use super::disk::Noted;
use super::files::{Draft, make_folder, remove_drafts, write_whole};
use super::keep::Lock;
use super::manifest::{FORMAT, IdsFile, Manifest};
use super::mapped::CONTRACT_KEY;
use super::open::{CURRENT, arrow_path, folder, ids_path, manifest_path};
use super::{Disk, Floor, SnapshotError, SystemDisk, files};
use crate::custodian::optout::{IdForm, SubjectIds};
use crate::custodian::source::{DatasetSpec, Mapping, Opened, conform};

/// Takes a snapshot of a dataset under `dir` and makes it the current one, whatever room that leaves on the disk.
///
/// # Errors
/// The source, its mapping, or the disk. The snapshot that was current before then still is.
pub fn take(dir: &Path, spec: &DatasetSpec, contract: &Contract, now: Timestamp) -> Result<Manifest, SnapshotError> {
    take_above(Floor { disk: &SystemDisk, bytes: 0 }, dir, spec, contract, None, now)
}

/// [`take`], if enough stays free; with a `form`, so that its patients are known again.
///
/// # Errors
/// As [`take`], or too little would stay free.
pub fn take_above(
    floor: Floor<'_>,
    dir: &Path,
    spec: &DatasetSpec,
    contract: &Contract,
    form: Option<&IdForm>,
    now: Timestamp,
) -> Result<Manifest, SnapshotError> {
    let folder = folder(dir, &spec.name)?;
    let opened = Opened::open(&spec.source)?;
    let mapping = Mapping::bind(spec, contract, &opened.columns())?;
    make_folder(&folder)?;
    let _lock = Lock::take(&folder)?;
    floor.leaves_room(&folder, 0)?;
    let rows = opened.read(&mapping)?;
    let source_bytes = rows.source_bytes;
    let mut conformed = conform(spec, contract, &mapping, rows, form)?;
    let ids = conformed.ids.as_ref().map(SubjectIds::to_bytes);
    let ids_bytes = ids.as_ref().map_or(0, |ids| ids.len() as u64);
    floor.leaves_room(&folder, conformed.frame.estimated_size() as u64 + ids_bytes)?;
    remove_drafts(&folder);
    let mut draft = Draft::new(&folder)?;
    write_rows(floor.disk, draft.file(), &mut conformed.frame, contract).map_err(|failed| match failed {
        Some(kind) => SnapshotError::of_kind(&folder, kind),
        None => SnapshotError::Damaged { path: folder.clone(), reason: "the rows could not be written" },
    })?;
    let content = draft.digest()?;
    let ids_file = form.zip(ids.as_ref()).map(|(form, ids)| {
        let content = Digest::from_bytes(Sha256::digest(ids).into());
        IdsFile { content, form: form.digest() }
    });
    let manifest = Manifest {
        format: FORMAT,
        dataset: spec.name.clone(),
        content,
        contract: contract.id().clone(),
        contract_hash: contract.hash(),
        settings: spec.digest(),
        source: spec.source.path().to_owned(),
        source_bytes,
        map: spec.map.clone(),
        absent: spec.absent.clone(),
        created_at: now,
        rows: conformed.frame.height() as u64,
        subjects: conformed.subjects,
        report: conformed.report,
        ids: ids_file,
    };
    if let Some(ids) = ids {
        write_whole(&ids_path(&folder, &content), &ids)?;
    }
    draft.publish(&arrow_path(&folder, &content))?;
    let path = manifest_path(&folder, &content);
    let json = serde_json::to_vec_pretty(&manifest)
        .map_err(|_| SnapshotError::Damaged { path: path.clone(), reason: "the manifest could not be written" })?;
    write_whole(&path, &json)?;
    files::write_whole(&folder.join(CURRENT), format!("{content}\n").as_bytes())?;
    Ok(manifest)
}

/// Writes one uncompressed record batch that names the contract it stands under. Where that fails, it says why, if the disk
/// is the cause.
fn write_rows(
    disk: &dyn Disk,
    file: &mut std::fs::File,
    frame: &mut DataFrame,
    contract: &Contract,
) -> Result<(), Option<ErrorKind>> {
    frame.rechunk_mut();
    let mut noted = Noted::new(disk.writer(file));
    let mut buffered = std::io::BufWriter::with_capacity(1 << 20, &mut noted);
    let mut writer = IpcWriter::new(&mut buffered);
    let named = [(CONTRACT_KEY.into(), contract.hash().to_string().into())];
    writer.set_custom_schema_metadata(Arc::new(named.into_iter().collect()));
    let written = writer.finish(frame).is_ok() && buffered.flush().is_ok();
    // What is still buffered after a failure has nowhere to go.
    drop(buffered.into_parts());
    if written { Ok(()) } else { Err(noted.failed()) }
}

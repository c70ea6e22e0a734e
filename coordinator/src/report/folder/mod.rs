//! The folder that goes with a paper: the result byte for byte as it was published, the study as it was signed, the contracts that it was bound to,
//! every table as CSV and Parquet, and a page for people. A manifest, signed by the researcher, holds it together.
//!
//! ```text
//! manifest.json      names every other file by its SHA-256; signed
//! study.json         the signed study with its permit and the names of its sites
//! result.json        as the coordinator published it
//! result.sig.json    the coordinator's signature over it, of coordinators that sign
//! contracts/ID.toml  as the study was bound to them
//! report.html        all of it for people
//! tables/NAME.csv, tables/NAME.parquet
//! ```
//! What is derived is made by [`Materials::files`] alone, from what stands before it: who verifies a folder makes it again.

mod belongs;
mod materials;
mod parquet;
mod published;
mod tables;
mod verify;

use std::collections::BTreeMap;

use bocage_protocol::env::Timestamp;
use bocage_protocol::ids::StudyId;
use bocage_protocol::trust::PublicKey;
pub use bocage_protocol::trust::{
    Entry, MANIFEST, MANIFEST_FORMAT, Manifest, PUBLICATION, RESULT, STUDY, SignedManifest,
};
pub use materials::Materials;
pub use verify::{Known, Verified, verify};

/// The page for people.
pub const PAGE: &str = "report.html";
/// Where contracts lie.
const CONTRACTS: &str = "contracts";
/// Where tables lie.
const TABLES: &str = "tables";

/// The version that makes and verifies folders.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Files by their names within the folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The manifest of these files.
pub fn manifest(
    files: &Files,
    study: StudyId,
    (researcher, coordinator): (PublicKey, String),
    made_at: Timestamp,
) -> Manifest {
    let files = files.iter().map(|(name, bytes)| (name.clone(), Entry::of(bytes))).collect();
    Manifest { format: MANIFEST_FORMAT, study, researcher, version: VERSION.to_owned(), coordinator, made_at, files }
}

#[cfg(test)]
pub(crate) mod tests;

//! Whether a folder is what its researcher put together, and whether what it says belongs together.
//!
//! **What it shows**: nobody changed a file since; study and permit are what their signers signed, the permit covers the study, the result answers
//! that study and names its sites; tables and page say what the result says; a coordinator's signature, where there is one, is over this result. **What it
//! does not show**: that the coordinator added up rightly, nor that a site released what a receipt stands for. Nobody who may not see single sites' numbers
//! can see that; each site can, of its own.

use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::PublicKey;

use super::belongs::contradictions;
use super::published::lacks;
use super::{Files, MANIFEST, Manifest, Materials, SignedManifest, VERSION};

/// What to do where a file is not the one that was signed.
const WHOLE: &str = "ask for the folder again, or fetch it: bocage study result ID --out DIR";

/// The keys that whoever verifies knows from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Who, besides the study's researcher, may have put the folder together.
    pub made_by: Option<PublicKey>,
    /// The coordinator that must have published the result. Then tables and page must be made again, too: it signed neither.
    pub published_by: Option<PublicKey>,
}

/// A folder that holds.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What holds it together.
    pub manifest: Manifest,
    /// What it says.
    pub materials: Materials,
    /// Whether tables and page were made again and are the same: only the version that made them can tell.
    pub made_again: bool,
}

/// Verifies a folder by its manifest's text. `read` gives a file by its name, of at most so many bytes.
///
/// # Errors
/// Everything that is not as it was signed, or contradicts itself.
pub fn verify(
    manifest: &str,
    known: Known,
    mut read: impl FnMut(&str, u64) -> Result<Vec<u8>, Problem>,
) -> Result<Verified, Problems> {
    let manifest = SignedManifest::from_text(manifest).and_then(|signed| signed.verify());
    let manifest = manifest.map_err(|error| Problem::new(MANIFEST, "", error.message).hint(WHOLE))?;
    let (mut problems, mut files) = (Problems::default(), Files::new());
    for (name, entry) in &manifest.files {
        if entry.bytes > limits::REPORT_FILE_BYTES {
            problems.push(Problem::new(name, "", "it is larger than a file of a report can be"));
            continue;
        }
        match read(name, entry.bytes) {
            Ok(bytes) if manifest.holds(name, &bytes) => drop(files.insert(name.clone(), bytes)),
            Ok(_) => problems.push(Problem::new(name, "", "it is not the file that was signed").hint(WHOLE)),
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result(())?;
    let materials = Materials::read(&files)?;
    let mut problems = contradictions(&materials);
    if manifest.study != materials.signed().id() {
        problems.push(Problem::new(MANIFEST, "study", "it is another study than the one in the folder"));
    }
    let researcher = materials.study().researcher;
    if manifest.researcher != researcher && Some(manifest.researcher) != known.made_by {
        let message = format!("{} put the folder together, and {researcher} signed the study", manifest.researcher);
        let hint = "if you know and trust that other key, name it: --made-by KEY";
        problems.push(Problem::new(MANIFEST, "researcher", message).hint(hint));
    }
    if let Some(problem) = known.published_by.and_then(|wanted| lacks(materials.publisher(), wanted)) {
        problems.push(problem);
    }
    let made_again = manifest.version == VERSION;
    if !made_again && known.published_by.is_some() {
        let message =
            format!("tables and page are of version {}, and {VERSION} cannot make them again", manifest.version);
        let hint = "the coordinator signed the result alone: verify with that version, or fetch the report anew";
        problems.push(Problem::new(MANIFEST, "version", message).hint(hint));
    }
    if made_again {
        for name in differences(&materials.files()?, &files) {
            problems.push(Problem::new(&name, "", "it does not say what the result says").hint(WHOLE));
        }
    }
    problems.into_result(Verified { manifest, materials, made_again })
}

/// The files that are not the same in both.
fn differences(made: &Files, found: &Files) -> Vec<String> {
    let mut names: Vec<&String> = made.keys().chain(found.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| made.get(*name) != found.get(*name)).cloned().collect()
}

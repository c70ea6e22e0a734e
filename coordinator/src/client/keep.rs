//! A report's folder on the disk: fetched, put together, signed and written as a whole; read again and verified.
//!
//! A folder is made beside its place and moved there when all of it is on the disk: whatever interrupts that, there is a whole report in its place or
//! what was there before. Only a report is ever replaced, and only with `--force`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bocage_net::env::SystemClock;
use bocage_protocol::env::Clock as _;
use bocage_protocol::ids::StudyId;
use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems};
use bocage_protocol::trust::{PublicKey, SecretKey};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Api, ClientError, by, read_file};
use crate::api::types::NetworkInfo;
use crate::report::folder::{
    Files, Known, MANIFEST, Materials, PAGE, PUBLICATION, RESULT, STUDY, SignedManifest, Verified, manifest, verify,
};

/// A place for a report: nothing is there, or what may be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
    /// A report stands there.
    taken: bool,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.dir.display().fmt(f)
    }
}

impl Place {
    /// Where the page for people will be.
    pub fn page(&self) -> PathBuf {
        self.dir.join(PAGE)
    }

    /// Looks at a place before anything is asked of anybody.
    ///
    /// # Errors
    /// Something is there that may not be replaced, or it cannot be looked at.
    pub fn find(dir: &Path, force: bool) -> Result<Self, ClientError> {
        let problem = |message: &str, hint: &str| {
            Err(Problems::from(Problem::new(&dir.display().to_string(), "", message).hint(hint)).into())
        };
        let taken = match fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return problem("this is a file", "name a folder that does not exist: --out DIR");
            }
            Err(error) => return Err(ClientError::Read { path: dir.to_owned(), reason: error.kind() }),
        };
        if taken && !dir.join(MANIFEST).is_file() {
            return problem("this folder holds something else than a report", "name another: --out DIR");
        }
        if taken && !force {
            return problem("a report is there already", "name another folder, or replace it: --force");
        }
        Ok(Self { dir: dir.to_owned(), taken })
    }

    /// Writes these files as a whole.
    ///
    /// # Errors
    /// They cannot be written; then the place is as it was.
    pub fn write(&self, files: &Files) -> Result<(), ClientError> {
        let failed = |error: std::io::Error| ClientError::Keep { path: self.dir.clone(), reason: error.kind() };
        self.put(files).map_err(failed)
    }

    fn put(&self, files: &Files) -> std::io::Result<()> {
        let name = self.dir.file_name().ok_or(ErrorKind::InvalidInput)?;
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let prefix = format!(".{}.", name.to_string_lossy());
        // Goes when it is dropped, with whatever is in it then: half of the new, or the old.
        let beside = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
        let made = beside.path().join("report");
        fs::create_dir(&made)?;
        for (name, bytes) in files {
            let path = made.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        if self.taken {
            // In one step: there is no moment without a report.
            renameat_with(CWD, &made, CWD, &self.dir, RenameFlags::EXCHANGE)?;
        } else {
            fs::rename(&made, &self.dir)?;
        }
        File::open(parent)?.sync_all()
    }
}

/// A report that was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// All of it.
    pub files: Files,
    /// The key of the coordinator that signed the result, if it signs.
    pub publisher: Option<PublicKey>,
}

/// Fetches a published study and puts its report together, signed with this key. The coordinator must be the one that publishes as `pinned`, if that is known.
///
/// # Errors
/// The coordinator cannot be asked, is another one, or what it says is not a study with its result.
pub fn fetch(api: &Api, id: &StudyId, key: &SecretKey, pinned: Option<PublicKey>) -> Result<Fetched, ClientError> {
    let network = network(api, pinned)?;
    let signed = api.signed_study(id)?;
    if signed.id() != *id {
        let reason = format!("it gives another study than {}", id.short());
        return Err(ClientError::Answer { url: api.url().to_owned(), reason });
    }
    let study = signed.verify()?;
    let mut contracts = BTreeMap::new();
    for contract in std::iter::once(&study.dataset).chain(study.related.values().map(|table| &table.dataset)) {
        match api.contract_text(contract) {
            Ok(text) => drop(contracts.insert(contract.clone(), text)),
            // It need not hold for ever what a study of long ago was bound to; the report says which are not there.
            Err(ClientError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let mut materials = Materials::new(signed, &contracts, api.result_text(id)?)?;
    if let Some(publication) = api.publication(id)? {
        materials = materials.published(publication).map_err(Problems::from)?;
    }
    let publisher = materials.publisher();
    if publisher != network.publisher {
        let reason = "it did not sign this result with the key that it shows".to_owned();
        return Err(ClientError::Answer { url: api.url().to_owned(), reason });
    }
    Ok(Fetched { files: put_together(&materials, (key, network.version))?, publisher })
}

/// What the coordinator says of itself, if it is the one that publishes as `pinned`.
fn network(api: &Api, pinned: Option<PublicKey>) -> Result<NetworkInfo, ClientError> {
    let network = api.network()?;
    match pinned {
        Some(ours) if network.publisher != Some(ours) => {
            let (theirs, ours) = (network.publisher.map(Box::new), Box::new(ours));
            Err(ClientError::OtherPublisher { url: api.url().to_owned(), theirs, ours })
        }
        _ => Ok(network),
    }
}

/// The files of a report with their manifest.
fn put_together(materials: &Materials, (key, coordinator): (&SecretKey, String)) -> Result<Files, ClientError> {
    let mut files = materials.files()?;
    let manifest = manifest(&files, materials.signed().id(), (key.public(), coordinator), SystemClock.now());
    files.insert(MANIFEST.to_owned(), SignedManifest::sign(&manifest, key)?.to_text().into_bytes());
    Ok(files)
}

/// Verifies the report in a folder.
///
/// # Errors
/// Everything that is not as it was signed, or contradicts itself.
pub fn verify_folder(dir: &Path, known: Known) -> Result<Verified, ClientError> {
    if dir.is_file() {
        let folder = dir.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let problem = Problem::new(&dir.display().to_string(), "", "a file, and a report is a folder");
        let hint = format!("name the folder that it lies in: bocage study verify {}", folder.display());
        return Err(Problems::from(problem.hint(hint)).into());
    }
    let manifest = read_file(&dir.join(MANIFEST), 2 * limits::REPORT_MANIFEST_BYTES + 1024)?;
    let read = |name: &str, bytes: u64| {
        let cannot = |reason: ErrorKind| match reason {
            ErrorKind::NotFound => Problem::new(name, "", "it is missing").hint("ask for the whole folder"),
            reason => Problem::new(name, "", format!("it cannot be read: {reason}")),
        };
        let mut found = Vec::new();
        let file = File::open(dir.join(name)).map_err(|error| cannot(error.kind()))?;
        // One byte more than it should have tells that it has grown.
        file.take(bytes + 1).read_to_end(&mut found).map_err(|error| cannot(error.kind()))?;
        Ok(found)
    };
    let verified = verify(&manifest, known, read)?;
    let mut problems = Problems::default();
    for name in found_in(dir).map_err(|error| ClientError::Read { path: dir.to_owned(), reason: error.kind() })? {
        if name != MANIFEST && !verified.manifest.files.contains_key(&name) {
            let problem = Problem::new(&name, "", "it is not part of the report that was signed");
            problems.push(problem.hint("keep it elsewhere: a reader would take it for a part"));
        }
    }
    Ok(problems.into_result(verified)?)
}

/// The files of a folder and of the folders in it, but for what begins with a dot: systems leave such, and nobody reads them.
fn found_in(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![(dir.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if entry.file_type()?.is_dir() && prefix.is_empty() {
                folders.push((entry.path(), format!("{name}/")));
            } else {
                names.push(format!("{prefix}{name}"));
            }
        }
        if names.len() > 2 * limits::REPORT_FILES {
            break;
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Compares a report with what the coordinator keeps, which must be the one that publishes as `pinned`, if that is known.
///
/// # Errors
/// The coordinator keeps something else, signs by another key, or cannot be asked.
pub fn compare(api: &Api, verified: &Verified, pinned: Option<PublicKey>) -> Result<(), ClientError> {
    let publisher = network(api, pinned)?.publisher;
    let materials = &verified.materials;
    let id = materials.signed().id();
    let mut problems = Problems::default();
    if let Some(found) = materials.publisher().filter(|found| publisher != Some(*found)) {
        let message = format!("{found} published the result, and the coordinator publishes {}", by(publisher.as_ref()));
        let hint = "if its operator says that its key was replaced since, fetch the report anew: bocage study result ID --out DIR";
        problems.push(Problem::new(PUBLICATION, "publisher", message).hint(hint));
    }
    if api.result_text(&id)? != materials.result_text() {
        let problem = Problem::new(RESULT, "", "the coordinator published another result of this study");
        problems.push(problem.hint("fetch it: bocage study result ID --out DIR"));
    }
    if api.signed_study(&id)? != *materials.signed() {
        problems.push(Problem::new(STUDY, "", "the coordinator keeps another form of this study"));
    }
    Ok(problems.into_result(())?)
}

/// What a verified report says of itself, and what that shows to who knew these keys, and `asked` the coordinator.
pub fn said(verified: &Verified, known: Known, asked: bool) -> String {
    let Verified { manifest, materials, made_again } = verified;
    let (study, result) = (materials.study(), materials.result());
    let permit = match materials.permit() {
        Some(permit) => format!("permit {} of {}, issued by {}", permit.id, permit.holder.name, permit.issuer),
        None => "no permit".to_owned(),
    };
    let receipts: usize = result.sites.iter().map(|site| site.receipts.len()).sum();
    let mut lines = vec![
        study.title.clone(),
        format!("study {}", materials.signed().id()),
        format!("signed by {} at {}", study.researcher, study.issued_at),
        permit,
        format!("{} files, put together by {} at {}", manifest.files.len(), manifest.researcher, manifest.made_at),
    ];
    lines.extend(materials.publisher().map(|key| format!("published by the coordinator {key}")));
    lines.push(String::new());
    lines.push(
        "no file was changed or added since; study and permit are as they were signed; the result answers this study"
            .to_owned(),
    );
    lines.push(published(materials.publisher().is_some(), known, asked).to_owned());
    lines.push(match made_again {
        true => "tables and page say what the result says".to_owned(),
        false => format!(
            "NOT shown: that tables and page say what the result says. Version {} made them, and this one cannot make them again to compare",
            manifest.version
        ),
    });
    for contract in materials.lacking() {
        lines.push(format!(
            "the contract {contract} is not in it: which columns the permit covers could not be checked"
        ));
    }
    lines.push(match asked {
        true => "the coordinator keeps the same result".to_owned(),
        false => "whether the coordinator keeps the same result was not asked (--ask-coordinator)".to_owned(),
    });
    lines.push(format!(
        "not shown: that the coordinator added up rightly. {receipts} receipts name the releases; each hospital can compare its own: bocage node ledger show {}",
        materials.signed().id().short()
    ));
    lines.iter().map(|line| crate::report::plain(line) + "\n").collect()
}

/// What a signature over the result shows, or that there is none.
fn published(signed: bool, known: Known, asked: bool) -> &'static str {
    match (signed, known.published_by.is_some() || asked) {
        (true, true) => "the coordinator signed this result: no number and no receipt in it was changed since",
        (true, false) => {
            "whoever has this key signed this result; that it is your coordinator's you must know from elsewhere (--published-by KEY)"
        }
        (false, true) => {
            "the result has no signature of a coordinator: it was fetched before the coordinator signed, or the signature was left out"
        }
        (false, false) => {
            "the result has no signature of a coordinator: older ones do not sign. Who put the folder together can have changed it"
        }
    }
}

#[cfg(test)]
mod tests;

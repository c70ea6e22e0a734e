//! Views of a site's own, for the rehearsal: each is looked for where it will lie, in the site's folder, and else at the same place beside the network's file.
//! A view that lies at the hospital alone is known to nobody here.

use std::fs;
use std::path::{Component, Path, PathBuf};

use bocage_protocol::limits::FHIR_VIEW_BYTES;
use toml::{Table, Value};

use super::spec::Site;

/// Where views are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Views<'a> {
    /// The network's file.
    pub file: &'a Path,
    /// The folder that was made of it, where one is named.
    pub out: Option<&'a Path>,
}

/// A view that was found, and where it was brought for the rehearsal.
#[derive(Debug)]
pub struct Brought {
    /// Where it lies.
    pub found: PathBuf,
    /// Where the rehearsed node sees it.
    pub seen: PathBuf,
}

impl Views<'_> {
    /// Brings the views of a site into the folder of its rehearsed `node.toml`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn bring(&self, site: &Site, folder: &Path) -> std::io::Result<Vec<Brought>> {
        let mut brought: Vec<Brought> = Vec::new();
        for view in site.datasets.values().filter_map(view) {
            let seen = folder.join(view);
            if brought.iter().any(|of| of.seen == seen) {
                continue;
            }
            // What an earlier site's rehearsal has left is not this one's.
            let _ = fs::remove_file(&seen);
            let Some(found) = self.find(site, view) else { continue };
            fs::create_dir_all(seen.parent().unwrap_or(folder))?;
            fs::copy(&found, &seen)?;
            brought.push(Brought { found, seen });
        }
        Ok(brought)
    }

    fn find(&self, site: &Site, view: &Path) -> Option<PathBuf> {
        let own = self.out.map(|out| out.join("sites").join(site.id.as_str()).join(view));
        let beside = self.file.parent().unwrap_or(Path::new("")).join(view);
        let is_view = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= FHIR_VIEW_BYTES as u64)
        };
        own.into_iter().chain([beside]).find(is_view)
    }
}

/// The file of a dataset's view, where it is one of the site's folder.
fn view(dataset: &Table) -> Option<&Path> {
    let source = dataset.get("source")?.as_table()?;
    let view = Path::new(source.get("view").and_then(Value::as_str)?);
    let plain = view.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let fhir = source.get("kind").and_then(Value::as_str) == Some("fhir");
    (fhir && plain && view.extension().is_some_and(|ending| ending == "json")).then_some(view)
}

//! A FHIR export as text columns: what `bocage-fhir` makes of its resources by a view, with the markers of missing values.

use std::path::{Path, PathBuf};

use bocage_fhir::{At, Batch, Damaged, How, Reader, View, pack};
use bocage_protocol::front::source_column;
use bocage_protocol::ids::{ColumnName, Digest};
use bocage_protocol::limits::FHIR_VIEW_BYTES;
use bocage_protocol::settings::{Problem, Problems, join};
use polars::prelude::{Column, DataFrame, IntoColumn, StringChunkedBuilder};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::intake::Intake;
use super::reading::{BatchSize, Batches, Bookmark, Findings, Reading};
use super::report::{BadLines, DamagedFiles, Found, LookedUp};
use super::value::trimmed;
use super::{SourceError, intake};
use crate::custodian::engine;

/// A folder or file of FHIR resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FhirSource {
    /// The folder or file.
    pub path: PathBuf,
    /// The view, as `node.toml` names it: of a pack, or a file.
    pub view: String,
    /// The digest of the ViewDefinition: with another one, rows are others.
    definition: Digest,
    /// The ViewDefinition. It was checked.
    #[serde(skip)]
    text: String,
    /// Values that mean "missing", compared after spaces are cut.
    pub missing: Vec<String>,
    /// What becomes of a damaged file.
    #[serde(skip_serializing_if = "stops")]
    pub damaged: Damaged,
}

fn stops(damaged: &Damaged) -> bool {
    *damaged == Damaged::Stop
}

impl FhirSource {
    /// Reads the view and checks it. `key` is the section of the source in `file`.
    pub(super) fn read(
        path: PathBuf,
        (view, damaged): (&str, Damaged),
        missing: Vec<String>,
        (file, key): (&str, &str),
        base: &Path,
        problems: &mut Problems,
    ) -> Option<Self> {
        let place = join(key, "view");
        let (text, name) = match pack::find(view) {
            Some(shipped) => (shipped.view.to_owned(), shipped.name.to_owned()),
            None if view.ends_with(".json") => {
                let view = base.join(view);
                let text = intake::text(&view, FHIR_VIEW_BYTES).map_err(|error| {
                    let text = error.to_string();
                    let (message, hint) =
                        text.split_once("\n  hint: ").unwrap_or((&text, "a ViewDefinition of SQL-on-FHIR v2"));
                    problems.push(Problem::new(file, &place, message).hint(hint));
                });
                (text.ok()?, view.display().to_string())
            }
            None => {
                let known: Vec<&str> = pack::shipped().iter().map(|shipped| shipped.name).collect();
                let problem = Problem::new(file, place, format!("there is no view `{view}`"));
                problems.push(problem.hint(format!("a file that ends in .json, or one of {}", known.join(", "))));
                return None;
            }
        };
        match View::load(&text, &name) {
            Ok(_) => {
                // What is looked up is a part of it.
                let parts = [text.as_str()].into_iter().chain(pack::looked_up(view)).map(str::as_bytes);
                let definition = Digest::of("bocage/view-definition/1", &parts.collect::<Vec<_>>());
                Some(Self { path, view: view.to_owned(), definition, text, missing, damaged })
            }
            Err(found) => {
                problems.extend(found);
                None
            }
        }
    }

    /// The columns of its view.
    pub(super) fn columns(&self) -> Result<Vec<ColumnName>, SourceError> {
        self.view().map(|(_, columns)| columns)
    }

    /// The view, and its columns as a mapping knows them.
    fn view(&self) -> Result<(View, Vec<ColumnName>), SourceError> {
        let view = View::load(&self.text, &self.view).map_err(SourceError::Mapping)?;
        let refused = |reason: String| SourceError::Header { path: self.view.clone().into(), reason };
        let mut columns: Vec<ColumnName> = Vec::new();
        for column in view.columns() {
            // A view's columns begin with a letter, so there is a name.
            let name = source_column(&column.name).ok_or_else(|| refused("a column without a usable name".into()))?;
            if columns.contains(&name) {
                let reason = format!("two columns are `{name}` in small letters\n  hint: name them apart in the view");
                return Err(refused(reason));
            }
            columns.push(name);
        }
        Ok((view, columns))
    }
}

/// An export whose files were found.
pub struct OpenedFhir {
    path: PathBuf,
    reader: Reader,
    columns: Vec<ColumnName>,
    missing: Vec<String>,
}

impl OpenedFhir {
    pub(super) fn open(source: &FhirSource) -> Result<Self, SourceError> {
        let (view, columns) = source.view()?;
        let how = How { threads: engine::cores(), damaged: source.damaged };
        let mut reader = Reader::open_as(&source.path, view, how)?;
        if let Some(other) = pack::looked_up(&source.view) {
            reader = reader.looking_up(View::load(other, &source.view).map_err(SourceError::Mapping)?);
        }
        Ok(Self { path: source.path.clone(), reader, columns, missing: source.missing.clone() })
    }

    /// What tells this export from another: the names of its files, and of each [`Intake::identity`].
    pub(super) fn identity(&self) -> Result<Digest, SourceError> {
        let mut all = Vec::new();
        for file in self.reader.files() {
            // One that cannot be read says so when it is its turn.
            let identity = Intake::open(file).and_then(|intake| intake.identity(file)).ok();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            all.extend(format!("{name}/{}/", identity.map(|digest| digest.to_string()).unwrap_or_default()).bytes());
        }
        Ok(Digest::of("bocage/export-identity/1", &[&all]))
    }

    pub(super) fn columns(&self) -> Vec<ColumnName> {
        self.columns.clone()
    }

    pub(super) fn read(self, wanted: &[ColumnName], size: BatchSize) -> Reading {
        let position = |name: &ColumnName| self.columns.iter().position(|column| column == name);
        let wanted = wanted.iter().filter_map(|name| Some((position(name)?, name.clone()))).collect();
        Reading::new(self.path.clone(), FhirReading { opened: self, wanted, size })
    }
}

struct FhirReading {
    opened: OpenedFhir,
    /// Which column of the view each wanted column is.
    wanted: Vec<(usize, ColumnName)>,
    size: BatchSize,
}

impl FhirReading {
    fn frame(&self, batch: &Batch) -> Result<DataFrame, SourceError> {
        let missing = &self.opened.missing;
        let column = |(position, name): &(usize, ColumnName)| -> Column {
            let mut builder = StringChunkedBuilder::new(name.as_str().into(), batch.rows());
            for text in batch.columns()[*position].iter() {
                builder.append_option(text.map(trimmed).filter(|text| !missing.iter().any(|m| m == text)));
            }
            builder.finish().into_column()
        };
        let frame = DataFrame::new(batch.rows(), self.wanted.iter().map(column).collect());
        let reason = "the columns do not form a table";
        frame.map_err(|_| SourceError::Header { path: self.opened.path.clone(), reason: reason.into() })
    }
}

impl Batches for FhirReading {
    fn next(&mut self) -> Result<Option<DataFrame>, SourceError> {
        let batch = self.opened.reader.next_batch(self.size.rows, self.size.bytes)?;
        batch.map(|batch| self.frame(&batch)).transpose()
    }

    fn finish(self: Box<Self>) -> Result<Findings, SourceError> {
        let OpenedFhir { path, reader, .. } = self.opened;
        reader.unchanged()?;
        let report = reader.report();
        if report.rows == 0 {
            return Err(SourceError::Empty { path, reason: nothing(&reader) });
        }
        let mut found: Vec<Found> = report
            .findings
            .iter()
            .map(|(finding, places)| Found {
                what: finding.to_string(),
                count: places.count,
                left_out: finding.what.leaves_out(),
                first: places.first.iter().map(ToString::to_string).collect(),
            })
            .collect();
        if report.unresolved > 0 {
            let what = "a reference that names nothing that could be looked up: missing".to_owned();
            found.push(Found { what, count: report.unresolved, left_out: false, first: Vec::new() });
        }
        let damaged = DamagedFiles { count: report.damaged, first: report.damaged_files.clone() };
        let looked_up = LookedUp { rows: report.looked_up, nowhere: report.not_found };
        let bad_lines = BadLines { found, damaged, looked_up, ..BadLines::default() };
        Ok(Findings { bad_lines, source_bytes: reader.progress().total })
    }

    fn share(&self) -> Option<f64> {
        let progress = self.opened.reader.progress();
        (progress.total > 0).then(|| progress.done as f64 / progress.total as f64)
    }

    fn bookmark(&mut self) -> Bookmark {
        let (at, ids) = self.opened.reader.place();
        let at = at.and_then(|at| serde_json::to_value((at, self.opened.reader.report())).ok());
        Bookmark { at, beside: ids.into_iter().flat_map(u64::to_le_bytes).collect() }
    }

    fn go_on(&mut self, at: &Value, beside: &[u8]) -> Result<bool, SourceError> {
        let Ok((at, report)) = <(At, bocage_fhir::Report)>::deserialize(at) else { return Ok(false) };
        let (ids, _) = beside.as_chunks::<8>();
        Ok(self.opened.reader.go_on(at, report, ids.iter().map(|id| u64::from_le_bytes(*id)))?)
    }
}

/// Why there is no row.
fn nothing(reader: &Reader) -> String {
    let (report, kind) = (reader.report(), reader.view().resource());
    if let Some(first) = report.damaged_files.first() {
        let (damaged, files) = (report.damaged, reader.files().count());
        return format!(
            "of its {files} files {damaged} are damaged and were left out, the first of them {}",
            first.file
        );
    }
    let first = report.findings.iter().next().map(|(finding, places)| format!("{} × {finding}", places.count));
    match (report.resources, first) {
        (0, None) => format!(
            "there is no {kind}, but {} resources of other types\n  hint: look whether it is the right folder",
            report.others
        ),
        (0, Some(first)) => format!("there is no {kind}, but {} resources of other types; {first}", report.others),
        (some, None) => {
            format!("of {some} {kind} resources the view wants none\n  hint: look at its `where` and `forEach`")
        }
        (some, Some(first)) => format!("of {some} {kind} resources none fits the view; {first}"),
    }
}

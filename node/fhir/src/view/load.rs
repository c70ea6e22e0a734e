//! A ViewDefinition read and checked: every problem at once, each with its place.

use std::collections::BTreeSet;

use bocage_protocol::limits;
use bocage_protocol::settings::{Problem, Problems, nearest};
use serde_json::Value;

use super::{Column, View};
use crate::path::{Compiler, Expr, PathProblem};

/// What a ViewDefinition may say beside what we read, and what is common to all of FHIR.
const MEMBERS: &[&str] = &[
    "resource",
    "select",
    "where",
    "constant",
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    "url",
    "identifier",
    "version",
    "versionAlgorithmString",
    "versionAlgorithmCoding",
    "name",
    "title",
    "status",
    "experimental",
    "date",
    "publisher",
    "contact",
    "description",
    "useContext",
    "jurisdiction",
    "purpose",
    "copyright",
    "copyrightLabel",
    "profile",
    "fhirVersion",
];

impl View {
    /// Reads a ViewDefinition. `file` names the text in problems.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(text: &str, file: &str) -> Result<Self, Problems> {
        if text.len() > limits::FHIR_VIEW_BYTES {
            return Err(Problem::new(file, "", format!("larger than {} bytes", limits::FHIR_VIEW_BYTES)).into());
        }
        let view: Value = serde_json::from_str(text).map_err(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            Problem::new(file, place, "is no JSON from here on").hint("a ViewDefinition is a JSON object")
        })?;
        Self::from_json(&view, file)
    }

    /// [`View::load`] of JSON that is parsed already.
    ///
    /// # Errors
    /// All problems at once.
    pub fn from_json(view: &Value, file: &str) -> Result<Self, Problems> {
        let mut loader = Loader { file, problems: Problems::default() };
        loader.known("", view, MEMBERS);
        if view.get("resourceType").is_some_and(|kind| kind != "ViewDefinition") {
            loader.problem("resourceType", "is not \"ViewDefinition\"", None);
        }
        let resource = loader.resource(view);
        let constants = loader.constants(view.get("constant"));
        let mut compiler =
            Compiler { resource: &resource, constants: &constants, names: crate::names::Names::default() };
        let mut columns = Vec::new();
        let sections = loader.list("select", view.get("select"));
        if sections.is_empty() {
            loader.problem("select", "is missing or empty", Some("a view has at least one column: \"select\": [{ \"column\": [{ \"name\": \"id\", \"path\": \"id\" }] }]".to_owned()));
        }
        let parts = loader.selects("select", sections, &mut columns, &mut compiler);
        let conditions = loader.conditions(view.get("where"), &mut compiler);
        loader.distinct(&columns);
        let names = compiler.names;
        loader.problems.into_result(Self { resource, columns, parts, conditions, names })
    }
}

/// Reads one view, and gathers what is wrong with it.
pub(super) struct Loader<'a> {
    file: &'a str,
    problems: Problems,
}

impl Loader<'_> {
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem::new(self.file, key, message);
        self.problems.push(Problem { hint, ..problem });
    }

    /// The elements of a list that may be missing.
    pub(super) fn list<'v>(&mut self, key: &str, section: Option<&'v Value>) -> &'v [Value] {
        match section {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(_) => {
                self.problem(key, "must be a list", None);
                &[]
            }
        }
    }

    /// Says which members of an object are not known.
    pub(super) fn known(&mut self, key: &str, section: &Value, known: &[&str]) {
        let Some(members) = section.as_object() else {
            self.problem(key, "must be an object", None);
            return;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let place = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.problem(&place, "unknown key", near);
        }
    }

    fn resource(&mut self, view: &Value) -> String {
        let resource = view.get("resource").and_then(Value::as_str).unwrap_or_default();
        let named =
            resource.starts_with(|c: char| c.is_ascii_uppercase()) && resource.bytes().all(|b| b.is_ascii_alphabetic());
        if !named {
            self.problem("resource", "must name a type of resource", Some("e.g. \"resource\": \"Patient\"".to_owned()));
        }
        resource.to_owned()
    }

    /// Compiles the path that stands at `key`.
    pub(super) fn path(
        &mut self,
        key: &str,
        section: Option<&Value>,
        wanted: Option<&str>,
        compiler: &mut Compiler<'_>,
    ) -> Option<Expr> {
        let Some(text) = section.and_then(Value::as_str) else {
            let message = if section.is_some() { "must be a path, as a text" } else { "is missing" };
            self.problem(key, message, Some("e.g. \"name.family.first()\"".to_owned()));
            return None;
        };
        match compiler.path(text, wanted) {
            Ok(expr) => Some(expr),
            Err(problems) => {
                for PathProblem { message, hint } in problems {
                    self.problem(key, message, hint);
                }
                None
            }
        }
    }

    fn conditions(&mut self, section: Option<&Value>, compiler: &mut Compiler<'_>) -> Vec<Expr> {
        let mut conditions = Vec::new();
        for (i, condition) in self.list("where", section).iter().enumerate() {
            let key = format!("where[{i}]");
            self.known(&key, condition, &["path", "description", "id", "extension", "modifierExtension"]);
            conditions.extend(self.path(&format!("{key}.path"), condition.get("path"), None, compiler));
        }
        conditions
    }

    fn distinct(&mut self, columns: &[Column]) {
        let mut seen = BTreeSet::new();
        for column in columns.iter().filter(|column| !seen.insert(&column.name)) {
            self.problem("select", format!("column `{}` is there twice", column.name), None);
        }
    }
}

//! The `select` of a view: columns, and what they are repeated for.

use serde_json::Value;

use super::load::Loader;
use super::{Column, Each, Part};
use crate::path::Compiler;

const MEMBERS: &[&str] =
    &["column", "select", "forEach", "forEachOrNull", "unionAll", "repeat", "id", "extension", "modifierExtension"];
const COLUMN_MEMBERS: &[&str] =
    &["name", "path", "type", "collection", "description", "tag", "id", "extension", "modifierExtension"];

impl Loader<'_> {
    pub(super) fn selects(
        &mut self,
        key: &str,
        sections: &[Value],
        columns: &mut Vec<Column>,
        compiler: &mut Compiler<'_>,
    ) -> Vec<Part> {
        let read = |(i, section)| self.select(&format!("{key}[{i}]"), section, columns, compiler);
        sections.iter().enumerate().filter_map(read).collect()
    }

    fn select(
        &mut self,
        key: &str,
        section: &Value,
        columns: &mut Vec<Column>,
        compiler: &mut Compiler<'_>,
    ) -> Option<Part> {
        self.known(key, section, MEMBERS);
        let inside = |name: &str| format!("{key}.{name}");
        let each = self.each(key, section, compiler);
        let before = columns.len();
        let mut cells = Vec::new();
        for (i, column) in self.list(&inside("column"), section.get("column")).iter().enumerate() {
            let place = format!("{key}.column[{i}]");
            if let Some(cell) = self.column(&place, column, columns.len(), columns, compiler) {
                cells.push(cell);
            }
        }
        let nested = self.list(&inside("select"), section.get("select"));
        let mut parts = self.selects(&inside("select"), nested, columns, compiler);
        let branches = self.list(&inside("unionAll"), section.get("unionAll"));
        if !branches.is_empty() {
            parts.push(self.union(&inside("unionAll"), branches, columns, compiler));
        }
        if columns.len() == before {
            let hint = "give it `column`, `select` or `unionAll`".to_owned();
            self.problem(key, "has no column", Some(hint));
        }
        Some(Part::Each { each: each?, cells, parts })
    }

    fn each(&mut self, key: &str, section: &Value, compiler: &mut Compiler<'_>) -> Option<Each> {
        let place = |name: &str| format!("{key}.{name}");
        let given = ["forEach", "forEachOrNull", "repeat"].into_iter().filter(|name| section.get(name).is_some());
        match *given.collect::<Vec<_>>() {
            [] => Some(Each::This),
            ["repeat"] => {
                let paths = self.list(&place("repeat"), section.get("repeat"));
                if paths.is_empty() {
                    self.problem(&place("repeat"), "must have a path at least", None);
                }
                let read = |(i, path)| self.path(&format!("{key}.repeat[{i}]"), Some(path), None, compiler);
                let compiled: Vec<_> = paths.iter().enumerate().filter_map(read).collect();
                (compiled.len() == paths.len()).then_some(Each::Repeat(compiled))
            }
            [name] => {
                let path = self.path(&place(name), section.get(name), None, compiler)?;
                Some(if name == "forEach" { Each::Element(path) } else { Each::ElementOrNull(path) })
            }
            [..] => {
                let hint = "nest one select in another".to_owned();
                self.problem(key, "has several of `forEach`, `forEachOrNull` and `repeat`", Some(hint));
                None
            }
        }
    }

    /// Reads a column into the place `slot`.
    fn column(
        &mut self,
        key: &str,
        section: &Value,
        slot: usize,
        columns: &mut Vec<Column>,
        compiler: &mut Compiler<'_>,
    ) -> Option<(usize, crate::path::Expr)> {
        self.known(key, section, COLUMN_MEMBERS);
        let text = |name: &str| section.get(name).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named {
            let hint = "a letter, then letters, digits and _".to_owned();
            self.problem(&format!("{key}.name"), "must name the column", Some(hint));
        }
        let collection = section.get("collection");
        if collection.is_some_and(|collection| !collection.is_boolean()) {
            self.problem(&format!("{key}.collection"), "must be true or false", None);
        }
        columns.push(Column {
            name: name.to_owned(),
            kind: text("type").map(str::to_owned),
            collection: collection.and_then(Value::as_bool).unwrap_or(false),
        });
        let path = self.path(&format!("{key}.path"), section.get("path"), text("type"), compiler)?;
        Some((slot, path))
    }

    /// The branches of a union fill the same columns.
    fn union(&mut self, key: &str, branches: &[Value], columns: &mut Vec<Column>, compiler: &mut Compiler<'_>) -> Part {
        let before = columns.split_off(0);
        let mut first: Option<Vec<Column>> = None;
        let mut parts = Vec::new();
        for (i, branch) in branches.iter().enumerate() {
            // A branch counts its columns from where the union's begin.
            let mut own = before.clone();
            parts.extend(self.select(&format!("{key}[{i}]"), branch, &mut own, compiler));
            let own = own.split_off(before.len());
            match &first {
                None => first = Some(own),
                Some(first) if same_names(first, &own) => {}
                Some(_) => {
                    let hint = "all branches have the same columns in the same order".to_owned();
                    self.problem(&format!("{key}[{i}]"), "its columns are not those of the first branch", Some(hint));
                }
            }
        }
        *columns = before;
        columns.extend(first.unwrap_or_default());
        Part::Union(parts)
    }
}

fn same_names(a: &[Column], b: &[Column]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.collection == b.collection)
}

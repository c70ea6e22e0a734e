//! Makes the rows of one resource. A row is handed on as soon as it is whole: products of lists are never held.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::ControlFlow;

use bocage_protocol::limits;

use super::{Batch, Each, Part, View};
use crate::json::Value;
use crate::path::evaluate::{Scope, collect, each, ended, single, truth};
use crate::path::{Expr, Item, Stop, Trouble};
use crate::reference::References;

/// A resource, and how it is known.
pub struct Resource<'v> {
    /// What it says.
    pub value: &'v Value<'v>,
    /// Its key, where that is not its `id`.
    pub key: Option<&'v str>,
    /// What its Bundle calls others.
    pub references: &'v References,
    /// References of it that could not be resolved are added here.
    pub unresolved: &'v Cell<u64>,
}

/// Why a resource gives no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// What is wrong.
    pub trouble: Trouble,
    /// The position of the column at which it was found.
    pub column: Option<usize>,
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, column: None }
    }
}

/// A row without any element.
static NOTHING: Value<'static> = Value::Null;

/// How deep `repeat` goes: JSON is not nested deeper.
const REPEATS: usize = 128;

impl View {
    /// Adds the rows of a resource to `batch`: all of them or, where something is wrong with it, none.
    ///
    /// # Errors
    /// The resource does not fit the view.
    pub fn rows(&self, resource: &Resource<'_>, batch: &mut Batch) -> Result<(), Failed> {
        let before = batch.rows();
        let scope = Scope {
            this: Item::Node(resource.value),
            resource: resource.value,
            key: resource.key,
            row_index: 0,
            references: resource.references,
            unresolved: resource.unresolved,
        };
        let made = self.admitted(&scope).and_then(|admitted| {
            if !admitted {
                return Ok(());
            }
            let most = batch.bytes() + limits::FHIR_RESOURCE_UNFOLDED_BYTES;
            let row = vec![None; self.columns.len()];
            let most_rows = before + limits::FHIR_RESOURCE_ROWS;
            Maker { view: self, row, batch, elements: 0, most_rows, most_bytes: most }.make(&self.parts, &scope, None)
        });
        made.inspect_err(|_| batch.truncate(before))
    }

    fn admitted(&self, scope: &Scope<'_>) -> Result<bool, Failed> {
        for condition in &self.conditions {
            if truth(condition, scope)? != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What is left to do when a part's rows are made: the parts behind it, and what they stand on.
struct Rest<'r, 'v> {
    parts: &'v [Part],
    scope: &'r Scope<'v>,
    next: Option<&'r Rest<'r, 'v>>,
}

/// What is made of each element.
struct Body<'r, 'v> {
    cells: &'v [(usize, Expr)],
    parts: &'v [Part],
    rest: &'r Rest<'r, 'v>,
}

struct Maker<'b, 'v> {
    view: &'v View,
    row: Vec<Option<Cow<'v, str>>>,
    batch: &'b mut Batch,
    /// So many were stood on, with rows or without.
    elements: usize,
    most_rows: usize,
    most_bytes: usize,
}

impl<'v> Maker<'_, 'v> {
    fn make(&mut self, parts: &'v [Part], scope: &Scope<'v>, rest: Option<&Rest<'_, 'v>>) -> Result<(), Failed> {
        let Some((part, behind)) = parts.split_first() else {
            return match rest {
                Some(rest) => self.make(rest.parts, rest.scope, rest.next),
                None => self.emit(),
            };
        };
        let rest = Rest { parts: behind, scope, next: rest };
        let (each, body) = match part {
            Part::Union(branches) => {
                let mut branches = branches.iter();
                return branches.try_for_each(|branch| self.make(std::slice::from_ref(branch), scope, Some(&rest)));
            }
            Part::Each { each, cells, parts } => (each, Body { cells, parts, rest: &rest }),
        };
        match each {
            Each::This => self.element(&body, scope),
            Each::Element(path) => self.elements(path, &body, scope).map(drop),
            Each::ElementOrNull(path) => {
                if self.elements(path, &body, scope)? == 0 {
                    let nothing = Scope { row_index: 0, ..scope.at(Item::Node(&NOTHING)) };
                    self.element(&body, &nothing)?;
                }
                Ok(())
            }
            Each::Repeat(paths) => self.repeat(paths, &body, scope, &mut 0, 0),
        }
    }

    fn element(&mut self, body: &Body<'_, 'v>, scope: &Scope<'v>) -> Result<(), Failed> {
        self.elements += 1;
        if self.elements > limits::FHIR_RESOURCE_ELEMENTS {
            return Err(Trouble::TooManyElements.into());
        }
        for (slot, path) in body.cells {
            let all = self.view.columns[*slot].collection;
            let cell = if all {
                list(path, scope)
            } else {
                single(path, scope).and_then(|item| item.map_or(Ok(None), |item| item.cell()))
            };
            self.row[*slot] = cell.map_err(|trouble| Failed { trouble, column: Some(*slot) })?;
        }
        self.make(body.parts, scope, Some(body.rest))
    }

    /// How many there were.
    fn elements(&mut self, path: &'v Expr, body: &Body<'_, 'v>, scope: &Scope<'v>) -> Result<usize, Failed> {
        let mut index = 0;
        let mut failed = None;
        let flow = each(path, scope, &mut |item| {
            let own = Scope { row_index: index, ..scope.at(item) };
            index += 1;
            match self.element(body, &own) {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => {
                    failed = Some(why);
                    ControlFlow::Break(Stop::Enough)
                }
            }
        });
        ended(flow)?;
        failed.map_or(Ok(index), Err)
    }

    fn repeat(
        &mut self,
        paths: &'v [Expr],
        body: &Body<'_, 'v>,
        scope: &Scope<'v>,
        index: &mut usize,
        depth: usize,
    ) -> Result<(), Failed> {
        if depth > REPEATS {
            return Err(Trouble::Endless.into());
        }
        for path in paths {
            for item in collect(path, scope)? {
                let own = Scope { row_index: *index, ..scope.at(item) };
                *index += 1;
                self.element(body, &own)?;
                self.repeat(paths, body, &own, index, depth + 1)?;
            }
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<(), Failed> {
        let bytes: usize = self.row.iter().flatten().map(|cell| cell.len()).sum();
        if self.batch.rows() >= self.most_rows || self.batch.bytes() + bytes > self.most_bytes {
            return Err(Trouble::TooManyRows.into());
        }
        self.batch.push(&self.row);
        Ok(())
    }
}

/// All values of a path as a JSON array.
fn list<'v>(path: &'v Expr, scope: &Scope<'v>) -> Result<Option<Cow<'v, str>>, Trouble> {
    let items = collect(path, scope)?;
    let mut values = Vec::with_capacity(items.len());
    for item in &items {
        let cell = item.cell()?.unwrap_or_default();
        let plain = item.bool().is_some() || item.number()?.is_some();
        values.push(if plain { cell.into_owned() } else { serde_json::Value::from(&*cell).to_string() });
    }
    Ok(Some(format!("[{}]", values.join(",")).into()))
}

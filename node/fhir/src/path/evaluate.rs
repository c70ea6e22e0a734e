//! Evaluates a compiled path: items are handed on one after another, and nobody looks further than the asker wants.

use std::cell::Cell;
use std::ops::ControlFlow;

use bocage_protocol::limits;
use rust_decimal::Decimal;

use super::operators::operate;
use super::parser::Operator;
use super::{Expr, Item, Trouble};
use crate::json::Value;
use crate::moment::Sort;
use crate::names::{NameSet, Names};
use crate::reference::References;

/// Why evaluating stops before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The asker has what it wanted.
    Enough,
    /// The resource does not fit the path.
    Trouble(Trouble),
}

/// Whether to go on.
pub type Flow = ControlFlow<Stop>;

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Stop::Trouble(trouble)
    }
}

/// What a path is evaluated on.
#[derive(Clone)]
pub struct Scope<'v> {
    /// Where it begins.
    pub this: Item<'v>,
    /// The resource.
    pub resource: &'v Value<'v>,
    /// The resource's key, where that is not its `id`.
    pub key: Option<&'v str>,
    /// Which element of a `forEach` this is, from 0.
    pub row_index: usize,
    /// What a Bundle calls its resources.
    pub references: &'v References,
    /// References that could not be resolved.
    pub unresolved: &'v Cell<u64>,
}

impl<'v> Scope<'v> {
    /// The same on another item.
    pub fn at(&self, this: Item<'v>) -> Self {
        Self { this, ..self.clone() }
    }
}

fn stop(trouble: Trouble) -> Flow {
    ControlFlow::Break(trouble.into())
}

/// Hands on each item that `expr` yields.
pub fn each<'v>(expr: &'v Expr, scope: &Scope<'v>, sink: &mut dyn FnMut(Item<'v>) -> Flow) -> Flow {
    match expr {
        Expr::This => match &scope.this {
            Item::Node(Value::Null) => ControlFlow::Continue(()),
            this => sink(this.clone()),
        },
        Expr::Element(of, names) if matches!(**of, Expr::This) => members(&scope.this, names, sink),
        Expr::Element(of, names) => each(of, scope, &mut |item| members(&item, names, sink)),
        Expr::Where(of, condition) => each(of, scope, &mut |item| match truth(condition, &scope.at(item.clone())) {
            Ok(Some(true)) => sink(item),
            Ok(_) => ControlFlow::Continue(()),
            Err(trouble) => stop(trouble),
        }),
        Expr::OfType(of, kind) => each(of, scope, &mut |item| match &item {
            Item::Node(node) if node.get(Names::RESOURCE_TYPE).and_then(Value::text) == Some(kind) => sink(item),
            _ => ControlFlow::Continue(()),
        }),
        Expr::ResourceKey(of) => each(of, scope, &mut |item| match resource_key(&item, scope) {
            Some(key) => sink(Item::Text(key.into())),
            None => ControlFlow::Continue(()),
        }),
        Expr::ReferenceKey(of, kind) => {
            each(of, scope, &mut |item| match reference_key(&item, kind.as_deref(), scope) {
                Some(key) => sink(Item::Text(key.into())),
                None => ControlFlow::Continue(()),
            })
        }
        Expr::Binary(Operator::Union, left, right) => {
            let mut seen: Vec<Item<'v>> = Vec::new();
            for side in [left, right] {
                each(side, scope, &mut |item| {
                    for known in &seen {
                        match known.equal(&item) {
                            Ok(Some(true)) => return ControlFlow::Continue(()),
                            Ok(_) => {}
                            Err(trouble) => return stop(trouble),
                        }
                    }
                    if seen.len() == limits::FHIR_UNION_VALUES {
                        return stop(Trouble::TooManyValues);
                    }
                    // Most who ask want the first only.
                    sink(item.clone())?;
                    seen.push(item);
                    ControlFlow::Continue(())
                })?;
            }
            ControlFlow::Continue(())
        }
        Expr::Both(one, other) => {
            each(one, scope, sink)?;
            each(other, scope, sink)
        }
        one => match value(one, scope) {
            Ok(Some(item)) => sink(item),
            Ok(None) => ControlFlow::Continue(()),
            Err(trouble) => stop(trouble),
        },
    }
}

/// Whether a path yields no more than one item, whatever it stands on: most conditions do, and nobody need be handed these.
fn yields_one(expr: &Expr) -> bool {
    match expr {
        Expr::This
        | Expr::Element(..)
        | Expr::Where(..)
        | Expr::OfType(..)
        | Expr::ResourceKey(_)
        | Expr::ReferenceKey(..)
        | Expr::Both(..) => false,
        Expr::Binary(operator, ..) => *operator != Operator::Union,
        _ => true,
    }
}

/// The paths that yield one item or none: those of [`yields_one`].
fn value<'v>(expr: &'v Expr, scope: &Scope<'v>) -> Result<Option<Item<'v>>, Trouble> {
    let truth_of = |truth: bool| Ok(Some(Item::Bool(truth)));
    match expr {
        Expr::Resource => Ok(Some(Item::Node(scope.resource))),
        Expr::RowIndex => Ok(Some(Item::Number(scope.row_index.into()))),
        Expr::Bool(truth) => truth_of(*truth),
        Expr::Number(number) => Ok(Some(Item::Number(*number))),
        Expr::Text(text) => Ok(Some(Item::Text(text.as_str().into()))),
        Expr::Moment(moment, text) => Ok(Some(Item::Moment(*moment, text))),
        Expr::Index(of, index) => {
            let index = single(index, scope)?.map(|index| index.number()).transpose()?.flatten();
            let Some(index) = index.and_then(|index| usize::try_from(index).ok()) else { return Ok(None) };
            nth(of, index, scope)
        }
        Expr::First(of) => nth(of, 0, scope),
        Expr::Last(of) => {
            let mut last = None;
            ended(each(of, scope, &mut |item| {
                last = Some(item);
                ControlFlow::Continue(())
            }))?;
            Ok(last)
        }
        Expr::Exists(of) => truth_of(nth(of, 0, scope)?.is_some()),
        Expr::Empty(of) => truth_of(nth(of, 0, scope)?.is_none()),
        Expr::Not(of) => Ok(truth(of, scope)?.map(|truth| Item::Bool(!truth))),
        Expr::Count(of) => Ok(Some(Item::Number(collect(of, scope)?.len().into()))),
        Expr::Join(of, between) => {
            let texts = collect(of, scope)?.iter().map(Item::cell).collect::<Result<Vec<_>, _>>()?;
            let texts: Vec<_> = texts.into_iter().flatten().collect();
            Ok(Some(Item::Text(texts.join(between).into())))
        }
        Expr::Boundary { of, high, sort } => single(of, scope)?.map_or(Ok(None), |item| boundary(&item, *high, *sort)),
        Expr::Negative(of) => {
            let number = single(of, scope)?.map(|item| item.number()?.ok_or(Trouble::Unlike)).transpose()?;
            Ok(number.map(|number| Item::Number(-number)))
        }
        Expr::Binary(operator, left, right) => operate(*operator, left, right, scope),
        // The others yield what `each` hands on.
        _ => Ok(None),
    }
}

/// The members of these names, arrays one by one.
fn members<'v>(item: &Item<'v>, names: &NameSet, sink: &mut dyn FnMut(Item<'v>) -> Flow) -> Flow {
    let Item::Node(Value::Object(members)) = item else { return ControlFlow::Continue(()) };
    for (_, value) in members.iter().filter(|(name, _)| names.contains(*name)) {
        match value {
            Value::Null => {}
            Value::Array(values) => {
                for value in values {
                    match value {
                        Value::Null => {}
                        Value::Array(_) => return stop(Trouble::ArrayInArray),
                        value => sink(Item::Node(value))?,
                    }
                }
            }
            value => sink(Item::Node(value))?,
        }
    }
    ControlFlow::Continue(())
}

fn resource_key<'v>(item: &Item<'v>, scope: &Scope<'v>) -> Option<&'v str> {
    let Item::Node(node) = item else { return None };
    match node.get(Names::ID).and_then(Value::text) {
        None if std::ptr::eq(*node, scope.resource) => scope.key,
        id => id,
    }
}

fn reference_key<'v>(item: &Item<'v>, kind: Option<&str>, scope: &Scope<'v>) -> Option<&'v str> {
    let Item::Node(node) = item else { return None };
    let reference = node.get(Names::REFERENCE).and_then(Value::text)?;
    let said = node.get(Names::TYPE).and_then(Value::text);
    let resolved = scope.references.resolve(reference, said);
    if resolved.is_none() {
        scope.unresolved.set(scope.unresolved.get() + 1);
    }
    resolved.filter(|target| kind.is_none_or(|kind| target.kind == Some(kind))).map(|target| target.key)
}

fn boundary<'v>(item: &Item<'v>, high: bool, sort: Option<Sort>) -> Result<Option<Item<'v>>, Trouble> {
    if let Some(number) = item.number()? {
        // There is no half of the last digit that a number can have.
        let Ok(half) = Decimal::try_new(5, number.scale() + 1) else { return Ok(None) };
        let bound = if high { number.checked_add(half) } else { number.checked_sub(half) };
        return Ok(bound.map(Item::Number));
    }
    let moment = item.moment();
    // A date may be asked for as a datetime; a time is none, and a datetime keeps its time.
    let sort = |own: Sort| if own == Sort::Date { sort.unwrap_or(own) } else { own };
    Ok(moment.map(|moment| Item::Text(moment.boundary(high, sort(moment.sort)).into())))
}

/// Whether evaluating went wrong; that the asker had enough is no fault.
pub fn ended(flow: Flow) -> Result<(), Trouble> {
    match flow {
        ControlFlow::Break(Stop::Trouble(trouble)) => Err(trouble),
        _ => Ok(()),
    }
}

fn nth<'v>(expr: &'v Expr, index: usize, scope: &Scope<'v>) -> Result<Option<Item<'v>>, Trouble> {
    let (mut found, mut left) = (None, index);
    ended(each(expr, scope, &mut |item| match left.checked_sub(1) {
        Some(less) => {
            left = less;
            ControlFlow::Continue(())
        }
        None => {
            found = Some(item);
            ControlFlow::Break(Stop::Enough)
        }
    }))?;
    Ok(found)
}

/// The one item that `expr` yields, if any.
pub fn single<'v>(expr: &'v Expr, scope: &Scope<'v>) -> Result<Option<Item<'v>>, Trouble> {
    if yields_one(expr) {
        return value(expr, scope);
    }
    let mut found = None;
    ended(each(expr, scope, &mut |item| match found.replace(item) {
        None => ControlFlow::Continue(()),
        Some(_) => stop(Trouble::Several),
    }))?;
    Ok(found)
}

/// Whether `expr` is true, false, or nothing.
pub fn truth<'v>(expr: &'v Expr, scope: &Scope<'v>) -> Result<Option<bool>, Trouble> {
    single(expr, scope)?.map(|item| item.bool().ok_or(Trouble::NotBoolean)).transpose()
}

/// All items.
pub fn collect<'v>(expr: &'v Expr, scope: &Scope<'v>) -> Result<Vec<Item<'v>>, Trouble> {
    let mut items = Vec::new();
    ended(each(expr, scope, &mut |item| {
        items.push(item);
        ControlFlow::Continue(())
    }))?;
    Ok(items)
}

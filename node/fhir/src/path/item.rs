//! What a path yields: parts of the resource, and what was computed of them.

use std::borrow::Cow;
use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::Trouble;
use crate::json::Value;
use crate::moment::Moment;

/// One item of what a path yields.
#[derive(Debug, Clone)]
pub enum Item<'v> {
    /// A part of the resource; no array, and not null but for the row of a `forEachOrNull` that has nothing.
    Node(&'v Value<'v>),
    /// Whether.
    Bool(bool),
    /// A number that was computed or stands in the path.
    Number(Decimal),
    /// A text that was computed or stands in the path.
    Text(Cow<'v, str>),
    /// A date or time that stands in the path, with its text.
    Moment(Moment, &'v str),
}

/// What two items have in common.
enum Pair<'v> {
    Bools(bool, bool),
    Numbers(Decimal, Decimal),
    Texts(Cow<'v, str>, Cow<'v, str>),
    Moments(Option<Ordering>),
}

impl<'v> Item<'v> {
    /// The truth value that this is.
    pub fn bool(&self) -> Option<bool> {
        match self {
            Item::Bool(truth) | Item::Node(Value::Bool(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// The number that this is.
    ///
    /// # Errors
    /// It is a number beyond 28 digits before the point.
    pub fn number(&self) -> Result<Option<Decimal>, Trouble> {
        match self {
            Item::Number(number) => Ok(Some(*number)),
            Item::Node(Value::Number(text)) => decimal(text).map(Some).ok_or(Trouble::OutOfRange),
            _ => Ok(None),
        }
    }

    /// The text that this is.
    pub fn text(&self) -> Option<Cow<'v, str>> {
        match self {
            Item::Text(text) => Some(text.clone()),
            Item::Node(Value::Text(text)) => Some(Cow::Borrowed(text)),
            Item::Moment(_, text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// The text of a cell that holds this.
    ///
    /// # Errors
    /// It is an object.
    pub fn cell(&self) -> Result<Option<Cow<'v, str>>, Trouble> {
        match self {
            Item::Node(Value::Null) => Ok(None),
            Item::Node(Value::Number(text)) => Ok(Some(Cow::Borrowed(text))),
            Item::Number(number) => Ok(Some(number.normalize().to_string().into())),
            _ => match (self.bool(), self.text()) {
                (Some(truth), _) => Ok(Some(Cow::Borrowed(if truth { "true" } else { "false" }))),
                (_, Some(text)) => Ok(Some(text)),
                _ => Err(Trouble::NotScalar),
            },
        }
    }

    /// Whether both are the same. `None` where two moments are not known precisely enough to tell.
    ///
    /// # Errors
    /// One is an object: not all of it was read, so nobody can tell.
    pub fn equal(&self, other: &Self) -> Result<Option<bool>, Trouble> {
        Ok(match self.pair(other, false)? {
            Some(Pair::Bools(a, b)) => Some(a == b),
            Some(Pair::Numbers(a, b)) => Some(a == b),
            Some(Pair::Texts(a, b)) => Some(a == b),
            Some(Pair::Moments(order)) => order.map(Ordering::is_eq),
            None => Some(false),
        })
    }

    /// Which is smaller. `None` where two moments are not known precisely enough to tell.
    ///
    /// # Errors
    /// They are of two kinds, or have no order.
    pub fn compare(&self, other: &Self) -> Result<Option<Ordering>, Trouble> {
        match self.pair(other, true)? {
            Some(Pair::Numbers(a, b)) => Ok(Some(a.cmp(&b))),
            Some(Pair::Texts(a, b)) => Ok(Some(a.cmp(&b))),
            Some(Pair::Moments(order)) => Ok(order),
            Some(Pair::Bools(..)) | None => Err(Trouble::Unlike),
        }
    }

    /// Both as values of one kind. Texts of the resource that read as moments are such beside a moment of the path, and where they are to be put in order.
    fn pair(&self, other: &Self, in_order: bool) -> Result<Option<Pair<'v>>, Trouble> {
        if self.is_object() || other.is_object() {
            return Err(Trouble::NotScalar);
        }
        if let (Some(a), Some(b)) = (self.bool(), other.bool()) {
            return Ok(Some(Pair::Bools(a, b)));
        }
        if let (Some(a), Some(b)) = (self.number()?, other.number()?) {
            return Ok(Some(Pair::Numbers(a, b)));
        }
        let (Some(a), Some(b)) = (self.text(), other.text()) else { return Ok(None) };
        let timely = in_order || matches!(self, Item::Moment(..)) || matches!(other, Item::Moment(..));
        match timely.then(|| self.moment().zip(other.moment())).flatten() {
            Some((a, b)) => Ok(Some(Pair::Moments(a.compare(&b)))),
            None => Ok(Some(Pair::Texts(a, b))),
        }
    }

    fn is_object(&self) -> bool {
        matches!(self, Item::Node(Value::Object(_)))
    }

    /// The moment that this is or reads as.
    pub fn moment(&self) -> Option<Moment> {
        match self {
            Item::Moment(moment, _) => Some(*moment),
            _ => Moment::parse(&self.text()?),
        }
    }
}

/// A number of JSON.
pub fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { Decimal::from_scientific(text).ok() } else { text.parse().ok() }
}

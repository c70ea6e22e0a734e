//! One JSON text read in one pass: what a view names becomes a tree that borrows from the text, the rest is checked for its form and
//! skipped. Numbers keep their text, since `1.0` and `1.00` differ in what they say.
//!
//! A parser of our own, since those that are published either build all of a text or lose a number's digits. It takes what `serde_json` takes
//! and refuses what that refuses; a property test holds it to this.

use std::borrow::Cow;
use std::ops::Range;

use bocage_protocol::limits;
use serde::{Deserialize, Serialize};

use crate::names::{Name, Names};

mod string;
#[cfg(test)]
mod tests;

/// How deep values may be nested: as `serde_json` has it. Reading recurses.
const DEPTH: u8 = 127;
/// Members that a view reads of a resource, mostly; those of what is nested in it are fewer.
const OF_RESOURCE: usize = 16;

/// A JSON value, with those members of its objects that a view names.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object. Each name stands in it once.
    Object(Vec<(Name, Value<'a>)>),
}

impl Value<'_> {
    /// A member of an object.
    pub fn get(&self, name: Name) -> Option<&Self> {
        match self {
            Value::Object(members) => members.iter().find(|(known, _)| *known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text that this is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Why a text is no JSON that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
pub enum Malformed {
    /// It ends within a value.
    #[error("JSON that ends too early")]
    CutShort,
    /// It breaks JSON's grammar.
    #[error("no JSON")]
    Syntax,
    /// More stands behind the value.
    #[error("more than one JSON value")]
    Trailing,
    /// An object has a member twice that the view reads.
    #[error("an object that says the same thing twice")]
    Twice,
    /// It is nested deeper than anything in FHIR.
    #[error("JSON that is nested too deep")]
    TooDeep,
    /// A view would read more values of it than a resource may have.
    #[error("more values than a resource may have")]
    TooMany,
}

/// What a text holds.
#[derive(Debug, PartialEq)]
pub enum Row<'a> {
    /// A resource of the wanted type.
    Wanted(Value<'a>),
    /// A resource of another type. Where that was plain from its beginning, the rest was not looked at.
    Other(Cow<'a, str>),
    /// JSON without a `resourceType`, or no object.
    Typeless,
}

/// Reads one resource, if it is of the wanted type.
///
/// # Errors
/// It is no JSON, or stands twice what may stand once.
pub fn read_row<'a>(text: &'a str, wanted: &str, names: &Names) -> Result<Row<'a>, Malformed> {
    let mut parser = Parser::new(text, 0, names);
    parser.space();
    if parser.bytes.get(parser.at) != Some(&b'{') {
        parser.skip(0)?;
        return parser.end().map(|()| Row::Typeless);
    }
    let mut other = None;
    let members = parser.object(0, &mut |name, value| {
        if let (Names::RESOURCE_TYPE, Value::Text(kind)) = (name, value)
            && kind != wanted
        {
            other = Some(kind.clone());
        }
        other.is_none()
    })?;
    if let Some(other) = other {
        return Ok(Row::Other(other));
    }
    parser.end()?;
    let value = Value::Object(members);
    Ok(if value.get(Names::RESOURCE_TYPE).is_some_and(|kind| kind.text().is_some()) {
        Row::Wanted(value)
    } else {
        Row::Typeless
    })
}

/// Reads one value.
///
/// # Errors
/// It is no JSON.
#[cfg(test)]
fn read<'a>(text: &'a str, names: &Names) -> Result<Value<'a>, Malformed> {
    let mut parser = Parser::new(text, 0, names);
    parser.space();
    let value = parser.value(0)?;
    parser.end().map(|()| value)
}

/// Tells each member of the object that begins at `at`: its name, and where its value stands, unread.
///
/// # Errors
/// It is no JSON, or no object.
pub fn members(text: &str, at: usize, tell: &mut dyn FnMut(&str, Range<usize>)) -> Result<(), Malformed> {
    let names = Names::default();
    let mut parser = Parser::new(text, at, &names);
    parser.space();
    if parser.peek()? != b'{' {
        return Err(Malformed::Syntax);
    }
    let mut more = parser.open(0, b'}')?;
    while more {
        let key = parser.string()?;
        parser.space();
        parser.expect(b':')?;
        let value = parser.extent()?;
        tell(&key, value);
        more = parser.more(b'}')?;
    }
    Ok(())
}

/// Where the elements of the array stand that begins at `at`, or nothing if it has more than `most`.
///
/// # Errors
/// It is no JSON, or no array.
pub fn elements(text: &str, at: usize, most: usize) -> Result<Option<Vec<Range<usize>>>, Malformed> {
    let names = Names::default();
    let mut parser = Parser::new(text, at, &names);
    let mut elements = Vec::new();
    if parser.peek()? != b'[' {
        return Err(Malformed::Syntax);
    }
    let mut more = parser.open(0, b']')?;
    while more {
        if elements.len() == most {
            return Ok(None);
        }
        elements.push(parser.extent()?);
        more = parser.more(b']')?;
    }
    Ok(Some(elements))
}

/// Where the next value stands at or behind `at`; nothing where only spaces are left.
///
/// # Errors
/// It is no JSON.
pub fn next_value(text: &str, at: usize) -> Result<Option<Range<usize>>, Malformed> {
    let names = Names::default();
    let mut parser = Parser::new(text, at, &names);
    parser.space();
    if parser.at == text.len() { Ok(None) } else { parser.extent().map(Some) }
}

struct Parser<'a, 'n> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    names: &'n Names,
    /// How many values were kept.
    kept: usize,
}

impl<'a, 'n> Parser<'a, 'n> {
    fn new(text: &'a str, at: usize, names: &'n Names) -> Self {
        Self { text, bytes: text.as_bytes(), at, names, kept: 0 }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, Malformed> {
        self.bytes.get(self.at).copied().ok_or(Malformed::CutShort)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek()? != byte {
            return Err(Malformed::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed::Trailing) }
    }

    /// Steps over spaces and a value; where that stands.
    fn extent(&mut self) -> Result<Range<usize>, Malformed> {
        self.space();
        let start = self.at;
        self.skip(0)?;
        Ok(start..self.at)
    }

    fn value(&mut self, depth: u8) -> Result<Value<'a>, Malformed> {
        self.kept += 1;
        if self.kept > limits::FHIR_RESOURCE_VALUES {
            return Err(Malformed::TooMany);
        }
        match self.peek()? {
            b'{' => self.object(depth, &mut |_, _| true).map(Value::Object),
            b'[' => self.array(depth).map(Value::Array),
            b'"' => self.string().map(Value::Text),
            b't' => self.word("true").map(|()| Value::Bool(true)),
            b'f' => self.word("false").map(|()| Value::Bool(false)),
            b'n' => self.word("null").map(|()| Value::Null),
            _ => self.number().map(Value::Number),
        }
    }

    /// Reads an object, as long as `go_on` wants more of it.
    fn object(
        &mut self,
        depth: u8,
        go_on: &mut dyn FnMut(Name, &Value<'a>) -> bool,
    ) -> Result<Vec<(Name, Value<'a>)>, Malformed> {
        let mut members: Vec<(Name, Value<'a>)> = Vec::new();
        if !self.open(depth, b'}')? {
            return Ok(members);
        }
        if depth == 0 {
            members.reserve(OF_RESOURCE);
        }
        loop {
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            self.space();
            match self.names.find(&key) {
                None => self.skip(depth + 1)?,
                Some(name) if members.iter().any(|(known, _)| *known == name) => return Err(Malformed::Twice),
                Some(name) => {
                    let value = self.value(depth + 1)?;
                    if !go_on(name, &value) {
                        return Ok(members);
                    }
                    members.push((name, value));
                }
            }
            if !self.more(b'}')? {
                return Ok(members);
            }
        }
    }

    fn array(&mut self, depth: u8) -> Result<Vec<Value<'a>>, Malformed> {
        let mut values = Vec::new();
        if !self.open(depth, b']')? {
            return Ok(values);
        }
        loop {
            values.push(self.value(depth + 1)?);
            if !self.more(b']')? {
                return Ok(values);
            }
        }
    }

    /// Steps into an object or array; whether there is anything in it.
    fn open(&mut self, depth: u8, close: u8) -> Result<bool, Malformed> {
        if depth >= DEPTH {
            return Err(Malformed::TooDeep);
        }
        self.at += 1;
        self.space();
        let empty = self.peek()? == close;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Steps over what follows an element; whether it is another.
    fn more(&mut self, close: u8) -> Result<bool, Malformed> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => self.space(),
            _ if byte == close => return Ok(false),
            _ => return Err(Malformed::Syntax),
        }
        Ok(true)
    }

    fn skip(&mut self, depth: u8) -> Result<(), Malformed> {
        let close = match self.peek()? {
            b'{' => b'}',
            b'[' => b']',
            b'"' => return self.skip_string(),
            b't' => return self.word("true"),
            b'f' => return self.word("false"),
            b'n' => return self.word("null"),
            _ => return self.number().map(drop),
        };
        if !self.open(depth, close)? {
            return Ok(());
        }
        loop {
            if close == b'}' {
                self.skip_string()?;
                self.space();
                self.expect(b':')?;
                self.space();
            }
            self.skip(depth + 1)?;
            if !self.more(close)? {
                return Ok(());
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(if word.as_bytes().starts_with(rest) { Malformed::CutShort } else { Malformed::Syntax })
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        self.at += usize::from(self.peek()? == b'-');
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(Malformed::Syntax),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek()?, b'+' | b'-'));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !self.peek()?.is_ascii_digit() {
            return Err(Malformed::Syntax);
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }
}

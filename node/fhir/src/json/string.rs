//! Strings of JSON: most hold no escape and are borrowed as they stand.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Malformed, Parser};

impl<'a> Parser<'a, '_> {
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let start = self.at;
        let escaped = self.scan()?;
        let inner = &self.text[start + 1..self.at - 1];
        if !escaped {
            return Ok(Cow::Borrowed(inner));
        }
        // Half of a pair of surrogates is the one thing that the scan lets pass.
        serde_json::from_str(&self.text[start..self.at]).map(Cow::Owned).map_err(|_| Malformed::Syntax)
    }

    pub(super) fn skip_string(&mut self) -> Result<(), Malformed> {
        self.scan().map(drop)
    }

    /// Steps over a string; whether it has escapes.
    fn scan(&mut self) -> Result<bool, Malformed> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            let rest = &self.bytes[self.at..];
            let length = quote_or_escape(rest).ok_or(Malformed::CutShort)?;
            if rest[..length].iter().fold(false, |control, byte| control | (*byte < b' ')) {
                return Err(Malformed::Syntax);
            }
            self.at += length + 1;
            if rest[length] == b'"' {
                return Ok(escaped);
            }
            escaped = true;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    if !self.peek()?.is_ascii_hexdigit() {
                        return Err(Malformed::Syntax);
                    }
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(Malformed::Syntax),
        }
    }
}

/// Where the next quote or backslash stands. Keys and codes are short: calling out for them costs more than looking.
fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 16;
    let near = bytes.iter().take(NEAR).position(|byte| matches!(byte, b'"' | b'\\'));
    near.or_else(|| memchr2(b'"', b'\\', bytes.get(NEAR..)?).map(|at| at + NEAR))
}

//! Strings of JSON: most hold no escape and are borrowed as they stand.

use std::borrow::Cow;

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
            let length = plain(rest);
            match rest.get(length) {
                None => return Err(Malformed::CutShort),
                Some(b'"') => {
                    self.at += length + 1;
                    return Ok(escaped);
                }
                Some(b'\\') => self.at += length + 1,
                Some(_) => return Err(Malformed::Syntax),
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

/// How many bytes stand before the next quote, backslash or control character: eight at a time, as Mycroft (1987) finds bytes in a word. The lowest that it finds
/// is one, and no higher one is asked for.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found =
            below(word, 0x20) | below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1);
        if found != 0 {
            return i * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plain_ends_where_the_first_other_byte_stands(bytes in proptest::collection::vec(prop_oneof![
            any::<u8>(), prop::sample::select(vec![b'"', b'\\', 0, 0x1f, 0x20, 0x80, 0xa2, 0xff]), Just(b'a'), Just(b'a')
        ], 0..40)) {
            let wanted = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len());
            prop_assert_eq!(plain(&bytes), wanted);
        }
    }
}

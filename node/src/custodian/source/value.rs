//! One text of a source read as one value. Strict: what is not clearly a value of the wanted type is none.

use std::collections::HashMap;

use bocage_protocol::contract::Code;
use bocage_protocol::front::dates;
use bocage_protocol::limits::EXACT_INT;
use foldhash::fast::FixedState;

/// A whole number of 64 bits, read digit by digit: no double lies in between. Digits with an optional sign; `63.0` counts as 63.
pub fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    whole.parse().ok()
}

/// A whole number from a double that has no fraction. Beyond 2^53 a double may stand for its neighbours too, so it is none.
pub fn int_of_float(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() <= EXACT_INT as f64).then_some(x as i64)
}

/// A finite number with a decimal point. Words such as `inf` are none.
pub fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    // Adding zero turns −0 into 0, so that equal numbers have equal bits.
    if plain { text.parse::<f64>().ok().filter(|x| x.is_finite()).map(|x| x + 0.0) } else { None }
}

/// A truth value.
pub fn bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, or of the date part of a datetime.
pub fn date(text: &str) -> Option<i32> {
    let text = text.trim();
    dates::parse_date(text).or_else(|| {
        dates::parse_datetime(text)?;
        dates::parse_date(text.get(..10)?)
    })
}

/// Milliseconds since 1970-01-01T00:00:00Z; without a zone the text is UTC.
pub fn datetime(text: &str) -> Option<i64> {
    dates::parse_datetime(text.trim())
}

/// The expression language's reading of source texts, one place for mapping and tests.
pub mod parse_as {
    pub use super::{bool, date, datetime, float};
}

/// A contract's codes by their text. The hash needs no secret: the keys are the contract's, and a source only looks them up.
pub struct CodeBook(HashMap<String, u32, FixedState>);

impl CodeBook {
    /// The book of these codes.
    pub fn new(codes: &[Code]) -> Self {
        Self(codes.iter().enumerate().map(|(i, c)| (c.code.clone(), i as u32)).collect())
    }

    /// The position of a code: its exact text, or, for codes that are whole numbers, the same number (`1.0` is `1`).
    pub fn position(&self, text: &str) -> Option<u32> {
        let text = text.trim();
        self.0.get(text).copied().or_else(|| self.number(int(text)?))
    }

    /// The position of a code that is a whole number.
    pub fn number(&self, code: i64) -> Option<u32> {
        self.0.get(&code.to_string()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_carry_zeros_behind_the_point_and_nothing_else() {
        assert_eq!(["63", " 63.0 ", "+63", "-63.", "-0"].map(int), [Some(63), Some(63), Some(63), Some(-63), Some(0)]);
        for bad in ["", "+", "6 3", "63.5", "6e1", "0x3f", "9223372036854775808", "99999999999999999999", ".0"] {
            assert_eq!(int(bad), None, "{bad}");
        }
    }

    #[test]
    fn wide_whole_numbers_are_exact_and_never_pass_through_a_double() {
        let wide = [9_007_199_254_740_993, i64::MAX, i64::MIN, -9_007_199_254_740_993];
        for i in wide {
            assert_eq!(int(&i.to_string()), Some(i));
            assert_eq!(int(&format!("{i}.00")), Some(i));
        }
        assert_eq!(
            [9e15, 9.1e15, f64::NAN, f64::INFINITY].map(int_of_float),
            [Some(9_000_000_000_000_000), None, None, None]
        );
        let code = |c: &str| Code { code: c.into(), label: String::new() };
        let snomed = CodeBook::new(&[code("900000000000207008"), code("900000000000207009")]);
        assert_eq!(snomed.position("900000000000207009.0"), Some(1));
        assert_eq!(snomed.position("900000000000207010"), None);
    }

    #[test]
    fn numbers_are_finite_and_written_with_a_point() {
        assert_eq!(["1.5", "1e3", "-.5", "5."].map(float), [Some(1.5), Some(1000.0), Some(-0.5), Some(5.0)]);
        assert_eq!(float("-0").map(f64::to_bits), Some(0));
        for bad in ["inf", "NaN", "1,5", "1e999", "", "e", "1_000"] {
            assert_eq!(float(bad), None, "{bad}");
        }
    }

    #[test]
    fn truth_values_and_dates_have_few_spellings() {
        assert_eq!(["TRUE", "no", "1", "0.0", "y"].map(bool), [Some(true), Some(false), Some(true), None, None]);
        assert_eq!(date("1970-01-03T23:59:00Z"), Some(2));
        assert_eq!(date("1970-01-03 nonsense"), None);
        assert_eq!(datetime("1970-01-01T00:00:00.250"), Some(250));
    }

    #[test]
    fn a_code_is_its_text_or_the_same_whole_number() {
        let code = |c: &str| Code { code: c.into(), label: String::new() };
        let book = CodeBook::new(&[code("1"), code("02"), code("A.0")]);
        assert_eq!(
            ["1", "1.0", "02", "2", "A.0", "A"].map(|t| book.position(t)),
            [Some(0), Some(0), Some(1), None, Some(2), None]
        );
    }
}

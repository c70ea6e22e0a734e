//! One text of a source read as one value. Strict: what is not clearly a value of the wanted type is none.

use std::collections::HashMap;

use bocage_protocol::contract::Code;
use bocage_protocol::front::dates;
use bocage_protocol::limits::EXACT_INT;
use foldhash::fast::FixedState;

/// Among days and moments of a source, one whose text would be none.
pub const NO_DAY: i32 = i32::MIN;
/// See [`NO_DAY`].
pub const NO_MOMENT: i64 = i64::MIN;

/// Digits that no whole number of 64 bits is too small for.
const FEW_DIGITS: usize = 18;
/// Digits of a whole number that a double holds exactly.
const EXACT_DIGITS: usize = 15;
/// Powers of ten that a double holds exactly, as far as they are needed.
const TENS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A text without the spaces around it; most have none.
pub fn trimmed(text: &str) -> &str {
    let plain = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_graphic);
    if plain(text.as_bytes().first()) && plain(text.as_bytes().last()) { text } else { text.trim() }
}

/// A whole number of 64 bits, read digit by digit: no double lies in between. Digits with an optional sign; `63.0` counts as 63.
pub fn int(text: &str) -> Option<i64> {
    let text = trimmed(text);
    if let Some(few) = few_digits(text.as_bytes()) {
        return Some(few);
    }
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

/// What most whole numbers are: few digits, and nothing else.
fn few_digits(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > FEW_DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(number * 10 + i64::from(digit))
    })
}

/// What most numbers are: few digits and a point. Where digits and power of ten are exact, so is their quotient but for its rounding (Clinger 1990).
fn few_decimals(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (mut digits, mut number, mut behind_point) = (0, 0u64, None);
    for byte in unsigned {
        match byte {
            b'0'..=b'9' if digits < EXACT_DIGITS => {
                digits += 1;
                number = number * 10 + u64::from(byte - b'0');
                behind_point = behind_point.map(|behind: usize| behind + 1);
            }
            b'.' if behind_point.is_none() => behind_point = Some(0),
            _ => return None,
        }
    }
    let size = number as f64 / TENS[behind_point.unwrap_or(0)];
    (digits > 0).then_some(if unsigned.len() < text.len() { -size } else { size })
}

/// A whole number from a double that has no fraction. Beyond 2^53 a double may stand for its neighbours too, so it is none.
pub fn int_of_float(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() <= EXACT_INT as f64).then_some(x as i64)
}

/// A number, where it is finite.
pub fn finite(x: f64) -> Option<f64> {
    // Adding zero turns −0 into 0, so that equal numbers have equal bits.
    x.is_finite().then_some(x + 0.0)
}

/// A finite number with a decimal point. Words such as `inf` are none.
pub fn float(text: &str) -> Option<f64> {
    let text = trimmed(text);
    if let Some(few) = few_decimals(text.as_bytes()) {
        return finite(few);
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { text.parse().ok().and_then(finite) } else { None }
}

/// A truth value.
pub fn bool(text: &str) -> Option<bool> {
    match trimmed(text).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, or of the date part of a datetime.
pub fn date(text: &str) -> Option<i32> {
    let text = trimmed(text);
    dates::parse_date(text).or_else(|| {
        dates::parse_datetime(text)?;
        dates::parse_date(text.get(..10)?)
    })
}

/// Milliseconds since 1970-01-01T00:00:00Z; without a zone the text is UTC.
pub fn datetime(text: &str) -> Option<i64> {
    dates::parse_datetime(trimmed(text))
}

/// The expression language's reading of source texts, one place for mapping and tests.
pub mod parse_as {
    pub use super::{bool, date, datetime, float};
}

/// A contract's codes by their text, and those that are whole numbers by these. The hash needs no secret: the keys are the contract's, and a source only
/// looks them up.
pub struct CodeBook {
    texts: HashMap<String, u32, FixedState>,
    numbers: HashMap<i64, u32, FixedState>,
}

impl CodeBook {
    /// The book of these codes.
    pub fn new(codes: &[Code]) -> Self {
        let texts: HashMap<String, u32, FixedState> =
            codes.iter().enumerate().map(|(i, c)| (c.code.clone(), i as u32)).collect();
        let number = |code: &str| code.parse::<i64>().ok().filter(|number| number.to_string() == code);
        let numbers = texts.iter().filter_map(|(code, i)| Some((number(code)?, *i))).collect();
        Self { texts, numbers }
    }

    /// The position of a code: its exact text, or, for codes that are whole numbers, the same number (`1.0` is `1`).
    pub fn position(&self, text: &str) -> Option<u32> {
        let text = trimmed(text);
        self.texts.get(text).copied().or_else(|| self.number(int(text)?))
    }

    /// The position of a code that is a whole number.
    pub fn number(&self, code: i64) -> Option<u32> {
        self.numbers.get(&code).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_short_way_to_a_number_leads_where_the_long_one_does(text in "-?[0-9]{0,17}[.]?[0-9]{0,17}", sign in "[+-]?") {
            let text = format!("{sign}{text}");
            let long = text.parse::<f64>().ok().map(|x| (x + 0.0).to_bits());
            proptest::prop_assert_eq!(float(&text).map(f64::to_bits), long);
            let digits = text.split_once('.').map_or(Some(text.as_str()), |(whole, behind)| behind.bytes().all(|b| b == b'0').then_some(whole));
            proptest::prop_assert_eq!(int(&text), digits.and_then(|digits| digits.parse().ok()));
        }
    }

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

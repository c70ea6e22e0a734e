//! How the page writes numbers: as many digits as tell something, thousands apart, a true minus. The files beside the page have every digit.

use crate::report::short_number;

/// A chance below this is not told from others below it.
const LEAST_CHANCE: f64 = 0.001;

/// With at most six significant digits.
pub(super) fn number(x: f64) -> String {
    written(&short_number(x))
}

/// With at most four significant digits, for a picture; whole numbers that are not too long as they are.
pub(super) fn brief(x: f64) -> String {
    let text = if x.fract() == 0.0 && x.abs() < 1e9 { number(x) } else { significant(x, 4) };
    let fraction = text.contains('.') && !text.contains('×');
    if fraction { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A count.
pub(super) fn count(n: u64) -> String {
    written(&n.to_string())
}

/// A chance.
pub(super) fn chance(p: f64) -> String {
    match p {
        p if p < LEAST_CHANCE => format!("<{LEAST_CHANCE}"),
        p if p > 1.0 - LEAST_CHANCE && p < 1.0 => format!(">{}", 1.0 - LEAST_CHANCE),
        p => fixed(p, 3),
    }
}

/// Numbers of one axis, which are this far apart.
pub(super) fn at_step(x: f64, step: f64, most: f64) -> String {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    if (1e-4..1e6).contains(&most) {
        return fixed(x, decimals);
    }
    if x == 0.0 {
        return "0".to_owned();
    }
    let digits = (x.abs().log10().floor() - step.log10().floor()).max(0.0) as usize;
    written(&format!("{x:.digits$e}"))
}

/// A number and its interval, with as many decimals as tell the ends apart. Ratios may lie far from each other, and have digits of their own.
pub(super) fn with_interval(x: Option<f64>, ends: Option<(f64, f64)>, ratio: bool) -> String {
    let Some((lo, hi)) = ends else { return x.map_or_else(|| "–".to_owned(), |x| significant(x, 3)) };
    let apart = if hi > lo { decimals(hi - lo, 2) } else { 0 };
    let largest = [Some(lo), Some(hi), x].into_iter().flatten().fold(0.0, |most: f64, x| most.max(x.abs()));
    let one = |x: f64| match (1e-3..1e6).contains(&largest) {
        false => significant(x, 3),
        true if ratio && x != 0.0 => fixed(x, apart.max(decimals(x, 3)).min(6)),
        true => fixed(x, apart.max(decimals(largest, 3)).min(6)),
    };
    format!("{} ({} to {})", x.map_or_else(|| "–".to_owned(), one), one(lo), one(hi))
}

fn significant(x: f64, digits: usize) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => fixed(x, decimals(x, digits)),
        _ => written(&format!("{x:.*e}", digits - 1)),
    }
}

/// Behind the point, for so many significant digits.
fn decimals(x: f64, digits: usize) -> usize {
    (digits as f64 - 1.0 - x.abs().log10().floor()).clamp(0.0, 300.0) as usize
}

fn fixed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    // What is rounded to nothing has no sign.
    let none = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    written(if none { text.trim_start_matches('-') } else { &text })
}

/// `-12345.6` as `−12 345.6`, `1.50000e-9` as `1.5 × 10⁻⁹`. Four digits stay together: they may be a year.
fn written(plain: &str) -> String {
    let (mantissa, exponent) = plain.split_once('e').map_or((plain, None), |(m, e)| (m, Some(e)));
    let mantissa = match exponent {
        Some(_) if mantissa.contains('.') => mantissa.trim_end_matches('0').trim_end_matches('.'),
        _ => mantissa,
    };
    let digits = mantissa.trim_start_matches('-');
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = if mantissa.starts_with('-') { "−".to_owned() } else { String::new() };
    for (at, digit) in whole.char_indices() {
        if at > 0 && whole.len() > 4 && (whole.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out.push_str(rest);
    if let Some(exponent) = exponent {
        out.push_str(" × 10");
        out.extend(exponent.chars().map(raised));
    }
    out
}

fn raised(digit: char) -> char {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    digit.to_digit(10).and_then(|digit| digits.get(digit as usize)).copied().unwrap_or('⁻')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_six_digits_its_thousands_apart_and_powers_of_ten_where_it_is_far_from_one() {
        let cases = [
            (0.0, "0"),
            (303.0, "303"),
            (2012.0, "2012"),
            (-14_426.25, "−14\u{202f}426.2"),
            (1e12, "1\u{202f}000\u{202f}000\u{202f}000\u{202f}000"),
            (1e-9, "1 × 10⁻⁹"),
            (-1.5e20, "−1.5 × 10²⁰"),
            (1.0 / 3.0, "0.333333"),
        ];
        for (x, wanted) in cases {
            assert_eq!(number(x), wanted);
        }
        assert_eq!([count(999), count(53_888_472)], ["999", "53\u{202f}888\u{202f}472"]);
        assert_eq!([132.517, 0.494_354, 0.8, 920.0, 1e-9].map(brief), ["132.5", "0.4944", "0.8", "920", "1 × 10⁻⁹"]);
    }

    #[test]
    fn a_chance_is_never_nothing_nor_more_digits_than_it_has() {
        let cases = [(0.0, "<0.001"), (1.56e-287, "<0.001"), (0.001, "0.001"), (0.368_791, "0.369"), (1.0, "1.000")];
        for (p, wanted) in cases {
            assert_eq!(chance(p), wanted);
        }
        assert_eq!(chance(0.9999), ">0.999");
    }

    #[test]
    fn an_interval_has_the_decimals_that_tell_its_ends_apart() {
        let said = |x, lo, hi, ratio| with_interval(Some(x), Some((lo, hi)), ratio);
        assert_eq!(said(127.132, 126.768, 127.495, false), "127.13 (126.77 to 127.50)");
        assert_eq!(said(0.425_29, 0.402_58, 0.448_01, false), "0.425 (0.403 to 0.448)");
        assert_eq!(said(0.000_019, -0.0275, 0.0275, false), "0.0000 (−0.0275 to 0.0275)");
        assert_eq!(said(1.042, 1.0398, 1.0445, true), "1.0420 (1.0398 to 1.0445)");
        assert_eq!(said(0.05, 0.001_23, 30.0, true), "0.0500 (0.00123 to 30.0)");
        assert_eq!(said(1e12, 0.9e12, 1.1e12, false), "1 × 10¹² (9 × 10¹¹ to 1.1 × 10¹²)");
        assert_eq!(said(2e-9, -1e-9, 5e-9, false), "2 × 10⁻⁹ (−1 × 10⁻⁹ to 5 × 10⁻⁹)");
        assert_eq!(with_interval(None, Some((1.0, 1.0)), false), "– (1.00 to 1.00)");
        assert_eq!(with_interval(Some(-0.0999), None, false), "−0.0999");
        assert_eq!(with_interval(None, None, false), "–");
    }

    #[test]
    fn an_axis_has_as_many_digits_as_its_step() {
        assert_eq!([0.0, 0.25].map(|x| at_step(x, 0.05, 0.5)), ["0.00", "0.25"]);
        assert_eq!([0.0, 2e11, 1e12].map(|x| at_step(x, 2e11, 1e12)), ["0", "2 × 10¹¹", "1 × 10¹²"]);
        assert_eq!([-1e-9, 0.5e-9].map(|x| at_step(x, 0.5e-9, 1e-9)), ["−1 × 10⁻⁹", "5 × 10⁻¹⁰"]);
        assert_eq!(at_step(20_000.0, 5000.0, 21_000.0), "20\u{202f}000");
    }
}

//! Ends of ranges: rounded outward, and never a value that few have.

use bocage_protocol::front::dates::date_text;

/// Which end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The lower.
    Low,
    /// The upper.
    High,
}

/// An end of a range that holds `x`, the outermost value of the data: outward to two digits. Where that is `x` itself and few have it, outward to the
/// next value of one digit; or to 0, if that is on the way, which says nothing of anybody since every such range ends there.
pub fn outward(x: f64, end: End, rare: bool) -> f64 {
    let rounded = digits(x, end, 2, false);
    if rounded != x || !rare {
        return rounded;
    }
    let zero_on_the_way = if end == End::Low { x >= 0.0 } else { x <= 0.0 };
    if zero_on_the_way { 0.0 } else { digits(x, end, 1, true) }
}

/// `x` outward to so many digits; `beyond` it, where it has no more than those.
fn digits(x: f64, end: End, digits: usize, beyond: bool) -> f64 {
    if x == 0.0 {
        return x;
    }
    if x < 0.0 {
        return -self::digits(-x, if end == End::Low { End::High } else { End::Low }, digits, beyond);
    }
    // Decimal all the way, so that 0.1 stays 0.1.
    let text = format!("{x:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa: i64 = mantissa.replace('.', "").parse().unwrap_or(1);
    let exponent = exponent.parse::<i64>().unwrap_or(0) - (digits as i64 - 1);
    let value = |mantissa: i64| format!("{mantissa}e{exponent}").parse::<f64>().unwrap_or(x);
    let nearest = value(mantissa);
    match end {
        End::High if nearest < x || (beyond && nearest == x) => value(mantissa + 1),
        End::Low if nearest > x || (beyond && nearest == x) => value(mantissa - 1),
        _ => nearest,
    }
}

/// The first and the last day of the decades that hold two days: no patient's year of birth shows in it.
pub fn decades(first: i32, last: i32) -> (String, String) {
    let decade = |day: i32| {
        let text = date_text(day);
        text.split('-').next().and_then(|year| year.parse::<u32>().ok()).unwrap_or(1970) / 10 * 10
    };
    (format!("{:04}-01-01", decade(first)), format!("{:04}-12-31", decade(last) + 9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_range_are_rounded_outward_to_two_digits() {
        let high = [(564.0, 570.0), (0.123, 0.13), (6.2, 6.2), (0.1, 0.1), (-2.64, -2.6), (999.0, 1000.0), (0.0, 0.0)];
        for (x, wanted) in high {
            assert_eq!(outward(x, End::High, false), wanted, "{x}");
        }
        for (x, wanted) in [(126.0, 120.0), (-2.64, -2.7), (0.0, 0.0), (1e-7, 1e-7), (9_007_199.0, 9_000_000.0)] {
            assert_eq!(outward(x, End::Low, false), wanted, "{x}");
        }
    }

    #[test]
    fn an_end_that_few_have_is_never_written() {
        for (x, wanted) in
            [(97.0, 100.0), (90.0, 100.0), (6.2, 7.0), (9.0, 10.0), (564.0, 570.0), (-2.6, 0.0), (0.5, 0.6)]
        {
            assert_eq!(outward(x, End::High, true), wanted, "{x}");
        }
        for (x, wanted) in [(29.0, 0.0), (126.0, 120.0), (-2.6, -3.0), (-90.0, -100.0), (0.0, 0.0)] {
            assert_eq!(outward(x, End::Low, true), wanted, "{x}");
        }
    }

    #[test]
    fn dates_are_rounded_to_decades() {
        let day = |text| bocage_protocol::front::dates::parse_date(text).unwrap();
        assert_eq!(decades(day("1931-05-05"), day("2024-02-29")), ("1930-01-01".into(), "2029-12-31".into()));
        assert_eq!(decades(day("1940-01-01"), day("1940-01-01")), ("1940-01-01".into(), "1949-12-31".into()));
    }
}

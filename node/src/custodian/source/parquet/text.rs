//! One Parquet value as text: every digit of it, in the form that the readers of CSV values take. Written into one buffer, which is
//! used for every value of a column.

use std::fmt::Write as _;

use ::parquet::data_type::Int96;
use bocage_protocol::limits::EXACT_INT;

use super::schema::{Form, Unit};

/// The Julian day of 1970-01-01, from which INT96 counts.
const JULIAN_EPOCH: i64 = 2_440_588;
const DAY_SECS: i64 = 86_400;

// Writing into a `String` cannot fail, so the results of `write!` are dropped.

/// A value of 32 bits.
pub(super) fn int32(out: &mut String, form: Form, value: i32) {
    match form {
        Form::Unsigned => drop(write!(out, "{}", value as u32)),
        Form::Date => date(out, i64::from(value)),
        _ => int64(out, form, i64::from(value)),
    }
}

/// A value of 64 bits.
pub(super) fn int64(out: &mut String, form: Form, value: i64) {
    match form {
        Form::Unsigned => drop(write!(out, "{}", value as u64)),
        Form::Decimal(scale) => decimal(out, i128::from(value), scale),
        Form::Time(unit) => clock(out, unit, value),
        Form::Timestamp { unit, utc } => {
            let per_day = DAY_SECS * 10i64.pow(unit as u32);
            date(out, value.div_euclid(per_day));
            out.push('T');
            clock(out, unit, value.rem_euclid(per_day));
            if utc {
                out.push('Z');
            }
        }
        _ => drop(write!(out, "{value}")),
    }
}

/// Nanoseconds of a day and a Julian day. Who wrote it meant UTC or the clock on the wall; the file does not say.
pub(super) fn int96(out: &mut String, value: &Int96) {
    let &[low, high, day] = value.data() else { return };
    let nanos = (i64::from(high) << 32) | i64::from(low);
    let per_day = DAY_SECS * 1_000_000_000;
    date(out, i64::from(day as i32) - JULIAN_EPOCH + nanos.div_euclid(per_day));
    out.push('T');
    clock(out, Unit::Nanos, nanos.rem_euclid(per_day));
}

/// Whether a double stands for no whole number but one.
pub(super) fn double_stands_alone(value: f64) -> bool {
    value.is_nan() || value.abs() <= EXACT_INT as f64
}

/// As [`double_stands_alone`], with the bound of 24 bits.
pub(super) fn float_stands_alone(value: f32) -> bool {
    value.is_nan() || value.abs() < (1u32 << 24) as f32
}

/// The shortest text that is this number. Beyond 2^53, where a double may stand for its neighbours too, the text has an exponent, and so is
/// no whole number to any reader.
pub(in crate::custodian::source) fn double(out: &mut String, value: f64) {
    let plain = value == 0.0 || (1e-5..=EXACT_INT as f64).contains(&value.abs()) || !value.is_finite();
    let _ = if plain { write!(out, "{value}") } else { write!(out, "{value:e}") };
}

/// As [`double`], with the bound of 24 bits.
pub(super) fn float(out: &mut String, value: f32) {
    let exact = (1i32 << 24) - 1;
    let plain = value == 0.0 || (1e-5..=exact as f32).contains(&value.abs()) || !value.is_finite();
    let _ = if plain { write!(out, "{value}") } else { write!(out, "{value:e}") };
}

/// A float of 16 bits: sign, five of exponent, ten of fraction (IEEE 754).
pub(super) fn half(out: &mut String, bytes: [u8; 2]) {
    let bits = u16::from_le_bytes(bytes);
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (fraction / 1024.0 + 1.0) * 2f32.powi(exponent - 15),
    };
    float(out, if bits >> 15 == 1 { -size } else { size });
}

/// A decimal with all the digits behind the point that its column has.
pub(super) fn decimal(out: &mut String, unscaled: i128, scale: usize) {
    if unscaled < 0 {
        out.push('-');
    }
    let _ = write!(out, "{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    if scale > 0 {
        out.insert(out.len() - scale, '.');
    }
}

/// A whole number of two's complement bytes, the highest first, if it has 128 bits.
pub(super) fn unscaled(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first()? >> 7 == 1;
    let sign = if negative { 0xff } else { 0 };
    let (above, low) = bytes.split_at(bytes.len().saturating_sub(16));
    let fits = above.is_empty() || (above.iter().all(|b| *b == sign) && (low[0] >> 7 == 1) == negative);
    let mut wide = [sign; 16];
    wide[16 - low.len()..].copy_from_slice(low);
    fits.then(|| i128::from_be_bytes(wide))
}

/// A UUID as it is usually written.
pub(super) fn uuid(out: &mut String, bytes: &[u8]) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
}

/// `YYYY-MM-DD` of days since 1970-01-01. A year of more than four digits, or before 0, has a sign.
fn date(out: &mut String, days: i64) {
    // Hinnant (2013), `civil_from_days`: years begin in March, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let _ = match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        _ => write!(out, "{year:+05}-{month:02}-{day:02}"),
    };
}

/// `hh:mm:ss` of a time since midnight, with digits behind the point where there are any.
fn clock(out: &mut String, unit: Unit, since_midnight: i64) {
    let per_second = 10i64.pow(unit as u32);
    let (seconds, part) = (since_midnight.div_euclid(per_second), since_midnight.rem_euclid(per_second));
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if part != 0 {
        let _ = write!(out, ".{part:0width$}", width = unit as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bocage_protocol::front::dates;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn decimals_keep_every_digit() {
        let cases = [(0, 0, "0"), (-5, 0, "-5"), (5, 2, "0.05"), (-123_456, 3, "-123.456"), (100, 2, "1.00")];
        for (value, scale, wanted) in cases {
            assert_eq!(written(|out| decimal(out, value, scale)), wanted);
        }
        let wide = written(|out| decimal(out, 10i128.pow(38) - 1, 38));
        assert_eq!(wide, format!("0.{}", "9".repeat(38)));
    }

    #[test]
    fn bytes_are_whole_numbers_of_any_width_that_fits_128_bits() {
        assert_eq!(unscaled(&[0xff]), Some(-1));
        assert_eq!(unscaled(&[0x00, 0xff]), Some(255));
        assert_eq!(unscaled(&i128::MIN.to_be_bytes()), Some(i128::MIN));
        assert_eq!(unscaled(&[&[0xff; 16][..], &[0xfe; 1]].concat()), Some(-2));
        assert_eq!(unscaled(&[&[0x00][..], &[0xff; 16]].concat()), None, "above 2^127");
        assert_eq!(unscaled(&[]), None);
    }

    #[test]
    fn a_float_of_16_bits_is_the_number_that_it_stands_for() {
        let cases =
            [(0x3c00u16, "1"), (0xc000, "-2"), (0x7bff, "65504"), (0x7c00, "inf"), (0x7e00, "NaN"), (0x8000, "-0")];
        for (bits, wanted) in cases {
            assert_eq!(written(|out| half(out, bits.to_le_bytes())), wanted);
        }
        assert_eq!(written(|out| half(out, 1u16.to_le_bytes())).parse(), Ok(2f32.powi(-24)));
    }

    #[test]
    fn a_double_that_may_stand_for_several_whole_numbers_is_written_as_none() {
        assert_eq!(written(|out| double(out, 9_007_199_254_740_991.0)), "9007199254740991");
        assert_eq!(written(|out| double(out, 9_007_199_254_740_992.0)), "9.007199254740992e15");
        assert_eq!(written(|out| float(out, 16_777_215.0)), "16777215");
        assert_eq!(written(|out| float(out, 16_777_216.0)), "1.6777216e7");
        assert_eq!(written(|out| float(out, 0.1)), "0.1");
    }

    proptest! {
        #[test]
        fn every_date_and_time_is_read_back_as_itself(days in -719_162i32..=2_932_896, ms in any::<i32>(), part in 0i64..1_000_000) {
            prop_assert_eq!(written(|out| date(out, i64::from(days))), dates::date_text(days));
            let ms = i64::from(ms) * 977 + i64::from(days);
            for (unit, value) in [(Unit::Millis, ms), (Unit::Micros, ms * 1000 + part / 1000), (Unit::Nanos, ms * 1_000_000 + part)] {
                for utc in [false, true] {
                    let text = written(|out| int64(out, Form::Timestamp { unit, utc }, value));
                    prop_assert_eq!(dates::parse_datetime(&text), Some(ms), "{}", text);
                }
            }
        }

        #[test]
        fn every_number_is_read_back_as_itself(bits in any::<u64>(), whole in any::<i64>()) {
            let x = f64::from_bits(bits);
            if x.is_finite() {
                prop_assert_eq!(written(|out| double(out, x)).parse::<f64>().map(f64::to_bits), Ok(bits));
            }
            let x = f32::from_bits(bits as u32);
            if x.is_finite() {
                prop_assert_eq!(written(|out| float(out, x)).parse::<f32>().map(f32::to_bits), Ok(bits as u32));
            }
            prop_assert_eq!(written(|out| int64(out, Form::Plain, whole)).parse(), Ok(whole));
            prop_assert_eq!(written(|out| int64(out, Form::Unsigned, bits as i64)).parse(), Ok(bits));
        }
    }

    #[test]
    fn no_value_is_beyond_the_calendar() {
        for value in [i64::MIN, i64::MAX] {
            for unit in [Unit::Millis, Unit::Micros, Unit::Nanos] {
                assert!(!written(|out| int64(out, Form::Timestamp { unit, utc: true }, value)).is_empty());
                assert!(!written(|out| int64(out, Form::Time(unit), value)).is_empty());
            }
        }
        let extreme = |low, high, day| {
            let mut value = Int96::new();
            value.set_data(low, high, day);
            written(|out| int96(out, &value))
        };
        assert_eq!(extreme(0, 0, 2_440_588), "1970-01-01T00:00:00");
        assert_eq!(extreme(1, 0, 2_440_587), "1969-12-31T00:00:00.000000001");
        assert!(!extreme(u32::MAX, u32::MAX, u32::MAX).is_empty());
        assert_eq!(written(|out| date(out, 2_932_897)), "+10000-01-01");
        assert_eq!(written(|out| date(out, -719_529)), "-0001-12-31");
    }
}

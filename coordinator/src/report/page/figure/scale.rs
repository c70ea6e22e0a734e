//! Where numbers stand on an axis, linear or logarithmic, and which of them are written beside it.

use crate::report::page::number::{at_step, number};

/// About how many numbers are written at an axis.
const TICKS: f64 = 6.0;

/// An axis between two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    log: bool,
    lo: f64,
    hi: f64,
    from: i32,
    to: i32,
}

impl Scale {
    /// From `lo` at the first pixel to `hi` at the second, with some room on both sides. A logarithmic one begins above 0.
    pub(super) fn roomy((lo, hi): (f64, f64), log: bool, pixels: (i32, i32)) -> Self {
        let (lo, hi) = if log { (lo.ln(), hi.ln()) } else { (lo, hi) };
        let room = match hi - lo {
            apart if apart > 0.0 => apart * 0.05,
            _ if log || lo == 0.0 => 0.1,
            _ => lo.abs() * 0.1,
        };
        Self { log, lo: lo - room, hi: hi + room, from: pixels.0, to: pixels.1 }
    }

    /// From 0 at the first pixel to `hi` at the second.
    pub(super) fn from_zero(hi: f64, pixels: (i32, i32)) -> Self {
        Self { log: false, lo: 0.0, hi: if hi > 0.0 { hi } else { 1.0 }, from: pixels.0, to: pixels.1 }
    }

    /// The pixel of a number; the end of the axis where it lies beyond.
    pub(super) fn at(&self, x: f64) -> i32 {
        let x = if self.log { x.max(f64::MIN_POSITIVE).ln() } else { x };
        let share = ((x - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0);
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }

    /// Round numbers on it, with how they are written.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let (lo, hi) = if self.log { (self.lo.exp(), self.hi.exp()) } else { (self.lo, self.hi) };
        let powers = if self.log { of_powers(lo, hi) } else { Vec::new() };
        if powers.len() >= 3 {
            return powers.into_iter().map(|x| (x, number(x))).collect();
        }
        let step = step((hi - lo) / TICKS);
        let (first, last) = ((lo / step).ceil() as i64, (hi / step).floor() as i64);
        let most = lo.abs().max(hi.abs());
        (first..=last).map(|n| n as f64 * step).map(|x| (x, at_step(x, step, most))).collect()
    }
}

/// 1, 2 or 5 times a power of ten that is at least so large.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// 1, 2 and 5 times powers of ten, or only the powers where those are enough.
fn of_powers(lo: f64, hi: f64) -> Vec<f64> {
    let exponents = (lo.log10().floor() as i32)..=(hi.log10().ceil() as i32);
    let times: &[f64] = if (hi / lo).log10() > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all = exponents.flat_map(|exponent| {
        times.iter().map(move |times| {
            // Division keeps 0.2 from being 0.2 and a bit.
            if exponent < 0 { times / 10f64.powi(-exponent) } else { times * 10f64.powi(exponent) }
        })
    });
    all.filter(|x| (lo..=hi).contains(x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn round_numbers_are_written_at_an_axis() {
        assert_eq!(written(Scale::from_zero(303.0, (0, 400))), ["0", "100", "200", "300"]);
        assert_eq!(written(Scale::roomy((-0.31, 0.42), false, (0, 400))), ["−0.2", "0.0", "0.2", "0.4"]);
        assert_eq!(written(Scale::roomy((0.2, 4.0), true, (0, 400))), ["0.2", "0.5", "1", "2"]);
        assert_eq!(
            written(Scale::roomy((0.96, 1.06), true, (0, 400))),
            ["0.96", "0.98", "1.00", "1.02", "1.04", "1.06"]
        );
        assert_eq!(
            written(Scale::roomy((1e-3, 1e3), true, (0, 400))),
            ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]
        );
    }

    #[test]
    fn a_number_stands_in_its_place_and_one_beyond_the_axis_at_its_end() {
        let scale = Scale::from_zero(100.0, (10, 110));
        assert_eq!([0.0, 25.0, 100.0, 400.0, -3.0].map(|x| scale.at(x)), [10, 35, 110, 110, 10]);
        let ratios = Scale::roomy((0.5, 2.0), true, (0, 200));
        assert_eq!(ratios.at(1.0), 100, "no difference is in the middle of a half and twice");
        for alone in [3.0, 0.0, -1e12, 1e-9] {
            let scale = Scale::roomy((alone, alone), false, (0, 100));
            assert_eq!(scale.at(alone), 50, "one number alone");
            assert!(scale.ticks().len() > 1, "{alone}");
        }
    }
}

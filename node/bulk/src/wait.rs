//! How long to wait: what a server asks for in `Retry-After`, or ever longer where it asks for nothing.

use std::time::UNIX_EPOCH;

use bocage_protocol::env::{Entropy, Timestamp};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The first wait where nobody says how long.
const FIRST_MS: u64 = 1000;
/// The longest of those.
const LONGEST_MS: u64 = 300_000;

/// What `Retry-After` says, in seconds from `now`: a number of seconds, or a date. One second at least; none where there is none or it cannot be read.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let secs = match text.parse::<u64>() {
        Ok(secs) => i64::try_from(secs).unwrap_or(i64::MAX),
        // More digits than a number has are a number all the same.
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => i64::MAX,
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
            let ms = Timestamp(i64::try_from(date.as_millis()).unwrap_or(i64::MAX)).since_ms(now);
            ms.saturating_add(999) / 1000
        }
    };
    Some(secs.max(1))
}

/// The wait before repetition `again`, from 1 on, in milliseconds: doubled each time, and drawn from its upper half, so that clients do not come back
/// all at once.
pub(crate) fn back_off(again: u32, entropy: &mut dyn Entropy) -> u64 {
    let whole = FIRST_MS.saturating_mul(1 << again.saturating_sub(1).min(20)).min(LONGEST_MS);
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    whole / 2 + u64::from(u32::from_le_bytes(bytes)) * (whole / 2) / u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);
    impl Entropy for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_less_than_a_second() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = Timestamp(784_111_777_000);
        let said = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(said("120"), Some(120));
        assert_eq!(said("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!((said("0"), said("Sun, 06 Nov 1994 08:00:00 GMT")), (Some(1), Some(1)));
        assert_eq!(said("99999999999999999999999"), Some(i64::MAX));
        assert_eq!((said("-5"), said("soon"), said(""), retry_after(&HeaderMap::new(), now)), (None, None, None, None));
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread_over_their_upper_half() {
        assert_eq!((back_off(1, &mut Fixed(0)), back_off(1, &mut Fixed(255))), (500, 1000));
        assert_eq!((back_off(4, &mut Fixed(0)), back_off(4, &mut Fixed(255))), (4000, 8000));
        assert_eq!(back_off(u32::MAX, &mut Fixed(255)), LONGEST_MS);
    }
}

//! One column of a survey, value after value, in bounded memory.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use bocage_protocol::front::dates::parse_date;
use bocage_protocol::limits::{EXACT_INT, KEY_BYTES};

use super::super::value;
use super::Seems;
use super::round::{End, decades, outward};

/// Different values of a column that may still be codes: more than a person would label.
const CODES: usize = 200;
/// Different whole numbers that may still be codes.
const NUMBERED_CODES: usize = 10;
/// Rows from which on a column without a repeated value is taken for an identifier.
const IDENTIFIERS_FROM: u64 = 50;
/// Different values that are remembered to tell whether one comes again.
const REMEMBERED: usize = 1 << 20;

const DAY_MS: i64 = 86_400_000;

/// Whose a row is, if it is anybody's.
pub type Holder = Option<u64>;

/// Who has something: only whether there are k of them.
struct Holders {
    k: usize,
    known: HashSet<u64>,
}

impl Holders {
    fn new(k: u32) -> Self {
        Self { k: k as usize, known: HashSet::new() }
    }

    fn add(&mut self, holder: Holder) {
        if self.known.len() < self.k {
            self.known.extend(holder);
        }
    }

    fn enough(&self) -> bool {
        self.known.len() >= self.k
    }
}

/// The outermost values of one reading of a column, and who has them.
struct Span<T> {
    lo: (T, Holders),
    hi: (T, Holders),
}

impl<T: PartialOrd + Copy> Span<T> {
    /// `span` with one more value.
    fn with(span: Option<Self>, x: T, holder: Holder, k: u32) -> Self {
        let mut span = span.unwrap_or_else(|| Self { lo: (x, Holders::new(k)), hi: (x, Holders::new(k)) });
        if x < span.lo.0 {
            span.lo = (x, Holders::new(k));
        }
        if x > span.hi.0 {
            span.hi = (x, Holders::new(k));
        }
        for end in [&mut span.lo, &mut span.hi] {
            if end.0 == x {
                end.1.add(holder);
            }
        }
        span
    }
}

/// A reading of all values so far: none were seen, all have it, or one has not.
enum Reading<T> {
    Unseen,
    All(Span<T>),
    No,
}

impl<T: PartialOrd + Copy> Reading<T> {
    fn see(&mut self, x: Option<T>, holder: Holder, k: u32) {
        let before = std::mem::replace(self, Reading::No);
        *self = match (before, x) {
            (Reading::Unseen, Some(x)) => Reading::All(Span::with(None, x, holder, k)),
            (Reading::All(span), Some(x)) => Reading::All(Span::with(Some(span), x, holder, k)),
            _ => Reading::No,
        };
    }
}

/// A column as far as it was read.
pub struct Watch {
    k: u32,
    gaps: bool,
    values: u64,
    holders: Holders,
    ints: Reading<i64>,
    floats: Reading<f64>,
    dates: Reading<i32>,
    datetimes: Reading<i64>,
    midnight: bool,
    truths: bool,
    /// Who has which value, while there are few.
    codes: Option<HashMap<String, Holders>>,
    /// Digests of all values, while none came again.
    different: Option<HashSet<u64>>,
    hasher: RandomState,
}

impl Watch {
    /// A column of which nothing was read.
    pub fn new(k: u32) -> Self {
        Self {
            k,
            gaps: false,
            values: 0,
            holders: Holders::new(k),
            ints: Reading::Unseen,
            floats: Reading::Unseen,
            dates: Reading::Unseen,
            datetimes: Reading::Unseen,
            midnight: true,
            truths: true,
            codes: Some(HashMap::new()),
            different: Some(HashSet::new()),
            hasher: RandomState::new(),
        }
    }

    /// Looks at a row's value.
    pub fn see(&mut self, text: Option<&str>, holder: Holder) {
        let Some(text) = text else {
            self.gaps = true;
            return;
        };
        let k = self.k;
        self.values += 1;
        self.holders.add(holder);
        // Of `007` the zeros would be lost.
        let padded = text.len() > 1 && text.starts_with('0') && !text.starts_with("0.");
        let int = value::int(text).filter(|i| !padded && i.abs() <= EXACT_INT);
        self.ints.see(int, holder, k);
        self.floats.see(value::float(text).filter(|_| !padded), holder, k);
        self.dates.see(parse_date(text), holder, k);
        let datetime = value::datetime(text);
        self.midnight &= datetime.is_none_or(|ms| ms.rem_euclid(DAY_MS) == 0);
        self.datetimes.see(datetime, holder, k);
        self.truths &= value::bool(text).is_some() && value::float(text).is_none();
        let code = int.map_or_else(|| text.to_owned(), |i| i.to_string());
        if self
            .different
            .as_mut()
            .is_some_and(|seen| seen.len() < REMEMBERED && !seen.insert(self.hasher.hash_one(&code)))
        {
            self.different = None;
        }
        if let Some(codes) = &mut self.codes {
            codes.entry(code).or_insert_with(|| Holders::new(k)).add(holder);
            if codes.len() > CODES {
                self.codes = None;
            }
        }
    }

    /// What the column seems to hold, and whether some rows have no value.
    pub fn seems(self) -> (Seems, bool) {
        let gaps = self.gaps;
        (self.kind(), gaps)
    }

    fn kind(self) -> Seems {
        if !self.holders.enough() {
            return Seems::Rare;
        }
        if self.truths {
            return Seems::Bool;
        }
        if let Reading::All(span) = &self.dates {
            let (lo, hi) = decades(span.lo.0, span.hi.0);
            return Seems::Date { lo, hi };
        }
        if let Reading::All(span) = &self.datetimes {
            let day = |ms: i64| i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or_default();
            let (lo, hi) = decades(day(span.lo.0), day(span.hi.0));
            let (lo, hi) = (format!("{lo}T00:00:00Z"), format!("{hi}T23:59:59Z"));
            return Seems::Datetime { lo, hi, midnight: self.midnight };
        }
        let whole = matches!(self.ints, Reading::All(_));
        let numbers = matches!(self.floats, Reading::All(_));
        if self.different.is_some() && self.values >= IDENTIFIERS_FROM && (whole || !numbers) {
            return Seems::Identifier;
        }
        let number = match &self.ints {
            Reading::All(span) => Some(range(span, |i| i as f64)).map(|(lo, hi)| (lo as i64, hi as i64)),
            _ => None,
        };
        let most = if numbers { NUMBERED_CODES } else { CODES };
        if let Some((codes, more)) = self.codes.and_then(|codes| frequent(codes, most)).filter(|_| whole || !numbers) {
            return Seems::Code { codes, more, number };
        }
        match (number, &self.floats) {
            (Some((lo, hi)), _) => Seems::Int { lo, hi },
            (None, Reading::All(span)) => {
                let (lo, hi) = range(span, |x| x);
                Seems::Float { lo, hi }
            }
            _ => Seems::Text,
        }
    }
}

/// The values that k or more have, and whether there are others; none where there are too many, or not one such value.
fn frequent(codes: HashMap<String, Holders>, most: usize) -> Option<(Vec<String>, bool)> {
    if codes.len() > most {
        return None;
    }
    let all = codes.len();
    let enough = codes.into_iter().filter(|(code, holders)| holders.enough() && code.len() <= KEY_BYTES);
    let mut codes: Vec<String> = enough.map(|(code, _)| code).collect();
    let more = codes.len() < all;
    codes.sort_by_key(|code| (code.parse::<i64>().unwrap_or(i64::MAX), code.clone()));
    (!codes.is_empty()).then_some((codes, more))
}

fn range<T: Copy>(span: &Span<T>, number: impl Fn(T) -> f64) -> (f64, f64) {
    let lo = outward(number(span.lo.0), End::Low, !span.lo.1.enough());
    let hi = outward(number(span.hi.0), End::High, !span.hi.1.enough());
    // A range has two ends, also where all have one value.
    if lo < hi { (lo, hi) } else { (lo.min(0.0), hi.max(lo + 1.0)) }
}

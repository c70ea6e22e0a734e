//! A column of a batch while it is filled. One that only becomes numbers of a contract holds numbers, read where they stand in their line. The first text that
//! is none makes texts of all, so that whoever reads these tells what became of each: where a column holds what must not show in a snapshot.

use bocage_protocol::contract::Kind;
use bocage_protocol::ids::ColumnName;
use polars::prelude::{Column, Float64Chunked, Int64Chunked, IntoColumn as _, PlSmallStr, StringChunkedBuilder};
use polars_arrow::bitmap::BitmapBuilder;

use super::super::parquet::double;
use super::super::value;

/// What a column's values are held as, as long as each is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Text,
    Whole,
    Double,
}

impl Held {
    /// Of a column that only becomes one of this kind, if it does.
    pub(super) fn of(becomes: Option<&Kind>) -> Self {
        match becomes {
            Some(Kind::Int { .. }) => Held::Whole,
            Some(Kind::Float { .. }) => Held::Double,
            _ => Held::Text,
        }
    }
}

/// A column's values so far.
pub(super) struct Filled {
    name: ColumnName,
    grown: Grown,
}

enum Grown {
    Texts(StringChunkedBuilder),
    Whole(Vec<i64>, BitmapBuilder),
    Double(Vec<f64>, BitmapBuilder),
}

impl Filled {
    /// Without a row, with room for some.
    pub(super) fn new(name: &ColumnName, held: Held, rows: usize) -> Self {
        let grown = match held {
            Held::Text => Grown::Texts(StringChunkedBuilder::new(name.as_str().into(), rows)),
            Held::Whole => Grown::Whole(Vec::with_capacity(rows), BitmapBuilder::with_capacity(rows)),
            Held::Double => Grown::Double(Vec::with_capacity(rows), BitmapBuilder::with_capacity(rows)),
        };
        Self { name: name.clone(), grown }
    }

    /// Adds a row's value: a trimmed text, or none where it is missing.
    #[inline]
    pub(super) fn put(&mut self, text: Option<&str>) {
        let put = match &mut self.grown {
            Grown::Texts(texts) => {
                texts.append_option(text);
                true
            }
            Grown::Whole(values, present) => number(values, present, text.map(value::int)),
            Grown::Double(values, present) => number(values, present, text.map(value::float)),
        };
        if !put {
            self.turn_to_texts(text);
        }
    }

    /// Makes texts of the numbers, which are read as these numbers again, and adds one that is none.
    #[cold]
    fn turn_to_texts(&mut self, then: Option<&str>) {
        let mut texts = StringChunkedBuilder::new(self.name.as_str().into(), 0);
        let numbers = std::mem::replace(&mut self.grown, Grown::Texts(StringChunkedBuilder::new(PlSmallStr::EMPTY, 0)));
        match numbers {
            Grown::Texts(before) => texts = before,
            Grown::Whole(values, present) => {
                let numbers = Int64Chunked::from_vec_validity(PlSmallStr::EMPTY, values, present.into_opt_validity());
                numbers.iter().for_each(|number| texts.append_option(number.map(|number| number.to_string())));
            }
            Grown::Double(values, present) => {
                let numbers = Float64Chunked::from_vec_validity(PlSmallStr::EMPTY, values, present.into_opt_validity());
                let text = |number| {
                    let mut text = String::new();
                    double(&mut text, number);
                    text
                };
                numbers.iter().for_each(|number| texts.append_option(number.map(text)));
            }
        }
        texts.append_option(then);
        self.grown = Grown::Texts(texts);
    }

    /// The column.
    pub(super) fn finish(self) -> Column {
        let name = self.name.as_str().into();
        match self.grown {
            Grown::Texts(texts) => texts.finish().into_column(),
            Grown::Whole(values, present) => {
                Int64Chunked::from_vec_validity(name, values, present.into_opt_validity()).into_column()
            }
            Grown::Double(values, present) => {
                Float64Chunked::from_vec_validity(name, values, present.into_opt_validity()).into_column()
            }
        }
    }
}

/// Adds a number, or that there is none; false, and nothing is added, where a text is there that is no number.
#[inline]
fn number<N: Default>(values: &mut Vec<N>, present: &mut BitmapBuilder, read: Option<Option<N>>) -> bool {
    let (value, is_present) = match read {
        Some(Some(value)) => (value, true),
        Some(None) => return false,
        None => (N::default(), false),
    };
    values.push(value);
    present.push(is_present);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(held: Held, texts: &[Option<&str>]) -> Column {
        let mut filled = Filled::new(&"x".parse().unwrap(), held, texts.len());
        texts.iter().for_each(|text| filled.put(*text));
        filled.finish()
    }

    #[test]
    fn numbers_stay_numbers_and_one_text_that_is_none_keeps_all_that_can_be_read() {
        let whole = filled(Held::Whole, &[Some("7"), None, Some("-3.0")]);
        assert_eq!(whole.i64().unwrap().iter().collect::<Vec<_>>(), [Some(7), None, Some(-3)]);
        let mixed = filled(Held::Whole, &[Some("7.0"), None, Some("seven"), Some("08")]);
        assert_eq!(mixed.str().unwrap().iter().collect::<Vec<_>>(), [Some("7"), None, Some("seven"), Some("08")]);
    }

    proptest! {
        #[test]
        fn whatever_stands_between_numbers_each_is_read_as_it_would_be_alone(
            texts in proptest::collection::vec(proptest::option::of("-?[0-9]{1,19}([.][0-9]{0,12})?(e-?[0-9]{1,2})?|x"), 1..20)
        ) {
            let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
            let whole = filled(Held::Whole, &texts);
            let read: Vec<Option<i64>> = match whole.i64() {
                Ok(numbers) => numbers.iter().collect(),
                _ => whole.str().unwrap().iter().map(|text| value::int(text?)).collect(),
            };
            prop_assert_eq!(read, texts.iter().map(|text| value::int((*text)?)).collect::<Vec<_>>());
            let doubles = filled(Held::Double, &texts);
            let read: Vec<Option<f64>> = match doubles.f64() {
                Ok(numbers) => numbers.iter().collect(),
                _ => doubles.str().unwrap().iter().map(|text| value::float(text?)).collect(),
            };
            let bits = |numbers: Vec<Option<f64>>| numbers.into_iter().map(|x| x.map(f64::to_bits)).collect::<Vec<_>>();
            prop_assert_eq!(bits(read), bits(texts.iter().map(|text| value::float((*text)?)).collect()));
        }
    }
}

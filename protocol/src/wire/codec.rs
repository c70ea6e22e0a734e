//! Bytes of messages. The only file of the project that names bincode: another codec is a change here alone.
//!
//! bincode 2 in its standard configuration (little-endian, variable-length integers), through serde. It is neither
//! self-describing nor extensible: a change to any message's fields is a new protocol version (see [`super::hello`]).
//! Without a limit, ten hostile bytes that announce 2⁶⁰ elements would abort the process; here every decoding is
//! limited to [`DECODED_BYTES`] of announced content, and bytes left over are an error.
//!
//! Two things this cannot bound, so no message has them: a sequence of elements that occupy no bytes (`Vec<()>`: its
//! length costs the sender nothing), and a type that contains itself (nesting exhausts the stack, which aborts).
//! What nests, such as a study, travels as canonical JSON within a message; serde_json bounds its depth.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ErrorCode, PublicError};
use crate::limits::{DECODED_BYTES, FRAME_BYTES};

/// Why bytes and value do not become each other. Content is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than allowed, in the frame or unfolded.
    #[error("message of more than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The bytes are not a value of the wanted type.
    #[error("bytes are not a message of this kind")]
    Malformed,
    /// There is something behind the value.
    #[error("{bytes} bytes behind the message's end")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The value's type cannot be written by this codec. A defect of ours.
    #[error("value cannot be written")]
    Unwritable,
}

impl From<CodecError> for PublicError {
    fn from(error: CodecError) -> Self {
        let code = match error {
            CodecError::TooLarge { .. } => ErrorCode::TooLarge,
            CodecError::Malformed | CodecError::Trailing { .. } => ErrorCode::Malformed,
            CodecError::Unwritable => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// Writes `value`.
///
/// # Errors
/// [`CodecError::TooLarge`] beyond [`FRAME_BYTES`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes =
        bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(|_| CodecError::Unwritable)?;
    if bytes.len() > FRAME_BYTES { Err(CodecError::TooLarge { limit_bytes: FRAME_BYTES }) } else { Ok(bytes) }
}

/// Reads a value from exactly `bytes`, of which there may be `limit_bytes`.
///
/// # Errors
/// When there are too many bytes, when they announce more than [`DECODED_BYTES`] of content, when they are no `T`, or
/// when some are left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, CodecError> {
    match begun(bytes, limit_bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(CodecError::Trailing { bytes: rest.len() }),
    }
}

/// [`decode`] of a value that may have been [filled up](fill).
///
/// # Errors
/// As [`decode`]; what stands behind the value is zeros.
pub fn decode_filled<T: DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, CodecError> {
    match begun(bytes, limit_bytes)? {
        (value, rest) if rest.iter().all(|byte| *byte == 0) => Ok(value),
        (_, rest) => Err(CodecError::Trailing { bytes: rest.len() }),
    }
}

/// Fills a written value up with zeros, so that its length does not tell how long it is.
pub fn fill(bytes: &mut Vec<u8>, length: usize) {
    bytes.resize(length.max(bytes.len()), 0);
}

/// The value at the beginning, and what stands behind it.
fn begun<T: DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<(T, &[u8]), CodecError> {
    if bytes.len() > limit_bytes {
        return Err(CodecError::TooLarge { limit_bytes });
    }
    let config = bincode::config::standard().with_limit::<DECODED_BYTES>();
    match bincode::serde::decode_from_slice(bytes, config) {
        Ok((value, consumed)) => Ok((value, &bytes[consumed..])),
        Err(bincode::error::DecodeError::LimitExceeded) => Err(CodecError::TooLarge { limit_bytes: DECODED_BYTES }),
        Err(_) => Err(CodecError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::limits::TALLY_VALUES;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Empty,
        Names(Vec<String>),
        Cells { layout: [u8; 4], values: Vec<i128>, by_key: BTreeMap<String, Option<u32>> },
        Number(f64, u64, char),
    }

    /// The varint of 2⁶⁰ and one byte: a length that no honest message has.
    const HOSTILE: [u8; 10] = [253, 0, 0, 0, 0, 0, 0, 0, 16, 0];

    #[test]
    fn ten_hostile_bytes_are_refused_at_once() {
        assert!(decode::<String>(&HOSTILE, FRAME_BYTES).is_err());
        assert!(decode::<Vec<u8>>(&HOSTILE, FRAME_BYTES).is_err());
        assert!(decode::<crate::trust::SignedRelease>(&HOSTILE, FRAME_BYTES).is_err());
        assert!(decode::<Vec<u64>>(&HOSTILE, FRAME_BYTES).is_err());
        assert!(decode::<Vec<Vec<String>>>(&HOSTILE, FRAME_BYTES).is_err());
        assert!(decode::<BTreeMap<String, i128>>(&HOSTILE, FRAME_BYTES).is_err());
        assert_eq!(decode::<String>(&HOSTILE, 9), Err(CodecError::TooLarge { limit_bytes: 9 }));
    }

    #[test]
    fn the_numbers_of_a_fit_cross_the_wire() {
        use crate::analysis::RoundState;
        use crate::plan::{Family, Position};
        use crate::wire::message::Step;

        let by_site = Position { sites: [("north".parse().unwrap(), 1.5)].into(), ..Position::of_hazards(2) };
        for at in [Position::of_hazards(2), Position::start(1, Family::NegativeBinomial), by_site] {
            let ended = RoundState::Ended { round: 4, beta: vec![-1.5, 0.25] };
            let by_fold = RoundState::LeftOutByFold(vec![vec![0.5], vec![-0.5]]);
            for state in [RoundState::At(at.clone()), RoundState::Along { at, stay: vec![3, 11] }, ended, by_fold] {
                let step = Step { analysis: 3, state };
                assert_eq!(decode::<Step>(&encode(&step).unwrap(), FRAME_BYTES), Ok(step));
            }
        }
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let mut bytes = encode(&7_u8).unwrap();
        bytes.push(0);
        assert_eq!(decode::<u8>(&bytes, 100), Err(CodecError::Trailing { bytes: 1 }));
    }

    #[test]
    fn a_value_that_was_filled_up_with_zeros_reads_back_and_nothing_else_stands_behind_it() {
        let mut bytes = encode(&7_u8).unwrap();
        fill(&mut bytes, 256);
        assert_eq!(bytes.len(), 256);
        assert_eq!(decode_filled::<u8>(&bytes, 256), Ok(7));
        assert_eq!(decode::<u8>(&bytes, 256), Err(CodecError::Trailing { bytes: 255 }));
        assert_eq!(decode_filled::<u8>(&bytes, 255), Err(CodecError::TooLarge { limit_bytes: 255 }));
        bytes[255] = 1;
        assert_eq!(decode_filled::<u8>(&bytes, 256), Err(CodecError::Trailing { bytes: 255 }));
        fill(&mut bytes, 3);
        assert_eq!(bytes.len(), 256, "nothing is cut off");
    }

    #[test]
    fn the_largest_tally_fits() {
        let values = vec![-1_i128; TALLY_VALUES];
        let bytes = encode(&values).unwrap();
        assert_eq!(decode::<Vec<i128>>(&bytes, FRAME_BYTES).unwrap().len(), TALLY_VALUES);
        assert!(matches!(encode(&vec![u64::MAX; 2 << 20]), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn a_small_message_that_would_unfold_beyond_the_limit_is_refused() {
        let bytes = encode(&vec![0_i128; DECODED_BYTES / 16 + 1]).unwrap();
        let refused = decode::<Vec<i128>>(&bytes, FRAME_BYTES);
        assert_eq!(refused, Err(CodecError::TooLarge { limit_bytes: DECODED_BYTES }));
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let by_key = prop::collection::btree_map("[a-z]{1,4}", any::<Option<u32>>(), 0..3);
        prop_oneof![
            Just(Sample::Empty),
            prop::collection::vec(".{0,8}", 0..4).prop_map(Sample::Names),
            (-1e300..1e300, any::<u64>(), any::<char>()).prop_map(|(x, n, c)| Sample::Number(x, n, c)),
            (any::<[u8; 4]>(), prop::collection::vec(any::<i128>(), 0..8), by_key)
                .prop_map(|(layout, values, by_key)| Sample::Cells { layout, values, by_key }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in sample()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Sample>(&bytes, FRAME_BYTES).unwrap(), value);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Sample>(&bytes, FRAME_BYTES);
            let _ = decode::<Vec<Sample>>(&bytes, FRAME_BYTES);
            let _ = decode::<BTreeMap<String, Vec<u64>>>(&bytes, FRAME_BYTES);
        }

        #[test]
        fn a_value_has_one_spelling_and_a_cut_one_none(value in sample(), cut in 1_usize..20) {
            let bytes = encode(&value).unwrap();
            let end = bytes.len().saturating_sub(cut);
            if let Ok(other) = decode::<Sample>(&bytes[..end], FRAME_BYTES) {
                prop_assert_ne!(other, value);
            }
        }
    }
}

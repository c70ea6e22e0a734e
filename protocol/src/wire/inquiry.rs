//! What a coordinator adds to its answer to an inquiry: what it knows of the site that asks, and of the network, for the site's doctor to hold against
//! what is there. It stands behind the last field of a welcome, where a node that does not know it reads nothing; the welcome of a session has none of it.
//!
//! ```text
//! bytes       behind the welcome
//!   1+n       the release key by which the site's releases are verified (text, 1-byte length; empty: the site has yet to enrol)
//!   2         how many contracts, each:
//!   1+n, 32     its id (text, 1-byte length), its hash
//!   2         how many access bodies, each:
//!   1+n, 8      its key (text, 1-byte length), when its newest list of revoked permits was signed (ms since 1970-01-01 UTC, i64; 0: there is none)
//! ```
//! All of it is public within the network.

use super::hello::{Answer, HelloError, Reader, put_short};
use crate::env::Timestamp;
use crate::ids::{ContractId, Digest};
use crate::limits::{ACCESS_BODIES, INQUIRY_CONTRACTS};
use crate::trust::PublicKey;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// What the site's releases are verified by; none where it has yet to enrol.
    pub release_key: Option<PublicKey>,
    /// The network's contracts, at most [`INQUIRY_CONTRACTS`].
    pub contracts: Vec<(ContractId, Digest)>,
    /// The access bodies that the coordinator knows, at most [`ACCESS_BODIES`], each with the time of its newest list.
    pub lists: Vec<(PublicKey, Option<Timestamp>)>,
}

impl Known {
    /// The frame's payload: an answer, and this behind it where it is a welcome.
    pub fn behind(&self, answer: &Answer) -> Vec<u8> {
        let mut bytes = answer.encode();
        if matches!(answer, Answer::Reject(_)) {
            return bytes;
        }
        put_short(&mut bytes, &self.release_key.map(|key| key.to_string()).unwrap_or_default());
        let contracts = &self.contracts[..self.contracts.len().min(INQUIRY_CONTRACTS)];
        bytes.extend((contracts.len() as u16).to_be_bytes());
        for (id, hash) in contracts {
            put_short(&mut bytes, &id.to_string());
            bytes.extend(hash.as_bytes());
        }
        let lists = &self.lists[..self.lists.len().min(ACCESS_BODIES)];
        bytes.extend((lists.len() as u16).to_be_bytes());
        for (key, at) in lists {
            put_short(&mut bytes, &key.to_string());
            bytes.extend(at.map_or(0, |at| at.0).to_be_bytes());
        }
        bytes
    }

    /// Reads a frame's payload; no such thing from a coordinator of an earlier version.
    ///
    /// # Errors
    /// When it is none of ours or breaks the layout.
    pub fn read(frame: &[u8]) -> Result<(Answer, Option<Self>), HelloError> {
        let answer = Answer::decode(frame)?;
        // A welcome has one form: what it does not take is behind it.
        let rest = match answer {
            Answer::Welcome(_) => frame.get(answer.encode().len()..).unwrap_or_default(),
            Answer::Reject(_) => &[],
        };
        if rest.is_empty() {
            return Ok((answer, None));
        }
        let invalid = |field| HelloError::Field { field };
        let mut reader = Reader(rest);
        let key = reader.short("release key")?;
        let release_key = match key {
            "" => None,
            key => Some(key.parse().map_err(|_| invalid("release key"))?),
        };
        let mut known = Self { release_key, ..Self::default() };
        let count = reader.u16("contracts")?;
        if usize::from(count) > INQUIRY_CONTRACTS {
            return Err(invalid("contracts"));
        }
        for _ in 0..count {
            let id = reader.short("contract id")?.parse().map_err(|_| invalid("contract id"))?;
            known.contracts.push((id, Digest::from_bytes(reader.array("contract hash")?)));
        }
        let count = reader.u16("access bodies")?;
        if usize::from(count) > ACCESS_BODIES {
            return Err(invalid("access bodies"));
        }
        for _ in 0..count {
            let key = reader.short("access body's key")?.parse().map_err(|_| invalid("access body's key"))?;
            let at = Some(reader.i64("list's time")?).filter(|ms| *ms != 0).map(Timestamp);
            known.lists.push((key, at));
        }
        Ok((answer, Some(known)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::env::Fixed;
    use crate::error::{ErrorCode, PublicError};
    use crate::limits::HELLO_BYTES;
    use crate::trust::SecretKey;
    use crate::wire::hello::Welcome;

    fn key(n: u8) -> PublicKey {
        SecretKey::generate(&mut Fixed(n)).public()
    }

    fn welcome() -> Answer {
        Answer::Welcome(Welcome { version: 3, network: "north".parse().unwrap(), now: Timestamp(1_790_000_000_000) })
    }

    fn known() -> Known {
        let contract = |name: &str| (name.parse().unwrap(), Digest::of("test", &[name.as_bytes()]));
        Known {
            release_key: Some(key(1)),
            contracts: vec![contract("heart@1"), contract("ward@12")],
            lists: vec![(key(2), Some(Timestamp(1_780_000_000_000))), (key(3), None)],
        }
    }

    #[test]
    fn an_answer_to_an_inquiry_has_these_bytes_and_is_a_welcome_to_who_knows_nothing_of_it() {
        let frame = known().behind(&welcome());
        let golden = include_str!("../../../tests/golden/inquiry-v3.hex");
        assert_eq!(format!("welcome {}\n", hex::encode(&frame)), golden);
        assert_eq!(Known::read(&frame).unwrap(), (welcome(), Some(known())));
        assert_eq!(Answer::decode(&frame).unwrap(), welcome());
        assert_eq!(Known::read(&welcome().encode()).unwrap(), (welcome(), None), "of an earlier version");
        let refused = Answer::Reject(PublicError::new(ErrorCode::SiteUnknown, "no"));
        assert_eq!(known().behind(&refused), refused.encode());
        assert_eq!(Known::read(&refused.encode()).unwrap(), (refused, None));
        assert_eq!(Known::read(&Known::default().behind(&welcome())).unwrap().1, Some(Known::default()));
    }

    #[test]
    fn the_most_that_a_coordinator_tells_fits_into_a_first_frame() {
        let longest = format!("{}@{}", "a".repeat(31), u32::MAX).parse::<ContractId>().unwrap();
        let contracts = vec![(longest, Digest::from_bytes([1; 32])); INQUIRY_CONTRACTS + 1];
        let lists = vec![(key(1), Some(Timestamp(1))); ACCESS_BODIES + 1];
        let frame = Known { release_key: Some(key(1)), contracts, lists }.behind(&welcome());
        assert!(frame.len() <= HELLO_BYTES, "{}", frame.len());
        let read = Known::read(&frame).unwrap().1.unwrap();
        assert_eq!((read.contracts.len(), read.lists.len()), (INQUIRY_CONTRACTS, ACCESS_BODIES));
    }

    proptest! {
        #[test]
        fn whatever_stands_behind_a_welcome_never_panics(rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Known::read(&[welcome().encode(), rest].concat());
        }

        #[test]
        fn a_frame_that_is_cut_is_none(cut in 1_usize..200) {
            let (frame, least) = (known().behind(&welcome()), welcome().encode().len());
            let cut = frame.len().saturating_sub(cut);
            prop_assert!(cut <= least || Known::read(&frame[..cut]).is_err());
        }
    }
}

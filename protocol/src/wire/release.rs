//! Which releases of this software work together: those of one major version whose minor versions differ by one at most. So a network is brought up to
//! date side by side, coordinator or nodes first, a minor version at a time; a side that was left further behind is told, not half understood.
//!
//! Software of another name is judged by its protocol versions alone.

use std::fmt;

/// This release.
pub const OURS: Release =
    Release { major: number(env!("CARGO_PKG_VERSION_MAJOR")), minor: number(env!("CARGO_PKG_VERSION_MINOR")) };

/// How a node of this software names itself, before its version.
const NODE: &str = "bocage-node ";

/// A release, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    major: u32,
    minor: u32,
}

impl Release {
    /// The release of a node that names itself so in its hello; none where it is other software.
    pub fn of_node(software: &str) -> Option<Self> {
        let mut numbers = software.strip_prefix(NODE)?.split('.').map(|part| part.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }

    /// Whether the two work together.
    pub fn works_with(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }

    /// Whether this one came before the other.
    pub fn is_before(self, other: Self) -> bool {
        (self.major, self.minor) < (other.major, other.minor)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A decimal number, at compile time.
const fn number(text: &str) -> u32 {
    let (bytes, mut at, mut value) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(major: u32, minor: u32) -> Release {
        Release { major, minor }
    }

    #[test]
    fn one_minor_version_older_or_newer_works_and_no_other() {
        let ours = release(1, 4);
        for works in [release(1, 3), ours, release(1, 5)] {
            assert!(ours.works_with(works) && works.works_with(ours), "{works}");
        }
        for not in [release(1, 2), release(1, 6), release(0, 4), release(2, 4), release(2, 0)] {
            assert!(!ours.works_with(not) && !not.works_with(ours), "{not}");
        }
        assert!(release(1, 9).is_before(release(2, 0)) && !ours.is_before(ours));
    }

    #[test]
    fn a_node_says_its_release_and_other_software_none() {
        assert_eq!(Release::of_node("bocage-node 12.34.5"), Some(release(12, 34)));
        assert_eq!(Release::of_node("bocage-node 0.2.0-rc.1"), Some(release(0, 2)));
        for other in ["a test", "bocage-node", "bocage-node x.y", "bocage-node 1", "other 1.2.3"] {
            assert_eq!(Release::of_node(other), None, "{other}");
        }
        assert_eq!(Some(OURS), Release::of_node(concat!("bocage-node ", env!("CARGO_PKG_VERSION"))));
    }
}

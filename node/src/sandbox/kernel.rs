//! What the kernel offers, and the calls to it for which no crate has a safe form.

use std::fmt;
use std::io;

use libc::{c_long, c_uint};

/// `LANDLOCK_CREATE_RULESET_VERSION`: asks for the version instead of making a ruleset.
const ASK_VERSION: c_uint = 1;

/// The version of landlock from which on it does all that a node asks of it. The same as `files::TESTED`.
pub const WHOLE: u32 = 6;
/// What came with each version, and an older kernel therefore does not confine.
const CAME_WITH: [(u32, &str); 4] = [
    (3, "cutting files that may be read"),
    (4, "TCP by ports"),
    (5, "device calls"),
    (6, "signals and abstract sockets of other processes"),
];

/// The parts of a sandbox that this kernel offers this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// Landlock's version, from 1; none where it is not built in or not switched on.
    pub landlock: Option<u32>,
    /// Whether calls can be filtered.
    pub seccomp: bool,
}

impl Support {
    /// Asks the kernel.
    pub fn ask() -> Self {
        Self { landlock: landlock_version(), seccomp: seccomp_refuses() }
    }

    /// Whether a node can be confined.
    pub fn complete(self) -> bool {
        self.landlock.is_some() && self.seccomp
    }

    /// What this kernel's landlock does not confine yet: nothing from version [`WHOLE`] on, and nothing where there is no landlock to speak of.
    pub fn lacks(self) -> Vec<&'static str> {
        let version = self.landlock.unwrap_or(WHOLE);
        CAME_WITH.into_iter().filter(|(since, _)| version < *since).map(|(_, what)| what).collect()
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock {
            Some(version) => write!(f, "landlock ABI {version}")?,
            None => f.write_str("no landlock")?,
        }
        f.write_str(if self.seccomp { ", seccomp" } else { ", no seccomp" })
    }
}

#[allow(unsafe_code)]
fn landlock_version() -> Option<u32> {
    // SAFETY: with this flag the kernel takes a null pointer and a size of 0, reads no memory and answers a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, ASK_VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

#[allow(unsafe_code)]
fn seccomp_refuses() -> bool {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads the four bytes of `action`, which outlives the call, and changes nothing.
    let answer: c_long = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0 as c_uint, std::ptr::from_ref(&action))
    };
    answer == 0
}

/// No child gets a file that this process has open, beyond input, output and error.
///
/// # Errors
/// What the kernel said.
#[allow(unsafe_code)]
pub(super) fn leave_to_no_child() -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: with this flag no file is closed, they are only marked to be closed in children; no memory is passed.
    match unsafe { libc::syscall(libc::SYS_close_range, 3 as c_uint, c_uint::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_and_makes_the_sandbox_incomplete() {
        let whole = Support { landlock: Some(7), seccomp: true };
        assert_eq!((whole.complete(), whole.to_string().as_str()), (true, "landlock ABI 7, seccomp"));
        let half = Support { landlock: None, seccomp: true };
        assert_eq!((half.complete(), half.to_string().as_str()), (false, "no landlock, seccomp"));
        let half = Support { landlock: Some(1), seccomp: false };
        assert_eq!((half.complete(), half.to_string().as_str()), (false, "landlock ABI 1, no seccomp"));
        assert_eq!(half.lacks().len(), 4);
        assert_eq!(Support { landlock: Some(5), seccomp: true }.lacks(), [CAME_WITH[3].1]);
        assert!(whole.lacks().is_empty() && Support { landlock: Some(WHOLE), seccomp: true }.lacks().is_empty());
    }
}

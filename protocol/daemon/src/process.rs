//! What a process takes of the machine: memory and open files. It opens what it reads before a sandbox closes `/proc`, and reads the same open files ever after.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Dir, Mode, OFlags, open};

/// This process, as the kernel counts it.
#[derive(Debug)]
pub struct Process {
    page_bytes: u64,
    statm: Option<File>,
    files: Mutex<Option<Dir>>,
}

impl Process {
    /// Opens what is read later. What the machine does not have is left out of the figures.
    pub fn this() -> Self {
        let folder = open("/proc/self/fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let files = folder.ok().and_then(|folder| Dir::new(folder).ok());
        // The size of a page is asked now, too: it is looked up in `/proc` once.
        Self {
            page_bytes: rustix::param::page_size() as u64,
            statm: File::open("/proc/self/statm").ok(),
            files: Mutex::new(files),
        }
    }

    /// Bytes of memory that are in use now.
    pub fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let read = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let pages: u64 = std::str::from_utf8(&text[..read]).ok()?.split_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(self.page_bytes)
    }

    /// Files, sockets and pipes that are open now.
    pub fn open_files(&self) -> Option<u64> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = files.as_mut()?;
        folder.rewind();
        let numbers = folder.by_ref().filter_map(Result::ok);
        let is_number = |name: &std::ffi::CStr| name.to_bytes().iter().all(u8::is_ascii_digit);
        Some(numbers.filter(|entry| is_number(entry.file_name())).count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_open_files_are_those_of_now() {
        let process = Process::this();
        let before = process.open_files().unwrap();
        let more: Vec<File> = (0..40).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open files too.
        assert!(process.open_files().unwrap() >= before + 20, "{} after {before}", process.open_files().unwrap());
        drop(more);
        assert!(process.resident_bytes().unwrap() > 1 << 20);
    }
}

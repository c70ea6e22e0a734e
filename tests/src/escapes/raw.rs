//! Calls for which no crate has a safe form. Each says only whether the kernel would have done what was asked.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libc::{c_int, c_long};

fn answer(number: c_long) -> io::Result<c_long> {
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

/// An error that comes after the permission was given.
fn allowed(result: io::Result<c_long>, after: c_int) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(after) => Ok(()),
        result => result.map(drop),
    }
}

/// Lets any process trace this one, where a rule of the machine would not.
pub(super) fn let_everybody_trace() {
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
}

/// Begins to trace a process, without stopping it.
pub(super) fn trace(pid: u32) -> io::Result<()> {
    // SAFETY: numbers only; SEIZE touches no memory of ours.
    answer(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid as libc::pid_t, 0_usize, 0_usize) }).map(drop)
}

/// Copies a byte out of a process.
pub(super) fn copy_from(pid: u32) -> io::Result<()> {
    let mut byte = 0_u8;
    let here = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    let there = libc::iovec { iov_base: std::ptr::without_provenance_mut(1), iov_len: 1 };
    // SAFETY: one byte is written to `byte` at most; the other address is looked up in the other process, where it is invalid.
    let copied = unsafe { libc::process_vm_readv(pid as libc::pid_t, &here, 1, &there, 1, 0) };
    allowed(answer(copied as c_long), libc::EFAULT)
}

/// Takes a process's first open file.
pub(super) fn take_file_of(pid: u32) -> io::Result<()> {
    // SAFETY: numbers only; both files are ours to close.
    unsafe {
        let process = answer(libc::syscall(libc::SYS_pidfd_open, pid, 0))? as c_int;
        let taken = answer(libc::syscall(libc::SYS_pidfd_getfd, process, 0, 0));
        libc::close(process);
        libc::close(taken? as c_int);
    }
    Ok(())
}

/// Sets an io_uring up.
pub(super) fn io_uring() -> io::Result<()> {
    let mut parameters = [0_u64; 15];
    // SAFETY: `io_uring_params` has 120 bytes, which the kernel reads and writes.
    let ring = answer(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) })?;
    // SAFETY: the file is ours.
    unsafe { libc::close(ring as c_int) };
    Ok(())
}

/// Becomes the program `file`, which is an empty one: the kernel lets it be run, and finds nothing to run.
pub(super) fn become_program(file: &Path) -> io::Result<()> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    let none = [std::ptr::null::<libc::c_char>()];
    // SAFETY: a path that ends with a zero, and two empty lists.
    let done = unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), none.as_ptr(), none.as_ptr()) };
    allowed(answer(done), libc::ENOEXEC)
}

/// Receives by `recvmsg`, which could bring an open file.
pub(super) fn receive_message(socket: &impl AsRawFd) -> io::Result<()> {
    let mut byte = 0_u8;
    let mut place = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    // SAFETY: all zeros is an empty message header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut place;
    message.msg_iovlen = 1;
    // SAFETY: header, list and byte outlive the call.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_DONTWAIT) };
    allowed(answer(received as c_long), libc::EAGAIN)
}

/// Makes a socket.
pub(super) fn socket(family: c_int, kind: c_int) -> io::Result<()> {
    // SAFETY: numbers only; the file is ours.
    unsafe {
        let made = answer(libc::socket(family, kind | libc::SOCK_CLOEXEC, 0).into())?;
        libc::close(made as c_int);
    }
    Ok(())
}

/// Makes a page that can be written and run.
pub(super) fn executable_memory() -> io::Result<()> {
    let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: a fresh mapping at a place of the kernel's choice, unmapped again; nobody has its address.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 4096, rights, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::munmap(page, 4096);
    }
    Ok(())
}

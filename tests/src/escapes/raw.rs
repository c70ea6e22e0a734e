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

/// Makes a process in namespaces of its own, which ends at once.
pub(super) fn namespace() -> io::Result<()> {
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::SIGCHLD;
    // SAFETY: without a stack of its own the child is a copy, which touches nothing and ends.
    unsafe {
        let child = answer(libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize))?;
        if child == 0 {
            libc::_exit(0);
        }
        libc::waitpid(child as libc::pid_t, std::ptr::null_mut(), 0);
    }
    Ok(())
}

/// Types a letter into what is no terminal.
pub(super) fn type_into_terminal() -> io::Result<()> {
    let letter = b'x';
    // SAFETY: the kernel reads one byte at most; the file is ours.
    unsafe {
        let file = answer(libc::eventfd(0, libc::EFD_CLOEXEC).into())? as c_int;
        let typed = answer(libc::ioctl(file, libc::TIOCSTI, std::ptr::from_ref(&letter)).into());
        libc::close(file);
        allowed(typed, libc::ENOTTY)
    }
}

/// Makes a file in memory.
pub(super) fn memory_file() -> io::Result<()> {
    // SAFETY: a name that ends with a zero; the file is ours.
    unsafe {
        let made = answer(libc::memfd_create(c"x".as_ptr(), libc::MFD_CLOEXEC).into())?;
        libc::close(made as c_int);
    }
    Ok(())
}

/// Changes nothing about the clock, which everybody may.
pub(super) fn adjust_clock() -> io::Result<()> {
    // SAFETY: all zeros asks for no change; the kernel writes into the structure.
    unsafe {
        let mut nothing: libc::timex = std::mem::zeroed();
        answer(libc::clock_adjtime(libc::CLOCK_REALTIME, &mut nothing).into()).map(drop)
    }
}

/// Begins to watch files, in the form that everybody may.
pub(super) fn watch_files() -> io::Result<()> {
    let kind = libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_FID | libc::FAN_CLOEXEC;
    // SAFETY: numbers only; the file is ours.
    unsafe {
        let made = answer(libc::fanotify_init(kind, 0).into())?;
        libc::close(made as c_int);
    }
    Ok(())
}

/// Changes a mount by a structure of no bytes, which the kernel does not take.
pub(super) fn change_mount() -> io::Result<()> {
    // SAFETY: a path that ends with a zero, and no structure.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, c"/".as_ptr(), 0, std::ptr::null::<u8>(), 0_usize)
    };
    allowed(answer(done), libc::EINVAL)
}

/// Makes another process the owner of a file, whose signals it gets.
pub(super) fn own_file(pid: u32) -> io::Result<()> {
    // SAFETY: numbers only; the file is ours, and closed before it can signal anything.
    unsafe {
        let file = answer(libc::eventfd(0, libc::EFD_CLOEXEC).into())? as c_int;
        let owned = answer(libc::fcntl(file, libc::F_SETOWN, pid as c_int).into());
        libc::close(file);
        owned.map(drop)
    }
}

fn address(of: &str) -> io::Result<libc::sockaddr_in> {
    let of: std::net::SocketAddrV4 = of.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: of.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(of.ip().octets()) },
        sin_zero: [0; 8],
    })
}

const ADDRESS_BYTES: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

/// Dials by a protocol of which landlock knows nothing. A kernel without it lets it be asked for.
pub(super) fn multipath(to: &str) -> io::Result<()> {
    let to = address(to)?;
    // SAFETY: the address outlives the call; the file is ours.
    unsafe {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        let file = match answer(libc::socket(libc::AF_INET, kind, libc::IPPROTO_MPTCP).into()) {
            Ok(file) => file as c_int,
            missing => return allowed(missing, libc::EPROTONOSUPPORT),
        };
        let dialled = answer(libc::connect(file, std::ptr::from_ref(&to).cast(), ADDRESS_BYTES).into());
        libc::close(file);
        dialled.map(drop)
    }
}

/// Dials by sending. A kernel that was told not to lets it be asked for.
pub(super) fn fast_open(to: &str) -> io::Result<()> {
    let to = address(to)?;
    // SAFETY: byte and address outlive the call; the file is ours.
    unsafe {
        let file = answer(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).into())? as c_int;
        let flags = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL;
        let sent = libc::sendto(file, b"x".as_ptr().cast(), 1, flags, std::ptr::from_ref(&to).cast(), ADDRESS_BYTES);
        let sent = answer(sent as c_long);
        libc::close(file);
        allowed(sent, libc::EOPNOTSUPP)
    }
}

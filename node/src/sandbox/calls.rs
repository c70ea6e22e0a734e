//! Seccomp: which system calls are left, for all threads of a process. A call that is not named fails with `EPERM`: an error, not a death.
//!
//! Agent, custodian, ingest, and a herald that posts have a list of what is allowed. The supervisor, whose children inherit its filter, has one of what no
//! process of a node ever does, and so has a herald that runs the site's own command.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use super::{Process, SandboxError};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Memory, threads, time, and files that are open already.
const BASE: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_membarrier,
    // Answered `ENOSYS` by a filter of its own, so that the C library takes `clone`, whose flags can be seen.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    // Looking at files: which ones is landlock's part.
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
];

/// The older forms, which newer machines do not have.
#[cfg(target_arch = "x86_64")]
const BASE_OLDER: &[c_long] = &[
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
];
#[cfg(not(target_arch = "x86_64"))]
const BASE_OLDER: &[c_long] = &[];

/// Answering on a socket that listens. No `recvmsg`: nobody can hand an open file in.
const ANSWERING: &[c_long] = &[libc::SYS_accept4];

/// Writing files: a ledger, snapshots. Nothing that changes modes, owners or times: landlock does not govern these, so they would reach every file of the
/// user; what needs a mode has it before.
const WRITING: &[c_long] = &[
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_msync,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_renameat2,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
];

#[cfg(target_arch = "x86_64")]
const WRITING_OLDER: &[c_long] =
    &[libc::SYS_unlink, libc::SYS_rmdir, libc::SYS_mkdir, libc::SYS_rename, libc::SYS_renameat];
#[cfg(not(target_arch = "x86_64"))]
const WRITING_OLDER: &[c_long] = &[];

/// Dialling out. No `listen`: a hospital opens no port. What `accept4` answers on is the Unix socket that listened before.
const AGENT: &[c_long] = &[
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
];

/// Putting a renewed key in the place of the one before. In which folder is landlock's part.
const RENEWING: &[c_long] = &[libc::SYS_fsync, libc::SYS_unlinkat, libc::SYS_renameat2];

#[cfg(target_arch = "x86_64")]
const RENEWING_OLDER: &[c_long] = &[libc::SYS_unlink, libc::SYS_rename, libc::SYS_renameat];
#[cfg(not(target_arch = "x86_64"))]
const RENEWING_OLDER: &[c_long] = &[];

/// What an ingest needs no more once it is connected. Nobody can hand it an open file either.
const DIALLING: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_seccomp,
];

/// What no process of a node does: looking into other processes, and what reaches deep into the kernel. Namespaces by `clone`: [`never`].
const NEVER: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_fanotify_init,
    libc::SYS_memfd_create,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_open_by_handle_at,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// The bits of `clone` that make a namespace.
const NAMESPACES: &[c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// `F_SETSIG`: which signal a file sends to its owner.
const SET_SIGNAL: c_int = 10;
/// `F_SETOWN_EX`.
const SET_OWNER_EX: c_int = 15;

/// Leaves the calls of `process`, in all its threads.
///
/// # Errors
/// Where the kernel does not filter, or knows this machine's kind not.
pub(super) fn restrict(process: Process) -> Result<(), SandboxError> {
    let unsupported = |reason: String| SandboxError { process, reason: format!("seccomp: {reason}") };
    let programs = programs(process).map_err(|e| unsupported(e.to_string()))?;
    programs.iter().try_for_each(|program| apply_filter_all_threads(program)).map_err(|e| unsupported(e.to_string()))
}

/// Leaves the calls that make sockets and dial, in all threads of an ingest that is connected.
///
/// # Errors
/// As [`restrict`].
pub(super) fn hang_up(process: Process) -> Result<(), SandboxError> {
    let failed = |reason: String| SandboxError { process, reason: format!("seccomp: {reason}") };
    let arch = std::env::consts::ARCH.try_into().map_err(|e: BackendError| failed(e.to_string()))?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(freely(&[DIALLING]), SeccompAction::Allow, refused, arch);
    let program = filter.and_then(BpfProgram::try_from).map_err(|e| failed(e.to_string()))?;
    apply_filter_all_threads(&program).map_err(|e| failed(e.to_string()))
}

fn programs(process: Process) -> Result<Vec<BpfProgram>, BackendError> {
    let refuse = |with: c_int| SeccompAction::Errno(with.unsigned_abs());
    let program = |rules, otherwise, then| {
        BpfProgram::try_from(SeccompFilter::new(rules, otherwise, then, std::env::consts::ARCH.try_into()?)?)
    };
    let own = match process {
        Process::Supervisor | Process::CommandHerald => program(never()?, SeccompAction::Allow, refuse(libc::EPERM))?,
        Process::Agent | Process::Herald => program(agent()?, refuse(libc::EPERM), SeccompAction::Allow)?,
        Process::Custodian => program(custodian()?, refuse(libc::EPERM), SeccompAction::Allow)?,
        Process::RemoteIngest => program(remote_ingest()?, refuse(libc::EPERM), SeccompAction::Allow)?,
        Process::Ingest => program(ingest()?, refuse(libc::EPERM), SeccompAction::Allow)?,
    };
    // The stricter answer of two filters counts, and of two refusals the newer filter's: the one with `ENOSYS` allows all else.
    Ok(vec![program(freely(&[&[libc::SYS_clone3]]), SeccompAction::Allow, refuse(libc::ENOSYS))?, own])
}

/// What is refused to every process.
fn never() -> Result<Rules, BackendError> {
    let mut rules = freely(&[NEVER]);
    let bit = |bit: &c_int| masked(0, u64::from(bit.unsigned_abs()), u64::from(bit.unsigned_abs()));
    rules.insert(libc::SYS_clone, NAMESPACES.iter().map(bit).collect::<Result<_, _>>()?);
    // Typing into the terminal that the node was started from.
    rules.insert(libc::SYS_ioctl, vec![equal(1, libc::TIOCSTI)?]);
    Ok(rules)
}

fn custodian() -> Result<Rules, BackendError> {
    let mut rules = ingest()?;
    rules.extend(freely(&[ANSWERING]));
    Ok(rules)
}

/// Reading a file and writing others. No socket of any kind.
fn ingest() -> Result<Rules, BackendError> {
    let mut rules = freely(&[BASE, BASE_OLDER, WRITING, WRITING_OLDER]);
    rules.extend(narrowed()?);
    // Memory holds data or code, never first the one and then the other.
    let executable = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![masked(2, executable, 0)?]);
    }
    Ok(rules)
}

/// Dialling a server, and writing files.
fn remote_ingest() -> Result<Rules, BackendError> {
    let mut rules = ingest()?;
    rules.extend(freely(&[AGENT]));
    rules.extend(dialling()?);
    // Giving up more of this, once it is connected: what `hang_up` calls, and nothing else.
    let [naming, no_more_rights] = [libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS].map(|option| equal(0, option as u64));
    rules.insert(libc::SYS_prctl, vec![naming?, no_more_rights?]);
    let filter = equals(0, u64::from(libc::SECCOMP_SET_MODE_FILTER))?;
    let in_all_threads = equals(1, libc::SECCOMP_FILTER_FLAG_TSYNC)?;
    rules.insert(libc::SYS_seccomp, vec![SeccompRule::new(vec![filter, in_all_threads])?]);
    Ok(rules)
}

fn agent() -> Result<Rules, BackendError> {
    let mut rules =
        freely(&[BASE, BASE_OLDER, AGENT, ANSWERING, RENEWING, RENEWING_OLDER, &[libc::SYS_mmap, libc::SYS_mprotect]]);
    rules.extend(narrowed()?);
    rules.extend(dialling()?);
    Ok(rules)
}

/// Sockets of those who dial, and what they send.
fn dialling() -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    rules.insert(libc::SYS_sendmsg, vec![slow(2)?]);
    rules.insert(libc::SYS_sendmmsg, vec![slow(3)?]);
    // QUIC, databases and name servers, and sockets of this machine. Landlock knows the ports of TCP only: no other protocol may carry a stream.
    let of_inet = [
        (libc::SOCK_DGRAM, 0),
        (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
        (libc::SOCK_STREAM, 0),
        (libc::SOCK_STREAM, libc::IPPROTO_TCP),
    ];
    let inet = [libc::AF_INET, libc::AF_INET6].into_iter();
    let kinds = inet.flat_map(|family| of_inet.map(|(kind, protocol)| (family, kind, protocol)));
    let kinds = kinds.chain([(libc::AF_UNIX, libc::SOCK_STREAM, 0)]);
    let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u32;
    let socket = |(family, kind, protocol): (c_int, c_int, c_int)| {
        let kind = SeccompCmpOp::MaskedEq(u64::from(!flags)).given(1, kind as u64)?;
        let (family, protocol) = (equals(0, family as u64)?, equals(2, protocol as u64)?);
        SeccompRule::new(vec![family, kind, protocol])
    };
    rules.insert(libc::SYS_socket, kinds.map(socket).collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Calls of both that are allowed with some arguments only.
fn narrowed() -> Result<Rules, BackendError> {
    let itself = u64::from(std::process::id());
    // A thread, never a process.
    let thread = masked(0, libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64)?;
    // `abort` signals its own process.
    let own_signal = equal(0, itself)?;
    // Asking for limits, not setting them: the pointer to new ones is null.
    let no_new_limit = SeccompRule::new(vec![SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?])?;
    let naming = equal(0, libc::PR_SET_NAME as u64)?;
    // A file that signals another process when there is something to read is as good as `kill`.
    let owners = [libc::F_SETOWN, SET_SIGNAL, SET_OWNER_EX];
    let no_owner = owners.into_iter().map(|command| SeccompCmpOp::Ne.given(1, command as u64));
    let no_owner = SeccompRule::new(no_owner.collect::<Result<_, _>>()?)?;
    let asking = [libc::FIONREAD, libc::FIONBIO, libc::TCGETS];
    Ok(BTreeMap::from([
        (libc::SYS_clone, vec![thread]),
        (libc::SYS_tgkill, vec![own_signal]),
        (libc::SYS_prlimit64, vec![no_new_limit]),
        (libc::SYS_prctl, vec![naming]),
        (libc::SYS_fcntl, vec![no_owner]),
        (libc::SYS_sendto, vec![slow(3)?]),
        (libc::SYS_ioctl, asking.into_iter().map(|request| equal(1, request)).collect::<Result<_, _>>()?),
    ]))
}

trait Given {
    fn given(self, argument: u8, value: u64) -> Result<SeccompCondition, BackendError>;
}

impl Given for SeccompCmpOp {
    fn given(self, argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, self, value)
    }
}

fn equals(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCmpOp::Eq.given(argument, value)
}

fn equal(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![equals(argument, value)?])
}

/// Sending without `MSG_FASTOPEN`, which dials past landlock.
fn slow(flags: u8) -> Result<SeccompRule, BackendError> {
    masked(flags, libc::MSG_FASTOPEN as u64, 0)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCmpOp::MaskedEq(mask).given(argument, value)?])
}

/// These calls, whatever their arguments.
fn freely(lists: &[&[c_long]]) -> Rules {
    lists.iter().flat_map(|list| list.iter()).map(|call| (*call, Vec::new())).collect()
}

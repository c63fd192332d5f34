//! System calls that are refused (seccomp).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// Calls that a reader of packets has no use for: other programs and processes, sockets, the machine's own settings, file systems, and the doors
/// that have led into kernels.
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_kcmp,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_memfd_create,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_mknodat,
    libc::SYS_mkdirat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_mbind,
];

/// The same, which only the older architecture still has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_mknod,
    libc::SYS_mkdir,
    libc::SYS_symlink,
    libc::SYS_link,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// Calls for those who serve a socket; without one they are refused as well.
const SERVING: &[i64] = &[libc::SYS_accept, libc::SYS_accept4, libc::SYS_sendto];

/// Puts a byte into a terminal's input (Linux's asm-generic/ioctls.h); the C libraries disagree on its type.
const TIOCSTI: u64 = 0x5412;

/// Has the kernel refuse these calls with EPERM. `clone3`, whose arguments a filter cannot see, is not there (ENOSYS), so that the C library
/// takes `clone`, which may make threads and nothing else.
pub(super) fn refuse(serve: bool) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| format!("no filter for {}", std::env::consts::ARCH))?;
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let serving: &[i64] = if serve { &[] } else { SERVING };
    for call in REFUSED.iter().chain(OLDER).chain(serving) {
        add(&mut calls, *call, &[])?;
    }
    let condition = |place, length, operator, value| {
        SeccompCondition::new(place, length, operator, value).map_err(|error| error.to_string())
    };
    let thread = libc::CLONE_THREAD as u64;
    let alone = condition(
        0,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(thread),
        0,
    )?;
    add(&mut calls, libc::SYS_clone, &[alone])?;
    // words put into the terminal's input run as commands once we are gone
    let into_terminal = condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, TIOCSTI)?;
    add(&mut calls, libc::SYS_ioctl, &[into_terminal])?;
    let mut absent = BTreeMap::new();
    add(&mut absent, libc::SYS_clone3, &[])?;
    for (calls, error) in [(calls, libc::EPERM), (absent, libc::ENOSYS)] {
        let program: BpfProgram = SeccompFilter::new(
            calls,
            SeccompAction::Allow,
            SeccompAction::Errno(error as u32),
            arch,
        )
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())?;
        apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Adds a call that is refused where all `conditions` hold, under both of its numbers on machines where it has two.
fn add(
    calls: &mut BTreeMap<i64, Vec<SeccompRule>>,
    call: i64,
    conditions: &[SeccompCondition],
) -> Result<(), String> {
    /// The x32 variant of a call (`__X32_SYSCALL_BIT` of Linux's asm/unistd.h): the same call, told apart by this bit alone.
    const X32: i64 = 0x4000_0000;
    let twice = cfg!(target_arch = "x86_64");
    for number in [Some(call), twice.then_some(call | X32)]
        .into_iter()
        .flatten()
    {
        let rules = calls.entry(number).or_default();
        if !conditions.is_empty() {
            let rule = SeccompRule::new(conditions.to_vec());
            rules.push(rule.map_err(|error| error.to_string())?);
        }
    }
    Ok(())
}

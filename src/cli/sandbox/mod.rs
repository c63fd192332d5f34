//! What a parser of hostile bytes does not need, it gives up before the first of them: capabilities, new privileges, files that nobody named, sockets,
//! other programs.
//!
//! What the kernel does not grant is told and done without: a sandbox is a second wall, and the report must not depend on it. Everything here
//! binds the calling thread and those it starts afterwards, so the place for it is before the workers.

#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    )
))]
mod calls;
#[cfg(target_os = "linux")]
mod linux;

use std::path::PathBuf;

/// Where the filter's numbers of system calls are not known.
#[cfg(all(
    target_os = "linux",
    not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ))
))]
mod calls {
    pub(super) fn refuse(_serve: bool) -> Result<(), String> {
        Err(format!("no filter for {}", std::env::consts::ARCH))
    }
}

/// What a run needs of the system beyond what is open already.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "elsewhere there is nobody to be told")
)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// Files that will be opened to be read.
    pub(crate) read: Vec<PathBuf>,
    /// The file whose folder will see it renamed, removed and begun anew.
    pub(crate) output: Option<PathBuf>,
    /// Whether root becomes an unprivileged user: where nothing that only root may read is read any more.
    pub(crate) leave_root: bool,
    /// Whether a socket that listens already will be served.
    pub(crate) serve: bool,
}

/// Gives up all that is not needed, and says in one line each what the kernel granted.
#[cfg(target_os = "linux")]
fn enter(needs: &Needs) -> Vec<String> {
    linux::enter(needs)
}

/// The same where there is nothing to ask the kernel for.
#[cfg(not(target_os = "linux"))]
fn enter(_needs: &Needs) -> Vec<String> {
    vec!["none: only Linux has what it is made of".to_owned()]
}

/// The same, and says it on stderr where that is wanted.
pub(crate) fn enter_and_tell(needs: &Needs, tell: bool) {
    let granted = enter(needs);
    if tell {
        for line in granted {
            super::say(&format!("dpiscope: sandbox: {line}"));
        }
    }
}

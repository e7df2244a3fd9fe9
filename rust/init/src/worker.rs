//! The worker process: how it starts and how its end is told.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fd::AsFd;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process,
    set_parent_process_death_signal, wait,
};

use crate::arguments::Arguments;
use crate::keeper::{self, Keeper};
use crate::signals;

/// Where the worker finds the listening socket.
const SOCKET_DESCRIPTOR: RawFd = 3;

/// Tells the worker how many there have been before it.
const RESTARTS_VARIABLE: &str = "SUPERVISOR_RESTARTS";

/// A worker that has started and has not been reaped, so that its process id is still its own.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pid: Pid,
    started: Instant,
}

impl Worker {
    /// Starts the program with the socket as file descriptor 3, and the keeper's ends as they are.
    pub(crate) fn start(
        arguments: &Arguments,
        socket: BorrowedFd<'_>,
        keeper: Option<&Keeper>,
        restarts: u64,
    ) -> Result<Self, String> {
        let supervisor = getpid();
        // An owned duplicate would have to live as long as the closure; the number is enough, because
        // the socket stays open for ever.
        let socket = socket.as_raw_fd();
        let mut command = Command::new(&arguments.program);
        command.args(&arguments.operands);
        command.env(RESTARTS_VARIABLE, restarts.to_string());
        let kept = keeper.map(Keeper::descriptors);
        if let Some([one, other]) = kept {
            command.env(keeper::VARIABLE, format!("{one},{other}"));
        }
        #[expect(
            unsafe_code,
            reason = "these things can only be done between fork and exec"
        )]
        // SAFETY: the closure makes system calls only; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || prepare(supervisor, socket, kept));
        }
        let fault = |cause: &dyn fmt::Display| {
            format!(
                "cannot start {}: {cause}",
                arguments.program.to_string_lossy()
            )
        };
        let child = command.spawn().map_err(|cause| fault(&cause))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // The child is reaped by `reap`, with all others.
        Ok(Self {
            pid: pid.ok_or_else(|| fault(&"no process id"))?,
            started: Instant::now(),
        })
    }

    pub(crate) fn lived(&self) -> Duration {
        self.started.elapsed()
    }

    /// The worker has not been reaped, so this cannot reach another process.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }
}

/// Runs in the new process before it becomes the worker.
fn prepare(supervisor: Pid, socket: RawFd, kept: Option<[RawFd; 2]>) -> io::Result<()> {
    // Two workers must never be alive, so none may outlive the supervisor that could start another.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(supervisor) {
        return Err(Errno::SRCH.into()); // The supervisor died before that call.
    }
    signals::release();
    #[expect(unsafe_code, reason = "file descriptor 3 is named by its number")]
    // SAFETY: the socket is open in the supervisor, hence here. Number 3 is either the socket itself or
    // was in use when the socket was opened: nothing that std opened for this start can be there.
    unsafe {
        if socket == SOCKET_DESCRIPTOR {
            fcntl_setfd(BorrowedFd::borrow_raw(socket).as_fd(), FdFlags::empty())?;
        } else if libc::dup2(socket, SOCKET_DESCRIPTOR) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    for descriptor in kept.into_iter().flatten() {
        #[expect(unsafe_code, reason = "the keeper's ends are named by their numbers")]
        // SAFETY: the keeper is open in the supervisor for ever, hence here.
        fcntl_setfd(
            unsafe { BorrowedFd::borrow_raw(descriptor) },
            FdFlags::empty(),
        )?;
    }
    Ok(())
}

/// The next process that has ended, if any. PID 1 also gets those whose parents died before them.
pub(crate) fn reap() -> Option<(Pid, Ended)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(ended) => return ended.map(|(pid, status)| (pid, Ended(status))),
            Err(Errno::INTR) => {}
            Err(_) => return None, // There are no children.
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended(WaitStatus);

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.exit_status(), self.0.terminating_signal()) {
            (Some(status), _) => write!(formatter, "ended with status {status}"),
            (None, Some(signal)) => write!(formatter, "was killed by signal {signal}"),
            (None, None) => write!(formatter, "ended"),
        }
    }
}

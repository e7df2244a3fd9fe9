//! A kernel that refuses: calls of a thread fail with errors of the caller's choice, by seccomp(2) and a thread that answers for the
//! kernel. What is tested is as it is shipped, and knows nothing of it.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(unsafe_code, reason = "neither std nor rustix has seccomp(2)")]
#![allow(clippy::disallowed_methods, reason = "not the store's files")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{
    c_int, c_long, c_uint, c_ulong, seccomp_data, seccomp_notif, seccomp_notif_resp, sock_filter,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// The thread that does something above such a kernel.
pub const CALLER: &str = "caller";

/// A system call, as the core makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    EpollCreate,
    EpollControl,
    EpollWait,
    EventFd,
    Open,
    Stat,
    Pipe,
    Tee,
    PipeSize,
    Poll,
    Read,
    Write,
}

impl Call {
    pub const ALL: [Self; 12] = [
        Self::EpollCreate,
        Self::EpollControl,
        Self::EpollWait,
        Self::EventFd,
        Self::Open,
        Self::Stat,
        Self::Pipe,
        Self::Tee,
        Self::PipeSize,
        Self::Poll,
        Self::Read,
        Self::Write,
    ];

    fn numbers(self) -> &'static [c_long] {
        match self {
            Self::EpollCreate => &[libc::SYS_epoll_create1],
            Self::EpollControl => &[libc::SYS_epoll_ctl],
            Self::EpollWait => &[libc::SYS_epoll_pwait],
            Self::EventFd => &[libc::SYS_eventfd2],
            #[cfg(target_arch = "x86_64")]
            Self::Open => &[libc::SYS_openat, libc::SYS_open],
            #[cfg(not(target_arch = "x86_64"))]
            Self::Open => &[libc::SYS_openat],
            Self::Stat => &[libc::SYS_newfstatat, libc::SYS_fstat],
            Self::Pipe => &[libc::SYS_pipe2],
            Self::Tee => &[libc::SYS_tee],
            Self::PipeSize => &[libc::SYS_fcntl],
            Self::Poll => &[libc::SYS_ppoll],
            Self::Read => &[libc::SYS_read],
            Self::Write => &[libc::SYS_write],
        }
    }

    fn is_number(self, number: c_long) -> bool {
        self.numbers().contains(&number)
    }
}

/// Calls of a thread that fail: so many, behind so many that are made.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The thread's name.
    pub thread: &'static str,
    pub call: Call,
    pub behind: usize,
    pub count: usize,
    pub errno: Errno,
}

#[derive(Debug, Default)]
struct State {
    refusal: Option<Refusal>,
    refused: usize,
    made: Vec<(String, Call)>,
}

/// What answers for the kernel.
#[derive(Debug, Default)]
pub struct Kernel(Mutex<State>);

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

// linux/seccomp.h: _IOWR('!', 0, struct seccomp_notif), _IOWR('!', 1, struct seccomp_notif_resp)
const RECEIVE: c_ulong = 0xc050_2100;
const SEND: c_ulong = 0xc018_2101;

/// What else fcntl(2) does is not the core's.
const PIPE_SIZE: [u32; 2] = [1031, 1032];

fn step(code: c_uint, value: u32, if_not: u8) -> sock_filter {
    sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf: if_not,
        k: value,
    }
}

/// From now on the calls of this thread, and of those that it starts, are told to whoever has the descriptor.
fn listen() -> io::Result<OwnedFd> {
    const LOAD: c_uint = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IS: c_uint = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: c_uint = libc::BPF_RET | libc::BPF_K;
    let field = |offset: usize| step(LOAD, u32::try_from(offset).unwrap(), 0);
    let mut filter = vec![
        field(std::mem::offset_of!(seccomp_data, arch)),
        step(IS, ARCHITECTURE, 1),
        field(std::mem::offset_of!(seccomp_data, nr)),
    ];
    for number in Call::ALL.iter().flat_map(|call| call.numbers()) {
        filter.push(step(IS, u32::try_from(*number).unwrap(), 1));
        filter.push(step(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0));
    }
    filter.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0));
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap(),
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is valid while the call lasts, and the descriptor that it returns is nobody else's.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let listener = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        );
        match i32::try_from(listener) {
            Ok(listener) if listener >= 0 => Ok(OwnedFd::from_raw_fd(listener)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Kernel {
    /// Does something, with all threads that it starts, above a kernel that can refuse. `Err`: this machine does not let us.
    pub fn beneath<T: Send>(act: impl FnOnce(&Self) -> T + Send) -> io::Result<T> {
        // A thread that gives memory back opens a file with the lock of that memory held (glibc, check_may_shrink_heap), and whoever
        // answers it may want the same lock.
        // SAFETY: a setting of the allocator, for the whole process.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, c_int::MAX) };
        let kernel = Self::default();
        let (send, receive) = channel();
        std::thread::scope(|scope| {
            let caller = std::thread::Builder::new().name(CALLER.to_owned());
            let acting = caller.spawn_scoped(scope, || {
                let listener = listen();
                let is_refused = listener.is_err();
                send.send(listener).unwrap();
                (!is_refused).then(|| act(&kernel))
            });
            let answered = receive
                .recv()
                .unwrap()
                .map(|listener| kernel.answer(&listener));
            let acted = acting.unwrap().join();
            let acted = acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            answered.map(|()| acted.unwrap())
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until the last thread has ended.
    fn answer(&self, listener: &OwnedFd) {
        loop {
            let mut wait_for = [PollFd::new(listener, PollFlags::IN)];
            if poll(&mut wait_for, None).is_err() {
                continue;
            }
            if !wait_for
                .iter()
                .any(|fd| fd.revents().contains(PollFlags::IN))
            {
                return;
            }
            // SAFETY: both are numbers alone, and as long as the kernel takes them for.
            let (mut told, mut answer): (seccomp_notif, seccomp_notif_resp) =
                unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
            // SAFETY: what is written is a notification.
            if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut told) } != 0 {
                continue;
            }
            answer.id = told.id;
            match self.look(&told) {
                Some(errno) => answer.error = -errno.raw_os_error(),
                None => {
                    answer.flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap();
                }
            }
            // SAFETY: what is read is an answer. One for a thread that has ended is no matter.
            unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) };
        }
    }

    fn look(&self, told: &seccomp_notif) -> Option<Errno> {
        let number = c_long::from(told.data.nr);
        let call = Call::ALL.into_iter().find(|call| call.is_number(number))?;
        if call == Call::PipeSize && !PIPE_SIZE.map(u64::from).contains(&told.data.args[1]) {
            return None;
        }
        let name = std::fs::read_to_string(format!("/proc/self/task/{}/comm", told.pid));
        let thread = name.unwrap_or_default().trim_end().to_owned();
        let mut state = self.state();
        let refused = state.refusal.as_mut().and_then(|refusal| {
            if refusal.thread != thread || refusal.call != call {
                return None;
            }
            if refusal.behind > 0 {
                refusal.behind -= 1;
                return None;
            }
            refusal.count = refusal.count.checked_sub(1)?;
            Some(refusal.errno)
        });
        state.refused += usize::from(refused.is_some());
        state.made.push((thread, call));
        refused
    }

    /// Refuses from now on; what was refused before is not any more.
    pub fn refuse(&self, refusal: Refusal) {
        let mut state = self.state();
        state.refusal = Some(refusal);
        state.refused = 0;
    }

    /// Refuses nothing any more.
    pub fn relent(&self) {
        self.state().refusal = None;
    }

    /// How many calls have been refused since `refuse`.
    pub fn refused(&self) -> usize {
        self.state().refused
    }

    /// The calls until now count no more.
    pub fn forget(&self) {
        self.state().made.clear();
    }

    /// The calls, in their order.
    pub fn made(&self) -> Vec<(String, Call)> {
        self.state().made.clone()
    }
}

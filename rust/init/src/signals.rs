//! Signals, taken one at a time by waiting for them: no handler ever runs.

use std::time::Duration;
use std::{io, mem, ptr};

use rustix::process::Signal;

/// What the supervisor waits for. PID 1 never gets any other signal that it did not ask for.
const AWAITED: [Signal; 4] = [Signal::CHILD, Signal::TERM, Signal::INT, Signal::HUP];

/// Holds the awaited signals back, so that none is lost between two calls of [`wait`].
pub(crate) fn hold() {
    change_mask(libc::SIG_BLOCK, &set_of(&AWAITED));
}

/// Lets all signals through again. For the worker, before it executes its program: it inherits the mask.
pub(crate) fn release() {
    change_mask(libc::SIG_SETMASK, &set_of(&[]));
}

/// The next awaited signal, or `None` when the time is over or the wait was interrupted.
///
/// Without a timeout it waits as long as it takes.
pub(crate) fn wait(timeout: Option<Duration>) -> Option<Signal> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let set = set_of(&AWAITED);
    #[expect(unsafe_code, reason = "neither std nor rustix can wait for a signal")]
    // SAFETY: both pointers are to values that live across the call, or null where null is allowed.
    let number = unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), timeout) };
    Signal::from_named_raw(number)
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    #[expect(unsafe_code, reason = "neither std nor rustix has signal sets")]
    // SAFETY: a zeroed set is valid memory, which sigemptyset then makes a valid set, and all signal
    // numbers are valid ones.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, signal.as_raw());
        }
        set
    }
}

/// Safe to call between fork and exec. It fails only where `how` is wrong.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) {
    #[expect(
        unsafe_code,
        reason = "neither std nor rustix can change the signal mask"
    )]
    // SAFETY: the set is valid, and the old mask is not asked for.
    let result = unsafe { libc::sigprocmask(how, ptr::from_ref(set), ptr::null_mut()) };
    debug_assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

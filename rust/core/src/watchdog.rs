//! Notices that the event loop above hangs.
//!
//! The loop beats. A thread counts its own ticks since the last beat; it does not measure time. So a process that was stopped and
//! goes on, or a machine that slept, costs one tick however long it took, and is not taken for a hang.
//!
//! What the loop never does is wait for the disk: its calls that may have threads of their own. A disk that stalls keeps no
//! beat from coming.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, Result};

/// So many ticks without a beat are a hang.
const TICKS: u32 = 20;

/// The exit code of a worker whose event loop hung.
pub const HUNG: i32 = 3;

/// Waits for beats until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    beats: Arc<AtomicU64>,
    /// The thread ends with it.
    _life: Sender<()>,
}

impl Watchdog {
    /// Calls `on_hang`, once, when no beat has come for `hang_after`.
    ///
    /// # Errors
    /// No thread is left.
    pub fn start(hang_after: Duration, on_hang: impl FnOnce() + Send + 'static) -> Result<Self> {
        let beats = Arc::new(AtomicU64::new(0));
        let (life, end) = channel();
        let watched = Arc::clone(&beats);
        std::thread::Builder::new()
            .name("logboom-watchdog".to_owned())
            .spawn(move || {
                if is_hung(&watched, &end, hang_after / TICKS) {
                    on_hang();
                }
            })
            .map_err(|source| Error::io("start", Path::new("the watchdog"))(source))?;
        Ok(Self { beats, _life: life })
    }

    /// The loop goes round.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits for a hang; `false`: it is not to wait any longer.
fn is_hung(beats: &AtomicU64, end: &Receiver<()>, tick: Duration) -> bool {
    let mut seen = beats.load(Ordering::Relaxed);
    let mut missed = 0;
    while end.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        let beaten = beats.load(Ordering::Relaxed);
        missed = if beaten == seen { missed + 1 } else { 0 };
        seen = beaten;
        if missed == TICKS {
            return true;
        }
    }
    false
}

/// Ends the process as a kill does, with one line on stderr.
pub fn end_hung_process(hang_after: Duration) -> ! {
    let line = format!(
        "error the event loop has hung for {} s: this worker ends, so that another is started\n",
        hang_after.as_secs_f64()
    );
    let mut stderr = std::io::stderr();
    let mut room = [PollFd::new(&stderr, PollFlags::OUT)];
    let no_wait = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // What nobody reads is not waited for: the loop may hang for just that.
    if poll(&mut room, Some(&no_wait)).is_ok_and(|ready| ready > 0) {
        drop(stderr.write_all(line.as_bytes()));
    }
    #[expect(
        unsafe_code,
        reason = "std's exit runs what other code has registered for it, and that could hang, too"
    )]
    // SAFETY: it takes a number and does not return.
    unsafe {
        libc::_exit(HUNG)
    }
}

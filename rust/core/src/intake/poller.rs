//! Which FIFOs hold something: epoll(7), and what is done where it refuses.
//!
//! The kernel has a limit on what all users watch (`/proc/sys/fs/epoll/max_user_watches`), and its memory may be used up. A FIFO that
//! cannot be watched is looked at by time until it can be.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::faults::Faults;
use crate::error::Error;

/// How often FIFOs are looked at that cannot be watched.
pub(super) const UNWATCHED_LOOK: Duration = Duration::from_millis(10);

/// The key of the bell among the events; FIFOs count from 0.
const BELL: u64 = u64::MAX;

/// LIMIT: events looked at in one round; the others come with the next.
pub(super) const MAX_EVENTS: usize = 1024;

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// The FIFOs among the events.
pub(super) fn ready(events: &[epoll::Event]) -> impl Iterator<Item = u64> {
    let keys = events.iter().map(|event| event.data.u64());
    keys.filter(|&key| key != BELL)
}

#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    /// FIFOs that could not be added.
    unwatched: BTreeSet<u64>,
    /// The last wait failed.
    is_blind: bool,
    faults: Arc<Faults>,
}

impl Poller {
    /// Waits for `bell`, too.
    pub(super) fn new(bell: impl AsFd, faults: Arc<Faults>) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, bell, data, epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            unwatched: BTreeSet::new(),
            is_blind: false,
            faults,
        })
    }

    /// Watches a FIFO. Where that is refused it is one of the `unwatched`, until a later call succeeds.
    pub(super) fn add(&mut self, key: u64, fifo: BorrowedFd<'_>, path: &Path) {
        let data = epoll::EventData::new_u64(key);
        match epoll::add(&self.epoll, fifo, data, epoll::EventFlags::IN) {
            Ok(()) => {
                self.unwatched.remove(&key);
                self.clear_fault();
            }
            Err(errno) => {
                self.unwatched.insert(key);
                self.faults
                    .unwatched
                    .note_error(&Error::io("watch", path)(errno.into()));
            }
        }
    }

    /// Watches a FIFO no longer of which nothing is to come.
    pub(super) fn remove(&mut self, key: u64, fifo: BorrowedFd<'_>) {
        // What is not watched cannot be removed. What still is comes again, and is removed then.
        let _ = epoll::delete(&self.epoll, fifo);
        self.forget(key);
    }

    /// A FIFO is closed, which ends its being watched.
    pub(super) fn forget(&mut self, key: u64) {
        if self.unwatched.remove(&key) {
            self.clear_fault();
        }
    }

    /// FIFOs that are to be looked at by time.
    pub(super) fn unwatched(&self) -> Vec<u64> {
        self.unwatched.iter().copied().collect()
    }

    /// Waits until FIFOs hold something, the bell has rung, or the time is over; `events` tells which (`ready`).
    ///
    /// `false`: nothing was waited for, and all FIFOs are to be looked at by time.
    pub(super) fn wait(
        &mut self,
        events: &mut Vec<epoll::Event>,
        timeout: Option<Duration>,
    ) -> bool {
        events.clear();
        let timeout = if self.unwatched.is_empty() {
            timeout
        } else {
            Some(timeout.map_or(UNWATCHED_LOOK, |timeout| timeout.min(UNWATCHED_LOOK)))
        };
        let buffer = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, buffer, timeout.map(timespec).as_ref()) {
            // EINTR is an empty round.
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                self.is_blind = true;
                let error = Error::io("wait for", Path::new("FIFOs"))(errno.into());
                self.faults.unwatched.note_error(&error);
                return false;
            }
        }
        if std::mem::take(&mut self.is_blind) {
            self.clear_fault();
        }
        true
    }

    fn clear_fault(&self) {
        if self.unwatched.is_empty() && !self.is_blind {
            self.faults.unwatched.note(&Ok(()));
        }
    }
}

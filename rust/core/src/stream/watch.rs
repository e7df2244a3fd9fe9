//! Waking followers, each through an eventfd of its own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::retry_on_intr;

/// One follower's bell. It rings at most once for each time it was armed.
#[derive(Debug)]
pub struct Watcher {
    event: OwnedFd,
    is_armed: AtomicBool,
}

impl Watcher {
    /// A bell that is not armed.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event,
            is_armed: AtomicBool::new(false),
        })
    }

    /// Asks to be woken. Look again for entries after this, or one that came just before is missed.
    pub(super) fn arm(&self) {
        self.is_armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Takes the ring back.
    pub(super) fn clear(&self) {
        self.is_armed.store(false, Ordering::Relaxed);
        // Not readable is as good as cleared.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }

    fn ring(&self) {
        if self.is_armed.swap(false, Ordering::Relaxed) {
            // A counter that is full is readable already.
            let _ = retry_on_intr(|| rustix::io::write(&self.event, &1_u64.to_le_bytes()));
        }
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// All followers of a stream.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Vec<Weak<Watcher>>>);

impl Watch {
    pub(super) fn add(&self, watcher: &Arc<Watcher>) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(watcher));
    }

    /// Wakes whoever is armed. Call it after what there is to see has been published.
    pub(super) fn ring(&self) {
        fence(Ordering::SeqCst);
        let watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.ring();
        }
    }
}

//! How large FIFOs are.
//!
//! A larger pipe lets more gather between two looks at it, which is what makes gathering pay; but the kernel gives all of
//! root's processes without `CAP_SYS_RESOURCE` 64 MiB of pipe pages together (`pipe-user-pages-soft`), and who comes after
//! that gets tiny pipes. So only busy FIFOs grow, within a budget, and shrink again.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

/// What the kernel gives a new pipe.
const DEFAULT_BYTES: usize = 64 << 10;

/// LIMIT: `/proc/sys/fs/pipe-max-size` without a capability.
const MAX_BYTES: usize = 1 << 20;

/// A FIFO that grew and then had nothing for so long shrinks.
const SHRINK_AFTER: Duration = Duration::from_secs(10);

/// After the kernel has refused once, nobody asks for so long.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What all FIFOs together may have above the default.
#[derive(Debug)]
pub(super) struct PipeBudget {
    total_bytes: usize,
    used_bytes: usize,
    refused_at: Option<Instant>,
}

impl PipeBudget {
    pub(super) fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes: usize::try_from(total_bytes).unwrap_or(usize::MAX),
            used_bytes: 0,
            refused_at: None,
        }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }
}

/// One FIFO's size.
#[derive(Debug)]
pub(super) struct PipeSize {
    bytes: usize,
    busy_at: Instant,
}

fn above_default(bytes: usize) -> usize {
    bytes.saturating_sub(DEFAULT_BYTES)
}

impl PipeSize {
    /// A FIFO as it was found; another worker may have made it larger.
    pub(super) fn new(fifo: BorrowedFd<'_>, budget: &mut PipeBudget, now: Instant) -> Self {
        let bytes = fcntl_getpipe_size(fifo).unwrap_or(DEFAULT_BYTES);
        budget.used_bytes += above_default(bytes);
        Self {
            bytes,
            busy_at: now,
        }
    }

    /// Grows the FIFO when half of it was full.
    pub(super) fn taken(
        &mut self,
        taken_bytes: usize,
        fifo: BorrowedFd<'_>,
        budget: &mut PipeBudget,
        now: Instant,
    ) {
        self.busy_at = now;
        if taken_bytes < self.bytes / 2 || self.bytes >= MAX_BYTES {
            return;
        }
        let wanted = (self.bytes * 4).clamp(DEFAULT_BYTES, MAX_BYTES);
        let used = budget.used_bytes - above_default(self.bytes);
        let may_ask = budget
            .refused_at
            .is_none_or(|at| now.duration_since(at) >= RETRY_AFTER);
        if may_ask && used + above_default(wanted) <= budget.total_bytes {
            match fcntl_setpipe_size(fifo, wanted) {
                Ok(bytes) => self.set(bytes, budget),
                // EPERM: root's pages are used up, by us or by others. Smaller pipes only cost time.
                Err(_) => budget.refused_at = Some(now),
            }
        }
    }

    fn set(&mut self, bytes: usize, budget: &mut PipeBudget) {
        budget.used_bytes = budget.used_bytes - above_default(self.bytes) + above_default(bytes);
        self.bytes = bytes;
    }

    /// Shrinks a FIFO that has been idle; says whether it is still larger than the default.
    pub(super) fn shrink_if_idle(
        &mut self,
        fifo: BorrowedFd<'_>,
        budget: &mut PipeBudget,
        now: Instant,
    ) -> bool {
        if self.bytes > DEFAULT_BYTES && now.duration_since(self.busy_at) >= SHRINK_AFTER {
            // EBUSY: it holds more than that, so it is not idle after all.
            if let Ok(bytes) = fcntl_setpipe_size(fifo, DEFAULT_BYTES) {
                self.set(bytes, budget);
            }
        }
        self.bytes > DEFAULT_BYTES
    }

    /// Gives the FIFO's share back.
    pub(super) fn release(self, budget: &mut PipeBudget) {
        budget.used_bytes -= above_default(self.bytes);
    }
}
